// Sorting and searching.
#pragma once

#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

ZMLX_AXIS(sort)
ZMLX_AXIS(argsort)
ZMLX_AXIS_INT(partition)
ZMLX_AXIS_INT(argpartition)
ZMLX_AXIS_INT(topk)

inline ArrayPtr searchsorted(const Array& a, const Array& values, bool right, StreamRef s) {
  return box(mx::searchsorted(a, values, right ? "right" : "left", on(s)));
}

inline ArrayVecPtr unique(
    const Array& a, int32_t size, bool index, bool inverse, bool counts, ArrayRef fill, StreamRef s) {
  return box(mx::unique(a, size, index, inverse, counts, maybe(fill), on(s)));
}

} // namespace zmlx::ops
