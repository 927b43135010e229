// A piece of a row in the registers of a group of TG threads, as generated kernels use it on a GPU.
//
// Neighbouring threads have neighbouring blocks of VEC elements, ITEMS blocks each: slot k * VEC + l of a thread is element
// l of block k * TG + index. All loads are under way before the first value is used. With VEC above 1 the piece is made of
// whole blocks, and elements have at most 4 bytes.
#include "blocks.metal"

// One element a block, as it is.
template <typename T, int ITEMS>
struct kk_held_row {
  T v[ITEMS];
  T at(int slot) const { return v[slot]; }
};

// Blocks as words, so that nothing has to be taken apart, and waited for, where aligned and other rows meet again.
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
    // A block beyond the row's end is the last one once more, and is not used: a branch would be waited for too.
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
// The n elements from p on.
template <int TG, int VEC, int ITEMS, typename P>
inline auto kk_hold(P p, uint n, uint index) {
  return kk_hold_as<TG, VEC, ITEMS>(p, n, index, *p);
}

// A row in registers as a function of places.
template <typename R>
struct kk_kept {
  R row;
  float operator()(kk_at at) const { return float(row.at(at.slot)); }
};
template <int TG, int VEC, int ITEMS, typename P>
inline auto kk_keep(P p, size_t n, kk_group<TG, VEC, ITEMS> g) {
  const auto row = kk_hold<TG, VEC, ITEMS>(p, uint(n), g.index);
  return kk_kept<decltype(row)>{row};
}

// Puts the results of the threads of a row together; every thread has the outcome. Rows of less than a simdgroup's
// threads stay among themselves. `shared` is read once and must not be written before the next barrier.
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
inline T kk_lanes_min(T v) {
  if (TG >= 32) return metal::simd_min(v);
  for (int h = TG / 2; h > 0; h /= 2) v = metal::min(v, T(metal::simd_shuffle_xor(v, ushort(h))));
  return v;
}
// Each thread puts the simdgroups' results together by itself, by halves: that is sooner done than another exchange.
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
template <int TG, typename T>
inline T kk_simds_min(threadgroup T* shared) {
  T v = shared[0];
  for (int k = 1; k < TG / 32; ++k) v = metal::min(v, shared[k]);
  return v;
}
