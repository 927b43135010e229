// Softmax over rows. The largest element is taken off before the exponential; a row of minus
// infinity only has no such element that counts, and its softmax is 0.
#include "rows.metal"

inline float kk_finite_max(float most) { return most == -INFINITY ? 0.0f : most; }

template <typename X>
struct kk_exp_above {
  X x;
  float most;
  // The argument is at most 0 and a denormal result does not count beside the sum, so the
  // fast exponential is exact enough.
  float operator()(kk_at at) const { return metal::fast::exp(x(at) - most); }
};

// Leaves the exponentials in the output where it can hold them and they would be computed again.
template <typename X, typename T>
struct kk_exp_kept {
  kk_exp_above<X> e;
  device T* out;
  bool keep;
  float operator()(kk_at at) const {
    const float v = e(at);
    if (keep) out[at.i] = T(v);
    return v;
  }
};

template <typename X, typename T>
struct kk_softmax_scale {
  kk_exp_above<X> e;
  device T* out;
  bool kept;
  float scale;
  float operator()(kk_at at) const { return (kept ? float(out[at.i]) : e(at)) * scale; }
};

// out = exp(x - max x) / sum.
template <typename S, typename P, typename T>
inline void kk_softmax_row(P p, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  const X x = kk_keep(p, n, g);
  const kk_exp_above<X> e = {x, kk_finite_max(kk_max(n, g, x))};
  const bool keep = sizeof(T) == 4 && kk_streams(g);
  const float sum = kk_sum(n, g, kk_exp_kept<X, T>{e, out, keep});
  const float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
  kk_map(n, g, out, kk_softmax_scale<X, T>{e, out, keep, scale});
}

template <typename X, typename G>
struct kk_exp_times {
  kk_exp_above<X> e;
  G dy;
  float operator()(kk_at at) const { return e(at) * dy(at); }
};

template <typename X, typename G>
struct kk_softmax_gradient {
  kk_exp_above<X> e;
  G dy;
  float scale;
  float mean;
  float operator()(kk_at at) const { return e(at) * scale * (dy(at) - mean); }
};

// The gradient y (dy - sum(y dy)), from x and not from a rounded y.
template <typename S, typename P, typename G, typename T>
inline void kk_softmax_grad_row(P p, G dp, device T* out, size_t n, S g) {
  typedef decltype(kk_keep(p, n, g)) X;
  typedef decltype(kk_keep(dp, n, g)) D;
  const X x = kk_keep(p, n, g);
  const D dy = kk_keep(dp, n, g);
  const kk_exp_above<X> e = {x, kk_finite_max(kk_max(n, g, x))};
  const float sum = kk_sum(n, g, e);
  const float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
  const float mean = kk_sum(n, g, kk_exp_times<X, D>{e, dy}) * scale;
  kk_map(n, g, out, kk_softmax_gradient<X, D>{e, dy, scale, mean});
}
