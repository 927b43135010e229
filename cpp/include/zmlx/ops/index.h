// Reading and writing at positions. Positions given as arrays pass through
// `within`: MLX itself does not check them.
#pragma once

#include "zmlx/ops/guard.h"
#include "zmlx/ops/patterns.h"

#define ZMLX_SLICE_UPDATE(name)                                              \
  inline ArrayPtr name(                                                      \
      const Array& a, const Array& update, Ints start, Ints stop, Ints strides, \
      StreamRef s) {                                                         \
    return box(                                                              \
        mx::name(a, update, shape(start), shape(stop), shape(strides), on(s))); \
  }

#define ZMLX_SCATTER(name)                                                  \
  inline ArrayPtr name(                                                     \
      const Array& a, Arrays indices, const Array& updates, Ints axes,      \
      StreamRef s) {                                                        \
    return box(mx::name(                                                    \
        a, targets(#name, a, indices, updates, axes, on(s)), updates,       \
        ints(axes), on(s)));                                                \
  }

namespace zmlx::ops {

inline ArrayPtr slice(const Array& a, Ints start, Ints stop, Ints strides, StreamRef s) {
  return box(mx::slice(a, shape(start), shape(stop), shape(strides), on(s)));
}

ZMLX_SLICE_UPDATE(slice_update)
ZMLX_SLICE_UPDATE(slice_update_add)
ZMLX_SLICE_UPDATE(slice_update_prod)
ZMLX_SLICE_UPDATE(slice_update_max)
ZMLX_SLICE_UPDATE(slice_update_min)

// Starts of a slice with dynamic position, each inside its axis.
Array starts(
    std::string_view op,
    const Array& a,
    const Array& start,
    Ints axes,
    const mx::Shape& sizes,
    mx::StreamOrDevice s);

ArrayPtr slice_dynamic(const Array& a, const Array& start, Ints axes, Ints sizes, StreamRef s);
ArrayPtr slice_update_dynamic(
    const Array& a, const Array& update, const Array& start, Ints axes, StreamRef s);

inline ArrayPtr take(const Array& a, const Array& indices, Ints axis, StreamRef s) {
  auto src = axis.empty() ? mx::flatten(a, on(s)) : a;
  int ax = axis.empty() ? 0 : axis.front();
  return box(mx::take(src, within("take", indices, src, ax, 1, true, on(s)), ax, on(s)));
}

inline ArrayPtr take_along_axis(const Array& a, const Array& indices, int32_t axis, StreamRef s) {
  auto i = within("take_along_axis", indices, a, axis, 1, true, on(s));
  return box(mx::take_along_axis(a, i, axis, on(s)));
}

inline ArrayPtr put_along_axis(
    const Array& a, const Array& indices, const Array& values, int32_t axis, StreamRef s) {
  auto i = within("put_along_axis", indices, a, axis, 1, true, on(s));
  return box(mx::put_along_axis(a, i, values, axis, on(s)));
}

inline ArrayPtr scatter_add_axis(
    const Array& a, const Array& indices, const Array& values, int32_t axis, StreamRef s) {
  auto i = within("scatter_add_axis", indices, a, axis, 1, true, on(s));
  return box(mx::scatter_add_axis(a, i, values, axis, on(s)));
}

// The index arrays of a scatter of `updates`.
ArrayVec targets(
    std::string_view op,
    const Array& a,
    Arrays indices,
    const Array& updates,
    Ints axes,
    mx::StreamOrDevice s);

ArrayPtr gather(const Array& a, Arrays indices, Ints axes, Ints slice_sizes, StreamRef s);

ZMLX_SCATTER(scatter)
ZMLX_SCATTER(scatter_add)
ZMLX_SCATTER(scatter_prod)

// MLX loses a NaN that a number comes after.
ArrayPtr scatter_max(
    const Array& a, Arrays indices, const Array& updates, Ints axes, StreamRef s);
ArrayPtr scatter_min(
    const Array& a, Arrays indices, const Array& updates, Ints axes, StreamRef s);

ArrayPtr masked_scatter(const Array& a, const Array& mask, const Array& src, StreamRef s);

// `a` with rows from[i] of `rows`, (T, ..), in place of its own rows to[i], which have as many elements and are counted from the
// beginning of `a`. On a CPU stream, and without derivatives. What nobody else holds is changed in place.
ArrayPtr write_rows(
    const Array& a,
    const Array& rows,
    Ints from,
    rust::Slice<const int64_t> to,
    StreamRef s);

} // namespace zmlx::ops
