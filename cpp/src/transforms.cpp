#include "zmlx/ops/double.h"
#include "zmlx/transforms.h"

#include <algorithm>
#include <unordered_map>
#include <sstream>
#include <string_view>
#include <unordered_set>

#include "mlx/compile.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"
#include "mlx/transforms.h"
#include "mlx/transforms_impl.h"
#include "zmlx/given.h"
#include "zmlx/seen.h"
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

// A function for a derivative that is given an array for each of its outputs. MLX leaves out
// outputs that are a `stop_gradient`, and gives the arrays to those that come after; a copy
// is none. Of an output that stands there twice it takes one array only; a copy is another.
Fn each_output(rust::Box<Callback> f, const ArrayVec& cotangents) {
  std::vector<mx::Dtype> dtypes;
  for (const auto& c : cotangents) {
    dtypes.push_back(c.dtype());
  }
  return [f = fn(std::move(f)), dtypes](const ArrayVec& inputs) {
    auto outputs = f(inputs);
    auto count = dtypes.size();
    if (outputs.size() != count) {
      std::ostringstream msg;
      msg << "`cotangents`: expected " << outputs.size() << ", one for each output, got "
          << count;
      throw std::invalid_argument(msg.str());
    }
    for (size_t i = 0; i < count; ++i) {
      auto& out = outputs[i];
      // A cast would drop the imaginary part.
      if (dtypes[i] == mx::complex64 && out.dtype() != mx::complex64) {
        std::ostringstream msg;
        msg << "`cotangents`: expected dtype " << out.dtype() << " for output " << i << ", got dtype "
            << dtypes[i];
        throw std::invalid_argument(msg.str());
      }
      if (!out.has_primitive()) {
        continue;
      }
      bool again = std::any_of(outputs.begin(), outputs.begin() + i, [&](const mx::array& earlier) {
        return earlier.id() == out.id();
      });
      if (again || out.primitive().name() == std::string_view("StopGradient")) {
        out = mx::copy(out, out.primitive().stream());
      }
    }
    return outputs;
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
  auto given = list(cotangents);
  return two(mx::vjp(each_output(std::move(f), given), placed(primals, s), given));
}

TwoLists
jvp(rust::Box<Callback> f, Arrays primals, Arrays tangents, StreamRef s) {
  // As MLX casts cotangents.
  auto cast = list(tangents);
  for (size_t i = 0; i < cast.size() && i < primals.size(); ++i) {
    if (auto type = primals[i].ptr->dtype(); cast[i].dtype() != type) {
      cast[i] = mx::astype(cast[i], type, on(s));
    }
  }
  return two(mx::jvp(fn(std::move(f)), placed(primals, s), cast));
}

TwoLists value_and_grad(
    rust::Box<Callback> f,
    Ints argnums,
    Arrays inputs,
    StreamRef s) {
  return two(
      mx::value_and_grad(fn(std::move(f)), ints(argnums))(placed(inputs, s)));
}

TwoLists vmap_trace(rust::Box<Callback> f, Ints in_axes, Arrays inputs) {
  return two(
      mx::detail::vmap_trace(fn(std::move(f)), list(inputs), ints(in_axes)));
}

ArrayVecPtr vmap_replace(
    Arrays inputs,
    const ArrayVec& traced,
    Arrays outputs,
    Ints in_axes,
    Ints out_axes) {
  return box(mx::detail::vmap_replace(
      list(inputs), traced, list(outputs), ints(in_axes), ints(out_axes)));
}

bool depends_on(const Array& a, const ArrayVec& traced, Ints in_axes) {
  std::unordered_set<std::uintptr_t> sought;
  for (size_t i = 0; i < traced.size(); ++i) {
    if (in_axes[i] >= 0) {
      sought.insert(traced[i].id());
    }
  }
  std::unordered_set<std::uintptr_t> seen;
  std::vector<const Array*> todo{&a};
  while (!todo.empty()) {
    const auto* next = todo.back();
    todo.pop_back();
    if (sought.contains(next->id())) {
      return true;
    }
    if (seen.insert(next->id()).second) {
      for (const auto& in : next->inputs()) {
        todo.push_back(&in);
      }
    }
  }
  return false;
}

size_t depth(const ArrayVec& outputs) {
  struct Frame {
    const Array* array;
    size_t next;
    int32_t deepest;
  };
  Seen seen;
  std::vector<Frame> stack;
  int32_t deepest = 0;
  for (const auto& out : outputs) {
    stack.push_back({&out, 0, 0});
    while (!stack.empty()) {
      auto& top = stack.back();
      const auto& inputs = top.array->inputs();
      if (top.next < inputs.size()) {
        const auto& in = inputs[top.next++];
        if (in.inputs().empty()) {
          continue;
        }
        if (auto known = seen.find(in.id())) {
          top.deepest = std::max(top.deepest, *known);
        } else {
          stack.push_back({&in, 0, 0});
        }
        continue;
      }
      auto here = top.deepest + 1;
      seen.put(top.array->id(), here);
      for (const auto& s : top.array->siblings()) {
        seen.put(s.id(), here);
      }
      stack.pop_back();
      if (!stack.empty()) {
        stack.back().deepest = std::max(stack.back().deepest, here);
      }
      deepest = std::max(deepest, here);
    }
  }
  return static_cast<size_t>(deepest);
}

namespace {

// MLX's function for one call, as the rules have to know what the call gave.
Fn with_rules(const std::shared_ptr<rust::Box<CustomRules>>& rules) {
  using Lists = const ArrayVec&;
  using Axes = const std::vector<int>&;
  auto given = std::make_shared<Given>();

  std::optional<std::function<ArrayVec(Lists, Lists, Lists)>> vjp;
  if ((*rules)->has_vjp()) {
    vjp = [rules](Lists primals, Lists cotangents, Lists outputs) {
      return std::move(*(*rules)->vjp(primals, cotangents, outputs));
    };
  }
  std::optional<std::function<ArrayVec(Lists, Lists, Axes)>> jvp;
  if ((*rules)->has_jvp()) {
    jvp = [rules, given](Lists primals, Lists tangents, Axes argnums) {
      auto out = std::move(*(*rules)->jvp(primals, tangents, view(argnums)));
      given->count("jvp", "tangents", out.size());
      given->check("jvp", out, given->shapes);
      return out;
    };
  }
  std::optional<
      std::function<std::pair<ArrayVec, std::vector<int>>(Lists, Axes)>>
      vmap;
  if ((*rules)->has_vmap()) {
    vmap = [rules, given](Lists inputs, Axes axes) {
      rust::Vec<int32_t> out_axes;
      auto outputs = std::move(*(*rules)->vmap(inputs, view(axes), out_axes));
      std::vector<int> at(out_axes.begin(), out_axes.end());
      given->mapped(outputs, at, mapped_size(inputs, axes));
      return std::make_pair(std::move(outputs), std::move(at));
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
  // MLX calls it for a rule that is not given, too, with other inputs: the first counts.
  auto first = [forward, given](Lists inputs) {
    auto outputs = forward(inputs);
    if (given->shapes.empty()) {
      given->take(outputs);
    }
    return outputs;
  };
  return mx::custom_function(first, vjp, jvp, vmap);
}

} // namespace

FunctionPtr custom_function(rust::Box<CustomRules> boxed) {
  auto rules = shared(std::move(boxed));
  return std::make_unique<Function>([rules](const ArrayVec& inputs) {
    return with_rules(rules)(inputs);
  });
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

} // namespace zmlx
