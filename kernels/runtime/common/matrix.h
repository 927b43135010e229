// Matrices of MSL: C columns of R-element vectors, column major, built from a diagonal, from
// columns or from elements column by column; and metal::array.
#pragma once
#include "common.h"

namespace metal {
template <class T, int C, int R> struct matrix {
  typedef vec<T, R> column;
  column zc[C];

  matrix() = default;
  template <class A> requires zmlx::scalar<A> ZMLX_INLINE constexpr explicit matrix(A d) : zc{} {
    for (int c = 0; c < C; ++c) zc[c] = column(T(0));
    for (int i = 0; i < (C < R ? C : R); ++i) zc[i][i] = T(d);
  }
  template <class... A> requires(sizeof...(A) == C && C > 1 && (zmlx::vecish<A> && ...))
  ZMLX_INLINE constexpr matrix(A... columns) : zc{column(columns)...} {}
  template <class... A> requires(sizeof...(A) == C * R && (zmlx::scalar<A> && ...))
  ZMLX_INLINE constexpr matrix(A... elements) : zc{} {
    T e[C * R] = {T(elements)...};
    for (int c = 0; c < C; ++c)
      for (int r = 0; r < R; ++r) zc[c][r] = e[c * R + r];
  }
  template <class U> requires(!is_same_v<U, T>)
  ZMLX_INLINE constexpr explicit matrix(const matrix<U, C, R>& m) {
    for (int c = 0; c < C; ++c) zc[c] = column(m.zc[c]);
  }
  template <class I> requires zmlx::integer<I> ZMLX_INLINE constexpr column& operator[](I c) { return zc[c]; }
  template <class I> requires zmlx::integer<I>
  ZMLX_INLINE constexpr const column& operator[](I c) const { return zc[c]; }

#define ZMLX_MATRIX_OP(op)                                                                \
  friend ZMLX_INLINE constexpr matrix operator op(const matrix& a, const matrix& b) {     \
    matrix m;                                                                             \
    for (int c = 0; c < C; ++c) m.zc[c] = a.zc[c] op b.zc[c];                             \
    return m;                                                                             \
  }                                                                                       \
  ZMLX_INLINE constexpr matrix& operator op##=(const matrix& b) { return *this = *this op b; }
  ZMLX_MATRIX_OP(+) ZMLX_MATRIX_OP(-)
#undef ZMLX_MATRIX_OP
  friend ZMLX_INLINE constexpr matrix operator-(const matrix& a) {
    matrix m;
    for (int c = 0; c < C; ++c) m.zc[c] = -a.zc[c];
    return m;
  }
  template <class S> requires zmlx::scalar<S>
  friend ZMLX_INLINE constexpr matrix operator*(const matrix& a, S s) {
    matrix m;
    for (int c = 0; c < C; ++c) m.zc[c] = a.zc[c] * T(s);
    return m;
  }
  template <class S> requires zmlx::scalar<S>
  friend ZMLX_INLINE constexpr matrix operator*(S s, const matrix& a) { return a * s; }
  template <class S> requires zmlx::scalar<S>
  friend ZMLX_INLINE constexpr matrix operator/(const matrix& a, S s) {
    matrix m;
    for (int c = 0; c < C; ++c) m.zc[c] = a.zc[c] / T(s);
    return m;
  }
  friend ZMLX_INLINE constexpr vec<T, R> operator*(const matrix& m, vec<T, C> v) {
    vec<T, R> r = m.zc[0] * v[0];
    for (int c = 1; c < C; ++c) r += m.zc[c] * v[c];
    return r;
  }
  friend ZMLX_INLINE constexpr vec<T, C> operator*(vec<T, R> v, const matrix& m) {
    vec<T, C> r = vec<T, C>(T(0));
    for (int c = 0; c < C; ++c) r[c] = dot(v, m.zc[c]);
    return r;
  }
  template <int K> friend ZMLX_INLINE constexpr matrix<T, K, R> operator*(const matrix& a, const matrix<T, K, C>& b) {
    matrix<T, K, R> m;
    for (int k = 0; k < K; ++k) m.zc[k] = a * b.zc[k];
    return m;
  }
  template <class S> requires zmlx::scalar<S>
  ZMLX_INLINE constexpr matrix& operator*=(S s) { return *this = *this * s; }
  ZMLX_INLINE constexpr matrix& operator*=(const matrix<T, C, C>& b) { return *this = *this * b; }
  friend ZMLX_INLINE constexpr bool operator==(const matrix& a, const matrix& b) {
    bool same = true;
    for (int c = 0; c < C; ++c) same = same && all(a.zc[c] == b.zc[c]);
    return same;
  }
  friend ZMLX_INLINE constexpr bool operator!=(const matrix& a, const matrix& b) { return !(a == b); }
};

#define ZMLX_MATRICES(T)                                                                    \
  typedef matrix<T, 2, 2> T##2x2; typedef matrix<T, 2, 3> T##2x3; typedef matrix<T, 2, 4> T##2x4; \
  typedef matrix<T, 3, 2> T##3x2; typedef matrix<T, 3, 3> T##3x3; typedef matrix<T, 3, 4> T##3x4; \
  typedef matrix<T, 4, 2> T##4x2; typedef matrix<T, 4, 3> T##4x3; typedef matrix<T, 4, 4> T##4x4;
ZMLX_MATRICES(float) ZMLX_MATRICES(half)
#undef ZMLX_MATRICES

template <class T, int C, int R> ZMLX_FN constexpr matrix<T, R, C> transpose(const matrix<T, C, R>& m) {
  matrix<T, R, C> t;
  for (int c = 0; c < C; ++c)
    for (int r = 0; r < R; ++r) t.zc[r][c] = m.zc[c][r];
  return t;
}
template <class T> ZMLX_FN constexpr T determinant(const matrix<T, 2, 2>& m) {
  return m[0][0] * m[1][1] - m[1][0] * m[0][1];
}
template <class T> ZMLX_FN constexpr T determinant(const matrix<T, 3, 3>& m) { return dot(m[0], cross(m[1], m[2])); }
// Laplace over pairs of rows: two columns' 2x2 minors times the other two's.
template <class T> ZMLX_FN constexpr T determinant(const matrix<T, 4, 4>& m) {
  auto top = [&](int i, int j) { return m[i][0] * m[j][1] - m[j][0] * m[i][1]; };
  auto low = [&](int i, int j) { return m[i][2] * m[j][3] - m[j][2] * m[i][3]; };
  return top(0, 1) * low(2, 3) - top(0, 2) * low(1, 3) + top(0, 3) * low(1, 2) + top(1, 2) * low(0, 3) -
         top(1, 3) * low(0, 2) + top(2, 3) * low(0, 1);
}

template <class T, size_t N> struct array {
  T ze[N ? N : 1];
  constexpr T& operator[](size_t i) { return ze[i]; }
  constexpr const T& operator[](size_t i) const { return ze[i]; }
  constexpr T* data() { return ze; }
  constexpr const T* data() const { return ze; }
  constexpr T* begin() { return ze; }
  constexpr T* end() { return ze + N; }
  constexpr const T* begin() const { return ze; }
  constexpr const T* end() const { return ze + N; }
  static constexpr size_t size() { return N; }
  static constexpr bool empty() { return N == 0; }
};
}  // namespace metal
