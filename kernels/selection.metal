// The largest element of a row, the first of them; the k largest are in topk.metal.
//
// Elements are compared by keys: unsigned numbers in the order of the values, where both zeros are equal and any NaN is
// larger than everything else. Of equal keys the lower index comes first.
#include "hold.metal"

inline uint kk_order(float v) {
  const uint bits = as_type<uint>(v), size = bits & 0x7fffffffu;
  const uint key = (bits >> 31) != 0u ? 0x80000000u - size : 0x80000000u + size;
  return size > 0x7f800000u ? 0xffffffffu : key;
}
inline uint kk_order_of_16(ushort word, uint infinity) {
  const uint bits = word, size = bits & 0x7fffu;
  const uint key = (bits >> 15) != 0u ? 0x8000u - size : 0x8000u + size;
  return size > infinity ? 0xffffu : key;
}
inline uint kk_order(half v) { return kk_order_of_16(as_type<ushort>(v), 0x7c00u); }
inline uint kk_order(bfloat v) { return kk_order_of_16(as_type<ushort>(v), 0x7f80u); }
inline uint kk_order(int v) { return uint(v) + 0x80000000u; }
inline uint kk_order(short v) { return uint(int(v) + 0x8000); }
inline uint kk_order(char v) { return uint(int(v) + 0x80); }
inline uint kk_order(uint v) { return v; }
inline uint kk_order(ushort v) { return v; }
inline uint kk_order(uchar v) { return v; }
inline uint kk_order(bool v) { return v ? 1u : 0u; }

// How many bits keys of a type have.
template <typename T>
constexpr int kk_key_bits(T) {
  return sizeof(T) < 4 ? 16 : 32;
}

// One thread, on a CPU. The largest key of each piece is found by VEC accumulators; only a piece with a larger one than
// before is looked at again.
template <int VEC, typename P>
inline uint kk_argmax_one(P p, size_t n) {
  const size_t piece = 2048;
  uint best = 0;
  size_t begin = 0;
  for (size_t from = 0; from < n; from += piece) {
    const size_t to = metal::min(n, from + piece);
    const size_t blocks = (to - from) / VEC;
    uint most[VEC];
    for (int k = 0; k < VEC; ++k) most[k] = 0u;
    for (size_t b = 0; b < blocks; ++b) {
      const size_t at = from + b * VEC;
      for (int k = 0; k < VEC; ++k) {
        const uint key = kk_order(p[at + k]);
        most[k] = key > most[k] ? key : most[k];
      }
    }
    uint top = 0;
    for (size_t i = from + blocks * VEC; i < to; ++i) top = metal::max(top, kk_order(p[i]));
    for (int half_vec = VEC / 2; half_vec > 0; half_vec /= 2)
      for (int k = 0; k < half_vec; ++k) most[k] = metal::max(most[k], most[k + half_vec]);
    top = metal::max(top, most[0]);
    if (top > best) {
      best = top;
      begin = from;
    }
  }
  const size_t end = metal::min(n, begin + piece);
  for (; begin + VEC <= end; begin += VEC) {
    uint found = 0;
    for (int k = 0; k < VEC; ++k) found |= kk_order(p[begin + k]) == best ? 1u : 0u;
    if (found != 0u) break;
  }
  while (begin + 1 < end && kk_order(p[begin]) != best) ++begin;
  return uint(begin);
}

// Many threads: a value that is not a number is taken note of apart, so that an element costs two comparisons.
template <typename T>
struct kk_top {
  T v;
  bool any, nan;
};
inline bool kk_is_nan(float v) { return v != v; }
template <typename T>
inline bool kk_is_nan(T) {
  return false;
}
inline float kk_comparable(float v) { return v; }
inline float kk_comparable(half v) { return float(v); }
inline float kk_comparable(bfloat v) { return float(v); }
inline int kk_comparable(int v) { return v; }
inline int kk_comparable(short v) { return v; }
inline int kk_comparable(char v) { return v; }
inline uint kk_comparable(uint v) { return v; }
inline uint kk_comparable(ushort v) { return v; }
inline uint kk_comparable(uchar v) { return v; }
inline uint kk_comparable(bool v) { return v ? 1u : 0u; }
inline float kk_least(float) { return -INFINITY; }
inline int kk_least(int) { return -2147483647 - 1; }
inline uint kk_least(uint) { return 0u; }

