// forward: (x_in, label_in, scale_in) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <typename I>
inline long kk_index(I i) {
  const long v = long(i);
  return v < 0 && !(i < I(0)) ? metal::numeric_limits<long>::lowest() : v;
}
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
constexpr bool zk_short = sizeof(O0) == 2;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const long label = kk_index(label_in[row]);
const float scale = float(scale_in);
const uint zk_blocks = zk_n / VEC;
float s1 = float(0);
{
  float zk_w0[VEC], zk_r0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w0[zk_l] = zk_r0[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a0[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = x_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        zk_a0[zk_l] += float(kk_exp<zk_short>(x));
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s1 += float(kk_exp<zk_short>(x));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w0[zk_l] += zk_w0[zk_l + zk_h];
      zk_r0[zk_l] += zk_r0[zk_l + zk_h];
    }
  }
  s1 = kk_with_rest(s1 + zk_w0[0], zk_r0[0]);
}
s1 = kk_lanes_sum<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_sum<TG>(zk_s0);
}
const long zk_p1 = long(label);
const bool zk_in1 = zk_p1 >= 0 && zk_p1 < long(zk_n);
float zk_at = float(NAN);
if (zk_in1) {
  const T x = T(x_row[zk_p1]);
  zk_at = float(kk_divide<zk_short>(x, s1));
}
if (zk_tid == 0) {
  y_out[row] = static_cast<O0>(metal::log(s1) - scale * zk_at);
}

// vjp: (x_in, label_in, scale_in, g_in) -> (dx_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <typename I>
inline long kk_index(I i) {
  const long v = long(i);
  return v < 0 && !(i < I(0)) ? metal::numeric_limits<long>::lowest() : v;
}
inline uint kk_place(long i) { return i >= 0 && i < 0xffffffffl ? uint(i) : 0xffffffffu; }
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
constexpr bool zk_short = sizeof(O0) == 2;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = threadgroup_position_in_grid.x;
const uint zk_n = x_in_shape[x_in_ndim - 1];
const auto x_row = x_in + size_t(row) * zk_n;
const long label = kk_index(label_in[row]);
const float scale = float(scale_in);
const T g = T(g_in[row]);
const auto dx_to = dx_out + size_t(row) * zk_n;
const uint zk_blocks = zk_n / VEC;
float s1 = float(0);
{
  float zk_w0[VEC], zk_r0[VEC];
  for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_w0[zk_l] = zk_r0[zk_l] = 0.0f;
  for (uint zk_c = 0; zk_c < zk_blocks; zk_c += kk_run * TG) {
    const uint zk_e = metal::min(zk_blocks, zk_c + kk_run * TG);
    float zk_a0[VEC];
    for (int zk_l = 0; zk_l < VEC; ++zk_l) zk_a0[zk_l] = 0.0f;
    for (uint zk_b = zk_c + zk_tid; zk_b < zk_e; zk_b += TG) {
      const auto x_at = x_row + zk_b * VEC;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        zk_a0[zk_l] += float(kk_exp<zk_short>(x));
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s1 += float(kk_exp<zk_short>(x));
  }
  for (int zk_h = VEC / 2; zk_h > 0; zk_h /= 2) {
    for (int zk_l = 0; zk_l < zk_h; ++zk_l) {
      zk_w0[zk_l] += zk_w0[zk_l + zk_h];
      zk_r0[zk_l] += zk_r0[zk_l + zk_h];
    }
  }
  s1 = kk_with_rest(s1 + zk_w0[0], zk_r0[0]);
}
s1 = kk_lanes_sum<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_sum<TG>(zk_s0);
}
const long zk_p1 = long(label);
const bool zk_in1 = zk_p1 >= 0 && zk_p1 < long(zk_n);
float t = float(0.0f);
if (zk_in1) {
  const T x = T(x_row[zk_p1]);
  t = float(-(kk_divide<zk_short>(kk_divide<zk_short>(x, s1), s1)));
}
const auto zk_h0 = kk_divide<zk_short>(g, s1) - t * g * scale;
const auto zk_h1 = scale * g;
const auto zk_h2 = kk_place(label);
const auto zk_h3 = kk_divide<zk_short>(1.0f, s1);
for (uint j = zk_tid; j < zk_n; j += TG) {
  const T x = T(x_row[j]);
  dx_to[j] = static_cast<O0>(zk_h0 * kk_exp<zk_short>(x) - zk_h1 * (j == zk_h2 ? zk_h3 : 0.0f));
}

