#include "zmlx/ops/wide.h"

#include "zmlx/ops/double.h"
#include "zmlx/ops/stay.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>

#include "mlx/ops.h"

namespace zmlx::ops {

namespace {

bool is_integer(const Array& a) {
  return mx::issubdtype(a.dtype(), mx::integer) || a.dtype() == mx::bool_;
}

bool is_half(const Array& a) {
  return a.dtype() == mx::float16 || a.dtype() == mx::bfloat16;
}

// The array in a type in which sums and products of its values have room. Integers are whole
// numbers of float64, which only the CPU has. MLX's CPU adds so many numbers that a sum of float32 stands still.
Array roomy(const Array& a, StreamRef s) {
  if (is_integer(a) || is_half(a)) {
    // bfloat16 reaches as far as float32.
    return mx::astype(a, has_double(s) ? mx::float64 : mx::float32, on(s));
  }
  if (a.dtype() == mx::float32 && has_double(s)) {
    return mx::astype(a, mx::float64, on(s));
  }
  return a;
}

// No type has more room than float64. A power of two brings its numbers where sums and squares have room, and
// loses nothing but the last bits of numbers that are too small to count beside the largest.
class Scaled {
 public:
  // `x` is what `a` became: all other types have room in it.
  Scaled(const Array& a, Array x, StreamRef s) : x_(std::move(x)), s_(s) {
    if (a.dtype() != mx::float64 || x_.size() == 0) {
      return;
    }
    auto number = [](double v) { return Array(v, mx::float64); };
    auto most = mx::stop_gradient(mx::max(mx::abs(x_, on(s)), on(s)), on(s));
    auto large = mx::logical_and(
        mx::greater(most, number(0x1p500), on(s)), mx::isfinite(most, on(s)), on(s));
    auto small = mx::logical_and(
        mx::less(most, number(0x1p-500), on(s)), mx::greater(most, number(0), on(s)), on(s));
    scale_ = mx::where(
        large,
        number(0x1p-540),
        mx::where(small, number(0x1p540), number(1), on(s)),
        on(s));
    x_ = mx::multiply(x_, *scale_, on(s));
  }

  const Array& values() const {
    return x_;
  }

  // What was computed of the values, which grows with their `degree`th power.
  Array back(Array y, int degree) const {
    for (int i = 0; scale_ && i < degree; ++i) {
      y = mx::divide(y, *scale_, on(s_));
    }
    return y;
  }

