// whole: (x_in, w_in) -> (y_out)
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};
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
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
}
typedef float T;
threadgroup float zk_s0[32];
const uint zk_tid = thread_position_in_grid.x % TG;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint row = thread_position_in_grid.x / TG;
const uint zk_n = WHOLE != 0 ? uint(TG * VEC * ITEMS) : uint(x_in_shape[x_in_ndim - 1]);
const float D = float(zk_n);
const auto x_row = x_in + size_t(row) * zk_n;
const auto w_row = w_in;
const auto y_to = y_out + size_t(row) * zk_n;
const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row, zk_n, zk_tid);
const auto zk_of_w = kk_hold<TG, VEC, ITEMS>(w_row, zk_n, zk_tid);
float s1 = float(0);
{
  for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
    const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
    if (zk_b < zk_n) {
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
        s1 += float(x * x);
      }
    }
  }
}
s1 = kk_lanes_sum<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_sum<TG>(zk_s0);
}
const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
  const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
  if (zk_b < zk_n) {
    kk_block<O0, VEC> zk_out_y;
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
      const T w = T(zk_of_w.at(zk_k * VEC + zk_l));
      zk_out_y.v[zk_l] = static_cast<O0>(x * zk_h0 * w);
    }
    kk_store_block(y_to, zk_b / VEC, zk_out_y);
  }
}

// by pieces: (x_in, w_in) -> (y_out)
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
float s1 = float(0);
{
  float zk_w0 = 0.0f, zk_r0 = 0.0f;
  for (uint zk_from = 0; zk_from < zk_n; zk_from += TG * VEC * ITEMS) {
    const uint zk_c = metal::min(zk_n - zk_from, uint(TG * VEC * ITEMS));
    const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
    for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
      const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
      if (zk_b < zk_c) {
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
          s1 += float(x * x);
        }
      }
    }
    kk_two_sum(zk_w0, zk_r0, s1);
    s1 = 0.0f;
  }
  s1 = kk_with_rest(zk_w0, zk_r0);
}
s1 = kk_lanes_sum<TG>(s1);
if (TG > 32) {
  if (zk_lane == 0) zk_s0[zk_simd] = s1;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  s1 = kk_simds_sum<TG>(zk_s0);
}
const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
const uint zk_size = TG * VEC * ITEMS;
const uint zk_parts = threadgroups_per_grid.z, zk_part = threadgroup_position_in_grid.z;
const uint zk_each = ((zk_n + zk_size - 1) / zk_size + zk_parts - 1) / zk_parts * zk_size;
const uint zk_first = zk_part * zk_each, zk_last = metal::min(zk_n, zk_first + zk_each);
for (uint zk_from = zk_first; zk_from < zk_last; zk_from += TG * VEC * ITEMS) {
  const uint zk_c = metal::min(zk_last - zk_from, uint(TG * VEC * ITEMS));
  const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
  const auto zk_of_w = kk_hold<TG, VEC, ITEMS>(w_row + zk_from, zk_c, zk_tid);
  for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
    const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
    if (zk_b < zk_c) {
      kk_block<O0, VEC> zk_out_y;
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
        const T w = T(zk_of_w.at(zk_k * VEC + zk_l));
        zk_out_y.v[zk_l] = static_cast<O0>(x * zk_h0 * w);
      }
      kk_store_block(y_to + zk_from, zk_b / VEC, zk_out_y);
    }
  }
}

// summed, in memory: (x_in, w_in) -> (y_out)
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
        const auto x_at = x_row + zk_b * VEC;
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
  for (uint j = zk_tid; j < zk_n; j += TG) {
    const T x = T(x_row[j]);
    const T w = T(w_row[j]);
    y_sum[j] += float(x * zk_h0 * w);
  }
}

