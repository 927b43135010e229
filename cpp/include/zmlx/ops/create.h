// New arrays from numbers.
#pragma once

#include "zmlx/ops/patterns.h"

#define ZMLX_WINDOW(name)                       \
  inline ArrayPtr name(int32_t n, StreamRef s) { \
    return box(mx::name(n, on(s)));             \
  }

namespace zmlx::ops {

inline ArrayPtr zeros(Ints dims, Dtype type, StreamRef s) {
  return box(mx::zeros(shape(dims), dtype(type), on(s)));
}

inline ArrayPtr ones(Ints dims, Dtype type, StreamRef s) {
  return box(mx::ones(shape(dims), dtype(type), on(s)));
}

inline ArrayPtr full(Ints dims, const Array& value, Dtype type, StreamRef s) {
  return box(mx::full(shape(dims), value, dtype(type), on(s)));
}

inline ArrayPtr full_like(const Array& a, const Array& value, StreamRef s) {
  return box(mx::full_like(a, value, on(s)));
}

ZMLX_UNARY(zeros_like)
ZMLX_UNARY(ones_like)

inline ArrayPtr eye(int32_t n, int32_t m, int32_t k, Dtype type, StreamRef s) {
  return box(mx::eye(n, m, k, dtype(type), on(s)));
}

inline ArrayPtr tri(int32_t n, int32_t m, int32_t k, Dtype type, StreamRef s) {
  return box(mx::tri(n, m, k, dtype(type), on(s)));
}

inline ArrayPtr arange(double start, double stop, double step, Dtype type, StreamRef s) {
  return box(mx::arange(start, stop, step, dtype(type), on(s)));
}

inline ArrayPtr linspace(
    double start, double stop, int32_t n, bool endpoint, Dtype type, StreamRef s) {
  return box(mx::linspace(start, stop, n, endpoint, dtype(type), on(s)));
}

ZMLX_WINDOW(hanning)
ZMLX_WINDOW(hamming)
ZMLX_WINDOW(bartlett)
ZMLX_WINDOW(blackman)

} // namespace zmlx::ops
