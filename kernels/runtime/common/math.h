// The math library of MSL for scalars and vectors: metal::, metal::fast:: and
// metal::precise::, all thin overloads over float cores (zmlx::m_ for the default
// accuracy, zmlx::f_ for the fast one, zmlx::r_ where the relaxed mode has its own). half and bfloat go through float and round once.
#pragma once
#include "vec.h"

namespace zmlx {
template <class T> struct vec_like { static constexpr int n = 0; typedef unalt_t<T> elem; };
template <class T, int N> struct vec_like<metal::vec<T, N>> { static constexpr int n = N; typedef T elem; };
template <class T, int N> struct vec_like<metal::packed_vec<T, N>> { static constexpr int n = N; typedef T elem; };
template <class T> concept vecish = vec_like<T>::n != 0;
// The vector type that a call with these arguments works in: that of its first vector.
template <class... A> struct first_vec {};
template <class A, class... R> struct first_vec<A, R...> : first_vec<R...> {};
template <class A, class... R> requires vecish<A> struct first_vec<A, R...> {
  typedef metal::vec<typename vec_like<A>::elem, vec_like<A>::n> type;
};
template <class... A> using first_vec_t = typename first_vec<A...>::type;
template <class V> using elem_t = typename vec_like<V>::elem;
// Floating-point functions of integers compute in float.
template <class T> using float_of = metal::conditional_t<integer<T>, float, T>;
template <class A, class B> ZMLX_FN auto f_divide(A a, B b) { return a / by() / b; }
}  // namespace zmlx

#define ZMLX_UNARY(name, core)                                                     \
  ZMLX_FN float name(float x) { return zmlx::core(x); }                            \
  ZMLX_FN half name(half x) { return half(zmlx::core(x.zf())); }                   \
  ZMLX_FN bfloat name(bfloat x) { return bfloat(zmlx::core(x.zf())); }             \
  template <class H> ZMLX_FN H name(zmlx::alt_of<H> x) { return name(x.h); }       \
  template <class V> requires zmlx::vecish<V> ZMLX_FN zmlx::first_vec_t<V> name(V a) { \
    typedef zmlx::first_vec_t<V> W;                                                \
    return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>([](auto e) { return name(e); }, W(a)); \
  }
#define ZMLX_BINARY(name, core)                                                    \
  template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)         \
  ZMLX_FN zmlx::float_of<zmlx::common_t<A, B>> name(A a, B b) {                    \
    return zmlx::float_of<zmlx::common_t<A, B>>(zmlx::core(float(a), float(b)));   \
  }                                                                                \
  ZMLX_VEC2(name)
#define ZMLX_TERNARY(name, core)                                                   \
  template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>) \
  ZMLX_FN zmlx::float_of<zmlx::common3_t<A, B, C>> name(A a, B b, C c) {           \
    return zmlx::float_of<zmlx::common3_t<A, B, C>>(zmlx::core(float(a), float(b), float(c))); \
  }                                                                                \
  ZMLX_VEC3(name)
#define ZMLX_VEC2(name)                                                            \
  template <class A, class B> requires(zmlx::vecish<A> || zmlx::vecish<B>)         \
  ZMLX_FN zmlx::first_vec_t<A, B> name(A a, B b) {                                 \
    typedef zmlx::first_vec_t<A, B> W;                                             \
    return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>(                      \
        [](auto e, auto f) { return name(e, f); }, W(a), W(b));                    \
  }
#define ZMLX_VEC3(name)                                                            \
  template <class A, class B, class C> requires(zmlx::vecish<A> || zmlx::vecish<B> || zmlx::vecish<C>) \
  ZMLX_FN zmlx::first_vec_t<A, B, C> name(A a, B b, C c) {                         \
    typedef zmlx::first_vec_t<A, B, C> W;                                          \
    return zmlx::mapn<zmlx::elem_t<W>, zmlx::vec_like<W>::n>(                      \
        [](auto e, auto f, auto g) { return name(e, f, g); }, W(a), W(b), W(c));   \
  }

