// Products of simdgroup matrices over a warp: each lane fetches the elements it needs from the lanes
// that hold them, sums in float and rounds once, in the order of host/simdgroup_matrix.h.
#pragma once
#include "../common/simdgroup_matrix.h"
#include "simd.h"

namespace metal {
template <class D, class A, class B, class C>
ZMLX_FN void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                           const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c) {
  const uint32_t mask = zmlx::active(), me = zmlx::current_lane();
  const uint32_t row = zmlx::matrix_row(me), col = zmlx::matrix_col(me);
  float s0 = float(c.ze.x), s1 = float(c.ze.y);
  const vec<A, 2> av = a.ze;
  const vec<B, 2> bv = b.ze;
#pragma unroll
  for (uint32_t k = 0; k < 8; k += 2) {
    vec<A, 2> x = zmlx::shuffled(mask, av, zmlx::matrix_lane(row, k));
    vec<B, 2> y = zmlx::shuffled(mask, bv, zmlx::matrix_lane(k, col));
    vec<B, 2> z = zmlx::shuffled(mask, bv, zmlx::matrix_lane(k + 1, col));
    s0 = zmlx::mad(float(x.y), float(z.x), zmlx::mad(float(x.x), float(y.x), s0));
    s1 = zmlx::mad(float(x.y), float(z.y), zmlx::mad(float(x.x), float(y.y), s1));
  }
  d.ze = vec<D, 2>(D(s0), D(s1));
}
template <class D, class A, class B>
ZMLX_FN void simdgroup_multiply(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                const simdgroup_matrix<B, 8, 8>& b) {
  simdgroup_matrix<float, 8, 8> zero;
  zero.ze = vec<float, 2>(0.0f);
  simdgroup_multiply_accumulate(d, a, b, zero);
}
template <class A, class B>
ZMLX_FN simdgroup_matrix<zmlx::common_t<A, B>, 8, 8> operator*(const simdgroup_matrix<A, 8, 8>& a,
                                                               const simdgroup_matrix<B, 8, 8>& b) {
  simdgroup_matrix<zmlx::common_t<A, B>, 8, 8> d;
  simdgroup_multiply(d, a, b);
  return d;
}
}  // namespace metal
