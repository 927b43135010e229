// forward: (v_in) -> (y_out)
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
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
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
float s = float(0);
{
  float zk_w0[VEC], zk_r0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w0[zk_l] = zk_r0[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a0[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto v_at = v_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T v = T(v_at[zk_l]);
        zk_a0[zk_l] += float(-(v * metal::log(v + 1e-08f)));
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    s += float(-(v * metal::log(v + 1e-08f)));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w0[zk_l] += zk_w0[zk_l + zk_h];
      zk_r0[zk_l] += zk_r0[zk_l + zk_h];
    }
  }
  s = kk_with_rest(s + zk_w0[0], zk_r0[0]);
}
s = kk_lanes_sum<TG>(s);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s = kk_simds_sum<TG>(zk_s0);
}
if (zk_tid == 0) {
  y_out[row] = static_cast<O0>(s);
}

// vjp: (v_in, g_in) -> (dv_out)
typedef float T;
const uint zk_tid = thread_position_in_threadgroup.x;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const T g = T(g_in[row]);
const auto dv_to = dv_out + size_t(row) * zk_n;
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T v = T(v_row[j]);
  const auto zk_t0 = v + 1e-08f;
  dv_to[j] = static_cast<O0>(-(g * (metal::log(zk_t0) + v / zk_t0)));
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
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
}
typedef float T;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = v_in_shape[v_in_ndim - 1];
const auto v_row = v_in + size_t(row) * zk_n;
const auto dv_row = dv_in + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float t = float(0);
{
  float zk_w0[VEC], zk_r0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w0[zk_l] = zk_r0[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a0[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto v_at = v_row + zk_b * VEC;
      const auto dv_at = dv_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T v = T(v_at[zk_l]);
        const T dv = T(dv_at[zk_l]);
        const auto zk_t0 = v + 1e-08f;
        zk_a0[zk_l] += float(-((metal::log(zk_t0) + v / zk_t0) * dv));
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T v = T(v_row[j]);
    const T dv = T(dv_row[j]);
    const auto zk_t0 = v + 1e-08f;
    t += float(-((metal::log(zk_t0) + v / zk_t0) * dv));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w0[zk_l] += zk_w0[zk_l + zk_h];
      zk_r0[zk_l] += zk_r0[zk_l + zk_h];
    }
  }
  t = kk_with_rest(t + zk_w0[0], zk_r0[0]);
}
t = kk_lanes_sum<TG>(t);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = t;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  t = kk_simds_sum<TG>(zk_s0);
}
if (zk_tid == 0) {
  dy_out[row] = static_cast<O0>(t);
}

