// Reductions of mlx/ops.h, softmax, and cumulative forms.
#pragma once

#include "zmlx/ops/patterns.h"
#include "zmlx/ops/stay.h"

namespace zmlx::ops {

ZMLX_REDUCE(sum)
ZMLX_REDUCE(prod)
ZMLX_REDUCE(mean)
ZMLX_REDUCE(median)
ZMLX_REDUCE(max)
ZMLX_REDUCE(min)
ZMLX_REDUCE(all)
ZMLX_REDUCE(any)
ZMLX_REDUCE(count_nonzero)

inline ArrayVecPtr minmax(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  auto [least, most] = mx::minmax(a, ints(axes), keepdims, on(s));
  return box(std::pair(std::move(least), std::move(most)));
}

inline ArrayPtr var(const Array& a, Ints axes, bool keepdims, int32_t ddof, StreamRef s) {
  return box(mx::var(a, ints(axes), keepdims, ddof, on(s)));
}

inline ArrayPtr std_(const Array& a, Ints axes, bool keepdims, int32_t ddof, StreamRef s) {
  return box(mx::std(a, ints(axes), keepdims, ddof, on(s)));
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

// Without elements MLX refuses: no rows are no results, and a row without elements adds up to nothing.
inline ArrayPtr logsumexp(const Array& a, Ints axes, bool keepdims, StreamRef s) {
  if (a.size() == 0) {
    return box(mx::log(mx::sum(mx::exp(a, on(s)), ints(axes), keepdims, on(s)), on(s)));
  }
  if (may_stray(a)) {
    return box(staying_logsumexp(a, ints(axes), keepdims, on(s)));
  }
  return box(mx::logsumexp(a, ints(axes), keepdims, on(s)));
}

inline ArrayPtr softmax(const Array& a, Ints axes, bool precise, StreamRef s) {
  if (may_stray(a) && a.size() > 0) {
    return box(staying_softmax(a, ints(axes), on(s)));
  }
  return box(mx::softmax(a, ints(axes), precise, on(s)));
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

ZMLX_SCAN(cummax)
ZMLX_SCAN(cummin)
ZMLX_SCAN(logcumsumexp)

inline ArrayPtr diff(const Array& a, int32_t n, int32_t axis, StreamRef s) {
  return box(mx::diff(a, n, axis, on(s)));
}

} // namespace zmlx::ops
