// Quantized matrices. The caller checked the shapes that MLX does not.
#pragma once

#include "zmlx/ops/guard.h"
#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

inline ArrayVecPtr quantize(
    const Array& w, int32_t group, int32_t bits, rust::Str mode, ArrayRef scale, StreamRef s) {
  return box(mx::quantize(w, group, bits, text(mode), maybe(scale), on(s)));
}

inline ArrayPtr dequantize(
    const Array& w,
    const Array& scales,
    ArrayRef biases,
    int32_t group,
    int32_t bits,
    rust::Str mode,
    ArrayRef scale,
    Dtype type,
    StreamRef s) {
  return box(mx::dequantize(
      w, scales, maybe(biases), group, bits, text(mode), maybe(scale), dtype(type), on(s)));
}

inline ArrayPtr quantized_matmul(
    const Array& x,
    const Array& w,
    const Array& scales,
    ArrayRef biases,
    bool transpose,
    int32_t group,
    int32_t bits,
    rust::Str mode,
    StreamRef s) {
  return box(mx::quantized_matmul(
      x, w, scales, maybe(biases), transpose, group, bits, text(mode), on(s)));
}

inline ArrayPtr gather_qmm(
    const Array& x,
    const Array& w,
    const Array& scales,
    ArrayRef biases,
    ArrayRef lhs,
    ArrayRef rhs,
    bool transpose,
    int32_t group,
    int32_t bits,
    rust::Str mode,
    ArrayRef scale,
    bool sorted,
    StreamRef s) {
  return box(mx::gather_qmm(
      x,
      w,
      scales,
      maybe(biases),
      within_stack("gather_qmm", maybe(lhs), x, on(s)),
      within_stack("gather_qmm", maybe(rhs), w, on(s)),
      transpose,
      group,
      bits,
      text(mode),
      maybe(scale),
      sorted,
      on(s)));
}

inline ArrayPtr qqmm(
    const Array& x,
    const Array& w,
    ArrayRef scales,
    int32_t group,
    int32_t bits,
    rust::Str mode,
    ArrayRef scale_x,
    ArrayRef scale_w,
    StreamRef s) {
  return box(mx::qqmm(
      x, w, maybe(scales), group, bits, text(mode), maybe(scale_x), maybe(scale_w), on(s)));
}

inline ArrayPtr gather_qqmm(
    const Array& x,
    const Array& w,
    ArrayRef scales,
    ArrayRef lhs,
    ArrayRef rhs,
    int32_t group,
    int32_t bits,
    rust::Str mode,
    ArrayRef scale_x,
    ArrayRef scale_w,
    bool sorted,
    StreamRef s) {
  return box(mx::gather_qqmm(
      x,
      w,
      maybe(scales),
      within_stack("gather_qqmm", maybe(lhs), x, on(s)),
      within_stack("gather_qqmm", maybe(rhs), w, on(s)),
      group,
      bits,
      text(mode),
      maybe(scale_x),
      maybe(scale_w),
      sorted,
      on(s)));
}

} // namespace zmlx::ops
