// Reductions of mlx/ops.h: one line each.
#pragma once

#include "zmlx/types.h"

#define ZMLX_REDUCE(name)                                                          \
  inline ArrayPtr name(const Array& a, Ints axes, bool keepdims, StreamRef s) {    \
    return box(mx::name(a, ints(axes), keepdims, on(s)));                          \
  }

namespace zmlx::ops {

ZMLX_REDUCE(sum)

} // namespace zmlx::ops
