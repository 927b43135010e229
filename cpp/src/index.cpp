#include "zmlx/ops/index.h"

#include <limits>
#include <sstream>
#include <stdexcept>

#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/primitives.h"

namespace zmlx::ops {

namespace {

void expect(bool ok, const char* message) {
  if (!ok) {
    throw std::invalid_argument(message);
  }
}

// A span of `sizes[axis]` elements must fit behind every index.
ArrayVec inside(
    std::string_view op,
    const Array& a,
    Arrays indices,
    Ints axes,
    const mx::Shape& sizes,
    mx::StreamOrDevice s) {
  ArrayVec out;
  int ndim = static_cast<int>(a.ndim());
  for (size_t i = 0; i < indices.size(); ++i) {
    int ax = axes[i];
    expect(ax >= 0 && ax < ndim, "[gather] [scatter] Axes don't match array dimensions.");
    out.push_back(within(op, *indices[i].ptr, a, ax, sizes[ax], true, s));
  }
  return out;
}

} // namespace

Array starts(
    std::string_view op,
    const Array& a,
    const Array& start,
    Ints axes,
    const mx::Shape& sizes,
    mx::StreamOrDevice s) {
  int ndim = static_cast<int>(a.ndim());
  expect(start.ndim() <= 1, "[slice] Start indices must have at most one dimension.");
  expect(start.size() == axes.size(), "[slice] One start index for each axis is needed.");
  expect(
      mx::issubdtype(start.dtype(), mx::integer), "[slice] Start indices must be integers.");
  if (axes.empty()) {
    return start;
  }
  // MLX's CPU back-end reads starts without their strides and negative ones as
  // unsigned, so they are made dense and counted from the front.
  ArrayVec each;
  auto flat = mx::reshape(start, {-1}, s);
  if (start.dtype() == mx::uint64) {
    constexpr auto most = std::numeric_limits<int64_t>::max();
    flat = mx::minimum(flat, Array(static_cast<uint64_t>(most), mx::uint64), s);
  }
  for (size_t i = 0; i < axes.size(); ++i) {
    int ax = axes[i] < 0 ? axes[i] + ndim : axes[i];
    expect(ax >= 0 && ax < ndim, "[slice] Invalid axis for the array.");
    int64_t n = a.shape(ax);
    bool fixed = !mx::number_of_elements(a, {ax}, false, mx::int64, s).has_primitive();
    if (auto v = fixed ? known(start, i, s) : std::nullopt) {
      int64_t first = *v < 0 ? *v + n : *v;
      if (first < 0 || first > n - sizes[ax]) {
        std::ostringstream msg;
        msg << "[" << op << "] start " << *v << " with size " << sizes[ax]
            << " leaves dimension " << ax << " of shape " << a.shape() << ".";
        throw std::out_of_range(msg.str());
      }
      each.push_back(Array({first}, mx::int64));
      continue;
    }
    int at = static_cast<int>(i);
    auto one = mx::astype(mx::slice(flat, {at}, {at + 1}, s), mx::int64, s);
    auto front = mx::add(one, mx::number_of_elements(a, {ax}, false, mx::int64, s), s);
    one = mx::where(mx::less(one, Array(int64_t(0)), s), front, one, s);
    each.push_back(within(op, one, a, ax, sizes[ax], false, s));
  }
  return mx::contiguous(mx::astype(mx::concatenate(each, 0, s), mx::int32, s), false, s);
}

ArrayPtr slice_dynamic(const Array& a, const Array& start, Ints axes, Ints sizes, StreamRef s) {
  expect(sizes.size() == a.ndim(), "[slice] One size for each dimension is needed.");
  for (size_t i = 0; i < sizes.size(); ++i) {
    expect(
        sizes[i] >= 0 && sizes[i] <= a.shape(static_cast<int>(i)),
        "[slice] Slice sizes must lie between 0 and the array's shape.");
  }
  auto size = shape(sizes);
  auto first = starts("slice", a, start, axes, size, on(s));
  return box(mx::slice(a, first, ints(axes), size, on(s)));
}

ArrayPtr slice_update_dynamic(
    const Array& a, const Array& update, const Array& start, Ints axes, StreamRef s) {
  expect(
      update.ndim() <= a.ndim(),
      "[slice_update] The update must not have more dimensions than the array.");
  // The shape MLX gives the update: missing dimensions are those of the array,
  // and 1 along `axes`.
  auto size = a.shape();
  auto lead = a.ndim() - update.ndim();
  for (size_t i = 0; i < a.ndim(); ++i) {
    if (i >= lead) {
      size[i] = std::min(size[i], update.shape(static_cast<int>(i - lead)));
    }
  }
  for (int ax : axes) {
    auto i = static_cast<size_t>(ax < 0 ? ax + static_cast<int>(a.ndim()) : ax);
    if (i < lead) {
      size[i] = 1;
    }
  }
  auto first = starts("slice_update", a, start, axes, size, on(s));
  return box(mx::slice_update(a, update, first, ints(axes), on(s)));
}

ArrayVec targets(
    std::string_view op,
    const Array& a,
    Arrays indices,
    const Array& updates,
    Ints axes,
    mx::StreamOrDevice s) {
  expect(indices.size() == axes.size(), "[scatter] One axis for each index array is needed.");
  expect(
      updates.ndim() >= a.ndim(),
      "[scatter] Updates need the dimensions of the indices and of the array.");
  mx::Shape sizes(updates.shape().end() - static_cast<int64_t>(a.ndim()), updates.shape().end());
  return inside(op, a, indices, axes, sizes, s);
}

namespace {

// A reduction by `scatter`, with NaN where one of the values is.
template <typename F>
ArrayPtr with_nan(
    F&& scatter,
    std::string_view op,
    const Array& a,
    Arrays indices,
    const Array& updates,
    Ints axes,
    StreamRef s) {
  auto at = targets(op, a, indices, updates, axes, on(s));
  auto out = scatter(a, at, updates, ints(axes), on(s));
  if (!mx::issubdtype(a.dtype(), mx::floating) || updates.size() == 0) {
    return box(out);
  }
  mx::Shape block(updates.shape().end() - static_cast<int64_t>(a.ndim()), updates.shape().end());
  auto old = mx::gather(a, at, ints(axes), block, on(s));
  auto u = mx::astype(updates, a.dtype(), on(s));
  auto nan = mx::logical_or(mx::isnan(old, on(s)), mx::isnan(u, on(s)), on(s));
  // A sum keeps NaN. Negative zero changes no number, zeros included.
  auto mark = mx::where(
      nan,
      Array(std::numeric_limits<float>::quiet_NaN(), a.dtype()),
      Array(-0.0f, a.dtype()),
      on(s));
  return box(mx::scatter_add(out, at, mark, ints(axes), on(s)));
}

} // namespace

ArrayPtr scatter_max(
    const Array& a, Arrays indices, const Array& updates, Ints axes, StreamRef s) {
  auto f = [](auto&&... v) { return mx::scatter_max(v...); };
  return with_nan(f, "scatter_max", a, indices, updates, axes, s);
}

ArrayPtr scatter_min(
    const Array& a, Arrays indices, const Array& updates, Ints axes, StreamRef s) {
  auto f = [](auto&&... v) { return mx::scatter_min(v...); };
  return with_nan(f, "scatter_min", a, indices, updates, axes, s);
}

namespace {

// An array as it is, if a bool, known to the evaluation, does not ask for more.
class NothingTaken : public mx::Primitive {
 public:
  explicit NothingTaken(mx::Stream s) : Primitive(s) {}

