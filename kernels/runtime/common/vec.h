// MSL vectors. A vector is its elements, with x y z w and r g b a naming them and operators
// as hidden friends, so a scalar on either side converts to the vector's element type as in
// MSL. Elements are aligned as scalars, not as the whole vector: kernels reinterpret buffers
// at offsets that the compiler could otherwise fault on. Three-element vectors take four.
#pragma once
#include "division.h"
#include "float16.h"

namespace metal {
template <class T, int N> struct vec;
template <class T, int N> struct packed_vec;
}  // namespace metal

namespace zmlx {
template <class T> inline constexpr int vec_size = 0;
template <class T, int N> inline constexpr int vec_size<metal::vec<T, N>> = N;
template <class T> concept vector = vec_size<T> != 0;
template <class V, class T, int... I> struct swizzle_ref;
}  // namespace zmlx

#define ZMLX_OP2(V, op) V(T(a.x op b.x), T(a.y op b.y))
#define ZMLX_OP3(V, op) V(T(a.x op b.x), T(a.y op b.y), T(a.z op b.z))
#define ZMLX_OP4(V, op) V(T(a.x op b.x), T(a.y op b.y), T(a.z op b.z), T(a.w op b.w))
#define ZMLX_DIV2(V, op) V(T(a.x op zmlx::by() op b.x), T(a.y op zmlx::by() op b.y))
#define ZMLX_DIV3(V, op) V(T(a.x op zmlx::by() op b.x), T(a.y op zmlx::by() op b.y), T(a.z op zmlx::by() op b.z))
#define ZMLX_DIV4(V, op) \
  V(T(a.x op zmlx::by() op b.x), T(a.y op zmlx::by() op b.y), T(a.z op zmlx::by() op b.z), T(a.w op zmlx::by() op b.w))
#define ZMLX_CMP2(op) vec<bool, 2>(a.x op b.x, a.y op b.y)
#define ZMLX_CMP3(op) vec<bool, 3>(a.x op b.x, a.y op b.y, a.z op b.z)
#define ZMLX_CMP4(op) vec<bool, 4>(a.x op b.x, a.y op b.y, a.z op b.z, a.w op b.w)
#define ZMLX_UN2(op) vec(T(op a.x), T(op a.y))
#define ZMLX_UN3(op) vec(T(op a.x), T(op a.y), T(op a.z))
#define ZMLX_UN4(op) vec(T(op a.x), T(op a.y), T(op a.z), T(op a.w))

