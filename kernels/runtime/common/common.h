// Functions that integers and floats share or that MSL calls common, relational and
// geometric: abs min max clamp select mix step, any all isnan, dot cross length normalize.
#pragma once
#include "math.h"

namespace metal {
template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
ZMLX_FN constexpr zmlx::common_t<A, B> max(A a, B b) {
  typedef zmlx::common_t<A, B> R;
  if constexpr (zmlx::integer<R>) return R(a) < R(b) ? R(b) : R(a);
  else return R(zmlx::m_fmax(float(a), float(b)));
}
template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
ZMLX_FN constexpr zmlx::common_t<A, B> min(A a, B b) {
  typedef zmlx::common_t<A, B> R;
  if constexpr (zmlx::integer<R>) return R(b) < R(a) ? R(b) : R(a);
  else return R(zmlx::m_fmin(float(a), float(b)));
}
ZMLX_VEC2(max)
ZMLX_VEC2(min)
template <class A, class B, class C> ZMLX_FN constexpr auto max3(A a, B b, C c) { return max(max(a, b), c); }
template <class A, class B, class C> ZMLX_FN constexpr auto min3(A a, B b, C c) { return min(min(a, b), c); }
template <class A, class B, class C> ZMLX_FN constexpr auto median3(A a, B b, C c) {
  return max(min(a, b), min(max(a, b), c));
}
template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>)
ZMLX_FN constexpr zmlx::common3_t<A, B, C> clamp(A x, B lo, C hi) {
  return min(max(x, lo), hi);
}
ZMLX_VEC3(clamp)

template <class T> requires zmlx::scalar<T> ZMLX_FN constexpr zmlx::unalt_t<T> abs(T x) {
  typedef zmlx::unalt_t<T> R;
  if constexpr (zmlx::small_float<R>) { R r = x; r.zb &= 0x7fff; return r; }
  else if constexpr (zmlx::native_float<R>) return __builtin_fabsf(float(x));
  else return x < 0 ? R(-x) : R(x);
}
template <class V> requires zmlx::vecish<V> ZMLX_FN constexpr zmlx::first_vec_t<V> abs(V a) {
  typedef zmlx::first_vec_t<V> W;
  return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>([](auto e) { return abs(e); }, W(a));
}

template <class A> requires zmlx::scalar<A> ZMLX_FN zmlx::unalt_t<A> saturate(A x) {
  // NaN saturates to zero.
  typedef zmlx::unalt_t<A> R;
  float f = float(x), r = f > 0.0f ? f : 0.0f;
  return R(r < 1.0f ? r : 1.0f);
}
template <class V> requires zmlx::vecish<V> ZMLX_FN zmlx::first_vec_t<V> saturate(V a) {
  typedef zmlx::first_vec_t<V> W;
  return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>([](auto e) { return saturate(e); }, W(a));
}
template <class A> requires zmlx::scalar<A> ZMLX_FN zmlx::unalt_t<A> sign(A x) {
  typedef zmlx::unalt_t<A> R;
  // By its bits: a chain of conditions keeps a loop from becoming vectors.
  float f = float(x);
  uint32_t one = (f > 0.0f) | (f < 0.0f) ? 0x3f800000u : 0u;
  return R(zmlx::bits<float>((zmlx::bits<uint32_t>(f) & 0x80000000u) | one));
}
template <class V> requires zmlx::vecish<V> ZMLX_FN zmlx::first_vec_t<V> sign(V a) {
  typedef zmlx::first_vec_t<V> W;
  return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>([](auto e) { return sign(e); }, W(a));
}
template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>)
ZMLX_FN auto mix(A x, B y, C a) {
  typedef zmlx::float_of<zmlx::common3_t<A, B, C>> R;
  R u = R(x), v = R(y);
  return R(u + R(v - u) * R(a));
}
ZMLX_VEC3(mix)
template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
ZMLX_FN auto step(A edge, B x) {
  typedef zmlx::float_of<zmlx::common_t<A, B>> R;
  return R(x) < R(edge) ? R(0) : R(1);
}
ZMLX_VEC2(step)
template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>)
ZMLX_FN auto smoothstep(A lo, B hi, C x) {
  typedef zmlx::float_of<zmlx::common3_t<A, B, C>> R;
  R t = saturate(R((R(x) - R(lo)) / (R(hi) - R(lo))));
  return R(t * t * (R(3) - R(2) * t));
}
ZMLX_VEC3(smoothstep)
template <class T> ZMLX_FN auto degrees(T x) { return x * T(57.29577951308232f); }
template <class T> ZMLX_FN auto radians(T x) { return x * T(0.017453292519943295f); }

