// forward: (x_in) -> (y_out)
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
    const auto x_at = x_row + zk_b * VEC;
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
      const auto x_at = x_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        zk_a1[zk_l] += float(kk_exp<zk_short>(x - s1));
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s2 += float(kk_exp<zk_short>(x - s1));
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
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T x = T(x_row[j]);
  y_to[j] = static_cast<O0>(kk_times(kk_exp<zk_short>(x - s1), zk_i0));
}

// vjp: (x_in, g_in) -> (dx_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
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
threadgroup float zk_s2[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const auto g_row = g_in + size_t(row) * zk_n;
const auto dx_to = dx_out + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s1 = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s1;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto x_at = x_row + zk_b * VEC;
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
float t = float(0);
{
  float zk_w1[VEC], zk_r1[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w1[zk_l] = zk_r1[zk_l] = 0.0f;
  float zk_w2[VEC], zk_r2[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w2[zk_l] = zk_r2[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a1[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a1[zk_l] = 0.0f;
    float zk_a2[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a2[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = x_row + zk_b * VEC;
      const auto g_at = g_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        const T g = T(g_at[zk_l]);
        const auto zk_t0 = kk_exp<zk_short>(x - s1);
        zk_a1[zk_l] += float(zk_t0);
        zk_a2[zk_l] += float(zk_t0 * g);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
      kk_two_sum(zk_w2[zk_l], zk_r2[zk_l], zk_a2[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const T g = T(g_row[j]);
    const auto zk_t0 = kk_exp<zk_short>(x - s1);
    s2 += float(zk_t0);
    t += float(zk_t0 * g);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
      zk_w2[zk_l] += zk_w2[zk_l + zk_h];
      zk_r2[zk_l] += zk_r2[zk_l + zk_h];
    }
  }
  s2 = kk_with_rest(s2 + zk_w1[0], zk_r1[0]);
  t = kk_with_rest(t + zk_w2[0], zk_r2[0]);
}
s2 = kk_lanes_sum<TG>(s2);
t = kk_lanes_sum<TG>(t);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = s2;
  if (zk_lane == 0) zk_s2[zk_simd] = t;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s2 = kk_simds_sum<TG>(zk_s1);
  t = kk_simds_sum<TG>(zk_s2);
}
const auto zk_h0 = kk_divide<zk_short>(kk_divide<zk_short>(t, s2), s2);
const kk_inverse zk_i1 = kk_inverse_of(s2);
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T x = T(x_row[j]);
  const T g = T(g_row[j]);
  const auto zk_t0 = kk_exp<zk_short>(x - s1);
  dx_to[j] = static_cast<O0>(g * kk_times(zk_t0, zk_i1) - zk_h0 * zk_t0);
}

// jvp: (x_in, dx_in) -> (dy_out)
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
threadgroup float zk_s2[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const auto dx_row = dx_in + size_t(row) * zk_n;
const auto dy_to = dy_out + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s1 = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s1;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto x_at = x_row + zk_b * VEC;
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
float t_2 = float(0);
{
  float zk_w1[VEC], zk_r1[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w1[zk_l] = zk_r1[zk_l] = 0.0f;
  float zk_w2[VEC], zk_r2[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w2[zk_l] = zk_r2[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a1[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a1[zk_l] = 0.0f;
    float zk_a2[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a2[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = x_row + zk_b * VEC;
      const auto dx_at = dx_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        const T dx = T(dx_at[zk_l]);
        const auto zk_t0 = kk_exp<zk_short>(x - s1);
        zk_a1[zk_l] += float(zk_t0);
        zk_a2[zk_l] += float(dx * zk_t0);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
      kk_two_sum(zk_w2[zk_l], zk_r2[zk_l], zk_a2[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const T dx = T(dx_row[j]);
    const auto zk_t0 = kk_exp<zk_short>(x - s1);
    s2 += float(zk_t0);
    t_2 += float(dx * zk_t0);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
      zk_w2[zk_l] += zk_w2[zk_l + zk_h];
      zk_r2[zk_l] += zk_r2[zk_l + zk_h];
    }
  }
  s2 = kk_with_rest(s2 + zk_w1[0], zk_r1[0]);
  t_2 = kk_with_rest(t_2 + zk_w2[0], zk_r2[0]);
}
s2 = kk_lanes_sum<TG>(s2);
t_2 = kk_lanes_sum<TG>(t_2);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = s2;
  if (zk_lane == 0) zk_s2[zk_simd] = t_2;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s2 = kk_simds_sum<TG>(zk_s1);
  t_2 = kk_simds_sum<TG>(zk_s2);
}
const kk_inverse zk_i0 = kk_inverse_of(s2);
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T x = T(x_row[j]);
  const T dx = T(dx_row[j]);
  const auto zk_t0 = kk_exp<zk_short>(x - s1);
  dy_to[j] = static_cast<O0>(kk_times(dx * zk_t0, zk_i0) - kk_times(kk_times(t_2 * zk_t0, zk_i0), zk_i0));
}

