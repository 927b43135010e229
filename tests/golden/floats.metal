// rows: (x_in, w_in) -> (y_out)
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
template <int VEC, typename P>
inline void kk_ahead(P) {}
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
const uint zk_n = x_in_shape[x_in_ndim - 1];
const float D = float(zk_n);
const auto x_row = x_in + size_t(row) * zk_n;
const auto w_row = w_in;
const auto y_to = y_out + size_t(row) * zk_n;
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
      const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(x_at[zk_l]);
        zk_a0[zk_l] += float(x * x);
      }
    }
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
    }
  }
  for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    s1 += float(x * x);
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
const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
const uint zk_whole = zk_n / VEC;
for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {
  const uint zk_j = zk_b * VEC;
  const auto x_at = kk_as_floats<VEC>(x_row + zk_j);
  kk_ahead<VEC>(x_row + zk_j + size_t(zk_n) * 1);
  const auto w_at = kk_as_floats<VEC>(w_row + zk_j);
  auto zk_to_y = kk_open<VEC>(y_to + zk_j);
  for (int zk_l = 0; zk_l < VEC; ++zk_l) {
    const T x = T(x_at[zk_l]);
    const T w = T(w_at[zk_l]);
    kk_put<O0>(zk_to_y, zk_l, x * zk_h0 * w);
  }
  kk_close<VEC>(y_to + zk_j, zk_to_y);
}
for (uint j = zk_whole * VEC + zk_tid; j < zk_n; j += TG) {
  const T x = T(x_row[j]);
  const T w = T(w_row[j]);
  y_to[j] = static_cast<O0>(x * zk_h0 * w);
}

// summed: (x_in, w_in) -> (y_out)
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
inline void kk_ahead(P) {}
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
threadgroup float zk_s0[64];
const uint zk_tid = thread_position_in_threadgroup.x;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint zk_n = x_in_shape[x_in_ndim - 1];
uint zk_rows = 1;
for (int zk_d = 0; zk_d + 1 < int(x_in_ndim); ++zk_d) zk_rows *= uint(x_in_shape[zk_d]);
const size_t zk_group = threadgroup_position_in_grid.x, zk_groups = threadgroups_per_grid.x;
const uint zk_top = uint(zk_rows * zk_group / zk_groups);
const uint zk_end = uint(zk_rows * (zk_group + 1) / zk_groups);
const auto y_sum = y_out + zk_group * zk_n;
for (uint j = zk_tid; j < zk_n; j += TG) y_sum[j] = 0.0f;
for (uint row = zk_top; row < zk_end; ++row) {
  const uint zk_side = row % 2 * 32;
  const float D = float(zk_n);
  const auto x_row = x_in + size_t(row) * zk_n;
  const auto w_row = w_in;
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
        const auto x_at = kk_as_floats<VEC>(x_row + zk_b * VEC);
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(x_at[zk_l]);
          zk_a0[zk_l] += float(x * x);
        }
      }
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        kk_two_sum(zk_w0[zk_l], zk_r0[zk_l], zk_a0[zk_l]);
      }
    }
    for (uint j = zk_blocks * VEC + zk_tid; j < zk_n; j += TG) {
      const T x = T(x_row[j]);
      s1 += float(x * x);
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
    if (zk_lane == 0) zk_s0[zk_side + zk_simd] = s1;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    s1 = kk_simds_sum<TG>(zk_side + zk_s0);
  }
  const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
  const uint zk_whole = zk_n / VEC;
  for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {
    const uint zk_j = zk_b * VEC;
    const auto x_at = kk_as_floats<VEC>(x_row + zk_j);
    kk_ahead<VEC>(x_row + zk_j + size_t(zk_n) * 1);
    const auto w_at = kk_as_floats<VEC>(w_row + zk_j);
    const auto y_by = y_sum + zk_j;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T x = T(x_at[zk_l]);
      const T w = T(w_at[zk_l]);
      y_by[zk_l] += float(x * zk_h0 * w);
    }
  }
  for (uint j = zk_whole * VEC + zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const T w = T(w_row[j]);
    y_sum[j] += float(x * zk_h0 * w);
  }
}

// blocks: (x_in) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}
template <bool SHORT = false, typename T>
inline T kk_silu(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(v));
}
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
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_i = thread_position_in_grid.x;
const auto zk_in_x = kk_as_floats<VEC>(x_in + size_t(zk_i) * VEC);
auto zk_to_y = kk_open<VEC>(y_out + size_t(zk_i) * VEC);
for (int zk_l = 0; zk_l < VEC; ++zk_l) {
  const uint elem = zk_i * VEC + zk_l;
  const T x = T(zk_in_x[zk_l]);
  kk_put<O0>(zk_to_y, zk_l, kk_silu<zk_short>(x) + elem);
}
kk_close<VEC>(y_out + size_t(zk_i) * VEC, zk_to_y);

// strided: (x_in, zk_dims) -> (y_out)
template <bool SHORT>
inline float kk_exp(float x) {
  return SHORT ? metal::fast::exp(x) : metal::exp(x);
}
template <bool SHORT>
inline float kk_divide(float a, float b) {
  return SHORT ? metal::fast::divide(a, b) : a / b;
}
template <bool SHORT = false, typename T>
inline T kk_sigmoid(T x) {
  const float v = float(x);
  const float e = kk_exp<SHORT>(-metal::abs(v));
  const float upper = kk_divide<SHORT>(1.0f, 1.0f + e);
  return T(v < 0.0f ? e * upper : upper);
}
template <bool SHORT = false, typename T>
inline T kk_silu(T x) {
  const float v = float(x) < -200.0f ? -200.0f : float(x);
  return T(v * kk_sigmoid<SHORT>(v));
}
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
typedef float T;
constexpr bool zk_short = sizeof(O0) == 2;
const uint zk_tid = thread_position_in_threadgroup.x;
const size_t zk_item = size_t(threadgroup_position_in_grid.y) * (threadgroups_per_grid.x) + threadgroup_position_in_grid.x;
if (zk_item >= size_t(zk_dims[0] * zk_dims[2])) return;
const uint zk_n = uint(zk_dims[1]);
const uint row = uint(zk_item / size_t(zk_dims[2]));
const size_t zk_part = zk_item % size_t(zk_dims[2]);
const uint zk_first = uint(zk_part * size_t(zk_dims[3]));
const uint zk_last = metal::min(zk_n, zk_first + uint(zk_dims[3]));
const auto x_row = x_in + size_t(row) * zk_n;
const auto y_to = y_out + size_t(row) * zk_n;
const uint zk_whole = (zk_last - zk_first) / VEC;
for (uint zk_b = zk_tid; zk_b < zk_whole; zk_b += TG) {
  const uint zk_j = zk_first + zk_b * VEC;
  const auto x_at = kk_as_floats<VEC>(x_row + zk_j);
  auto zk_to_y = kk_open<VEC>(y_to + zk_j);
  for (int zk_l = 0; zk_l < VEC; ++zk_l) {
    const uint j = zk_j + zk_l;
    const T x = T(x_at[zk_l]);
    const ulong elem = ulong(row) * zk_n + j;
    kk_put<O0>(zk_to_y, zk_l, kk_silu<zk_short>(x) + elem);
  }
  kk_close<VEC>(y_to + zk_j, zk_to_y);
}
for (uint j = zk_first + zk_whole * VEC + zk_tid; j < zk_last; j += TG) {
  const T x = T(x_row[j]);
  const ulong elem = ulong(row) * zk_n + j;
  y_to[j] = static_cast<O0>(kk_silu<zk_short>(x) + elem);
}

