#include "zmlx/export.h"

#include <cstring>
#include <map>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "mlx/primitives.h"
#include "zmlx/ops/double.h"
#include "zmlx/ops/truth.h"
#include "zmlx/run.h"
#include "zmlx/src/bridge/transforms.rs.h"

namespace zmlx {

namespace {

// Goes from `outputs` back to `inputs`. What `leaf` gives takes the place of an array without inputs of its own, and nothing
// behind that is looked at; `node` sees each other array once.
template <typename Leaf, typename Node>
void walk(const ArrayVec& inputs, ArrayVec& outputs, Leaf&& leaf, Node&& node) {
  std::unordered_set<std::uintptr_t> seen;
  for (const auto& in : inputs) {
    seen.insert(in.id());
  }
  // Each leaf stays alive beside what replaces it, as an id is good for no longer.
  std::unordered_map<std::uintptr_t, std::pair<Array, Array>> leaves;
  auto replace = [&](Array& a) {
    if (!a.inputs().empty() || seen.contains(a.id())) {
      return;
    }
    auto known = leaves.find(a.id());
    if (known == leaves.end()) {
      known = leaves.emplace(a.id(), std::make_pair(a, leaf(a))).first;
      seen.insert(known->second.second.id());
    }
    a = known->second.second;
  };
  for (auto& out : outputs) {
    replace(out);
  }
  ArrayVec todo = outputs;
  while (!todo.empty()) {
    auto a = std::move(todo.back());
    todo.pop_back();
    if (!seen.insert(a.id()).second) {
      continue;
    }
    node(a);
    for (auto& sibling : a.siblings()) {
      for (auto& in : sibling.inputs()) {
        replace(in);
      }
    }
    for (auto& in : a.inputs()) {
      replace(in);
      todo.push_back(in);
    }
  }
}

// A row-major copy. Nothing can be evaluated while a function is traced.
Array row_major(const Array& a) {
  auto data = mx::allocator::malloc(a.nbytes());
  auto* to = static_cast<char*>(data.buffer().raw_ptr());
  const auto* from = a.data<char>();
  const auto item = a.itemsize();
  mx::Shape at(a.ndim(), 0);
  for (size_t n = 0; n < a.size(); ++n) {
    int64_t place = 0;
    for (size_t d = 0; d < a.ndim(); ++d) {
      place += at[d] * a.strides()[d];
    }
    std::memcpy(to + n * item, from + place * static_cast<int64_t>(item), item);
    for (size_t d = a.ndim(); d-- > 0 && ++at[d] == a.shape()[d];) {
      at[d] = 0;
    }
  }
  return Array(std::move(data), a.shape(), a.dtype());
}

// MLX writes the values of a captured array as they lie in memory, and at once. So they have to be there, and in row-major order.
Array captured(const Array& a) {
  if (a.has_primitive()) {
    return a;
  }
  check_failed(a);
  if (!a.data_shared_ptr()) {
    throw std::invalid_argument(
        "[export_function] The function uses an array that another transformation traces, which has no values to write.");
  }
  if (!a.is_available()) {
    const_cast<Array&>(a).wait();
  }
  return a.flags().row_contiguous || a.size() == 0 ? a : row_major(a);
}

// MLX gives imported operations the first stream of the process, which is of use
// on the thread that owns it only. This gives one the calling thread's default stream.
//
// The stream is a private member without a setter, but `stream()` gives a
// reference to it, and no primitive is a const object.
void adopt(const Array& a) {
  if (a.has_primitive()) {
    auto& s = const_cast<mx::Stream&>(a.primitive().stream());
    s = mx::default_stream(s.device);
  }
}

// Bools that the file holds are made of its bytes, of which each but 0 is true: what is
// computed from them becomes 0 or 1, whatever the file says.
Array adopted_leaf(const Array& a) {
  adopt(a);
  if (a.dtype() != mx::bool_) {
    return a;
  }
  return ops::truth(a, a.has_primitive() ? a.primitive().device() : mx::default_device());
}

mx::Kwargs by_name(const Names& names, Arrays named) {
  mx::Kwargs all;
  for (size_t i = 0; i < names.size(); ++i) {
    all.insert_or_assign(std::string(names[i]), *named[i].ptr);
  }
  return all;
}

} // namespace

Exporter::Exporter(std::string path, bool shapeless, std::string metadata)
    : out_(mx::exporter(
          path,
          std::function<ArrayVec(const mx::Args&, const mx::Kwargs&)>(
              [this](const mx::Args& args, const mx::Kwargs& named) { return run(args, named); }),
          shapeless,
          metadata)) {}

ArrayVec Exporter::run(const mx::Args& args, const mx::Kwargs& named) const {
  auto inputs = args;
  for (const auto& [_, a] : std::map<std::string, Array>(named.begin(), named.end())) {
    inputs.push_back(a);
  }
  auto outputs = std::move(*now_->call(inputs));
  walk(inputs, outputs, captured, [](const Array&) {});
  return outputs;
}

void Exporter::trace(rust::Box<Callback> f, Arrays args, const Names& names, Arrays named) {
  ops::Exporting here;
  struct Leave {
    const Callback*& now;
    ~Leave() {
      now = nullptr;
    }
  } leave{now_};
  now_ = &*f;
  out_(list(args), by_name(names, named));
}

std::unique_ptr<Exporter> exporter(rust::Str path, bool shapeless, rust::Str metadata) {
  return std::make_unique<Exporter>(text(path), shapeless, text(metadata));
}

ArrayVecPtr Imported::call(Arrays args, const Names& names, Arrays named) const {
  auto inputs = list(args);
  auto outputs = f_(inputs, by_name(names, named));
  for (const auto& a : named) {
    inputs.push_back(*a.ptr);
  }
  walk(inputs, outputs, adopted_leaf, adopt);
  return box(std::move(outputs));
}

rust::String Imported::inputs() const {
  // MLX says it where a call fits none of the traces only. No function takes an array of so many dimensions.
  Array odd(mx::Shape(4096, 1), mx::bool_, nullptr, {});
  try {
    f_(mx::Args{odd});
  } catch (const std::invalid_argument& e) {
    return rust::String::lossy(e.what());
  }
  throw std::runtime_error("[import_function] MLX does not say what the function takes.");
}

std::unique_ptr<Imported> import_function(rust::Str path) {
  return std::make_unique<Imported>(mx::import_function(text(path)));
}

} // namespace zmlx
