// Operations of mlx/ops.h that change shape or layout, not values.
#pragma once

#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

ZMLX_UNARY(copy)
ZMLX_UNARY(matrix_transpose)
ZMLX_UNARY(atleast_1d)
ZMLX_UNARY(atleast_2d)
ZMLX_UNARY(atleast_3d)

inline ArrayPtr reshape(const Array& a, Ints dims, StreamRef s) {
  return box(mx::reshape(a, shape(dims), on(s)));
}

inline ArrayPtr unflatten(const Array& a, int32_t axis, Ints dims, StreamRef s) {
  return box(mx::unflatten(a, axis, shape(dims), on(s)));
}

inline ArrayPtr flatten(const Array& a, int32_t first, int32_t last, StreamRef s) {
  return box(mx::flatten(a, first, last, on(s)));
}

inline ArrayPtr squeeze(const Array& a, Ints axes, StreamRef s) {
  return box(mx::squeeze(a, ints(axes), on(s)));
}

inline ArrayPtr expand_dims(const Array& a, Ints axes, StreamRef s) {
  return box(mx::expand_dims(a, ints(axes), on(s)));
}

inline ArrayPtr transpose(const Array& a, Ints axes, StreamRef s) {
  return box(mx::transpose(a, ints(axes), on(s)));
}

inline ArrayPtr swapaxes(const Array& a, int32_t i, int32_t j, StreamRef s) {
  return box(mx::swapaxes(a, i, j, on(s)));
}

inline ArrayPtr moveaxis(const Array& a, int32_t from, int32_t to, StreamRef s) {
  return box(mx::moveaxis(a, from, to, on(s)));
}

inline ArrayPtr flip(const Array& a, Ints axes, StreamRef s) {
  return box(mx::flip(a, ints(axes), on(s)));
}

inline ArrayPtr broadcast_to(const Array& a, Ints dims, StreamRef s) {
  return box(mx::broadcast_to(a, shape(dims), on(s)));
}

inline ArrayPtr contiguous(const Array& a, bool columns, StreamRef s) {
  return box(mx::contiguous(a, columns, on(s)));
}

// The caller checked that every element lies inside `a`.
inline ArrayPtr as_strided(
    const Array& a,
    Ints dims,
    rust::Slice<const int64_t> strides,
    size_t offset,
    StreamRef s) {
  return box(mx::as_strided(
      mx::contiguous(a, false, on(s)),
      shape(dims),
      mx::Strides(strides.begin(), strides.end()),
      offset,
      on(s)));
}

inline ArrayPtr repeat(const Array& a, int32_t n, Ints axis, StreamRef s) {
  return box(
      axis.empty() ? mx::repeat(a, n, on(s)) : mx::repeat(a, n, axis.front(), on(s)));
}

inline ArrayPtr tile(const Array& a, Ints reps, StreamRef s) {
  return box(mx::tile(a, ints(reps), on(s)));
}

inline ArrayPtr roll(const Array& a, Ints shift, Ints axes, StreamRef s) {
  return box(
      axes.empty() ? mx::roll(a, shape(shift), on(s))
                   : mx::roll(a, shape(shift), ints(axes), on(s)));
}

// One pair of paddings for each axis.
inline ArrayPtr pad(
    const Array& a, Ints low, Ints high, const Array& value, rust::Str mode, StreamRef s) {
  std::vector<std::pair<int, int>> widths;
  for (size_t i = 0; i < low.size(); ++i) {
    widths.emplace_back(low[i], high[i]);
  }
  return box(mx::pad(a, widths, value, text(mode), on(s)));
}

inline ArrayPtr number_of_elements(
    const Array& a, Ints axes, bool inverted, Dtype type, StreamRef s) {
  return box(mx::number_of_elements(a, ints(axes), inverted, dtype(type), on(s)));
}

} // namespace zmlx::ops
