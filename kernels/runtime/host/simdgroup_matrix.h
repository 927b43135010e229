// simdgroup_matrix: an 8x8 matrix spread over the 32 lanes of a simdgroup, two neighbouring
// elements of one row a lane, in the layout of Apple's GPUs (kernels index thread_elements()
// by it). Loads and stores touch a lane's own elements only; a product exchanges both
// factors through the simdgroup's slots and sums in float, rounding once.
#pragma once
#include "simd.h"

namespace zmlx {
// Row and column of a lane's first element, and the lane that holds an element.
ZMLX_FN constexpr uint32_t matrix_row(uint32_t lane) { return (lane >> 2 & 4u) | (lane >> 1 & 3u); }
ZMLX_FN constexpr uint32_t matrix_col(uint32_t lane) { return (lane >> 1 & 4u) | (lane & 1u) << 1; }
ZMLX_FN constexpr uint32_t matrix_lane(uint32_t row, uint32_t col) {
  return (row & 4u) << 2 | (row & 3u) << 1 | (col & 4u) << 1 | (col >> 1 & 1u);
}
}  // namespace zmlx

namespace metal {
template <class T, int Cols, int Rows> struct simdgroup_matrix {
  static_assert(Cols == 8 && Rows == 8, "Metal knows 8x8 simdgroup matrices only");
  typedef vec<T, 2> storage_type;
  storage_type ze;

  simdgroup_matrix() = default;
  ZMLX_INLINE explicit simdgroup_matrix(T diagonal) {
    uint32_t l = zmlx::current_lane(), r = zmlx::matrix_row(l), c = zmlx::matrix_col(l);
    ze = storage_type(r == c ? zmlx_alt(diagonal) : zmlx_alt(T(0)), r == c + 1 ? zmlx_alt(diagonal) : zmlx_alt(T(0)));
  }
  ZMLX_INLINE storage_type& thread_elements() { return ze; }
  ZMLX_INLINE const storage_type& thread_elements() const { return ze; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int C, int R> ZMLX_FN simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T x) {
  simdgroup_matrix<T, C, R> m;
  m.ze = vec<T, 2>(x);
  return m;
}
template <class T, int C, int R> ZMLX_FN simdgroup_matrix<T, C, R> make_diagonal_simdgroup_matrix(T x) {
  return simdgroup_matrix<T, C, R>(x);
}

// The origin counts columns (x) and rows (y) of the memory's matrix; with `transpose` the
// memory's rows become columns.
template <class T, int C, int R, class P>
ZMLX_FN void simdgroup_load(simdgroup_matrix<T, C, R>& m, P src, ulong elements_per_row = C, ulong2 origin = ulong2(0),
                            bool transpose = false) {
  uint32_t l = zmlx::current_lane(), r = zmlx::matrix_row(l), c = zmlx::matrix_col(l);
  ulong step = transpose ? elements_per_row : 1;
  ulong at = transpose ? (origin.y + c) * elements_per_row + origin.x + r : (origin.y + r) * elements_per_row + origin.x + c;
  m.ze = vec<T, 2>(T(src[at]), T(src[at + step]));
}
template <class T, int C, int R, class P>
ZMLX_FN void simdgroup_store(const simdgroup_matrix<T, C, R>& m, P dst, ulong elements_per_row = C, ulong2 origin = ulong2(0),
                             bool transpose = false) {
  uint32_t l = zmlx::current_lane(), r = zmlx::matrix_row(l), c = zmlx::matrix_col(l);
  ulong step = transpose ? elements_per_row : 1;
  ulong at = transpose ? (origin.y + c) * elements_per_row + origin.x + r : (origin.y + r) * elements_per_row + origin.x + c;
  dst[at] = m.ze.x;
  dst[at + step] = m.ze.y;
}

template <class D, class A, class B, class C>
ZMLX_FN void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                           const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c,
                                           ZMLX_SITE) {
  struct pair { vec<A, 2> a; vec<B, 2> b; };
  zmlx::lanes<pair> l(pair{a.ze, b.ze}, site);
  const pair none{vec<A, 2>(A(0)), vec<B, 2>(B(0))};
  uint32_t row = zmlx::matrix_row(l.me), col = zmlx::matrix_col(l.me);
  float s0 = float(c.ze.x), s1 = float(c.ze.y);
  for (uint32_t k = 0; k < 8; k += 2) {
    vec<A, 2> x = l.at_or(zmlx::matrix_lane(row, k), none).a;
    vec<B, 2> y = l.at_or(zmlx::matrix_lane(k, col), none).b, z = l.at_or(zmlx::matrix_lane(k + 1, col), none).b;
    s0 = zmlx::mad(float(x.y), float(z.x), zmlx::mad(float(x.x), float(y.x), s0));
    s1 = zmlx::mad(float(x.y), float(z.y), zmlx::mad(float(x.x), float(y.y), s1));
  }
  d.ze = vec<D, 2>(D(s0), D(s1));
}
template <class D, class A, class B>
ZMLX_FN void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                const simdgroup_matrix<B, 8, 8>& b, ZMLX_SITE) {
  simdgroup_matrix<float, 8, 8> zero;
  zero.ze = vec<float, 2>(0.0f);
  simdgroup_multiply_accumulate(d, a, b, zero, site);
}
template <class A, class B>
ZMLX_FN simdgroup_matrix<zmlx::common_t<A, B>, 8, 8> operator*(const simdgroup_matrix<A, 8, 8>& a,
                                                               const simdgroup_matrix<B, 8, 8>& b) {
  simdgroup_matrix<zmlx::common_t<A, B>, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}
}  // namespace metal
