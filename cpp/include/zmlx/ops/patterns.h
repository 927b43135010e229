// The shapes of MLX's operations. One that fits a pattern costs one line here,
// one declaration in src/bridge/ops/ and one documented entry in src/ops/.
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

#define ZMLX_REDUCE(name)                                                        \
  inline ArrayPtr name(const Array& a, Ints axes, bool keepdims, StreamRef s) {  \
    return box(mx::name(a, ints(axes), keepdims, on(s)));                        \
  }

// One axis, or none for the flattened array.
#define ZMLX_AXIS(name)                                            \
  inline ArrayPtr name(const Array& a, Ints axis, StreamRef s) {   \
    return box(                                                    \
        axis.empty() ? mx::name(a, on(s))                          \
                     : mx::name(a, axis.front(), on(s)));          \
  }

// One axis, or none for the flattened array, with a count before it.
#define ZMLX_AXIS_INT(name)                                               \
  inline ArrayPtr name(const Array& a, int32_t n, Ints axis, StreamRef s) { \
    return box(                                                           \
        axis.empty() ? mx::name(a, n, on(s))                              \
                     : mx::name(a, n, axis.front(), on(s)));              \
  }

#define ZMLX_SCAN(name)                                                   \
  inline ArrayPtr name(                                                   \
      const Array& a, Ints axis, bool reverse, bool inclusive, StreamRef s) { \
    return box(                                                           \
        axis.empty()                                                      \
            ? mx::name(a, reverse, inclusive, on(s))                      \
            : mx::name(a, axis.front(), reverse, inclusive, on(s)));      \
  }
