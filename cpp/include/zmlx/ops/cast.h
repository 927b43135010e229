// The same numbers in another representation, and marks on the graph.
#pragma once

#include "zmlx/ops/patterns.h"
#include "zmlx/ops/truth.h"

namespace zmlx::ops {

ZMLX_UNARY(real)
ZMLX_UNARY(imag)
ZMLX_UNARY(conjugate)
ZMLX_UNARY(stop_gradient)

inline ArrayPtr astype(const Array& a, Dtype type, StreamRef s) {
  return box(mx::astype(a, dtype(type), on(s)));
}

inline ArrayPtr view(const Array& a, Dtype type, StreamRef s) {
  if (type == Dtype::bool_ && a.dtype() != mx::bool_) {
    return box(truth(a, on(s)));
  }
  return box(mx::view(a, dtype(type), on(s)));
}

// MLX writes no float64 and knows no NaN.
ArrayPtr to_fp8(const Array& a, StreamRef s);
ArrayPtr from_fp8(const Array& a, Dtype type, StreamRef s);

} // namespace zmlx::ops
