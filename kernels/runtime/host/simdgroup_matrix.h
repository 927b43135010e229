// simdgroup_matrix over coroutines: a product exchanges both factors through the simdgroup's slots
// and sums in float, rounding once.
#pragma once
#include "simd.h"
#include "../common/simdgroup_matrix.h"

namespace metal {
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
