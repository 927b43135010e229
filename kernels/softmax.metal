// Softmax over rows. The largest element is taken off before the exponential; a row of minus
// infinity only has no such element that counts, and its softmax is 0.
#include "split.metal"

inline float kk_finite_max(float most) { return most == -INFINITY ? 0.0f : most; }

template <typename X>
struct kk_exp_above {
  X x;
  float most;
  // The argument is at most 0 and a denormal result does not count beside the sum, so the
  // fast exponential is exact enough.
  float operator()(kk_at at) const { return metal::fast::exp(x(at) - most); }
};

// The largest element, if one counts, and the sum of the exponentials.
template <typename S, typename X>
inline float2 kk_exp_total(size_t n, S g, X x) {
  const float most = kk_finite_max(kk_max(n, g, x));
  return float2(most, kk_sum(n, g, kk_exp_above<X>{x, most}));
}

// Both at once, over the chunks of a row: what was added up so far is scaled down when a larger
// element comes.
template <typename X>
struct kk_chunk_exp_total {
  X x;
  float2 none() const { return float2(-INFINITY, 0.0f); }
  template <typename S>
  float2 with(float2 v, size_t n, uint, S g) const {
    float most = v.x;
    kk_for(n, g, kk_raise<X>{x, &most});
    const float base = kk_finite_max(most);
    float sum = 0.0f;
    kk_for(n, g, kk_add<kk_exp_above<X>>{kk_exp_above<X>{x, base}, &sum});
    return float2(most, v.y * metal::fast::exp(v.x - base) + sum);
  }
  template <typename S>
  float2 whole(float2 v, S g) const {
    const float base = kk_finite_max(kk_group_max(v.x, g));
    return float2(base, kk_group_sum(v.y * metal::fast::exp(v.x - base), g));
  }
};
template <int TG, int VEC, int ITEMS, int PASS, int PASSES, typename X>
inline float2 kk_exp_total(size_t n, kk_chunk<TG, VEC, ITEMS, PASS, PASSES> g, X x) {
  return kk_reduced(n, g, kk_chunk_exp_total<X>{x});
}

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
  const bool keep = sizeof(T) == 4 && kk_streams(g);
  kk_exp_above<X> e = {x, 0.0f};
  float sum = 0.0f;
  if (keep) {
    e.most = kk_finite_max(kk_max(n, g, x));
    sum = kk_sum(n, g, kk_exp_kept<X, T>{e, out, keep});
  } else {
    const float2 total = kk_exp_total(n, g, x);
    e.most = total.x;
    sum = total.y;
  }
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
  const float2 total = kk_exp_total(n, g, x);
  const kk_exp_above<X> e = {x, total.x};
  const float sum = total.y;
  const float scale = sum == 0.0f ? 0.0f : 1.0f / sum;
  const float mean = kk_sum(n, g, kk_exp_times<X, D>{e, dy}) * scale;
  kk_map(n, g, out, kk_softmax_gradient<X, D>{e, dy, scale, mean});
}