// Relational functions.
#define ZMLX_TEST(name, core)                                                              \
  template <class T> requires zmlx::scalar<T> ZMLX_FN constexpr bool name(T x) { return zmlx::core(float(x)); } \
  template <class T, int N> ZMLX_FN constexpr vec<bool, N> name(vec<T, N> a) {             \
    return zmlx::map<bool>([](T e) { return name(e); }, a);                                \
  }
#define ZMLX_TESTS                                                                         \
  ZMLX_TEST(isnan, is_nan) ZMLX_TEST(isinf, is_inf) ZMLX_TEST(isfinite, is_finite) ZMLX_TEST(signbit, sign_bit)
ZMLX_TESTS
namespace precise { ZMLX_TESTS }
namespace fast { ZMLX_TESTS }
#undef ZMLX_TESTS
#undef ZMLX_TEST
ZMLX_FN constexpr bool isnormal(float x) { return zmlx::is_normal(x); }
ZMLX_FN constexpr bool isnormal(half x) { return ((x.zb & 0x7fff) - 0x0400u) < 0x7800u; }
ZMLX_FN constexpr bool isnormal(bfloat x) { return ((x.zb & 0x7fff) - 0x0080u) < 0x7f00u; }
template <class T, int N> ZMLX_FN constexpr vec<bool, N> isnormal(vec<T, N> a) {
  return zmlx::map<bool>([](T e) { return isnormal(e); }, a);
}
template <class A, class B> ZMLX_FN constexpr auto isequal(A a, B b) { return a == b; }
template <class A, class B> ZMLX_FN constexpr auto isnotequal(A a, B b) { return a != b; }
template <class A, class B> ZMLX_FN constexpr auto isgreater(A a, B b) { return a > b; }
template <class A, class B> ZMLX_FN constexpr auto isgreaterequal(A a, B b) { return a >= b; }
template <class A, class B> ZMLX_FN constexpr auto isless(A a, B b) { return a < b; }
template <class A, class B> ZMLX_FN constexpr auto islessequal(A a, B b) { return a <= b; }
template <class A, class B> ZMLX_FN constexpr auto islessgreater(A a, B b) { return a < b || a > b; }
template <class A, class B> ZMLX_FN constexpr auto isordered(A a, B b) { return a == a && b == b; }
template <class A, class B> ZMLX_FN constexpr auto isunordered(A a, B b) { return a != a || b != b; }
ZMLX_FN constexpr bool all(bool b) { return b; }
ZMLX_FN constexpr bool any(bool b) { return b; }
ZMLX_FN constexpr bool all(vec<bool, 2> b) { return b.x & b.y; }
ZMLX_FN constexpr bool any(vec<bool, 2> b) { return b.x | b.y; }
ZMLX_FN constexpr bool all(vec<bool, 3> b) { return b.x & b.y & b.z; }
ZMLX_FN constexpr bool any(vec<bool, 3> b) { return b.x | b.y | b.z; }
ZMLX_FN constexpr bool all(vec<bool, 4> b) { return b.x & b.y & b.z & b.w; }
ZMLX_FN constexpr bool any(vec<bool, 4> b) { return b.x | b.y | b.z | b.w; }

