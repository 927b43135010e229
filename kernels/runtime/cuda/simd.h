// Simdgroup and quadgroup functions over a warp. Lanes that do not take part in an operation
// contribute nothing, and a shuffle from one of them, or from beyond the group, leaves the caller its
// own value, as in host/simd.h. Usually all 32 take part, and that is the quick way.
#pragma once
#include "../common/lanes.h"
#include "sync.h"

namespace zmlx {
// Lanes of a mask that are a power of two of neighbours from lane 0 on, or 0.
ZMLX_FN uint32_t run_of(uint32_t mask) {
  uint32_t n = uint32_t(::__popc(mask));
  return (mask & (mask + 1)) == 0 && (n & (n - 1)) == 0 ? n : 0;
}
template <class T, class F> ZMLX_FN T fold(T x, F f) {
  typedef typename wide<T>::type W;
  const uint32_t mask = active();
  W v = W(x);
  if (mask == ~0u) {
#pragma unroll
    for (uint32_t d = 16; d > 0; d >>= 1) v = f(v, shuffled_xor(v, d));
  } else if (uint32_t n = run_of(mask)) {
    for (uint32_t d = n >> 1; d > 0; d >>= 1) v = f(v, shuffled(mask, v, current_lane() ^ d));
  } else {
    W r = shuffled(mask, v, uint32_t(::__ffs(int(mask)) - 1));
    for (uint32_t rest = mask & (mask - 1); rest; rest &= rest - 1)
      r = f(r, shuffled(mask, v, uint32_t(::__ffs(int(rest)) - 1)));
    v = r;
  }
  return T(v);
}
// Folds the quad's lanes that take part.
template <class T, class F> ZMLX_FN T quad_fold(T x, T identity, F f) {
  const uint32_t mask = active(), base = current_lane() & ~3u;
  T v[4];
#pragma unroll
  for (uint32_t i = 0; i < 4; ++i) {
    T y = shuffled(mask, x, base + i);
    v[i] = mask >> (base + i) & 1u ? y : identity;
  }
  return f(f(v[0], v[2]), f(v[1], v[3]));
}
template <bool inclusive, class T, class F> ZMLX_FN T scan(T x, T identity, F f, uint32_t width = 32) {
  typedef typename wide<T>::type W;
  const uint32_t mask = active(), me = current_lane(), first = me & ~(width - 1);
  W v = W(x);
  if (mask == ~0u) {
#pragma unroll
    for (uint32_t d = 1; d < 32; d <<= 1) {
      if (d >= width) break;
      W y = shuffled_up(v, d, width);
      if (me - first >= d) v = f(y, v);
    }
    if constexpr (!inclusive) {
      W y = shuffled_up(v, 1, width);
      v = me == first ? W(identity) : y;
    }
    return T(v);
  }
  W r = W(identity);
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t i = uint32_t(::__ffs(int(rest)) - 1);
    W y = shuffled(mask, v, i);
    if (i >= first && (inclusive ? i <= me : i < me)) r = f(r, y);
  }
  return T(r);
}
// The value of lane `from` of those in `group` (from, to), the caller's own where there is none.
template <class T> ZMLX_FN T from_lane(T x, uint32_t from, uint32_t first = 0, uint32_t count = 32) {
  const uint32_t mask = active();
  T y = shuffled(mask, x, from & 31u);
  return from - first < count && (mask >> (from & 31u) & 1u) ? y : x;
}
}  // namespace zmlx

namespace metal {
#define ZMLX_REDUCE(name, id, expr)                                                              \
  template <class T> ZMLX_FN T simd_##name(T x) {                                                \
    return zmlx::fold(x, [](auto a, auto b) { return decltype(a)(expr); });                      \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_##name(T x) {                                                \
    return zmlx::quad_fold(x, id, [](auto a, auto b) { return decltype(a)(expr); });             \
  }
ZMLX_REDUCE(sum, zmlx::zero_of<T>(), a + b)
ZMLX_REDUCE(product, T(1), a* b)
ZMLX_REDUCE(max, zmlx::lowest_of<T>(), metal::max(a, b))
ZMLX_REDUCE(min, zmlx::highest_of<T>(), metal::min(a, b))
ZMLX_REDUCE(and, T(~0ull), a& b)
ZMLX_REDUCE(or, T(0), a | b)
ZMLX_REDUCE(xor, T(0), a ^ b)
#undef ZMLX_REDUCE

#define ZMLX_SCAN(name, id, expr)                                                                \
  template <class T> ZMLX_FN T simd_prefix_inclusive_##name(T x) {                               \
    return zmlx::scan<true>(x, id, [](auto a, auto b) { return decltype(a)(expr); });            \
  }                                                                                              \
  template <class T> ZMLX_FN T simd_prefix_exclusive_##name(T x) {                               \
    return zmlx::scan<false>(x, id, [](auto a, auto b) { return decltype(a)(expr); });           \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_prefix_inclusive_##name(T x) {                               \
    return zmlx::scan<true>(x, id, [](auto a, auto b) { return decltype(a)(expr); }, 4u);        \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_prefix_exclusive_##name(T x) {                               \
    return zmlx::scan<false>(x, id, [](auto a, auto b) { return decltype(a)(expr); }, 4u);       \
  }
ZMLX_SCAN(sum, T(0), a + b)
ZMLX_SCAN(product, T(1), a* b)
#undef ZMLX_SCAN

