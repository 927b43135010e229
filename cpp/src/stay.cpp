#include "zmlx/ops/stay.h"

#include <limits>

#include "mlx/ops.h"
#include "zmlx/ops/double.h"

namespace zmlx::ops {

bool may_stray(const Array& a) {
  return a.dtype() == mx::float64 && mx::default_device() == mx::Device::gpu;
}

namespace {

Array exp(const Array& a, StreamRef s) {
  return in_double(a, s) ? in_double(Function::exp, a, on(s)) : mx::exp(a, on(s));
}

Array floats(const Array& a, StreamRef s) {
  return mx::issubdtype(a.dtype(), mx::inexact) ? a : mx::astype(a, mx::float32, on(s));
}

// True for the axes that MLX has a kernel for.
bool is_last(const Array& a, const std::vector<int>& axes) {
  int ndim = static_cast<int>(a.ndim());
  return axes.size() == 1 && (axes[0] == -1 || axes[0] == ndim - 1);
}

// The array reduced by an operation that has a result for everything, to check the axes.
Array reduced(const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef s) {
  return mx::any(a, axes, keepdims, on(s));
}

} // namespace

Array any_softmax(const Array& a, const std::vector<int>& axes, bool precise, StreamRef st) {
  auto s = on(st);
  auto x = floats(a, st);
  if (a.size() == 0) {
    reduced(a, axes, true, st);
    return x;
  }
  bool twice = x.dtype() == mx::float64;
  if (!twice) {
    return mx::softmax(x, axes, precise, s);
  }
  auto most = mx::stop_gradient(mx::max(x, axes, true, s), s);
  auto e = exp(mx::subtract(x, most, s), st);
  return mx::divide(e, mx::sum(e, axes, true, s), s);
}

// The sum makes 0 of -0.
Array staying_abs(const Array& x, mx::StreamOrDevice s) {
  auto sign = mx::stop_gradient(mx::sign(x, s), s);
  return mx::add(mx::multiply(x, sign, s), Array(0.0, mx::float64), s);
}

// -0 + v is v for every v, both zeros included.
Array staying_where(
    const Array& c, const Array& x, const Array& y, mx::StreamOrDevice s) {
  auto none = Array(-0.0, mx::float64);
  // A condition that depends on what is differentiated counts as a second tangent, and those are added elsewhere.
  auto first = mx::stop_gradient(c, s);
  return mx::add(mx::where(first, x, none, s), mx::where(first, none, y, s), s);
}

Array any_logsumexp(
    const Array& a, const std::vector<int>& axes, bool keepdims, StreamRef st) {
  auto s = on(st);
  auto x = floats(a, st);
  if (a.size() == 0) {
    // The logarithm of an empty sum.
    auto shape = reduced(a, axes, keepdims, st).shape();
    return mx::full(shape, Array(-std::numeric_limits<float>::infinity(), x.dtype()), s);
  }
  bool half = x.dtype() == mx::float16 || x.dtype() == mx::bfloat16;
  if (half && !is_last(a, axes)) {
    auto y = mx::logsumexp(mx::astype(x, mx::float32, s), axes, keepdims, s);
    return mx::astype(y, x.dtype(), s);
  }
  if (x.dtype() != mx::float64) {
    return mx::logsumexp(x, axes, keepdims, s);
  }
  auto most = mx::stop_gradient(mx::max(x, axes, true, s), s);
  auto e = exp(mx::subtract(x, most, s), st);
  auto total = mx::add(mx::log(mx::sum(e, axes, true, s), s), most, s);
  // Infinity less itself is no number.
  auto out = staying_where(mx::isinf(most, s), most, total, s);
  return keepdims ? out : mx::squeeze(out, axes, s);
}

} // namespace zmlx::ops