#define ZMLX_VEC_ARITH(N, op, how)                                                          \
  friend ZMLX_INLINE constexpr vec operator op(vec a, vec b) { return how##N(vec, op); }     \
  ZMLX_INLINE constexpr vec& operator op##=(vec b) { return *this = *this op b; }
#define ZMLX_VEC_CMP(N, op) \
  friend ZMLX_INLINE constexpr vec<bool, N> operator op(vec a, vec b) { return ZMLX_CMP##N(op); }
#define ZMLX_VEC_UN(N, op) \
  friend ZMLX_INLINE constexpr vec operator op(vec a) { return ZMLX_UN##N(op); }

#define ZMLX_VEC_COMMON(N)                                                                     \
  typedef T value_type;                                                                        \
  static constexpr int size() { return N; }                                                    \
  vec() = default;                                                                             \
  template <class U> requires zmlx::integer<U>                                                 \
  ZMLX_INLINE constexpr T& operator[](U i) { return zv[i]; }                                   \
  template <class U> requires zmlx::integer<U>                                                 \
  ZMLX_INLINE constexpr const T& operator[](U i) const { return zv[i]; }                       \
  template <int... I> requires(sizeof...(I) > 1)                                               \
  ZMLX_INLINE constexpr vec<T, int(sizeof...(I))> zmlx_get() const {                           \
    return vec<T, int(sizeof...(I))>(this->template zmlx_at<I>()...);                          \
  }                                                                                            \
  template <int I> requires true                                                               \
  ZMLX_INLINE constexpr T zmlx_get() const { return this->template zmlx_at<I>(); }             \
  template <int... I> ZMLX_INLINE constexpr zmlx::swizzle_ref<vec, T, I...> zmlx_set() {       \
    return zmlx::swizzle_ref<vec, T, I...>{*this};                                             \
  }                                                                                            \
  template <int I> ZMLX_INLINE constexpr const T& zmlx_at() const {                            \
    static_assert(I < N, "the vector has no such component");                                  \
    if constexpr (I == 0) return x;                                                            \
    else if constexpr (I == 1) return y;                                                       \
    else return zmlx_tail<I>();                                                                \
  }                                                                                            \
  ZMLX_VEC_ARITH(N, +, ZMLX_OP) ZMLX_VEC_ARITH(N, -, ZMLX_OP) ZMLX_VEC_ARITH(N, *, ZMLX_OP)     \
  ZMLX_VEC_ARITH(N, /, ZMLX_DIV) ZMLX_VEC_ARITH(N, %, ZMLX_DIV) ZMLX_VEC_ARITH(N, &, ZMLX_OP)   \
  ZMLX_VEC_ARITH(N, |, ZMLX_OP) ZMLX_VEC_ARITH(N, ^, ZMLX_OP)                                  \
  ZMLX_VEC_ARITH(N, <<, ZMLX_OP) ZMLX_VEC_ARITH(N, >>, ZMLX_OP)                                \
  ZMLX_VEC_CMP(N, ==) ZMLX_VEC_CMP(N, !=) ZMLX_VEC_CMP(N, <) ZMLX_VEC_CMP(N, >)                \
  ZMLX_VEC_CMP(N, <=) ZMLX_VEC_CMP(N, >=) ZMLX_VEC_CMP(N, &&) ZMLX_VEC_CMP(N, ||)              \
  ZMLX_VEC_UN(N, +) ZMLX_VEC_UN(N, -) ZMLX_VEC_UN(N, ~)                                        \
  ZMLX_INLINE constexpr vec& operator++() { return *this += vec(T(1)); }                       \
  ZMLX_INLINE constexpr vec& operator--() { return *this -= vec(T(1)); }                       \
  ZMLX_INLINE constexpr vec operator++(int) { vec r = *this; ++*this; return r; }              \
  ZMLX_INLINE constexpr vec operator--(int) { vec r = *this; --*this; return r; }

namespace metal {
template <class T> struct vec<T, 2> {
  union {
    struct { T x, y; };
    struct { T r, g; };
    T zv[2];
  };
  template <class A> requires zmlx::scalar<A>
  ZMLX_INLINE constexpr vec(A s) : x(T(s)), y(T(s)) {}
  template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
  ZMLX_INLINE constexpr vec(A a, B b) : x(T(a)), y(T(b)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(vec<U, 2> v) : x(T(v.x)), y(T(v.y)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(packed_vec<U, 2> v) : x(T(v.x)), y(T(v.y)) {}
  friend ZMLX_INLINE constexpr vec<bool, 2> operator!(vec a) { return vec<bool, 2>(!a.x, !a.y); }
  ZMLX_VEC_COMMON(2)
  template <int I> ZMLX_INLINE constexpr const T& zmlx_tail() const { return y; }
};

template <class T> struct vec<T, 3> {
  union {
    struct { T x, y, z; };
    struct { T r, g, b; };
    T zv[4];
  };
  template <class A> requires zmlx::scalar<A>
  ZMLX_INLINE constexpr vec(A s) : x(T(s)), y(T(s)), z(T(s)) {}
  template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>)
  ZMLX_INLINE constexpr vec(A a, B b, C c) : x(T(a)), y(T(b)), z(T(c)) {}
  // `{a, b}`, as in a list of which the rest is zero.
  template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
  ZMLX_INLINE constexpr vec(A a, B b) : x(T(a)), y(T(b)), z(T(0)) {}
  template <class U, class C> requires zmlx::scalar<C>
  ZMLX_INLINE constexpr vec(vec<U, 2> v, C c) : x(T(v.x)), y(T(v.y)), z(T(c)) {}
  template <class U, class A> requires zmlx::scalar<A>
  ZMLX_INLINE constexpr vec(A a, vec<U, 2> v) : x(T(a)), y(T(v.x)), z(T(v.y)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(vec<U, 3> v) : x(T(v.x)), y(T(v.y)), z(T(v.z)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(packed_vec<U, 3> v) : x(T(v.x)), y(T(v.y)), z(T(v.z)) {}
  friend ZMLX_INLINE constexpr vec<bool, 3> operator!(vec a) { return vec<bool, 3>(!a.x, !a.y, !a.z); }
  ZMLX_VEC_COMMON(3)
  template <int I> ZMLX_INLINE constexpr const T& zmlx_tail() const { return z; }
};

template <class T> struct vec<T, 4> {
  union {
    struct { T x, y, z, w; };
    struct { T r, g, b, a; };
    T zv[4];
  };
  template <class A> requires zmlx::scalar<A>
  ZMLX_INLINE constexpr vec(A s) : x(T(s)), y(T(s)), z(T(s)), w(T(s)) {}
  template <class A, class B, class C, class D>
    requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C> && zmlx::scalar<D>)
  ZMLX_INLINE constexpr vec(A a, B b, C c, D d) : x(T(a)), y(T(b)), z(T(c)), w(T(d)) {}
  template <class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
  ZMLX_INLINE constexpr vec(A a, B b) : x(T(a)), y(T(b)), z(T(0)), w(T(0)) {}
  template <class A, class B, class C> requires(zmlx::scalar<A> && zmlx::scalar<B> && zmlx::scalar<C>)
  ZMLX_INLINE constexpr vec(A a, B b, C c) : x(T(a)), y(T(b)), z(T(c)), w(T(0)) {}
  template <class U, class C, class D> requires(zmlx::scalar<C> && zmlx::scalar<D>)
  ZMLX_INLINE constexpr vec(vec<U, 2> v, C c, D d) : x(T(v.x)), y(T(v.y)), z(T(c)), w(T(d)) {}
  template <class U, class A, class D> requires(zmlx::scalar<A> && zmlx::scalar<D>)
  ZMLX_INLINE constexpr vec(A a, vec<U, 2> v, D d) : x(T(a)), y(T(v.x)), z(T(v.y)), w(T(d)) {}
  template <class U, class A, class B> requires(zmlx::scalar<A> && zmlx::scalar<B>)
  ZMLX_INLINE constexpr vec(A a, B b, vec<U, 2> v) : x(T(a)), y(T(b)), z(T(v.x)), w(T(v.y)) {}
  template <class U, class V> ZMLX_INLINE constexpr vec(vec<U, 2> u, vec<V, 2> v)
      : x(T(u.x)), y(T(u.y)), z(T(v.x)), w(T(v.y)) {}
  template <class U, class D> requires zmlx::scalar<D>
  ZMLX_INLINE constexpr vec(vec<U, 3> v, D d) : x(T(v.x)), y(T(v.y)), z(T(v.z)), w(T(d)) {}
  template <class U, class A> requires zmlx::scalar<A>
  ZMLX_INLINE constexpr vec(A a, vec<U, 3> v) : x(T(a)), y(T(v.x)), z(T(v.y)), w(T(v.z)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(vec<U, 4> v)
      : x(T(v.x)), y(T(v.y)), z(T(v.z)), w(T(v.w)) {}
  template <class U> ZMLX_INLINE constexpr explicit vec(packed_vec<U, 4> v) : x(T(v.x)), y(T(v.y)), z(T(v.z)), w(T(v.w)) {}
  friend ZMLX_INLINE constexpr vec<bool, 4> operator!(vec a) { return vec<bool, 4>(!a.x, !a.y, !a.z, !a.w); }
  ZMLX_VEC_COMMON(4)
  template <int I> ZMLX_INLINE constexpr const T& zmlx_tail() const {
    if constexpr (I == 2) return z;
    else return w;
  }
};

#define ZMLX_VECTORS(T) \
  typedef vec<T, 2> T##2; typedef vec<T, 3> T##3; typedef vec<T, 4> T##4;
ZMLX_VECTORS(bool) ZMLX_VECTORS(char) ZMLX_VECTORS(uchar) ZMLX_VECTORS(short) ZMLX_VECTORS(ushort)
ZMLX_VECTORS(int) ZMLX_VECTORS(uint) ZMLX_VECTORS(long) ZMLX_VECTORS(ulong)
ZMLX_VECTORS(half) ZMLX_VECTORS(bfloat) ZMLX_VECTORS(float)
#undef ZMLX_VECTORS
}  // namespace metal

namespace zmlx {
// What `v.xz` is on the left of an assignment: writes go to the named components.
template <class V, class T, int... I> struct swizzle_ref {
  V& v;
  static constexpr int K = sizeof...(I);
  typedef metal::conditional_t<K == 1, T, metal::vec<T, K == 1 ? 2 : K>> value;
  ZMLX_INLINE constexpr operator value() const { return v.template zmlx_get<I...>(); }
  ZMLX_INLINE constexpr const swizzle_ref& operator=(value s) const {
    if constexpr (K == 1) ((v.zv[I] = s), ...);
    else { int k = 0; ((v.zv[I] = s.zv[k++]), ...); }
    return *this;
  }
  ZMLX_INLINE constexpr const swizzle_ref& operator=(const swizzle_ref& o) const { return *this = value(o); }
#define ZMLX_SWIZZLE_OP(op) \
  ZMLX_INLINE constexpr const swizzle_ref& operator op##=(value s) const { return *this = value(*this) op s; }
  ZMLX_SWIZZLE_OP(+) ZMLX_SWIZZLE_OP(-) ZMLX_SWIZZLE_OP(*) ZMLX_SWIZZLE_OP(/) ZMLX_SWIZZLE_OP(%)
  ZMLX_SWIZZLE_OP(&) ZMLX_SWIZZLE_OP(|) ZMLX_SWIZZLE_OP(^) ZMLX_SWIZZLE_OP(<<) ZMLX_SWIZZLE_OP(>>)
#undef ZMLX_SWIZZLE_OP
};

// Element-wise maps, the way all math functions reach vectors.
template <class R, class F, class T> ZMLX_FN constexpr metal::vec<R, 2> map(F f, metal::vec<T, 2> a) {
  return metal::vec<R, 2>(f(a.x), f(a.y));
}
template <class R, class F, class T> ZMLX_FN constexpr metal::vec<R, 3> map(F f, metal::vec<T, 3> a) {
  return metal::vec<R, 3>(f(a.x), f(a.y), f(a.z));
}
template <class R, class F, class T> ZMLX_FN constexpr metal::vec<R, 4> map(F f, metal::vec<T, 4> a) {
  return metal::vec<R, 4>(f(a.x), f(a.y), f(a.z), f(a.w));
}
template <class R, int N, class F, class... V> ZMLX_FN constexpr metal::vec<R, N> mapn(F f, V... a) {
  if constexpr (N == 2) return metal::vec<R, 2>(f(a.x...), f(a.y...));
  else if constexpr (N == 3) return metal::vec<R, 3>(f(a.x...), f(a.y...), f(a.z...));
  else return metal::vec<R, 4>(f(a.x...), f(a.y...), f(a.z...), f(a.w...));
}
}  // namespace zmlx

#undef ZMLX_VEC_COMMON
#undef ZMLX_VEC_ARITH
#undef ZMLX_VEC_CMP
#undef ZMLX_VEC_UN
#undef ZMLX_OP2
#undef ZMLX_OP3
#undef ZMLX_OP4
#undef ZMLX_DIV2
#undef ZMLX_DIV3
#undef ZMLX_DIV4
#undef ZMLX_CMP2
#undef ZMLX_CMP3
#undef ZMLX_CMP4
#undef ZMLX_UN2
#undef ZMLX_UN3
#undef ZMLX_UN4
