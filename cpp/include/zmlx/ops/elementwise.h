// Element-wise operations of mlx/ops.h: one line each.
#pragma once

#include "zmlx/types.h"

#define ZMLX_UNARY(name)                               \
  inline ArrayPtr name(const Array& a, StreamRef s) {  \
    return box(mx::name(a, on(s)));                    \
  }
#define ZMLX_BINARY(name)                                              \
  inline ArrayPtr name(const Array& a, const Array& b, StreamRef s) {  \
    return box(mx::name(a, b, on(s)));                                 \
  }

namespace zmlx::ops {

ZMLX_UNARY(abs)
ZMLX_UNARY(negative)
ZMLX_UNARY(exp)
ZMLX_UNARY(square)
ZMLX_UNARY(sigmoid)
ZMLX_BINARY(add)
ZMLX_BINARY(subtract)
ZMLX_BINARY(multiply)
ZMLX_BINARY(divide)

} // namespace zmlx::ops
