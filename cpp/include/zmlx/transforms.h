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
// `vmap` in two steps: the graph of `f` for one element, its inputs first, and what becomes of
// it. An axis of -1 among `in_axes` means that the input is not mapped.
TwoLists vmap_trace(rust::Box<Callback> f, Ints in_axes, Arrays inputs);
ArrayVecPtr vmap_replace(
    Arrays inputs,
    const ArrayVec& traced,
    Arrays outputs,
    Ints in_axes,
    Ints out_axes);
// True when an array depends on a mapped one of the traced inputs.
bool depends_on(const Array& a, const ArrayVec& traced, Ints in_axes);

// How many operations the longest chain of the graph has.
size_t depth(const ArrayVec& outputs);

FunctionPtr custom_function(rust::Box<CustomRules> rules);
FunctionPtr checkpoint(rust::Box<Callback> f);
FunctionPtr compile(rust::Box<Callback> f);
void set_compile_enabled(bool enabled);

} // namespace zmlx