// Data movement.
template <class T> ZMLX_FN T simd_broadcast(T x, ushort lane) { return zmlx::from_lane(x, lane); }
template <class T> ZMLX_FN T simd_shuffle(T x, ushort lane) { return zmlx::from_lane(x, lane); }
template <class T> ZMLX_FN T simd_broadcast_first(T x) {
  const uint32_t mask = zmlx::active();
  return zmlx::shuffled(mask, x, uint32_t(::__ffs(int(mask)) - 1));
}
template <class T> ZMLX_FN T simd_shuffle_xor(T x, ushort m) { return zmlx::from_lane(x, zmlx::current_lane() ^ m); }
template <class T> ZMLX_FN T simd_shuffle_up(T x, ushort d) { return zmlx::from_lane(x, zmlx::current_lane() - d); }
template <class T> ZMLX_FN T simd_shuffle_down(T x, ushort d) { return zmlx::from_lane(x, zmlx::current_lane() + d); }
template <class T> ZMLX_FN T simd_shuffle_rotate_up(T x, ushort d) {
  return zmlx::from_lane(x, (zmlx::current_lane() - d) & 31u);
}
template <class T> ZMLX_FN T simd_shuffle_rotate_down(T x, ushort d) {
  return zmlx::from_lane(x, (zmlx::current_lane() + d) & 31u);
}
template <class T, class U> ZMLX_FN T simd_shuffle_and_fill_up(T x, U fill, ushort d, ushort modulo = 32) {
  uint32_t m = modulo ? modulo : 32u, me = zmlx::current_lane(), row = me / m * m, at = me - row;
  T a = zmlx::from_lane(x, at >= d ? row + at - d : me), b = zmlx::from_lane(T(fill), row + (at + m - d % m) % m);
  return at >= d ? a : b;
}
template <class T, class U> ZMLX_FN T simd_shuffle_and_fill_down(T x, U fill, ushort d, ushort modulo = 32) {
  uint32_t m = modulo ? modulo : 32u, me = zmlx::current_lane(), row = me / m * m, at = me - row;
  T a = zmlx::from_lane(x, at + d < m ? row + at + d : me), b = zmlx::from_lane(T(fill), row + (at + d) % m);
  return at + d < m ? a : b;
}
namespace zmlx_quad {
ZMLX_FN uint32_t base() { return zmlx::current_lane() & ~3u; }
template <class T> ZMLX_FN T at(T x, uint32_t lane) { return zmlx::from_lane(x, lane, base(), 4u); }
ZMLX_FN uint32_t mask() { return zmlx::active() >> base() & 15u; }
}  // namespace zmlx_quad
template <class T> ZMLX_FN T quad_broadcast(T x, ushort lane) { return zmlx_quad::at(x, zmlx_quad::base() + lane); }
template <class T> ZMLX_FN T quad_shuffle(T x, ushort lane) { return quad_broadcast(x, lane); }
template <class T> ZMLX_FN T quad_broadcast_first(T x) {
  return zmlx_quad::at(x, zmlx_quad::base() + uint32_t(::__ffs(int(zmlx_quad::mask())) - 1));
}
template <class T> ZMLX_FN T quad_shuffle_xor(T x, ushort m) { return zmlx_quad::at(x, zmlx::current_lane() ^ m); }
template <class T> ZMLX_FN T quad_shuffle_up(T x, ushort d) { return zmlx_quad::at(x, zmlx::current_lane() - d); }
template <class T> ZMLX_FN T quad_shuffle_down(T x, ushort d) { return zmlx_quad::at(x, zmlx::current_lane() + d); }
template <class T> ZMLX_FN T quad_shuffle_rotate_up(T x, ushort d) {
  return zmlx_quad::at(x, zmlx_quad::base() + ((zmlx::current_lane() - d) & 3u));
}
template <class T> ZMLX_FN T quad_shuffle_rotate_down(T x, ushort d) {
  return zmlx_quad::at(x, zmlx_quad::base() + ((zmlx::current_lane() + d) & 3u));
}

// Votes.
ZMLX_FN simd_vote simd_ballot(bool p) { return simd_vote(::__ballot_sync(zmlx::active(), p)); }
ZMLX_FN bool simd_any(bool p) { return ::__any_sync(zmlx::active(), p) != 0; }
ZMLX_FN bool simd_all(bool p) { return ::__all_sync(zmlx::active(), p) != 0; }
ZMLX_FN simd_vote simd_active_threads_mask() { return simd_vote(zmlx::active()); }
ZMLX_FN bool simd_is_first() { return uint32_t(::__ffs(int(zmlx::active())) - 1) == zmlx::current_lane(); }
ZMLX_FN bool simd_is_helper_thread() { return false; }
ZMLX_FN quad_vote quad_ballot(bool p) { return quad_vote(::__ballot_sync(zmlx::active(), p) >> zmlx_quad::base() & 15u); }
ZMLX_FN bool quad_any(bool p) { return quad_ballot(p).any(); }
ZMLX_FN bool quad_all(bool p) { return !quad_ballot(!p).any(); }
ZMLX_FN quad_vote quad_active_threads_mask() { return quad_vote(zmlx_quad::mask()); }
ZMLX_FN bool quad_is_first() {
  return uint32_t(::__ffs(int(zmlx_quad::mask())) - 1) == (zmlx::current_lane() & 3u);
}
ZMLX_FN bool quad_is_helper_thread() { return false; }
}  // namespace metal
