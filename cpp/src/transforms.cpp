#include "zmlx/transforms.h"

#include <unordered_map>
#include <unordered_set>

#include "mlx/compile.h"
#include "mlx/export.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/transforms.h"
#include "zmlx/ops/truth.h"
#include "zmlx/src/bridge/transforms.rs.h"

namespace zmlx {

namespace {

// std::function copies what it holds; a Rust box has one owner. So it is shared.
template <typename T>
std::shared_ptr<rust::Box<T>> shared(rust::Box<T> b) {
  return std::make_shared<rust::Box<T>>(std::move(b));
}

Fn fn(rust::Box<Callback> f) {
  return [f = shared(std::move(f))](const ArrayVec& inputs) {
    return std::move(*(*f)->call(inputs));
  };
}

TwoLists two(std::pair<ArrayVec, ArrayVec> p) {
  return TwoLists{box(std::move(p.first)), box(std::move(p.second))};
}

Ints view(const std::vector<int>& v) {
  return Ints(v.data(), v.size());
}

// MLX starts a derivative with a copy of each input, on the stream that computed
// it. One that is data already has none, and MLX would take the default device,
// where float64 may not exist. The copy made here moves no data and gives way to
// MLX's own.
ArrayVec placed(Arrays arrays, StreamRef s) {
  auto all = list(arrays);
  for (auto& a : all) {
    if (!a.has_primitive()) {
      a = mx::copy(a, on(s));
    }
  }
  return all;
}

} // namespace

TwoLists
vjp(rust::Box<Callback> f, Arrays primals, Arrays cotangents, StreamRef s) {
  return two(
      mx::vjp(fn(std::move(f)), placed(primals, s), list(cotangents)));
}

TwoLists
jvp(rust::Box<Callback> f, Arrays primals, Arrays tangents, StreamRef s) {
  return two(mx::jvp(fn(std::move(f)), placed(primals, s), list(tangents)));
}

TwoLists value_and_grad(
    rust::Box<Callback> f,
    Ints argnums,
    Arrays inputs,
    StreamRef s) {
  return two(
      mx::value_and_grad(fn(std::move(f)), ints(argnums))(placed(inputs, s)));
}

ArrayVecPtr
vmap(rust::Box<Callback> f, Ints in_axes, Ints out_axes, Arrays inputs) {
  return box(mx::vmap(fn(std::move(f)), ints(in_axes), ints(out_axes))(
      list(inputs)));
}

rust::Vec<bool> depend(Arrays outputs, Arrays inputs) {
  std::unordered_set<std::uintptr_t> sought;
  for (const auto& in : list(inputs)) {
    sought.insert(in.id());
  }
  rust::Vec<bool> found;
  for (const auto& out : list(outputs)) {
    // A list instead of recursion: graphs may be deeper than a stack.
    std::unordered_set<std::uintptr_t> seen;
    ArrayVec todo{out};
    bool depends = false;
    while (!todo.empty() && !depends) {
      auto a = std::move(todo.back());
      todo.pop_back();
      if (!seen.insert(a.id()).second) {
        continue;
      }
      depends = sought.count(a.id()) > 0;
      todo.insert(todo.end(), a.inputs().begin(), a.inputs().end());
    }
    found.push_back(depends);
  }
  return found;
}

FunctionPtr custom_function(rust::Box<CustomRules> boxed) {
  auto rules = shared(std::move(boxed));
  using Lists = const ArrayVec&;
  using Axes = const std::vector<int>&;

  std::optional<std::function<ArrayVec(Lists, Lists, Lists)>> vjp;
  if ((*rules)->has_vjp()) {
    vjp = [rules](Lists primals, Lists cotangents, Lists outputs) {
      return std::move(*(*rules)->vjp(primals, cotangents, outputs));
    };
  }
  std::optional<std::function<ArrayVec(Lists, Lists, Axes)>> jvp;
  if ((*rules)->has_jvp()) {
    jvp = [rules](Lists primals, Lists tangents, Axes argnums) {
      return std::move(*(*rules)->jvp(primals, tangents, view(argnums)));
    };
  }
  std::optional<
      std::function<std::pair<ArrayVec, std::vector<int>>(Lists, Axes)>>
      vmap;
  if ((*rules)->has_vmap()) {
    vmap = [rules](Lists inputs, Axes axes) {
      rust::Vec<int32_t> out_axes;
      auto outputs = (*rules)->vmap(inputs, view(axes), out_axes);
      return std::make_pair(
          std::move(*outputs),
          std::vector<int>(out_axes.begin(), out_axes.end()));
    };
  }
  std::function<ArrayVec(Lists)> forward = [rules](Lists inputs) {
    return std::move(*(*rules)->forward(inputs));
  };
  if (jvp) {
    // MLX's forward mode asks every node behind the inputs for tangents, those
    // within the function too, although the rule is what counts: a kernel has
    // none to give. Detached inputs leave only the rule.
    if (!vjp) {
      vjp = [forward](Lists primals, Lists cotangents, Lists) {
        return mx::vjp(forward, primals, cotangents).second;
      };
    }
    forward = [forward](Lists inputs) {
      ArrayVec detached;
      for (const auto& in : inputs) {
        detached.push_back(mx::stop_gradient(in));
      }
      return forward(detached);
    };
  }
  return std::make_unique<Function>(
      mx::custom_function(std::move(forward), vjp, jvp, vmap));
}

FunctionPtr checkpoint(rust::Box<Callback> f) {
  return std::make_unique<Function>(mx::checkpoint(fn(std::move(f))));
}

FunctionPtr compile(rust::Box<Callback> f) {
  return std::make_unique<Function>(mx::compile(fn(std::move(f))));
}

void set_compile_enabled(bool enabled) {
  if (enabled) {
    mx::enable_compile();
  } else {
    mx::disable_compile();
  }
}

void export_function(
    rust::Str path,
    rust::Box<Callback> f,
    Arrays inputs,
    bool shapeless) {
  mx::export_function(text(path), fn(std::move(f)), list(inputs), shapeless);
}

namespace {

// MLX gives imported operations the first stream of the process, which is of use
// on the thread that owns it only. This gives one the calling thread's default stream.
//
// The stream is a private member without a setter, but `stream()` gives a
// reference to it, and no primitive is a const object.
void adopt(const Array& a) {
  auto& s = const_cast<mx::Stream&>(a.primitive().stream());
  s = mx::default_stream(s.device);
}

// Adopts all operations between `outputs` and `inputs`.
//
// Bools that the file holds are made of its bytes, of which each but 0 is true: what is
// computed from them becomes 0 or 1, whatever the file says.
void adopt(const ArrayVec& inputs, ArrayVec& outputs) {
  std::unordered_set<std::uintptr_t> seen;
  for (const auto& in : inputs) {
    seen.insert(in.id());
  }
  std::unordered_map<std::uintptr_t, Array> bools;
  auto clean = [&](Array& a) {
    if (a.dtype() != mx::bool_ || !a.inputs().empty() || seen.count(a.id())) {
      return;
    }
    auto made = bools.find(a.id());
    if (made == bools.end()) {
      auto device = mx::default_device();
      if (a.has_primitive()) {
        adopt(a);
        device = a.primitive().device();
      }
      made = bools.emplace(a.id(), ops::truth(a, device)).first;
      // Nothing behind it is to be changed.
      seen.insert(made->second.id());
    }
    a = made->second;
  };
  for (auto& out : outputs) {
    clean(out);
  }
  ArrayVec todo = outputs;
  while (!todo.empty()) {
    auto a = std::move(todo.back());
    todo.pop_back();
    if (!seen.insert(a.id()).second || !a.has_primitive()) {
      continue;
    }
    adopt(a);
    for (auto& in : a.inputs()) {
      clean(in);
      todo.push_back(in);
    }
  }
}

} // namespace

FunctionPtr import_function(rust::Str path) {
  return std::make_unique<Function>(
      [f = mx::import_function(text(path))](const ArrayVec& inputs) {
        auto outputs = f(inputs);
        adopt(inputs, outputs);
        return outputs;
      });
}

} // namespace zmlx
