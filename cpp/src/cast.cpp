#include "zmlx/ops/cast.h"

#include <limits>

#include "mlx/ops.h"

namespace zmlx::ops {

namespace {

constexpr uint8_t nan8 = 0x7f;

// float64 as float32, such that rounding it again gives what rounding once would: a number
// between two of float32 becomes the one with an odd last bit, which is on no border.
Array to_odd(const Array& a, mx::StreamOrDevice s) {
  auto near = mx::astype(a, mx::float32, s);
  auto back = mx::astype(near, mx::float64, s);
  auto bits = mx::view(near, mx::uint32, s);
  auto one = Array(uint32_t{1});
  auto beyond = mx::greater(mx::abs(back, s), mx::abs(a, s), s);
  auto cut = mx::where(beyond, mx::subtract(bits, one, s), bits, s);
  auto odd = mx::bitwise_or(cut, one, s);
  auto exact = mx::logical_or(mx::equal(back, a, s), mx::isnan(a, s), s);
  return mx::where(exact, near, mx::view(odd, mx::float32, s), s);
}

} // namespace

ArrayPtr to_fp8(const Array& a, StreamRef s) {
  auto x = a.dtype() == mx::float64 ? to_odd(a, on(s)) : a;
  auto y = mx::to_fp8(x, on(s));
  return box(mx::where(mx::isnan(x, on(s)), Array(nan8, mx::uint8), y, on(s)));
}

ArrayPtr from_fp8(const Array& a, Dtype type, StreamRef s) {
  auto t = dtype(type);
  auto y = mx::from_fp8(a, t == mx::float64 ? mx::float32 : t, on(s));
  auto magnitude = mx::bitwise_and(a, Array(nan8, mx::uint8), on(s));
  auto nan = Array(std::numeric_limits<float>::quiet_NaN(), y.dtype());
  y = mx::where(mx::equal(magnitude, Array(nan8, mx::uint8), on(s)), nan, y, on(s));
  return box(mx::astype(y, t, on(s)));
}

} // namespace zmlx::ops
