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

inline ArrayPtr conv_transpose(
    const Array& x,
    const Array& w,
    Ints stride,
    Ints padding,
    Ints dilation,
    Ints output_padding,
    int32_t groups,
    StreamRef s) {
  auto two = [](Ints v) { return std::pair(v[0], v[1]); };
  auto three = [](Ints v) { return std::tuple(v[0], v[1], v[2]); };
  switch (stride.size()) {
    case 1:
      return box(mx::conv_transpose1d(
          x, w, stride[0], padding[0], dilation[0], output_padding[0], groups, on(s)));
    case 2:
      return box(mx::conv_transpose2d(
          x,
          w,
          two(stride),
          two(padding),
          two(dilation),
          two(output_padding),
          groups,
          on(s)));
    default:
      return box(mx::conv_transpose3d(
          x,
          w,
          three(stride),
          three(padding),
          three(dilation),
          three(output_padding),
          groups,
          on(s)));
  }
}

} // namespace zmlx::ops