#define ZMLX_TRANSCENDENTALS(p, t)                                                          \
  ZMLX_UNARY(exp, p##_exp) ZMLX_UNARY(exp2, p##_exp2) ZMLX_UNARY(exp10, p##_exp10)          \
  ZMLX_UNARY(log, p##_log) ZMLX_UNARY(log2, p##_log2) ZMLX_UNARY(log10, p##_log10)          \
  ZMLX_UNARY(sin, t##_sin) ZMLX_UNARY(cos, t##_cos) ZMLX_UNARY(tan, t##_tan)                \
  ZMLX_UNARY(asin, p##_asin) ZMLX_UNARY(acos, p##_acos) ZMLX_UNARY(atan, p##_atan)          \
  ZMLX_UNARY(sinh, p##_sinh) ZMLX_UNARY(cosh, p##_cosh) ZMLX_UNARY(tanh, p##_tanh)          \
  ZMLX_UNARY(asinh, p##_asinh) ZMLX_UNARY(acosh, p##_acosh) ZMLX_UNARY(atanh, p##_atanh)    \
  ZMLX_UNARY(sinpi, p##_sinpi) ZMLX_UNARY(cospi, p##_cospi) ZMLX_UNARY(tanpi, p##_tanpi)    \
  ZMLX_BINARY(pow, p##_pow) ZMLX_BINARY(powr, p##_powr) ZMLX_BINARY(atan2, p##_atan2)       \
  template <class T> ZMLX_FN T sincos(T x, T& c) { T s = (sin)(x); c = (cos)(x); return s; }

// The same text stands in metal, fast and precise. A name in brackets means the own namespace's
// function, where the type of a vector would bring in metal's too.
#define ZMLX_PLAIN_MATH                                                                     \
  ZMLX_UNARY(fabs, m_fabs) ZMLX_UNARY(floor, m_floor) ZMLX_UNARY(ceil, m_ceil)              \
  ZMLX_UNARY(trunc, m_trunc) ZMLX_UNARY(rint, m_rint) ZMLX_UNARY(round, m_round)            \
  ZMLX_UNARY(fract, m_fract) ZMLX_UNARY(sqrt, m_sqrt) ZMLX_UNARY(rsqrt, m_rsqrt)            \
  ZMLX_BINARY(copysign, m_copysign) ZMLX_BINARY(fdim, m_fdim)                               \
  ZMLX_BINARY(fmax, m_fmax) ZMLX_BINARY(fmin, m_fmin) ZMLX_TERNARY(fma, m_fma)              \
  template <class A, class B, class C> ZMLX_FN auto fmax3(A a, B b, C c) { return (fmax)((fmax)(a, b), c); } \
  template <class A, class B, class C> ZMLX_FN auto fmin3(A a, B b, C c) { return (fmin)((fmin)(a, b), c); } \
  template <class A, class B, class C> ZMLX_FN auto fmedian3(A a, B b, C c) {               \
    return (fmax)((fmin)(a, b), (fmin)((fmax)(a, b), c));                                           \
  }                                                                                         \
  template <class T> ZMLX_FN auto frexp(T x, int& e) {                                      \
    return zmlx::float_of<zmlx::unalt_t<T>>(zmlx::m_frexp(float(x), e));                    \
  }                                                                                         \
  template <class T, int N> ZMLX_FN vec<T, N> frexp(vec<T, N> x, vec<int, N>& e) {          \
    vec<T, N> r;                                                                            \
    for (int i = 0; i < N; ++i) r[i] = T(zmlx::m_frexp(float(x[i]), e[i]));                 \
    return r;                                                                               \
  }                                                                                         \
  template <class T, zmlx::integer I> requires zmlx::scalar<T> ZMLX_FN auto ldexp(T x, I n) { \
    return zmlx::float_of<zmlx::unalt_t<T>>(zmlx::m_ldexp(float(x), int(n)));               \
  }                                                                                         \
  template <class T, int N> ZMLX_FN vec<T, N> ldexp(vec<T, N> x, vec<int, N> n) {           \
    vec<T, N> r;                                                                            \
    for (int i = 0; i < N; ++i) r[i] = ldexp(x[i], n[i]);                                   \
    return r;                                                                               \
  }                                                                                         \
  template <class T> requires zmlx::scalar<T> ZMLX_FN int ilogb(T x) { return zmlx::m_ilogb(float(x)); } \
  template <class T, int N> ZMLX_FN vec<int, N> ilogb(vec<T, N> x) {                        \
    return zmlx::mapn<int, N>([](auto e) { return ilogb(e); }, x);                          \
  }                                                                                         \
  template <class T> ZMLX_FN T modf(T x, T& whole) {                                        \
    whole = (trunc)(x);                                                                       \
    return (copysign)(x == whole ? T(0) : T(x - whole), x);                                   \
  }                                                                                         \
  template <class T, int N> ZMLX_FN vec<T, N> modf(vec<T, N> x, vec<T, N>& whole) {         \
    vec<T, N> r;                                                                            \
    for (int i = 0; i < N; ++i) r[i] = modf(x[i], whole[i]);                                \
    return r;                                                                               \
  }

namespace metal {
#if defined(ZMLX_MATH_FAST)
ZMLX_TRANSCENDENTALS(f, f)
ZMLX_BINARY(fmod, f_fmod)
#elif defined(ZMLX_MATH_RELAXED)
ZMLX_TRANSCENDENTALS(m, r)
ZMLX_BINARY(fmod, m_fmod)
#else
ZMLX_TRANSCENDENTALS(m, m)
ZMLX_BINARY(fmod, m_fmod)
#endif
ZMLX_PLAIN_MATH
template <class A, class B> ZMLX_FN auto divide(A a, B b) { return a / zmlx::by() / b; }

// The neighbour must be one of the format's own values.
ZMLX_FN float nextafter(float x, float y) { return zmlx::m_nextafter(x, y); }
template <class T> requires zmlx::small_float<T> ZMLX_FN T nextafter(T x, T y) {
  uint16_t mag = x.zb & 0x7fff;
  uint16_t away = uint16_t(x.zb + ((x < y) == (x.zf() > 0.0f) ? 1 : -1));
  T r = x;
  r.zb = mag == 0 ? uint16_t((y.zb & 0x8000) | 1) : away;
  return x != x || y != y ? x + y : x == y ? y : r;
}
ZMLX_VEC2(nextafter)

namespace fast {
ZMLX_TRANSCENDENTALS(f, f)
ZMLX_BINARY(fmod, f_fmod)
ZMLX_PLAIN_MATH
template <class A, class B> ZMLX_FN auto divide(A a, B b) { return zmlx::f_divide(a, b); }
}  // namespace fast
namespace precise {
ZMLX_TRANSCENDENTALS(m, m)
ZMLX_BINARY(fmod, m_fmod)
ZMLX_PLAIN_MATH
template <class A, class B> ZMLX_FN auto divide(A a, B b) { return a / zmlx::by() / b; }
}  // namespace precise
}  // namespace metal
#undef ZMLX_TRANSCENDENTALS
#undef ZMLX_PLAIN_MATH
