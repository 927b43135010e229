// Function transforms. The bodies are in transforms.cpp, which sees the Rust
// closure types that the bridge generates.
#pragma once

#include <functional>

#include "zmlx/types.h"

namespace zmlx {

struct Callback;
struct CustomRules;
struct TwoLists;

using Fn = std::function<ArrayVec(const ArrayVec&)>;

class Function {
 public:
  explicit Function(Fn f) : f_(std::move(f)) {}
  ArrayVecPtr call(Arrays inputs) const {
    return box(f_(list(inputs)));
  }

 private:
  Fn f_;
};
using FunctionPtr = std::unique_ptr<Function>;

TwoLists
vjp(rust::Box<Callback> f, Arrays primals, Arrays cotangents, StreamRef s);
TwoLists
jvp(rust::Box<Callback> f, Arrays primals, Arrays tangents, StreamRef s);
TwoLists value_and_grad(
    rust::Box<Callback> f,
    Ints argnums,
    Arrays inputs,
    StreamRef s);
ArrayVecPtr
vmap(rust::Box<Callback> f, Ints in_axes, Ints out_axes, Arrays inputs);

// Whether each output depends on any of `inputs`.
rust::Vec<bool> depend(Arrays outputs, Arrays inputs);

FunctionPtr custom_function(rust::Box<CustomRules> rules);
FunctionPtr checkpoint(rust::Box<Callback> f);
FunctionPtr compile(rust::Box<Callback> f);
void set_compile_enabled(bool enabled);

void export_function(
    rust::Str path,
    rust::Box<Callback> f,
    Arrays inputs,
    bool shapeless);
FunctionPtr import_function(rust::Str path);

} // namespace zmlx
