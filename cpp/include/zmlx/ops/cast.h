// The same numbers in another representation, and marks on the graph.
#pragma once

#include "zmlx/ops/patterns.h"
#include "zmlx/ops/truth.h"

namespace zmlx::ops {

ZMLX_UNARY(real)
ZMLX_UNARY(imag)
ZMLX_UNARY(conjugate)
ZMLX_UNARY(stop_gradient)
ZMLX_UNARY(to_fp8)

inline ArrayPtr astype(const Array& a, Dtype type, StreamRef s) {
  return box(mx::astype(a, dtype(type), on(s)));
}

inline ArrayPtr view(const Array& a, Dtype type, StreamRef s) {
  if (type == Dtype::bool_ && a.dtype() != mx::bool_) {
    return box(truth(a, on(s)));
  }
  return box(mx::view(a, dtype(type), on(s)));
}

inline ArrayPtr from_fp8(const Array& a, Dtype type, StreamRef s) {
  return box(mx::from_fp8(a, dtype(type), on(s)));
}

} // namespace zmlx::ops
