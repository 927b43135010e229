// Operations of mlx/linalg.h: one line each.
#pragma once

#include "mlx/linalg.h"
#include "zmlx/types.h"

namespace zmlx::linalg {

inline ArrayPtr inv(const Array& a, StreamRef s) {
  return box(mx::linalg::inv(a, on(s)));
}

} // namespace zmlx::linalg
