// Losses of rows.
#include "softmax.metal"

// Whether the row of this target does not count. `ignored` is the target of such rows, and whether there are any.
template <typename L, typename I>
inline bool kk_is_ignored(L target, I ignored) {
  return ignored[1] != 0 && long(target) == long(ignored[0]);
}

// loss = log(sum(exp(x))) - x[target] and the logarithm itself, which the gradient needs
// again. A target outside of the row gives NaN; a row that is ignored, 0.
template <typename S, typename P>
inline float2 kk_cross_entropy_row(P p, long target, bool ignored, size_t n, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  const X x = kk_keep(p, n, g);
  // On its way while the row is added up.
  const bool inside = target >= 0 && size_t(target) < n;
  const float chosen = inside ? float(p[inside ? target : 0]) : NAN;
  const float2 parts = kk_exp_total(n, g, x);
  const float total = parts.x + metal::log(parts.y);
  const float loss = total - chosen;
  return float2(ignored ? 0.0f : loss, total);
}

template <typename X>
struct kk_cross_entropy_gradient {
  X x;
  float total;
  float dy;
  size_t target;
  float operator()(kk_at at) const {
    const float y = metal::fast::exp(x(at) - total);
    return (at.i == target ? y - 1.0f : y) * dy;
  }
};

// dx = (softmax(x) - onehot(target)) dy; 0 for a row that is ignored, NaN for a target
// outside of the row.
template <typename S, typename P, typename T>
inline void kk_cross_entropy_grad_row(P p, long target, bool ignored, float total, float dy,
                                      device T* out, size_t n, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  const bool inside = target >= 0 && size_t(target) < n;
  if (ignored) {
    kk_map(n, g, out, kk_constant{0.0f});
  } else {
    kk_map(n, g, out, kk_cross_entropy_gradient<X>{kk_keep(p, n, g), total, inside ? dy : NAN,
                                                   size_t(target)});
  }
}
