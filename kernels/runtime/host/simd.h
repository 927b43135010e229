// Simdgroup and quadgroup functions. Lanes that do not take part in an operation contribute
// nothing, and a shuffle from one of them, or from beyond the group, leaves the caller its
// own value, as Metal documents for the shifting shuffles. The line of the call tells
// operations apart when lanes of one simdgroup wait in different branches.
#pragma once
#include "../common/lanes.h"
#include "sync.h"

#ifdef ZMLX_SIMD_SITES
#define ZMLX_SITE uint32_t site = __builtin_LINE()
#else
#define ZMLX_SITE uint32_t site = 0
#endif

namespace zmlx {
// Folds the 32 lanes in halves, which is exact for integers and, for floats, the pairwise
// order that a GPU's butterfly gives.
template <class T, class F> ZMLX_FN T fold(const lanes<T>& l, T identity, F f) {
  typedef typename wide<T>::type W;
#if defined(ZMLX_MODE_SYNC)
  return l.once([&] {
    T raw[32];
    W v[16];
    l.all(raw, identity);
    for (uint32_t i = 0; i < 16; ++i) v[i] = f(W(raw[i]), W(raw[i + 16]));
    for (uint32_t i = 0; i < 8; ++i) v[i] = f(v[i], v[i + 8]);
    for (uint32_t i = 0; i < 4; ++i) v[i] = f(v[i], v[i + 4]);
    for (uint32_t i = 0; i < 2; ++i) v[i] = f(v[i], v[i + 2]);
    return T(f(v[0], v[1]));
  });
#else
  return l.at(0);
#endif
}
template <bool inclusive, class T, class F> ZMLX_FN T scan(const lanes<T>& l, T identity, F f) {
  typename wide<T>::type r = identity;
  for (uint32_t i = 0; i < l.me + (inclusive ? 1 : 0); ++i)
    if (l.has(i)) r = f(r, typename wide<T>::type(l.at(i)));
  return T(r);
}
template <class T> ZMLX_FN T quad_fold_values(const lanes<T>& l, T identity, T (&v)[4]) {
  for (uint32_t i = 0; i < 4; ++i) v[i] = l.at_or((l.me & ~3u) + i, identity);
  return identity;
}
}  // namespace zmlx

namespace metal {
#define ZMLX_REDUCE(name, id, expr)                                                              \
  template <class T> ZMLX_FN T simd_##name(T x, ZMLX_SITE) {                                     \
    return zmlx::fold(zmlx::lanes<T>(x, site), id, [](auto a, auto b) { return decltype(a)(expr); }); \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_##name(T x, ZMLX_SITE) {                                     \
    zmlx::lanes<T> l(x, site);                                                                   \
    T v[4];                                                                                      \
    zmlx::quad_fold_values(l, id, v);                                                            \
    auto f = [](auto a, auto b) { return decltype(a)(expr); };                                   \
    return f(f(v[0], v[2]), f(v[1], v[3]));                                                      \
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
  template <class T> ZMLX_FN T simd_prefix_inclusive_##name(T x, ZMLX_SITE) {                    \
    return zmlx::scan<true>(zmlx::lanes<T>(x, site), id, [](auto a, auto b) { return decltype(a)(expr); }); \
  }                                                                                              \
  template <class T> ZMLX_FN T simd_prefix_exclusive_##name(T x, ZMLX_SITE) {                    \
    return zmlx::scan<false>(zmlx::lanes<T>(x, site), id, [](auto a, auto b) { return decltype(a)(expr); }); \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_prefix_inclusive_##name(T x, ZMLX_SITE) {                    \
    zmlx::lanes<T> l(x, site);                                                                   \
    T a = id;                                                                                    \
    for (uint32_t i = l.me & ~3u; i <= l.me; ++i) if (l.has(i)) { T b = l.at(i); a = T(expr); }  \
    return a;                                                                                    \
  }                                                                                              \
  template <class T> ZMLX_FN T quad_prefix_exclusive_##name(T x, ZMLX_SITE) {                    \
    zmlx::lanes<T> l(x, site);                                                                   \
    T a = id;                                                                                    \
    for (uint32_t i = l.me & ~3u; i < l.me; ++i) if (l.has(i)) { T b = l.at(i); a = T(expr); }   \
    return a;                                                                                    \
  }
ZMLX_SCAN(sum, T(0), a + b)
ZMLX_SCAN(product, T(1), a* b)
#undef ZMLX_SCAN

