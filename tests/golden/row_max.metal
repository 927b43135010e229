// forward: (v_in) -> (y_out)
template <int TG, typename T>
inline T kk_lanes_max(T v) {
  if (TG >= 32) return metal::simd_max(v);
  for (int h = TG / 2; h > 0; h /= 2) v = metal::max(v, T(metal::simd_shuffle_xor(v, ushort(h))));
  return v;
}
template <int TG, typename T>
inline T kk_simds_max(threadgroup T* shared) {
  T v = shared[0];
  for (int k = 1; k < TG / 32; ++k) v = metal::max(v, shared[k]);
  return v;
}
typedef float T;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto v_at = v_row + zk_b * VEC;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T v = T(v_at[zk_l]);
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], float(v));
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    s = metal::max(s, float(v));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], zk_a0[zk_l + zk_h]);
    }
  }
  s = metal::max(s, zk_a0[0]);
}
s = kk_lanes_max<TG>(s);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s = kk_simds_max<TG>(zk_s0);
}
if (zk_tid == 0) {
  y_out[row] = static_cast<O0>(s);
}

// vjp: (v_in, g_in) -> (dv_out)
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
threadgroup float zk_s0[32];
threadgroup float zk_s1[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const T g = T(g_in[row]);
const auto dv_to = dv_out + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto v_at = v_row + zk_b * VEC;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T v = T(v_at[zk_l]);
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], float(v));
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    s = metal::max(s, float(v));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], zk_a0[zk_l + zk_h]);
    }
  }
  s = metal::max(s, zk_a0[0]);
}
s = kk_lanes_max<TG>(s);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s = kk_simds_max<TG>(zk_s0);
}
float n = float(0);
{
  float zk_w1[VEC], zk_r1[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w1[zk_l] = zk_r1[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a1[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a1[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto v_at = v_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T v = T(v_at[zk_l]);
        zk_a1[zk_l] += float(v == s ? 1.0f : 0.0f);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    n += float(v == s ? 1.0f : 0.0f);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
    }
  }
  n = kk_with_rest(n + zk_w1[0], zk_r1[0]);
}
n = kk_lanes_sum<TG>(n);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = n;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  n = kk_simds_sum<TG>(zk_s1);
}
const auto zk_h0 = g / metal::max(n, 1.0f);
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T v = T(v_row[j]);
  dv_to[j] = static_cast<O0>(zk_h0 * (v == s ? 1.0f : 0.0f));
}

// jvp: (v_in, dv_in) -> (dy_out)
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
threadgroup float zk_s0[32];
threadgroup float zk_s1[32];
threadgroup float zk_s2[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const auto dv_row = dv_in + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s = -INFINITY;
{
  float zk_a0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = s;
  for (uint zk_b = zk_tid; zk_b < zk_blocks; zk_b += TG) {
    const auto v_at = v_row + zk_b * VEC;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T v = T(v_at[zk_l]);
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], float(v));
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    s = metal::max(s, float(v));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_a0[zk_l] = metal::max(zk_a0[zk_l], zk_a0[zk_l + zk_h]);
    }
  }
  s = metal::max(s, zk_a0[0]);
}
s = kk_lanes_max<TG>(s);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s = kk_simds_max<TG>(zk_s0);
}
float t = float(0);
float n = float(0);
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
      const auto v_at = v_row + zk_b * VEC;
      const auto dv_at = dv_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T v = T(v_at[zk_l]);
        const T dv = T(dv_at[zk_l]);
        const auto zk_t0 = v == s ? 1.0f : 0.0f;
        zk_a1[zk_l] += float(zk_t0 * dv);
        zk_a2[zk_l] += float(zk_t0);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w1[zk_l], zk_r1[zk_l], zk_a1[zk_l]);
      kk_two_sum(zk_w2[zk_l], zk_r2[zk_l], zk_a2[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    const T dv = T(dv_row[j]);
    const auto zk_t0 = v == s ? 1.0f : 0.0f;
    t += float(zk_t0 * dv);
    n += float(zk_t0);
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w1[zk_l] += zk_w1[zk_l + zk_h];
      zk_r1[zk_l] += zk_r1[zk_l + zk_h];
      zk_w2[zk_l] += zk_w2[zk_l + zk_h];
      zk_r2[zk_l] += zk_r2[zk_l + zk_h];
    }
  }
  t = kk_with_rest(t + zk_w1[0], zk_r1[0]);
  n = kk_with_rest(n + zk_w2[0], zk_r2[0]);
}
t = kk_lanes_sum<TG>(t);
n = kk_lanes_sum<TG>(n);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = t;
  if (zk_lane == 0) zk_s2[zk_simd] = n;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  t = kk_simds_sum<TG>(zk_s1);
  n = kk_simds_sum<TG>(zk_s2);
}
if (zk_tid == 0) {
  dy_out[row] = static_cast<O0>(t / metal::max(n, 1.0f));
}