  void eval_cpu(const ArrayVec& inputs, ArrayVec& outputs) override {
    outputs[0].copy_shared_buffer(inputs[0]);
    mx::cpu::get_command_encoder(stream()).dispatch([asks = inputs[1].data<bool>()] {
      if (*asks) {
        throw std::invalid_argument(
            "[masked_scatter] `source`: expected an element for each true of the mask, got none");
      }
    });
  }

  // As MLX's kernel there: what has no source stays.
  void eval_gpu(const ArrayVec& inputs, ArrayVec& outputs) override {
    outputs[0].copy_shared_buffer(inputs[0]);
  }

  ArrayVec jvp(
      const ArrayVec& primals, const ArrayVec& tangents, const std::vector<int>& argnums) override {
    bool first = !argnums.empty() && argnums[0] == 0;
    return {first ? tangents[0] : mx::zeros_like(primals[0], stream())};
  }

  ArrayVec vjp(
      const ArrayVec& primals,
      const ArrayVec& cotangents,
      const std::vector<int>& argnums,
      const ArrayVec&) override {
    ArrayVec out;
    for (int i : argnums) {
      out.push_back(i == 0 ? cotangents[0] : mx::zeros_like(primals[1], stream()));
    }
    return out;
  }

  std::pair<ArrayVec, std::vector<int>> vmap(
      const ArrayVec& inputs, const std::vector<int>& axes) override {
    return {{of(inputs[0], mx::any(inputs[1], stream()), stream())}, {axes[0]}};
  }

  const char* name() const override {
    return "ZmlxNothingTaken";
  }

  static Array of(const Array& a, const Array& asks, mx::Stream s) {
    return Array(a.shape(), a.dtype(), std::make_shared<NothingTaken>(s), {a, asks});
  }
};

} // namespace

ArrayPtr masked_scatter(const Array& a, const Array& mask, const Array& src, StreamRef s) {
  if (src.size() > 0) {
    return box(mx::masked_scatter(a, mask, src, on(s)));
  }
  // MLX divides by the size of the source. Another one shows whether shapes and types fit.
  mx::masked_scatter(a, mask, mx::zeros({1}, src.dtype(), on(s)), on(s));
  return box(NothingTaken::of(a, mx::any(mask, on(s)), mx::to_stream(on(s))));
}

ArrayPtr gather(const Array& a, Arrays indices, Ints axes, Ints slice_sizes, StreamRef s) {
  expect(indices.size() == axes.size(), "[gather] One axis for each index array is needed.");
  expect(slice_sizes.size() == a.ndim(), "[gather] One slice size for each dimension is needed.");
  for (size_t i = 0; i < slice_sizes.size(); ++i) {
    expect(
        slice_sizes[i] >= 0 && slice_sizes[i] <= a.shape(static_cast<int>(i)),
        "[gather] Slice sizes must lie between 0 and the array's shape.");
  }
  auto sizes = shape(slice_sizes);
  return box(
      mx::gather(a, inside("gather", a, indices, axes, sizes, on(s)), ints(axes), sizes, on(s)));
}

} // namespace zmlx::ops
