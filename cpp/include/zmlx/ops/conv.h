// Convolutions. Lists hold one number for each spatial dimension.
#pragma once

#include "zmlx/ops/patterns.h"

namespace zmlx::ops {

inline ArrayPtr conv_general(
    const Array& x,
    const Array& w,
    Ints stride,
    Ints low,
    Ints high,
    Ints dilation,
    Ints input_dilation,
    int32_t groups,
    bool flip,
    StreamRef s) {
  return box(mx::conv_general(
      x,
      w,
      ints(stride),
      ints(low),
      ints(high),
      ints(dilation),
      ints(input_dilation),
      groups,
      flip,
      on(s)));
}

} // namespace zmlx::ops
