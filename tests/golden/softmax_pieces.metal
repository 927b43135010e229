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
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};
inline void kk_two_sum(thread float& a, thread float& rest, float b) {
  const float sum = a + b;
  const float of_b = sum - a;
  rest += (a - (sum - of_b)) + (b - of_b);
  a = sum;
}
inline float kk_with_rest(float sum, float rest) {
  return metal::isfinite(rest) ? sum + rest : sum;
}
template <int VEC, typename T>
inline bool kk_aligned(const device T* p) {
  return reinterpret_cast<size_t>(p) % sizeof(kk_block<T, VEC>) == 0;
}
template <int VEC, typename T>
inline void kk_store_block(device T* p, size_t block, kk_block<T, VEC> b) {
  if (kk_aligned<VEC>(p)) {
    reinterpret_cast<device kk_block<T, VEC>*>(p)[block] = b;
  } else {
    for (int k = 0; k < VEC; ++k) p[block * VEC + k] = b.v[k];
  }
}
template <typename T, int ITEMS>
struct kk_held_row {
  T v[ITEMS];
  T at(int slot) const { return v[slot]; }
};
template <typename T>
inline T kk_from_word(uint word, int which, T) {
  return as_type<T>(ushort(word >> (16 * which)));
}
inline float kk_from_word(uint word, int, float) { return as_type<float>(word); }
inline int kk_from_word(uint word, int, int) { return int(word); }
inline uint kk_from_word(uint word, int, uint) { return word; }
inline uchar kk_from_word(uint word, int which, uchar) { return uchar(word >> (8 * which)); }
inline int8_t kk_from_word(uint word, int which, int8_t) { return int8_t(uchar(word >> (8 * which))); }
inline bool kk_from_word(uint word, int which, bool) { return ((word >> (8 * which)) & 255u) != 0u; }
inline uint kk_as_word(float v) { return as_type<uint>(v); }
inline uint kk_as_word(int v) { return uint(v); }
inline uint kk_as_word(uint v) { return v; }
inline uint kk_as_word(uchar v) { return v; }
inline uint kk_as_word(int8_t v) { return uchar(v); }
inline uint kk_as_word(bool v) { return v ? 1u : 0u; }
template <typename T>
inline uint kk_as_word(T v) {
  return as_type<ushort>(v);
}
template <typename T, int WORDS>
struct kk_held_words {
  uint v[WORDS];
  T at(int slot) const {
    const int each = 4 / sizeof(T);
    return kk_from_word(v[slot / each], slot % each, T(0));
  }
};
template <int TG, int VEC, int ITEMS, typename T>
struct kk_holder {
  template <typename P>
  static kk_held_words<T, ITEMS * VEC * sizeof(T) / 4> hold(P p, uint n, uint index) {
    const int each = 4 / sizeof(T), words = VEC / each;
    kk_held_words<T, ITEMS * words> row;
    const uint last = n / VEC - 1;
    if (reinterpret_cast<size_t>(p) % (sizeof(T) * VEC) == 0) {
      for (int k = 0; k < ITEMS; ++k) {
        const uint block = metal::min(uint(k) * TG + index, last);
        const kk_block<uint, words> b =
            reinterpret_cast<const device kk_block<uint, words>*>(p)[block];
        for (int j = 0; j < words; ++j) row.v[k * words + j] = b.v[j];
      }
    } else {
      for (int k = 0; k < ITEMS; ++k) {
        const uint block = metal::min(uint(k) * TG + index, last);
        for (int j = 0; j < words; ++j) {
          uint word = 0;
          for (int e = 0; e < each; ++e)
            word |= kk_as_word(T(p[block * VEC + j * each + e])) << (32 / each * e % 32);
          row.v[k * words + j] = word;
        }
      }
    }
    return row;
  }
};
template <int TG, int ITEMS, typename T>
struct kk_holder<TG, 1, ITEMS, T> {
  template <typename P>
  static kk_held_row<T, ITEMS> hold(P p, uint n, uint index) {
    kk_held_row<T, ITEMS> row;
    for (int k = 0; k < ITEMS; ++k) {
      const uint i = uint(k) * TG + index;
      row.v[k] = i < n ? T(p[i]) : T(0);
    }
    return row;
  }
};
template <int TG, int VEC, int ITEMS, typename P, typename T>
inline auto kk_hold_as(P p, uint n, uint index, T) {
  return kk_holder<TG, VEC, ITEMS, T>::hold(p, n, index);
}
template <int TG, int VEC, int ITEMS, typename P>
inline auto kk_hold(P p, uint n, uint index) {
  return kk_hold_as<TG, VEC, ITEMS>(p, n, index, *p);
}
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
float s1 = -INFINITY, s2 = 0.0f;
{
  float zk_rest = 0.0f;
  for (uint zk_from = 0; zk_from < zk_n; zk_from += TG * VEC * ITEMS) {
    const uint zk_c = metal::min(zk_n - zk_from, uint(TG * VEC * ITEMS));
    const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
    float zk_most = s1;
    for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
      const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
      if (zk_b < zk_c) {
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
          zk_most = metal::max(zk_most, float(x));
        }
      }
    }
    const float zk_old = s1 == -INFINITY ? 0.0f : float(s1), zk_new = zk_most == -INFINITY ? 0.0f : float(zk_most);
    float zk_part = 0.0f;
    for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
      const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
      if (zk_b < zk_c) {
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
          zk_part += float(kk_exp<zk_short>(x - zk_new));
        }
      }
    }
    if (s1 != -INFINITY && s1 != zk_most) {
      const float zk_scale = kk_exp<zk_short>(zk_old - zk_new);
      s2 *= zk_scale;
      zk_rest *= zk_scale;
    }
    kk_two_sum(s2, zk_rest, zk_part);
    s1 = zk_most;
  }
  s2 = kk_with_rest(s2, zk_rest);
}
const float zk_own0 = s1;
s1 = kk_lanes_max<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_max<TG>(zk_s0);
}
if (zk_own0 != -INFINITY && zk_own0 != s1) {
  const float zk_old = zk_own0 == -INFINITY ? 0.0f : float(zk_own0), zk_new = s1 == -INFINITY ? 0.0f : float(s1);
  s2 *= kk_exp<zk_short>(zk_old - zk_new);
}
s2 = kk_lanes_sum<TG>(s2);
if (TG > 32) {
  if (zk_lane == 0) zk_s1[zk_simd] = s2;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s2 = kk_simds_sum<TG>(zk_s1);
}
const kk_inverse zk_i0 = kk_inverse_of(s2);
const uint zk_size = TG * VEC * ITEMS;
const uint zk_parts = threadgroups_per_grid.z, zk_part = threadgroup_position_in_grid.z;
const uint zk_each = ((zk_n + zk_size - 1) / zk_size + zk_parts - 1) / zk_parts * zk_size;
const uint zk_first = zk_part * zk_each, zk_last = metal::min(zk_n, zk_first + zk_each);
for (uint zk_from = zk_first; zk_from < zk_last; zk_from += TG * VEC * ITEMS) {
  const uint zk_c = metal::min(zk_last - zk_from, uint(TG * VEC * ITEMS));
  const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
  for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
    const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
    if (zk_b < zk_c) {
      kk_block<O0, VEC> zk_out_y;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
        zk_out_y.v[zk_l] = static_cast<O0>(kk_times(kk_exp<zk_short>(x - s1), zk_i0));
      }
      kk_store_block(y_to + zk_from, zk_b / VEC, zk_out_y);
    }
  }
}