// summed, whole: (x_in, w_in) -> (y_out)
template <typename T, int VEC>
struct kk_block {
  alignas(sizeof(T) * VEC) T v[VEC];
};
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
inline T kk_simds_sum(threadgroup T* shared) {
  T v[(TG + 31) / 32];
  for (int k = 0; k < TG / 32; ++k) v[k] = shared[k];
  for (int h = TG / 64; h > 0; h /= 2)
    for (int k = 0; k < h; ++k) v[k] += v[k + h];
  return v[0];
}
typedef float T;
threadgroup float zk_s0[64];
const uint zk_tid = thread_position_in_grid.x % TG;
const uint zk_lane = thread_index_in_simdgroup;
const uint zk_simd = simdgroup_index_in_threadgroup;
const uint zk_n = WHOLE != 0 ? uint(TG * VEC * ITEMS) : uint(x_in_shape[x_in_ndim - 1]);
uint zk_rows = 1;
for (int zk_d = 0; zk_d + 1 < int(x_in_ndim); ++zk_d) zk_rows *= uint(x_in_shape[zk_d]);
const size_t zk_group = thread_position_in_grid.x / TG, zk_groups = threads_per_grid.x / TG;
const uint zk_top = uint(zk_rows * zk_group / zk_groups);
const uint zk_end = uint(zk_rows * (zk_group + 1) / zk_groups);
float zk_sum_y[ITEMS * VEC];
for (int zk_k = 0; zk_k < ITEMS * VEC; ++zk_k) zk_sum_y[zk_k] = 0.0f;
const auto zk_of_w = kk_hold<TG, VEC, ITEMS>(w_in, zk_n, zk_tid);
uint zk_then = zk_top;
auto zk_next_x = kk_hold<TG, VEC, ITEMS>(x_in + (size_t(zk_then) * 1 + 0) * zk_n, zk_n, zk_tid);
for (uint row = zk_top; row < zk_end; ++row) {
  const uint zk_side = row % 2 * 32;
  zk_then = metal::min(row + 1, zk_end - 1);
  const float D = float(zk_n);
  const auto x_row = x_in + size_t(row) * zk_n;
  const auto w_row = w_in;
  const auto zk_of_x = zk_next_x;
  zk_next_x = kk_hold<TG, VEC, ITEMS>(x_in + (size_t(zk_then) * 1 + 0) * zk_n, zk_n, zk_tid);
  float s1 = float(0);
  {
    for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
      const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
      if (zk_b < zk_n) {
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
          s1 += float(x * x);
        }
      }
    }
  }
  s1 = kk_lanes_sum<TG>(s1);
  if (TG > 32) {
    if (zk_lane == 0) zk_s0[zk_side + zk_simd] = s1;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    s1 = kk_simds_sum<TG>(zk_side + zk_s0);
  }
  const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
  for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
    const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
    if (zk_b < zk_n) {
      for (int zk_l = 0; zk_l < VEC; ++zk_l) {
        const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
        const T w = T(zk_of_w.at(zk_k * VEC + zk_l));
        zk_sum_y[zk_k * VEC + zk_l] += float(x * zk_h0 * w);
      }
    }
  }
}
for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
  const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
  if (zk_b < zk_n) {
    for (int zk_l = 0; zk_l < VEC; ++zk_l) {
      y_out[zk_group * zk_n + zk_b + zk_l] = zk_sum_y[zk_k * VEC + zk_l];
    }
  }
}

// summed, by pieces: (x_in, w_in) -> (y_out)
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
for (uint zk_b = zk_tid * VEC; zk_b < zk_n; zk_b += TG * VEC)
  for (uint zk_l = 0; zk_l < VEC; ++zk_l) y_sum[zk_b + zk_l] = 0.0f;
for (uint row = zk_top; row < zk_end; ++row) {
  const uint zk_side = row % 2 * 32;
  const float D = float(zk_n);
  const auto x_row = x_in + size_t(row) * zk_n;
  const auto w_row = w_in;
  float s1 = float(0);
  {
    float zk_w0 = 0.0f, zk_r0 = 0.0f;
    for (uint zk_from = 0; zk_from < zk_n; zk_from += TG * VEC * ITEMS) {
      const uint zk_c = metal::min(zk_n - zk_from, uint(TG * VEC * ITEMS));
      const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
      for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
        const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
        if (zk_b < zk_c) {
          for (int zk_l = 0; zk_l < VEC; ++zk_l) {
            const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
            s1 += float(x * x);
          }
        }
      }
      kk_two_sum(zk_w0, zk_r0, s1);
      s1 = 0.0f;
    }
    s1 = kk_with_rest(zk_w0, zk_r0);
  }
  s1 = kk_lanes_sum<TG>(s1);
  if (TG > 32) {
    if (zk_lane == 0) zk_s0[zk_side + zk_simd] = s1;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    s1 = kk_simds_sum<TG>(zk_side + zk_s0);
  }
  const auto zk_h0 = metal::rsqrt(s1 / D + 1e-06f);
  for (uint zk_from = 0; zk_from < zk_n; zk_from += TG * VEC * ITEMS) {
    const uint zk_c = metal::min(zk_n - zk_from, uint(TG * VEC * ITEMS));
    const auto zk_of_x = kk_hold<TG, VEC, ITEMS>(x_row + zk_from, zk_c, zk_tid);
    const auto zk_of_w = kk_hold<TG, VEC, ITEMS>(w_row + zk_from, zk_c, zk_tid);
    for (int zk_k = 0; zk_k < ITEMS; ++zk_k) {
      const uint zk_b = (uint(zk_k) * TG + zk_tid) * VEC;
      if (zk_b < zk_c) {
        for (int zk_l = 0; zk_l < VEC; ++zk_l) {
          const T x = T(zk_of_x.at(zk_k * VEC + zk_l));
          const T w = T(zk_of_w.at(zk_k * VEC + zk_l));
          y_sum[zk_from + zk_b + zk_l] += float(x * zk_h0 * w);
        }
      }
    }
  }
}