 private:
  Array x_;
  StreamRef s_;
  std::optional<Array> scale_;
};

// MLX's type of a mean.
mx::Dtype result_type(const Array& a) {
  return is_integer(a) ? mx::float32 : a.dtype();
}

} // namespace

Array wide_mean(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s) {
  auto x = a;
  size_t bytes = a.itemsize();
  if (!is_integer(a) || bytes == 8) {
    x = roomy(a, s);
  } else if (bytes == 4 || a.size() >> (31 - 8 * bytes)) {
    // MLX sums such in 32 bits. A sum of 2^31 integers of 32 bits fits 64.
    x = mx::astype(a, mx::int64, on(s));
  }
  Scaled scaled(a, x, s);
  auto m = scaled.back(mx::mean(scaled.values(), axes, keepdims, on(s)), 1);
  return mx::astype(m, result_type(a), on(s));
}

Array scannable(const Array& a, StreamRef s) {
  return is_half(a) && has_double(s) ? mx::astype(a, mx::float32, on(s)) : a;
}

Array wide_var(
    const Array& a,
    const std::vector<int>& axes,
    bool keepdims,
    int ddof,
    bool root,
    StreamRef s) {
  Scaled scaled(a, roomy(a, s), s);
  auto x = scaled.values();
  bool far = a.dtype() == mx::float32 || a.dtype() == mx::bfloat16 || a.dtype() == mx::float64;
  if (far && x.dtype() == mx::float64 && x.size() > 0) {
    // A variance is the same wherever zero lies. The rounding of a large mean, squared, would be beyond the type.
    auto least = mx::stop_gradient(mx::min(x, axes, true, on(s)), on(s));
    x = mx::subtract(x, least, on(s));
  }
  auto v = mx::var(x, axes, keepdims, ddof, on(s));
  v = root ? scaled.back(mx::sqrt(v, on(s)), 1) : scaled.back(v, 2);
  // Variances of complex numbers are real.
  return a.dtype() == mx::complex64 ? v : mx::astype(v, result_type(a), on(s));
}

Array wide_median(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s) {
  int ndim = static_cast<int>(a.ndim());
  std::set<int> chosen;
  size_t n = 1;
  for (int axis : axes) {
    if (axis < -ndim || axis >= ndim) {
      throw std::invalid_argument(
          "[median] axis " + std::to_string(axis) + " is out of bounds for array with " +
          std::to_string(ndim) + " dimensions.");
    }
    int ax = axis < 0 ? axis + ndim : axis;
    if (!chosen.insert(ax).second) {
      throw std::invalid_argument("[median] Received duplicate axis.");
    }
    n *= static_cast<size_t>(a.shape(ax));
  }
  if (chosen.empty()) {
    return mx::astype(a, result_type(a), on(s)); // of each number alone
  }
  // The mean of the middle two leaves the type where it is small or the values are
  // large. An odd number of values has one middle.
  bool sums = n % 2 == 0 && (mx::issubdtype(a.dtype(), mx::floating) || is_integer(a));
  if (!sums || n == 0) {
    return mx::median(a, axes, keepdims, on(s));
  }
  std::vector<int> order;
  for (int i = 0; i < ndim; ++i) {
    if (!chosen.count(i)) {
      order.push_back(i);
    }
  }
  int kept = static_cast<int>(order.size());
  order.insert(order.end(), chosen.begin(), chosen.end());
  auto flat = mx::flatten(mx::transpose(a, order, on(s)), kept, -1, on(s));
  auto sorted = mx::sort(flat, -1, on(s));
  auto pick = [&](int i) {
    mx::Shape start(sorted.ndim(), 0);
    auto stop = sorted.shape();
    start.back() = i;
    stop.back() = i + 1;
    return roomy(mx::slice(sorted, start, stop, on(s)), s);
  };
  int middle = static_cast<int>(n / 2);
  auto low = pick(middle - 1);
  auto high = pick(middle);
  auto half = Array(0.5, low.dtype());
  auto both = mx::multiply(mx::add(low, high, on(s)), half, on(s));
  // Halves first where the sum is infinite; elsewhere they would lose the last bit of the
  // smallest numbers.
  auto halves = mx::add(mx::multiply(low, half, on(s)), mx::multiply(high, half, on(s)), on(s));
  auto m = mx::where(mx::isinf(both, on(s)), halves, both, on(s));
  if (!is_integer(a)) {
    // NaN is sorted to the end, not to the middle.
    auto nan = mx::any(mx::isnan(flat, on(s)), -1, true, on(s));
    m = mx::where(nan, Array(std::numeric_limits<float>::quiet_NaN(), m.dtype()), m, on(s));
  }
  m = mx::squeeze(mx::astype(m, result_type(a), on(s)), -1, on(s));
  std::vector<int> gone(chosen.begin(), chosen.end());
  return keepdims ? mx::expand_dims(m, gone, on(s)) : m;
}

namespace {

// 10^n for n below 20.
uint64_t power_of_ten(int n) {
  uint64_t p = 1;
  while (n-- > 0) {
    p *= 10;
  }
  return p;
}

// The least and the largest value of an integer type, the latter as a bit pattern of 64.
std::pair<int64_t, uint64_t> limits(mx::Dtype t) {
  int bits = 8 * static_cast<int>(mx::size_of(t));
  auto all = std::numeric_limits<uint64_t>::max() >> (64 - bits);
  if (!mx::issubdtype(t, mx::signedinteger)) {
    return {0, all};
  }
  auto most = all >> 1;
  return {-static_cast<int64_t>(most) - 1, most};
}

// Whole numbers to tens, hundreds and so on, halves to even. A result beyond the type
// is the number of it that is nearest.
Array round_integers(const Array& a, int places, StreamRef s) {
  auto t = a.dtype();
  auto [least, most] = limits(t);
  // Beyond twice the largest value everything rounds to 0.
  if (places > 19 || power_of_ten(places) / 2 > most) {
    return mx::zeros_like(a, on(s));
  }
  auto wide = t == mx::uint64 ? mx::uint64 : mx::int64;
  auto p = power_of_ten(places);
  if (wide == mx::int64 && p > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    throw std::invalid_argument(
        "[round] `decimals`: expected a number from -18 for int64, got " +
        std::to_string(-places) + ".");
  }
  auto number = [&](uint64_t v) {
    return wide == mx::int64 ? Array(static_cast<int64_t>(v), wide) : Array(v, wide);
  };
  auto x = mx::astype(a, wide, on(s));
  auto step = number(p);
  auto rest = mx::remainder(x, step, on(s)); // from 0, as the divisor is positive
  auto half = number(p / 2);
  auto down = mx::subtract(x, rest, on(s));
  auto quotient = mx::floor_divide(down, step, on(s));
  auto is_odd = mx::not_equal(mx::remainder(quotient, number(2), on(s)), number(0), on(s));
  auto up = mx::logical_or(
      mx::greater(rest, half, on(s)),
      mx::logical_and(mx::equal(rest, half, on(s)), is_odd, on(s)),
      on(s));
  // Neither step may leave 64 bits: see how far the ends are.
  auto to_top = mx::subtract(number(most), x, on(s));
  auto missing = mx::subtract(step, rest, on(s));
  auto over = mx::logical_and(
      mx::greater_equal(x, number(0), on(s)), mx::greater(missing, to_top, on(s)), on(s));
  auto rounded = mx::where(
      up,
      mx::where(over, number(most), mx::add(x, missing, on(s)), on(s)),
      down,
      on(s));
  if (wide == mx::int64) {
    auto low = number(static_cast<uint64_t>(least));
    auto to_bottom = mx::subtract(x, low, on(s));
    auto under = mx::logical_and(
        mx::less(x, number(0), on(s)), mx::greater(rest, to_bottom, on(s)), on(s));
    rounded = mx::where(mx::logical_and(under, mx::logical_not(up, on(s)), on(s)), low, rounded, on(s));
  }
  return mx::astype(rounded, t, on(s));
}

} // namespace

Array wide_round(const Array& a, int decimals, StreamRef s) {
  if (is_integer(a)) {
    return decimals >= 0 || a.dtype() == mx::bool_
        ? a
        : round_integers(a, decimals < -99 ? 99 : -decimals, s);
  }
  if (decimals == 0 || a.dtype() == mx::complex64) {
    return mx::round(a, decimals, on(s));
  }
  auto x = is_half(a) ? mx::astype(a, mx::float32, on(s)) : a;
  auto t = x.dtype();
  // What has so many digits has no fraction.
  bool twice = t == mx::float64;
  int digits = twice ? 52 : 23;
  int longest = twice ? 308 : 38;
  auto whole = Array(std::ldexp(1.0, digits), t);
  auto finite = [&](const Array& y) { return mx::isfinite(y, on(s)); };
  if (decimals < -longest) {
    // Every number is less than half of such a step.
    auto none = mx::multiply(x, Array(0.0, t), on(s));
    return mx::astype(mx::where(finite(x), none, x, on(s)), a.dtype(), on(s));
  }
  // Large scales are applied in two parts, as the whole may leave the type.
  int n = std::abs(std::min(decimals, 2 * longest));
  auto first = Array(std::pow(10.0, std::min(n, longest)), t);
  auto second = Array(std::pow(10.0, std::max(n - longest, 0)), t);
  bool split = n > longest;
  auto times = [&](Array y) {
    y = mx::multiply(y, first, on(s));
    return split ? mx::multiply(y, second, on(s)) : y;
  };
  auto over = [&](Array y) {
    y = mx::divide(y, first, on(s));
    return split ? mx::divide(y, second, on(s)) : y;
  };
  auto scaled = decimals > 0 ? times(x) : over(x);
  auto r = mx::round(scaled, 0, on(s));
  r = decimals > 0 ? over(r) : times(r);
  if (decimals > 0) {
    auto exact = mx::greater_equal(mx::abs(scaled, on(s)), whole, on(s));
    r = mx::where(exact, mx::stop_gradient(x, on(s)), r, on(s));
  }
  return mx::astype(r, a.dtype(), on(s));
}

Array wide_isclose(
    const Array& a, const Array& b, double rtol, double atol, bool equal_nan, StreamRef s) {
  if (!is_integer(a) || !is_integer(b) || no_common_integer(a.dtype(), b.dtype())) {
    return mx::isclose(a, b, rtol, atol, equal_nan, on(s));
  }
  // Differences of integers need a bit more than the integers, and unsigned ones have
  // no sign. Those of 64 bits are right as unsigned numbers of 64 bits.
  auto t = mx::promote_types(a.dtype(), b.dtype());
  auto wide = t == mx::uint64 ? mx::uint64 : mx::int64;
  auto x = mx::astype(a, wide, on(s));
  auto y = mx::astype(b, wide, on(s));
  auto bits = [&](const Array& v) { return mx::astype(v, mx::uint64, on(s)); };
  auto most = bits(mx::maximum(x, y, on(s)));
  auto least = bits(mx::minimum(x, y, on(s)));
  auto f = has_double(s) ? mx::float64 : mx::float32;
  auto d = mx::astype(mx::subtract(most, least, on(s)), f, on(s));
  auto size = mx::abs(mx::astype(y, f, on(s)), on(s));
  auto room = mx::add(Array(atol, f), mx::multiply(Array(rtol, f), size, on(s)), on(s));
  return mx::less_equal(d, room, on(s));
}

bool no_common_integer(mx::Dtype a, mx::Dtype b) {
  return (a == mx::uint64 && mx::issubdtype(b, mx::signedinteger)) ||
      (b == mx::uint64 && mx::issubdtype(a, mx::signedinteger));
}

Array compare_unlike(Comparison c, const Array& a, const Array& b, mx::StreamOrDevice s) {
  bool left = a.dtype() == mx::uint64;
  const auto& other = left ? b : a;
  auto negative = mx::less(other, Array(0, other.dtype()), s);
  auto same = mx::astype(other, mx::uint64, s);
  const auto& x = left ? a : same;
  const auto& y = left ? same : b;
  // A negative number is below every unsigned one.
  auto unless = [&](const Array& compared, bool below) {
    return below ? mx::logical_or(compared, negative, s)
                 : mx::logical_and(compared, mx::logical_not(negative, s), s);
  };
  switch (c) {
    case Comparison::equal:
      return unless(mx::equal(x, y, s), false);
    case Comparison::not_equal:
      return unless(mx::not_equal(x, y, s), true);
    case Comparison::greater:
      return unless(mx::greater(x, y, s), left);
    case Comparison::greater_equal:
      return unless(mx::greater_equal(x, y, s), left);
    case Comparison::less:
      return unless(mx::less(x, y, s), !left);
    case Comparison::less_equal:
      return unless(mx::less_equal(x, y, s), !left);
  }
  throw std::invalid_argument("unknown comparison");
}

} // namespace zmlx::ops
