// Integer functions of MSL. Results wrap in the argument's own type, as on the GPU; wider
// intermediate types keep every one of them free of undefined shifts and overflows.
#pragma once
#include "common.h"

namespace zmlx {
template <int N> struct sized;
template <> struct sized<1> { typedef int16_t s; typedef uint16_t u; };
template <> struct sized<2> { typedef int32_t s; typedef uint32_t u; };
template <> struct sized<4> { typedef int64_t s; typedef uint64_t u; };
template <> struct sized<8> { typedef __int128 s; typedef unsigned __int128 u; };
// A type twice as wide and of the same signedness.
template <class T> using twice = metal::conditional_t<metal::is_signed_v<T>, typename sized<sizeof(T)>::s, typename sized<sizeof(T)>::u>;
template <class T> using uns = metal::make_unsigned_t<T>;
template <class T> inline constexpr int width = 8 * int(sizeof(T));
template <class T> concept int_like = metal::is_integral_v<T>;
template <class T> ZMLX_FN constexpr T clamp_to(twice<T> x) {
  constexpr twice<T> lo = metal::numeric_limits<T>::min(), hi = metal::numeric_limits<T>::max();
  return T(x < lo ? lo : x > hi ? hi : x);
}
}  // namespace zmlx

#define ZMLX_INT1(name, R, expr)                                                             \
  template <zmlx::int_like T> ZMLX_FN constexpr R name(T x) { return R(expr); }              \
  template <zmlx::int_like T, int N> ZMLX_FN constexpr auto name(vec<T, N> x) {              \
    return zmlx::mapn<decltype(name(T())), N>([](T e) { return name(e); }, x);               \
  }
#define ZMLX_INT2(name, R, expr)                                                             \
  template <zmlx::int_like A, zmlx::int_like B> ZMLX_FN constexpr auto name(A p, B q) {      \
    typedef zmlx::common_t<A, B> T;                                                          \
    T x = T(p), y = T(q);                                                                    \
    return R(expr);                                                                          \
  }                                                                                          \
  template <zmlx::int_like T, int N> ZMLX_FN constexpr auto name(vec<T, N> x, vec<T, N> y) { \
    return zmlx::mapn<decltype(name(T(), T())), N>([](T e, T f) { return name(e, f); }, x, y); \
  }

namespace metal {
ZMLX_INT1(popcount, T, __builtin_popcountll(zmlx::uns<T>(x)))
ZMLX_INT1(clz, T, x == 0 ? zmlx::width<T> : __builtin_clzll(zmlx::uns<T>(x)) - (64 - zmlx::width<T>))
ZMLX_INT1(ctz, T, x == 0 ? zmlx::width<T> : __builtin_ctzll(zmlx::uns<T>(x)))
ZMLX_INT2(absdiff, zmlx::uns<T>, x < y ? zmlx::uns<T>(y) - zmlx::uns<T>(x) : zmlx::uns<T>(x) - zmlx::uns<T>(y))
ZMLX_INT2(addsat, T, zmlx::clamp_to<T>(zmlx::twice<T>(x) + zmlx::twice<T>(y)))
ZMLX_INT2(subsat, T, metal::is_signed_v<T> ? zmlx::clamp_to<T>(zmlx::twice<T>(x) - zmlx::twice<T>(y)) : x < y ? T(0) : T(x - y))
ZMLX_INT2(hadd, T, (zmlx::twice<T>(x) + zmlx::twice<T>(y)) >> 1)
ZMLX_INT2(rhadd, T, (zmlx::twice<T>(x) + zmlx::twice<T>(y) + 1) >> 1)
ZMLX_INT2(mulhi, T, (zmlx::twice<T>(x) * zmlx::twice<T>(y)) >> zmlx::width<T>)
ZMLX_INT2(rotate, T, (zmlx::uns<T>(x) << (zmlx::uns<T>(y) & (zmlx::width<T> - 1))) |
                     (zmlx::uns<T>(x) >> ((zmlx::width<T> - (zmlx::uns<T>(y) & (zmlx::width<T> - 1))) & (zmlx::width<T> - 1))))
template <zmlx::int_like T> ZMLX_FN constexpr T reverse_bits(T x) {
  uint64_t u = zmlx::uns<T>(x);
  u = (u >> 1 & 0x5555555555555555ull) | (u & 0x5555555555555555ull) << 1;
  u = (u >> 2 & 0x3333333333333333ull) | (u & 0x3333333333333333ull) << 2;
  u = (u >> 4 & 0x0f0f0f0f0f0f0f0full) | (u & 0x0f0f0f0f0f0f0f0full) << 4;
  return T(__builtin_bswap64(u) >> (64 - zmlx::width<T>));
}
template <zmlx::int_like T, int N> ZMLX_FN constexpr vec<T, N> reverse_bits(vec<T, N> x) {
  return zmlx::mapn<T, N>([](T e) { return reverse_bits(e); }, x);
}
// Only the low 24 bits of the factors count; Metal leaves the rest undefined.
template <zmlx::int_like A, zmlx::int_like B> ZMLX_FN constexpr auto mul24(A a, B b) {
  typedef zmlx::common_t<A, B> T;
  if constexpr (is_signed_v<T>) return T(T(uint(a) << 8) >> 8) * T(T(uint(b) << 8) >> 8);
  else return T((T(a) & 0xffffffu) * (T(b) & 0xffffffu));
}
template <class A, class B, class C> ZMLX_FN constexpr auto mad24(A a, B b, C c) { return mul24(a, b) + c; }
template <class A, class B, class C> ZMLX_FN constexpr auto madhi(A a, B b, C c) { return mulhi(a, b) + c; }
template <zmlx::int_like T> ZMLX_FN constexpr T madsat(T a, T b, T c) {
  return zmlx::clamp_to<T>(zmlx::twice<T>(a) * zmlx::twice<T>(b) + zmlx::twice<T>(c));
}
template <zmlx::int_like T> ZMLX_FN constexpr T extract_bits(T x, uint offset, uint count) {
  if (count == 0) return T(0);
  int up = zmlx::width<T> - int(offset + count);
  return T(T(zmlx::uns<T>(x) << up) >> (zmlx::width<T> - int(count)));
}
template <zmlx::int_like T> ZMLX_FN constexpr T insert_bits(T base, T insert, uint offset, uint count) {
  typedef zmlx::uns<T> U;
  U field = U((count >= uint(zmlx::width<T>) ? U(~U(0)) : U((U(1) << count) - 1)) << offset);
  return T((U(base) & ~field) | (U(U(insert) << offset) & field));
}
template <zmlx::int_like T, int N> ZMLX_FN constexpr vec<T, N> extract_bits(vec<T, N> x, uint o, uint c) {
  return zmlx::mapn<T, N>([o, c](T e) { return extract_bits(e, o, c); }, x);
}
template <zmlx::int_like T, int N> ZMLX_FN constexpr vec<T, N> insert_bits(vec<T, N> x, vec<T, N> y, uint o, uint c) {
  return zmlx::mapn<T, N>([o, c](T e, T f) { return insert_bits(e, f, o, c); }, x, y);
}
}  // namespace metal
#undef ZMLX_INT1
#undef ZMLX_INT2
