// Running sums of rows.
#include "rows.metal"

// The sum of v over the threads before this one, and in `all` over all threads of the group.
template <int TG, int VEC, int ITEMS>
inline float kk_group_sum_before(float v, thread float& all, kk_group<TG, VEC, ITEMS> g) {
  float before = metal::simd_prefix_exclusive_sum(v);
  all = metal::simd_sum(v);
  if (TG > 32) {
    if (g.lane == 0) g.shared[g.simd] = all;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    const float other = g.lane < uint(TG + 31) / 32 ? g.shared[g.lane] : 0.0f;
    before += metal::simd_sum(g.lane < g.simd ? other : 0.0f);
    all = metal::simd_sum(other);
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
  return before;
}

// The i-th element from either end.
template <bool REVERSE>
inline kk_at kk_scan_at(size_t i, size_t n) {
  return kk_at{REVERSE ? n - 1 - i : i, 0};
}

// out[i] = x[0] + ... + x[i], or x[i] + ... + x[n - 1] in reverse. Each thread adds up VEC neighbours by
// itself; these sums do not wait for what comes before, only the last addition does.
template <bool REVERSE, int TG, int VEC, int ITEMS, typename P, typename T>
inline void kk_cumsum_row(P p, device T* out, size_t n, kk_group<TG, VEC, ITEMS> g) {
  const kk_row<P> x = kk_read(p);
  float carry = 0.0f;
  for (size_t start = 0; start < n; start += size_t(TG) * VEC) {
    const size_t from = start + size_t(g.index) * VEC;
    const size_t count = from >= n ? 0 : metal::min(size_t(VEC), n - from);
    float part[VEC];
    for (int k = 0; k < VEC; ++k) part[k] = 0.0f;
    if (count == VEC) {
      for (int k = 0; k < VEC; ++k) part[k] = x(kk_scan_at<REVERSE>(from + k, n));
    } else {
      for (size_t k = 0; k < count; ++k) part[k] = x(kk_scan_at<REVERSE>(from + k, n));
    }
    for (int k = 1; k < VEC; ++k) part[k] += part[k - 1];
    float all;
    const float before = carry + kk_group_sum_before(part[VEC - 1], all, g);
    if (count == VEC) {
      for (int k = 0; k < VEC; ++k)
        out[kk_scan_at<REVERSE>(from + k, n).i] = T(before + part[k]);
    } else {
      for (size_t k = 0; k < count; ++k)
        out[kk_scan_at<REVERSE>(from + k, n).i] = T(before + part[k]);
    }
    carry += all;
  }
}
