// Element-wise operations of mlx/ops.h: one line each.
#pragma once

#include <limits>

#include "zmlx/ops/double.h"
#include "zmlx/ops/guard.h"
#include "zmlx/ops/patterns.h"
#include "zmlx/ops/stay.h"
#include "zmlx/ops/wide.h"

namespace zmlx::ops {

ZMLX_UNARY(positive)
ZMLX_UNARY(negative)
ZMLX_UNARY(sign)
ZMLX_UNARY(reciprocal)
ZMLX_UNARY(floor)
ZMLX_UNARY(ceil)
ZMLX_UNARY(trunc)
ZMLX_UNARY(square)
ZMLX_UNARY(sqrt)
ZMLX_UNARY(rsqrt)
ZMLX_UNARY_DOUBLE(exp)
ZMLX_UNARY_DOUBLE(expm1)
ZMLX_UNARY(log)
ZMLX_UNARY(log2)
ZMLX_UNARY(log10)
ZMLX_UNARY(log1p)
ZMLX_UNARY_DOUBLE(sin)
ZMLX_UNARY_DOUBLE(cos)
ZMLX_UNARY_DOUBLE(tan)
ZMLX_UNARY(arcsin)
ZMLX_UNARY(arccos)
ZMLX_UNARY(arctan)
ZMLX_UNARY(sinh)
ZMLX_UNARY(cosh)
ZMLX_UNARY(tanh)
ZMLX_UNARY(arcsinh)
ZMLX_UNARY(arccosh)
ZMLX_UNARY(arctanh)
ZMLX_UNARY(degrees)
ZMLX_UNARY(radians)
ZMLX_UNARY_DOUBLE(sigmoid)
ZMLX_UNARY_DOUBLE(erf)
ZMLX_UNARY_DOUBLE(erfinv)

ZMLX_UNARY(logical_not)
ZMLX_UNARY(bitwise_invert)
ZMLX_UNARY(isnan)
ZMLX_UNARY(isinf)
ZMLX_UNARY(isfinite)
ZMLX_UNARY(isposinf)
ZMLX_UNARY(isneginf)

ZMLX_BINARY(add)
ZMLX_BINARY(subtract)
ZMLX_BINARY(multiply)
ZMLX_BINARY(divide)
ZMLX_BINARY(maximum)
ZMLX_BINARY(minimum)
ZMLX_BINARY(arctan2)

ZMLX_COMPARISON(equal)
ZMLX_COMPARISON(not_equal)
ZMLX_COMPARISON(greater)
ZMLX_COMPARISON(greater_equal)
ZMLX_COMPARISON(less)
ZMLX_COMPARISON(less_equal)
ZMLX_BINARY(logical_and)
ZMLX_BINARY(logical_or)
ZMLX_BINARY(logical_xor)

ZMLX_BINARY(bitwise_and)
ZMLX_BINARY(bitwise_or)
ZMLX_BINARY(bitwise_xor)
ArrayPtr left_shift(const Array& a, const Array& b, StreamRef s);
ArrayPtr right_shift(const Array& a, const Array& b, StreamRef s);

inline ArrayPtr logaddexp(const Array& a, const Array& b, StreamRef s) {
  bool twice = mx::promote_types(a.dtype(), b.dtype()) == mx::float64;
  auto x = twice ? mx::astype(a, mx::float64, on(s)) : a;
  if (twice && in_double(x, s)) {
    return box(logaddexp_in_double(x, mx::astype(b, mx::float64, on(s)), on(s)));
  }
  return box(mx::logaddexp(a, b, on(s)));
}

// Integer division needs a divisor that the processor takes: see guard.h.
inline ArrayPtr remainder(const Array& a, const Array& b, StreamRef s) {
  return box(mx::remainder(a, divisor(a, b, on(s)).safe, on(s)));
}
ArrayPtr floor_divide(const Array& a, const Array& b, StreamRef s);
// MLX gives 0 for every negative power of integers.
ArrayPtr power(const Array& a, const Array& b, StreamRef s);
ArrayVecPtr divmod(const Array& a, const Array& b, StreamRef s);

inline ArrayPtr round(const Array& a, int32_t decimals, StreamRef s) {
  return box(wide_round(a, decimals, s));
}

inline ArrayPtr abs(const Array& a, StreamRef s) {
  return box(may_stray(a) ? staying_abs(a, on(s)) : mx::abs(a, on(s)));
}

inline ArrayPtr where_(const Array& c, const Array& x, const Array& y, StreamRef s) {
  if (may_stray(x) || may_stray(y)) {
    return box(staying_where(c, x, y, on(s)));
  }
  return box(mx::where(c, x, y, on(s)));
}

inline ArrayPtr clip(const Array& a, ArrayRef lo, ArrayRef hi, StreamRef s) {
  return box(mx::clip(a, maybe(lo), maybe(hi), on(s)));
}

// An infinity is replaced by the largest finite number when its argument is NaN.
inline ArrayPtr nan_to_num(const Array& a, float nan, float posinf, float neginf, StreamRef s) {
  if (a.dtype() == mx::float64) {
    constexpr auto most = std::numeric_limits<double>::max();
    auto put = [&](const Array& where, double v, const Array& x) {
      return mx::where(where, Array(v, mx::float64), x, on(s));
    };
    auto x = put(mx::isnan(a, on(s)), nan, a);
    x = put(mx::isposinf(a, on(s)), posinf == posinf ? posinf : most, x);
    return box(put(mx::isneginf(a, on(s)), neginf == neginf ? neginf : -most, x));
  }
  auto given = [](float v) { return v == v ? std::optional<float>(v) : std::nullopt; };
  return box(mx::nan_to_num(a, nan, given(posinf), given(neginf), on(s)));
}

inline ArrayPtr isclose(
    const Array& a, const Array& b, double rtol, double atol, bool equal_nan, StreamRef s) {
  return box(wide_isclose(a, b, rtol, atol, equal_nan, s));
}

inline ArrayPtr allclose(
    const Array& a, const Array& b, double rtol, double atol, bool equal_nan, StreamRef s) {
  return box(mx::all(wide_isclose(a, b, rtol, atol, equal_nan, s), on(s)));
}

inline ArrayPtr array_equal(const Array& a, const Array& b, bool equal_nan, StreamRef s) {
  if (a.shape() == b.shape() && no_common_integer(a.dtype(), b.dtype())) {
    return box(mx::all(compare_unlike(Comparison::equal, a, b, on(s)), on(s)));
  }
  return box(mx::array_equal(a, b, equal_nan, on(s)));
}

} // namespace zmlx::ops
