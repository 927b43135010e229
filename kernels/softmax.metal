// Sums of exponentials of rows. The largest element is taken off before the exponential; a row of minus infinity
// only has no such element that counts.
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
