// Factors of products on CUDA that begin where cuBLAS does not read.
//
// MLX lets cuBLAS choose a way for factors at multiples of 256 bytes, and cuBLAS refuses it ("failed with code: 15") where a view begins
// elsewhere, as `x[1:]` does.
#include "zmlx/aligned.h"

#include <algorithm>
#include <string_view>
#include <tuple>

#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace zmlx {

namespace {

// What the widest load of a processor reads at once, in bytes.
constexpr int64_t unit = 16;

// How many arrays are looked at. Behind as many operations a result lies in memory of its own.
constexpr int most = 16;

// Elements from one index of an axis to the next, of an array in rows.
int64_t apart(const Array& a, size_t axis) {
  int64_t n = 1;
  for (auto i = axis + 1; i < a.ndim(); ++i) {
    n *= a.shape(static_cast<int>(i));
  }
  return n;
}

// Whether the view may begin within a unit of its input.
bool cuts(const mx::Primitive& p, const Array& in) {
  // The types of these primitives are known to MLX's library alone.
  const std::string_view name = p.name();
  const auto size = static_cast<int64_t>(in.itemsize());
  auto within = [&](int64_t count, int axis) {
    return count * apart(in, static_cast<size_t>(axis)) * size % unit != 0;
  };
  if (name == "Slice") {
    const auto start = std::get<0>(static_cast<const mx::Slice&>(p).state());
    int64_t from = 0;
    for (size_t i = 0; i < start.size(); ++i) {
      from += start[i] * apart(in, i);
    }
    return from * size % unit != 0;
  }
  if (name == "DynamicSlice") {
    const auto axes = static_cast<const mx::DynamicSlice&>(p).state().first;
    return std::any_of(axes.begin(), axes.end(), [&](int axis) {
      return within(1, axis);
    });
  }
  if (name == "Split") {
    const auto [indices, axis] = static_cast<const mx::Split&>(p).state();
    return std::any_of(indices.begin(), indices.end(), [&, axis = axis](auto i) {
      return within(i, axis);
    });
  }
  if (name == "AsStrided") {
    const auto offset = std::get<2>(static_cast<const mx::AsStrided&>(p).state());
    return static_cast<int64_t>(offset) * size % unit != 0;
  }
  return false;
}

// Whether the array may begin within a unit. A result may lie in the memory of an input of its size.
bool may_begin_within(const Array& a, int& left) {
  if (a.status() != Array::unscheduled) {
    return a.offset() % unit != 0;
  }
  if (!a.has_primitive() || left-- <= 0) {
    return false;
  }
  const auto& p = a.primitive();
  for (const auto& in : a.inputs()) {
    if (cuts(p, in)) {
      return true;
    }
    const bool lends = in.itemsize() == a.itemsize() && in.size() >= a.size();
    if (lends && may_begin_within(in, left)) {
      return true;
    }
  }
  return false;
}

} // namespace

void align_factors(const Array& product) {
  auto& p = const_cast<Array&>(product).primitive();
  const std::string_view name = p.name();
  if (name != "Matmul" && name != "AddMM") {
    return;
  }
  const auto& s = p.stream();
  if (s.device != mx::Device::gpu) {
    return;
  }
  for (auto& in : const_cast<Array&>(product).inputs()) {
    int left = most;
    if (may_begin_within(in, left)) {
      // The value stays what it was, also for those that share the node.
      in = mx::multiply(in, Array(1, in.dtype()), s);
    }
  }
}

} // namespace zmlx