template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && !zmlx::vecish<C>)
ZMLX_FN constexpr zmlx::common_t<A, B> select(A a, B b, C c) {
  typedef zmlx::common_t<A, B> R;
#ifndef __CUDACC_RTC__
  // The alternatives of floats on the bits: where a condition decides about much, the compiler makes a jump of it, and no vectors.
  if constexpr (metal::is_same_v<R, float>) {
    const uint32_t m = 0u - uint32_t(bool(c));
    return zmlx::bits<float>((zmlx::bits<uint32_t>(R(b)) & m) | (zmlx::bits<uint32_t>(R(a)) & ~m));
  }
#endif
  return bool(c) ? R(b) : R(a);
}
template <class A, class B, int N> ZMLX_FN constexpr auto select(A a, B b, vec<bool, N> c) {
  typedef zmlx::first_vec_t<A, B, vec<bool, N>> W;
  return zmlx::mapn<zmlx::elem_t<W>, N>([](auto e, auto f, bool g) { return g ? f : e; }, W(a), W(b), c);
}
template <class A, class B> requires(zmlx::vecish<A> || zmlx::vecish<B>)
ZMLX_FN constexpr auto select(A a, B b, bool c) {
  typedef zmlx::first_vec_t<A, B> W;
  return c ? W(b) : W(a);
}

// Geometric functions.
template <class T> ZMLX_FN constexpr T dot(vec<T, 2> a, vec<T, 2> b) { return a.x * b.x + a.y * b.y; }
template <class T> ZMLX_FN constexpr T dot(vec<T, 3> a, vec<T, 3> b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
template <class T> ZMLX_FN constexpr T dot(vec<T, 4> a, vec<T, 4> b) {
  return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
}
template <class T> ZMLX_FN constexpr vec<T, 3> cross(vec<T, 3> a, vec<T, 3> b) {
  return vec<T, 3>(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}
#define ZMLX_GEOMETRY                                                                                     \
  template <class T, int N> ZMLX_FN T length(vec<T, N> a) { return (sqrt)(dot(a, a)); }                    \
  template <class T, int N> ZMLX_FN T distance(vec<T, N> a, vec<T, N> b) { return (length)(a - b); }       \
  template <class T, int N> ZMLX_FN vec<T, N> normalize(vec<T, N> a) { return a * (rsqrt)(dot(a, a)); }
ZMLX_GEOMETRY
namespace fast { ZMLX_GEOMETRY }
namespace precise { ZMLX_GEOMETRY }
#undef ZMLX_GEOMETRY
template <class T, int N> ZMLX_FN T length_squared(vec<T, N> a) { return dot(a, a); }
template <class T, int N> ZMLX_FN T distance_squared(vec<T, N> a, vec<T, N> b) { return dot(a - b, a - b); }
template <class T, int N> ZMLX_FN vec<T, N> reflect(vec<T, N> i, vec<T, N> n) { return i - T(2) * dot(n, i) * n; }
template <class T, int N, class E> ZMLX_FN vec<T, N> refract(vec<T, N> i, vec<T, N> n, E e) {
  T eta = T(e), d = dot(n, i), k = T(1) - eta * eta * (T(1) - d * d);
  return k < T(0) ? vec<T, N>(T(0)) : vec<T, N>(eta * i - (eta * d + sqrt(k)) * n);
}
template <class T, int N> ZMLX_FN vec<T, N> faceforward(vec<T, N> n, vec<T, N> i, vec<T, N> ref) {
  return dot(ref, i) < T(0) ? n : -n;
}
#define ZMLX_FROM_MAIN using metal::max; using metal::min; using metal::clamp; using metal::abs;          \
  using metal::saturate; using metal::mix; using metal::step; using metal::smoothstep; using metal::sign; \
  using metal::max3; using metal::min3; using metal::median3; using metal::isnormal; using metal::select; \
  using metal::dot; using metal::nextafter;
namespace fast { ZMLX_FROM_MAIN }
namespace precise { ZMLX_FROM_MAIN }
#undef ZMLX_FROM_MAIN

}  // namespace metal

// Reinterprets a value as another type of the same width.
template <class To, class From> ZMLX_INLINE constexpr To as_type(From x) {
  static_assert(sizeof(To) == sizeof(From), "as_type needs types of one size");
  if constexpr (requires { x.zb; }) x.zb = zmlx::only_bits(x.zb);
  return __builtin_bit_cast(To, x);
}