// Data movement. `lane` below is computed by the caller's own lane, group by group.
template <class T> ZMLX_FN T simd_broadcast(T x, ushort lane, ZMLX_SITE) { return zmlx::lanes<T>(x, site).at_or(lane, x); }
template <class T> ZMLX_FN T simd_shuffle(T x, ushort lane, ZMLX_SITE) { return zmlx::lanes<T>(x, site).at_or(lane, x); }
template <class T> ZMLX_FN T simd_broadcast_first(T x, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at(uint32_t(__builtin_ctz(l.mask)));
}
template <class T> ZMLX_FN T simd_shuffle_xor(T x, ushort m, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or(l.me ^ m, x);
}
template <class T> ZMLX_FN T simd_shuffle_up(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or(l.me - d, x);
}
template <class T> ZMLX_FN T simd_shuffle_down(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or(l.me + d, x);
}
template <class T> ZMLX_FN T simd_shuffle_rotate_up(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or((l.me - d) & 31u, x);
}
template <class T> ZMLX_FN T simd_shuffle_rotate_down(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or((l.me + d) & 31u, x);
}
// Shifts within rows of `modulo` lanes; what comes from outside the row is taken from the
// neighbouring row's place in `fill`: a pair of rows seen as one longer one.
template <class T, class U> ZMLX_FN T simd_shuffle_and_fill_up(T x, U fill, ushort d, ushort modulo = 32, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site), f(T(fill), site);
  uint32_t m = modulo ? modulo : 32u, row = l.me / m * m, at = l.me - row;
  return at >= d ? l.at_or(row + at - d, x) : f.at_or(row + (at + m - d % m) % m, T(fill));
}
template <class T, class U> ZMLX_FN T simd_shuffle_and_fill_down(T x, U fill, ushort d, ushort modulo = 32, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site), f(T(fill), site);
  uint32_t m = modulo ? modulo : 32u, row = l.me / m * m, at = l.me - row;
  return at + d < m ? l.at_or(row + at + d, x) : f.at_or(row + (at + d) % m, T(fill));
}

template <class T> ZMLX_FN T quad_broadcast(T x, ushort lane, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return lane < 4 ? l.at_or((l.me & ~3u) + lane, x) : x;
}
template <class T> ZMLX_FN T quad_shuffle(T x, ushort lane, ZMLX_SITE) { return quad_broadcast(x, lane, site); }
template <class T> ZMLX_FN T quad_broadcast_first(T x, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at((l.me & ~3u) + uint32_t(__builtin_ctz(l.mask >> (l.me & ~3u) & 15u)));
}
template <class T> ZMLX_FN T quad_shuffle_xor(T x, ushort m, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return m < 4 ? l.at_or(l.me ^ m, x) : x;
}
template <class T> ZMLX_FN T quad_shuffle_up(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return (l.me & 3u) >= d ? l.at_or(l.me - d, x) : x;
}
template <class T> ZMLX_FN T quad_shuffle_down(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return (l.me & 3u) + d < 4u ? l.at_or(l.me + d, x) : x;
}
template <class T> ZMLX_FN T quad_shuffle_rotate_up(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or((l.me & ~3u) + ((l.me - d) & 3u), x);
}
template <class T> ZMLX_FN T quad_shuffle_rotate_down(T x, ushort d, ZMLX_SITE) {
  zmlx::lanes<T> l(x, site);
  return l.at_or((l.me & ~3u) + ((l.me + d) & 3u), x);
}

ZMLX_FN uint32_t zmlx_ballot(const zmlx::lanes<uint32_t>& l) {
  return zmlx::fold(l, 0u, [](uint32_t a, uint32_t b) { return a | b; });
}
ZMLX_FN uint32_t zmlx_own_bit(bool p) { return uint32_t(p) << zmlx::current_lane(); }
ZMLX_FN simd_vote simd_ballot(bool p, ZMLX_SITE) {
  return simd_vote(zmlx_ballot(zmlx::lanes<uint32_t>(zmlx_own_bit(p), site)));
}
ZMLX_FN bool simd_any(bool p, ZMLX_SITE) { return zmlx_ballot(zmlx::lanes<uint32_t>(zmlx_own_bit(p), site)) != 0; }
ZMLX_FN bool simd_all(bool p, ZMLX_SITE) { return zmlx_ballot(zmlx::lanes<uint32_t>(zmlx_own_bit(!p), site)) == 0; }
ZMLX_FN simd_vote simd_active_threads_mask(ZMLX_SITE) { return simd_vote(zmlx::lanes<uint32_t>(0u, site).mask); }
ZMLX_FN bool simd_is_first(ZMLX_SITE) {
  zmlx::lanes<uint32_t> l(0u, site);
  return uint32_t(__builtin_ctz(l.mask)) == l.me;
}
ZMLX_FN bool simd_is_helper_thread() { return false; }
ZMLX_FN quad_vote quad_ballot(bool p, ZMLX_SITE) {
  zmlx::lanes<uint32_t> l(p, site);
  uint32_t r = 0;
  for (uint32_t i = 0; i < 4; ++i) r |= (l.at_or((l.me & ~3u) + i, 0u) ? 1u : 0u) << i;
  return quad_vote(r);
}
ZMLX_FN bool quad_any(bool p, ZMLX_SITE) { return quad_ballot(p, site).any(); }
ZMLX_FN bool quad_all(bool p, ZMLX_SITE) { return !quad_ballot(!p, site).any(); }
ZMLX_FN quad_vote quad_active_threads_mask(ZMLX_SITE) {
  zmlx::lanes<uint32_t> l(0u, site);
  return quad_vote(l.mask >> (l.me & ~3u) & 15u);
}
ZMLX_FN bool quad_is_first(ZMLX_SITE) {
  zmlx::lanes<uint32_t> l(0u, site);
  return (l.me & 3u) == uint32_t(__builtin_ctz(l.mask >> (l.me & ~3u) & 15u));
}
ZMLX_FN bool quad_is_helper_thread() { return false; }
}  // namespace metal
