// Operations of mlx/ops.h that change shape or layout.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

inline ArrayPtr reshape(const Array& a, Ints dims, StreamRef s) {
  return box(mx::reshape(a, shape(dims), on(s)));
}

inline ArrayPtr transpose(const Array& a, Ints axes, StreamRef s) {
  return box(mx::transpose(a, ints(axes), on(s)));
}

inline ArrayPtr as_strided(const Array& a, Ints dims, rust::Slice<const int64_t> st, size_t offset, StreamRef s) {
  return box(mx::as_strided(a, shape(dims), mx::Strides(st.begin(), st.end()), offset, on(s)));
}

inline ArrayPtr contiguous(const Array& a, StreamRef s) {
  return box(mx::contiguous(a, false, on(s)));
}

} // namespace zmlx::ops
