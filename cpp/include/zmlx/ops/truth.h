// Bytes as bools. C++ may do anything with a bool that is neither 0 nor 1 (a sum
// counts it by its byte, `not` flips its lowest bit), so no foreign byte becomes one as
// it is: each but 0 is true.
#pragma once

#include "zmlx/types.h"

namespace zmlx::ops {

// `a` as bytes, each of which becomes a bool.
inline Array truth(const Array& a, mx::StreamOrDevice s) {
  return mx::not_equal(
      mx::view(a, mx::uint8, s), Array(uint8_t{0}, mx::uint8), s);
}

} // namespace zmlx::ops
