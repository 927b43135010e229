// in the output: (x_in) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
struct kk_inverse {
  float by;
  float scale;
};
inline kk_inverse kk_inverse_of(float b) {
  const float size = metal::abs(b);
  const float scale = size < 1e-30f ? 1099511627776.0f : size > 1e30f ? 9.094947e-13f : 1.0f;
  return kk_inverse{1.0f / (b * scale), scale};
}
inline float kk_times(float a, kk_inverse b) { return a * b.by * b.scale; }
inline void kk_two_sum(thread float& a, thread float& rest, float b) {
  const float sum = a + b;
  const float of_b = sum - a;
  rest += (a - (sum - of_b)) + (b - of_b);
  a = sum;
}
inline float kk_with_rest(float sum, float rest) {
  return metal::isfinite(rest) ? sum + rest : sum;
}
constant constexpr int kk_run = 8;
template <int VEC, typename P>
inline P kk_as_floats(P p) {
  return p;
}
template <int VEC, typename P>
inline P kk_open(P p) {
  return p;
}
template <typename O, typename B, typename V>
inline void kk_put(thread B& block, int i, V v) {
  block[i] = static_cast<O>(v);
}
template <int VEC, typename P, typename B>
inline void kk_close(P, thread const B&) {}
template <int TG, typename T>
inline T kk_lanes_sum(T v) {
  if (TG >= 32) return metal::simd_sum(v);
  for (int h = TG / 2; h > 0; h /= 2) v += metal::simd_shuffle_xor(v, ushort(h));
  return v;
}
template <int TG, typename T>
inline T kk_lanes_max(T v) {
  if (TG >= 32) return metal::simd_max(v);
  for (int h = TG / 2; h > 0; h /= 2) v = metal::max(v, T(metal::simd_shuffle_xor(v, ushort(h))));
  return v;
}
template <int TG, typename T>
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
}
template <int TG, typename T>
inline T kk_simds_max(threadgroup T* shared) {
  T v = shared[0];
  for (int k = 1; k < TG / 32; ++k) v = metal::max(v, shared[k]);
  return v;
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
threadgroup float zk_s0[32];
threadgroup float zk_s1[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const auto y_to = y_out + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s1 = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s1;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T x = T(x_at[zk_l]);
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], float(x));
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s1 = metal::max(s1, float(x));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], zk_a0[zk_l + zk_h]);
    }
  }
  s1 = metal::max(s1, zk_a0[0]);
}
s1 = kk_lanes_max<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_max<TG>(zk_s0);
}
float s2 = float(0);
{
  float zk_w1[VEC], zk_r1[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w1[zk_l] = zk_r1[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a1[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a1[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
      const auto y_at = y_to + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        const auto zk_t0 = kk_exp<zk_short>(x - s1);
        y_at[zk_l] = zk_t0;
        zk_a1[zk_l] += float(zk_t0);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const auto zk_t0 = kk_exp<zk_short>(x - s1);
    y_to[j] = zk_t0;
    s2 += float(zk_t0);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
    }
  }
  s2 = kk_with_rest(s2 + zk_w1[0], zk_r1[0]);
}
s2 = kk_lanes_sum<TG>(s2);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = s2;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s2 = kk_simds_sum<TG>(zk_s1);
}
const kk_inverse zk_i0 = kk_inverse_of(s2);
const uint zk_whole = zk_n / VEC;
for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {
  const uint zk_j = zk_b * VEC;
  auto zk_to_y = kk_open<VEC>(y_to + zk_j);
  for (int zk_l = 0; zk_l < VEC; ++zk_l) {
    const float zk_kept = float(zk_to_y[zk_l]);
    kk_put<O0>(zk_to_y, zk_l, kk_times(zk_kept, zk_i0));
  }
  kk_close<VEC>(y_to + zk_j, zk_to_y);
}
for (uint j = zk_whole * VEC + zk_tid; j < zk_n; j += TG) {
  const float zk_kept = float(y_to[j]);
  y_to[j] = static_cast<O0>(kk_times(zk_kept, zk_i0));
}

// aside: (x_in) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
struct kk_inverse {
  float by;
  float scale;
};
inline kk_inverse kk_inverse_of(float b) {
  const float size = metal::abs(b);
  const float scale = size < 1e-30f ? 1099511627776.0f : size > 1e30f ? 9.094947e-13f : 1.0f;
  return kk_inverse{1.0f / (b * scale), scale};
}
inline float kk_times(float a, kk_inverse b) { return a * b.by * b.scale; }
inline void kk_two_sum(thread float& a, thread float& rest, float b) {
  const float sum = a + b;
  const float of_b = sum - a;
  rest += (a - (sum - of_b)) + (b - of_b);
  a = sum;
}
inline float kk_with_rest(float sum, float rest) {
  return metal::isfinite(rest) ? sum + rest : sum;
}
constant constexpr int kk_run = 8;
template <int VEC, typename P>
inline P kk_as_floats(P p) {
  return p;
}
template <int VEC, typename P>
inline P kk_open(P p) {
  return p;
}
template <typename O, typename B, typename V>
inline void kk_put(thread B& block, int i, V v) {
  block[i] = static_cast<O>(v);
}
template <int VEC, typename P, typename B>
inline void kk_close(P, thread const B&) {}
template <int TG, typename T>
inline T kk_lanes_sum(T v) {
  if (TG >= 32) return metal::simd_sum(v);
  for (int h = TG / 2; h > 0; h /= 2) v += metal::simd_shuffle_xor(v, ushort(h));
  return v;
}
template <int TG, typename T>
inline T kk_lanes_max(T v) {
  if (TG >= 32) return metal::simd_max(v);
  for (int h = TG / 2; h > 0; h /= 2) v = metal::max(v, T(metal::simd_shuffle_xor(v, ushort(h))));
  return v;
}
template <int TG, typename T>
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
}
template <int TG, typename T>
inline T kk_simds_max(threadgroup T* shared) {
  T v = shared[0];
  for (int k = 1; k < TG / 32; ++k) v = metal::max(v, shared[k]);
  return v;
}
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
threadgroup float zk_s0[32];
threadgroup float zk_s1[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const auto y_to = y_out + size_t(row) * zk_n;
float zk_aside[8192];
const uint zk_blocks = zk_n / VEC;
float s1 = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s1;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T x = T(x_at[zk_l]);
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], float(x));
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s1 = metal::max(s1, float(x));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], zk_a0[zk_l + zk_h]);
    }
  }
  s1 = metal::max(s1, zk_a0[0]);
}
s1 = kk_lanes_max<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_max<TG>(zk_s0);
}
float s2 = float(0);
{
  float zk_w1[VEC], zk_r1[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w1[zk_l] = zk_r1[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a1[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a1[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        const auto zk_t0 = kk_exp<zk_short>(x - s1);
        zk_aside[zk_b * VEC + zk_l] = zk_t0;
        zk_a1[zk_l] += float(zk_t0);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const auto zk_t0 = kk_exp<zk_short>(x - s1);
    zk_aside[j] = zk_t0;
    s2 += float(zk_t0);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
    }
  }
  s2 = kk_with_rest(s2 + zk_w1[0], zk_r1[0]);
}
s2 = kk_lanes_sum<TG>(s2);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = s2;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s2 = kk_simds_sum<TG>(zk_s1);
}
const kk_inverse zk_i0 = kk_inverse_of(s2);
const uint zk_whole = zk_n / VEC;
for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {
  const uint zk_j = zk_b * VEC;
  auto zk_to_y = kk_open<VEC>(y_to + zk_j);
  for (int zk_l = 0; zk_l < VEC; ++zk_l) {
    const float zk_kept = float(zk_aside[zk_j + zk_l]);
    kk_put<O0>(zk_to_y, zk_l, kk_times(zk_kept, zk_i0));
  }
  kk_close<VEC>(y_to + zk_j, zk_to_y);
}
for (uint j = zk_whole * VEC + zk_tid; j < zk_n; j += TG) {
  const float zk_kept = float(zk_aside[j]);
  y_to[j] = static_cast<O0>(kk_times(zk_kept, zk_i0));
}