// The largest element of a thread's part of a piece.
template <int TG, int VEC, int ITEMS, typename H>
inline auto kk_top_of_piece(H held, uint n, uint index) {
  typedef decltype(kk_comparable(held.at(0))) C;
  kk_top<C> top = {kk_least(C(0)), false, false};
  for (int k = 0; k < ITEMS; ++k) {
    if ((uint(k) * TG + index) * VEC < n) {
      top.any = true;
      for (int j = 0; j < VEC; ++j) {
        const auto v = kk_comparable(held.at(k * VEC + j));
        top.v = metal::max(top.v, v);
        top.nan = top.nan || kk_is_nan(v);
      }
    }
  }
  return top;
}
// Keys of half and bfloat are made of floats here, so all NaN are the largest number of 32 bits.
template <typename C>
inline uint kk_key_of_top(kk_top<C> top) {
  return top.nan ? 0xffffffffu : top.any ? kk_order(top.v) : 0u;
}
// Where it stands first.
template <int TG, int VEC, int ITEMS, typename H, typename C>
inline uint kk_place_of_top(H held, kk_top<C> top, size_t from, uint n, uint index) {
  uint first = 0xffffffffu;
  for (int k = ITEMS - 1; k >= 0; --k) {
    const uint block = uint(k) * TG + index;
    if (block * VEC < n) {
      for (int j = VEC - 1; j >= 0; --j) {
        const auto v = kk_comparable(held.at(k * VEC + j));
        if (top.nan ? kk_is_nan(v) : v == top.v) first = uint(from) + block * VEC + j;
      }
    }
  }
  return first;
}

// `shared` has 64 places. The result is right in the thread with index 0.
template <int TG, int VEC, int ITEMS, bool HELD, typename P>
inline uint kk_argmax_row(P p, size_t n, uint index, uint lane, uint simd, threadgroup uint* shared) {
  const size_t step = size_t(TG) * VEC * ITEMS;
  const auto held = kk_hold<TG, VEC, ITEMS>(p, uint(HELD ? n : metal::min(n, step)), index);
  auto top = kk_top_of_piece<TG, VEC, ITEMS>(held, uint(HELD ? n : metal::min(n, step)), index);
  uint key = kk_key_of_top(top), first = 0xffffffffu;
  if (!HELD) {
    first = kk_place_of_top<TG, VEC, ITEMS>(held, top, 0, uint(metal::min(n, step)), index);
    for (size_t from = step; from < n; from += step) {
      const uint rest = uint(metal::min(n - from, step));
      const auto piece = kk_hold<TG, VEC, ITEMS>(p + from, rest, index);
      top = kk_top_of_piece<TG, VEC, ITEMS>(piece, rest, index);
      const uint other = kk_key_of_top(top);
      if (top.any && (first == 0xffffffffu || other > key)) {
        key = other;
        first = kk_place_of_top<TG, VEC, ITEMS>(piece, top, from, rest, index);
      }
    }
  }
  uint most = kk_lanes_max<TG>(key);
  if (TG > 32) {
    if (lane == 0) shared[simd] = most;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    most = kk_simds_max<TG>(shared);
  }
  // Most simdgroups do not have the row's largest, and need not look where it is.
  if (HELD && key == most) first = kk_place_of_top<TG, VEC, ITEMS>(held, top, 0, uint(n), index);
  first = kk_lanes_min<TG>(key == most ? first : 0xffffffffu);
  if (TG > 32) {
    if (lane == 0) shared[32 + simd] = first;
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    first = kk_simds_min<TG>(shared + 32);
  }
  return first;
}
