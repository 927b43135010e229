// Sums of rows with the rounding errors of all additions: each addition gives its error exactly, and the errors are added
// up beside the sum, within a thread and between threads.
#include "rows.metal"

template <typename F>
struct kk_add_both {
  F f;
  thread float* sum;
  thread float* rest;
  void operator()(kk_at at) const { kk_two_sum(*sum, *rest, f(at)); }
};

// The sum of the group's threads, in its first thread.
template <int TG, int VEC, int ITEMS>
inline float kk_group_both(float sum, float rest, kk_group<TG, VEC, ITEMS> g) {
  if (TG > 1) {
    for (int half_lanes = (TG < 32 ? TG : 32) / 2; half_lanes > 0; half_lanes /= 2) {
      const float other = metal::simd_shuffle_xor(sum, ushort(half_lanes));
      const float other_rest = metal::simd_shuffle_xor(rest, ushort(half_lanes));
      kk_two_sum(sum, rest, other);
      rest += other_rest;
    }
  }
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = sum;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    float all = g.shared[0], left = 0.0f;
    for (int k = 1; k < TG / 32; ++k) kk_two_sum(all, left, g.shared[k]);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (g.lane == 0) g.shared[g.simd] = rest;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    for (int k = 0; k < TG / 32; ++k) left += g.shared[k];
    sum = all;
    rest = left;
  }
  return kk_with_rest(sum, rest);
}

template <int TG, int VEC, typename F>
inline float kk_sum_both(size_t n, kk_group<TG, VEC, 0> g, F f) {
  float all[VEC], rest[VEC];
  for (int k = 0; k < VEC; ++k) all[k] = rest[k] = 0.0f;
  const size_t blocks = n / VEC;
  for (size_t b = g.index; b < blocks; b += TG)
    for (int k = 0; k < VEC; ++k) kk_two_sum(all[k], rest[k], f(kk_at{b * VEC + k, 0}));
  float sum = 0.0f, left = 0.0f;
  for (size_t i = blocks * VEC + g.index; i < n; i += TG) kk_two_sum(sum, left, f(kk_at{i, 0}));
  for (int half_vec = VEC / 2; half_vec > 0; half_vec /= 2)
    for (int k = 0; k < half_vec; ++k) {
      kk_two_sum(all[k], rest[k], all[k + half_vec]);
      rest[k] += rest[k + half_vec];
    }
  kk_two_sum(sum, left, all[0]);
  return kk_group_both(sum, left + rest[0], g);
}
template <int TG, int VEC, int ITEMS, typename F>
inline float kk_sum_both(size_t n, kk_group<TG, VEC, ITEMS> g, F f) {
  float sum = 0.0f, rest = 0.0f;
  kk_for(n, g, kk_add_both<F>{f, &sum, &rest});
  return kk_group_both(sum, rest, g);
}

// *out = the sum of a row, or its mean.
template <bool MEAN, int TG, int VEC, int ITEMS, typename P, typename T>
inline void kk_compensated_row(P p, device T* out, size_t n, kk_group<TG, VEC, ITEMS> g) {
  const float sum = kk_sum_both(n, g, kk_read(p));
  if (kk_first(g)) kk_store(out, MEAN ? sum / float(n) : sum);
}
