#include "zmlx/ops/stay.h"

#include "mlx/ops.h"

namespace zmlx::ops {

bool may_stray(const Array& a) {
  return a.dtype() == mx::float64 && mx::default_device() == mx::Device::gpu;
}

Array staying_softmax(
    const Array& a, const std::vector<int>& axes, mx::StreamOrDevice s) {
  auto most = mx::stop_gradient(mx::max(a, axes, true, s), s);
  auto e = mx::exp(mx::subtract(a, most, s), s);
  return mx::divide(e, mx::sum(e, axes, true, s), s);
}

// -0 + v is v for every v, both zeros included.
Array staying_where(
    const Array& c, const Array& x, const Array& y, mx::StreamOrDevice s) {
  auto none = Array(-0.0, mx::float64);
  return mx::add(mx::where(c, x, none, s), mx::where(c, none, y, s), s);
}

Array staying_logsumexp(
    const Array& a,
    const std::vector<int>& axes,
    bool keepdims,
    mx::StreamOrDevice s) {
  auto most = mx::stop_gradient(mx::max(a, axes, true, s), s);
  auto e = mx::exp(mx::subtract(a, most, s), s);
  auto total = mx::add(mx::log(mx::sum(e, axes, true, s), s), most, s);
  // Infinity less itself is no number.
  auto out = staying_where(mx::isinf(most, s), most, total, s);
  return keepdims ? out : mx::squeeze(out, axes, s);
}

} // namespace zmlx::ops
