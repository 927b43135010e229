// Reductions of mlx/ops.h, softmax, and cumulative forms.
#pragma once

#include "zmlx/ops/patterns.h"
#include "zmlx/ops/stay.h"
#include "zmlx/ops/wide.h"

namespace zmlx::ops {

ZMLX_REDUCE(sum)
ZMLX_REDUCE(prod)
ZMLX_REDUCE(max)
ZMLX_REDUCE(min)
ZMLX_REDUCE(all)
ZMLX_REDUCE(any)
ZMLX_REDUCE(count_nonzero)

inline ArrayPtr mean(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  return box(wide_mean(a, ints(axes), keepdims, s));
}

inline ArrayPtr median(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  return box(wide_median(a, ints(axes), keepdims, s));
}

inline ArrayVecPtr minmax(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  auto [least, most] = mx::minmax(a, ints(axes), keepdims, on(s));
  return box(std::pair(std::move(least), std::move(most)));
}

inline ArrayPtr var(const Array& a, Ints axes, bool keepdims, int32_t ddof, StreamRef s) {
  return box(wide_var(a, ints(axes), keepdims, ddof, false, s));
}

inline ArrayPtr std_(const Array& a, Ints axes, bool keepdims, int32_t ddof, StreamRef s) {
  return box(wide_var(a, ints(axes), keepdims, ddof, true, s));
}

// Without an axis MLX keeps ndim - 1 dimensions, which a scalar has not.
inline ArrayPtr argmax(const Array& a, Ints axis, bool keepdims, StreamRef s) {
  return box(
      axis.empty() ? mx::argmax(a, keepdims && a.ndim() > 0, on(s))
                   : mx::argmax(a, axis.front(), keepdims, on(s)));
}

inline ArrayPtr argmin(const Array& a, Ints axis, bool keepdims, StreamRef s) {
  return box(
      axis.empty() ? mx::argmin(a, keepdims && a.ndim() > 0, on(s))
                   : mx::argmin(a, axis.front(), keepdims, on(s)));
}

inline ArrayPtr logsumexp(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  return box(any_logsumexp(a, ints(axes), keepdims, s));
}

inline ArrayPtr softmax(const Array& a, Ints axes, bool precise, StreamRef s) {
  return box(any_softmax(a, ints(axes), precise, s));
}

inline ArrayPtr cumsum(const Array& a, Ints axis, bool reverse, bool inclusive, StreamRef s) {
  return box(
      axis.empty()
          ? mx::cumsum(a, reverse, inclusive, std::nullopt, on(s))
          : mx::cumsum(a, axis.front(), reverse, inclusive, std::nullopt, on(s)));
}

inline ArrayPtr cumprod(const Array& a, Ints axis, bool reverse, bool inclusive, StreamRef s) {
  return box(
      axis.empty()
          ? mx::cumprod(a, reverse, inclusive, std::nullopt, on(s))
          : mx::cumprod(a, axis.front(), reverse, inclusive, std::nullopt, on(s)));
}

#define ZMLX_EXTREME_SCAN(name)                                           \
  inline ArrayPtr name(                                                   \
      const Array& a, Ints axis, bool reverse, bool inclusive, StreamRef s) { \
    auto x = scannable(a, s);                                             \
    auto y = axis.empty() ? mx::name(x, reverse, inclusive, on(s))        \
                          : mx::name(x, axis.front(), reverse, inclusive, on(s)); \
    return box(mx::astype(y, a.dtype(), on(s)));                          \
  }
ZMLX_EXTREME_SCAN(cummax)
ZMLX_EXTREME_SCAN(cummin)
#undef ZMLX_EXTREME_SCAN
ZMLX_SCAN(logcumsumexp)

inline ArrayPtr diff(const Array& a, int32_t n, int32_t axis, StreamRef s) {
  return box(mx::diff(a, n, axis, on(s)));
}

} // namespace zmlx::ops
