// Packed vectors: the same components without padding, as they lie in buffers. They turn
// into the ordinary vector for every operation and take one back.
#pragma once
#include "vec.h"

#define ZMLX_PACKED_OP(op)                                                                          \
  friend ZMLX_INLINE constexpr V operator op(packed_vec a, V b) { return V(a) op b; }               \
  template <class S> requires zmlx::scalar<S>                                                       \
  friend ZMLX_INLINE constexpr V operator op(S a, packed_vec b) { return V(a) op V(b); }            \
  ZMLX_INLINE constexpr packed_vec& operator op##=(V b) { return *this = packed_vec(V(*this) op b); }
#define ZMLX_PACKED_CMP(op)                                                                         \
  friend ZMLX_INLINE constexpr auto operator op(packed_vec a, V b) { return V(a) op b; }            \
  template <class S> requires zmlx::scalar<S>                                                       \
  friend ZMLX_INLINE constexpr auto operator op(S a, packed_vec b) { return V(a) op V(b); }
#define ZMLX_PACKED(N)                                                                              \
  typedef metal::vec<T, N> V;                                                                       \
  typedef T value_type;                                                                             \
  packed_vec() = default;                                                                           \
  template <class A> requires zmlx::scalar<A> ZMLX_INLINE constexpr packed_vec(A s) : packed_vec(V(s)) {} \
  template <class A, class B, class... C> ZMLX_INLINE constexpr packed_vec(A a, B b, C... c)        \
      : packed_vec(V(a, b, c...)) {}                                                                \
  template <class U> ZMLX_INLINE constexpr explicit packed_vec(vec<U, N> v) : packed_vec(V(v)) {}   \
  template <class U> ZMLX_INLINE constexpr explicit packed_vec(packed_vec<U, N> v) : packed_vec(V(v)) {} \
  template <class I> requires zmlx::integer<I> ZMLX_INLINE constexpr T& operator[](I i) { return zv[i]; } \
  template <class I> requires zmlx::integer<I>                                                      \
  ZMLX_INLINE constexpr const T& operator[](I i) const { return zv[i]; }                            \
  template <int... I> ZMLX_INLINE constexpr auto zmlx_get() const { return V(*this).template zmlx_get<I...>(); } \
  template <int... I> ZMLX_INLINE constexpr zmlx::swizzle_ref<packed_vec, T, I...> zmlx_set() {     \
    return zmlx::swizzle_ref<packed_vec, T, I...>{*this};                                           \
  }                                                                                                 \
  friend ZMLX_INLINE constexpr V operator-(packed_vec a) { return -V(a); }                          \
  friend ZMLX_INLINE constexpr V operator+(packed_vec a) { return V(a); }                           \
  friend ZMLX_INLINE constexpr V operator~(packed_vec a) { return ~V(a); }                          \
  ZMLX_PACKED_OP(+) ZMLX_PACKED_OP(-) ZMLX_PACKED_OP(*) ZMLX_PACKED_OP(/) ZMLX_PACKED_OP(%)         \
  ZMLX_PACKED_OP(&) ZMLX_PACKED_OP(|) ZMLX_PACKED_OP(^) ZMLX_PACKED_OP(<<) ZMLX_PACKED_OP(>>)       \
  ZMLX_PACKED_CMP(==) ZMLX_PACKED_CMP(!=) ZMLX_PACKED_CMP(<) ZMLX_PACKED_CMP(>)                     \
  ZMLX_PACKED_CMP(<=) ZMLX_PACKED_CMP(>=)

namespace metal {
template <class T> struct packed_vec<T, 2> {
  union {
    struct { T x, y; };
    struct { T r, g; };
    T zv[2];
  };
  ZMLX_INLINE constexpr packed_vec(vec<T, 2> v) : x(v.x), y(v.y) {}
  ZMLX_INLINE constexpr operator vec<T, 2>() const { return vec<T, 2>(x, y); }
  ZMLX_PACKED(2)
};
template <class T> struct packed_vec<T, 3> {
  union {
    struct { T x, y, z; };
    struct { T r, g, b; };
    T zv[3];
  };
  ZMLX_INLINE constexpr packed_vec(vec<T, 3> v) : x(v.x), y(v.y), z(v.z) {}
  ZMLX_INLINE constexpr operator vec<T, 3>() const { return vec<T, 3>(x, y, z); }
  ZMLX_PACKED(3)
};
template <class T> struct packed_vec<T, 4> {
  union {
    struct { T x, y, z, w; };
    struct { T r, g, b, a; };
    T zv[4];
  };
  ZMLX_INLINE constexpr packed_vec(vec<T, 4> v) : x(v.x), y(v.y), z(v.z), w(v.w) {}
  ZMLX_INLINE constexpr operator vec<T, 4>() const { return vec<T, 4>(x, y, z, w); }
  ZMLX_PACKED(4)
};
#define ZMLX_VECTORS(T)                \
  typedef packed_vec<T, 2> packed_##T##2; \
  typedef packed_vec<T, 3> packed_##T##3; \
  typedef packed_vec<T, 4> packed_##T##4;
ZMLX_VECTORS(bool) ZMLX_VECTORS(char) ZMLX_VECTORS(uchar) ZMLX_VECTORS(short) ZMLX_VECTORS(ushort)
ZMLX_VECTORS(int) ZMLX_VECTORS(uint) ZMLX_VECTORS(long) ZMLX_VECTORS(ulong)
ZMLX_VECTORS(half) ZMLX_VECTORS(bfloat) ZMLX_VECTORS(float)
#undef ZMLX_VECTORS

template <class T> struct vec_elements : integral_constant<uint, 1> {};
template <class T, int N> struct vec_elements<vec<T, N>> : integral_constant<uint, uint(N)> {};
template <class T, int N> struct vec_elements<packed_vec<T, N>> : integral_constant<uint, uint(N)> {};
template <class T> struct vec_elements<const T> : vec_elements<T> {};
template <class T> inline constexpr uint vec_elements_v = vec_elements<T>::value;
}  // namespace metal
#undef ZMLX_PACKED
#undef ZMLX_PACKED_OP
#undef ZMLX_PACKED_CMP
