// Operations on lists of arrays, and those that give lists.
#pragma once

#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

inline ArrayPtr concatenate(Arrays arrays, Ints axis, StreamRef s) {
  return box(
      axis.empty() ? mx::concatenate(list(arrays), on(s))
                   : mx::concatenate(list(arrays), axis.front(), on(s)));
}

inline ArrayPtr stack(Arrays arrays, int32_t axis, StreamRef s) {
  return box(mx::stack(list(arrays), axis, on(s)));
}

inline ArrayVecPtr split(const Array& a, int32_t parts, int32_t axis, StreamRef s) {
  return box(mx::split(a, parts, axis, on(s)));
}

inline ArrayVecPtr split_at(const Array& a, Ints indices, int32_t axis, StreamRef s) {
  return box(mx::split(a, shape(indices), axis, on(s)));
}

inline ArrayVecPtr unstack(const Array& a, int32_t axis, StreamRef s) {
  return box(mx::unstack(a, axis, on(s)));
}

inline ArrayVecPtr meshgrid(Arrays arrays, bool sparse, bool ij, StreamRef s) {
  return box(mx::meshgrid(list(arrays), sparse, ij ? "ij" : "xy", on(s)));
}

inline ArrayVecPtr broadcast_arrays(Arrays arrays, StreamRef s) {
  return box(mx::broadcast_arrays(list(arrays), on(s)));
}

inline ArrayVecPtr depends(Arrays inputs, Arrays dependencies) {
  return box(mx::depends(list(inputs), list(dependencies)));
}

} // namespace zmlx::ops
