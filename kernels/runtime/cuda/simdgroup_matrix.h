// Products of simdgroup matrices over a warp, summed in float and rounded once. Where the launch has
// whole simdgroups only (ZMLX_MATRIX_MMA), tensor cores multiply half by half and bfloat by bfloat;
// otherwise each lane fetches the elements it needs from the lanes that hold them, in the order of
// host/simdgroup_matrix.h. Tensor cores would take float factors as TF32, which loses digits.
#pragma once
#include "simd.h"
#include "../common/simdgroup_matrix.h"

namespace zmlx {
#if defined(ZMLX_MATRIX_MMA) && __CUDA_ARCH__ >= 800
template <class A, class B>
inline constexpr bool on_tensor_cores = is_same_v<A, B> && (is_same_v<A, half> || is_same_v<A, bfloat>);
#else
template <class A, class B> inline constexpr bool on_tensor_cores = false;
#endif

// A lane's two elements between the matrices' layout and that of the tensor cores: row lane / 4,
// columns from lane % 4 * 2.
template <class T> ZMLX_FN T to_tensor(T x) {
#ifdef ZMLX_MATRIX_TENSOR
  return x;
#else
  uint32_t l = current_lane();
  return shuffled(~0u, x, matrix_lane(l >> 2, (l & 3u) << 1));
#endif
}
template <class T> ZMLX_FN T from_tensor(T x) {
#ifdef ZMLX_MATRIX_TENSOR
  return x;
#else
  uint32_t l = current_lane();
  return shuffled(~0u, x, matrix_row(l) << 2 | matrix_col(l) >> 1);
#endif
}
// Second factors lie in columns: a transposition within the warp. Not volatile, as it is
// used by nothing but products, so that a factor of several of them is turned once.
ZMLX_FN uint32_t turned(uint32_t x) {
  uint32_t r;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(r) : "r"(x));
  return r;
}
// The cores' smallest product is 16x8 by 8x8: the lower half of the first factor is zero.
template <class T> ZMLX_FN void tensor_product(float& d0, float& d1, uint32_t a, uint32_t b, float c0, float c1) {
  float lower0, lower1;
  if constexpr (is_same_v<T, half>) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%9};"
                 : "=f"(d0), "=f"(d1), "=f"(lower0), "=f"(lower1)
                 : "r"(a), "r"(0u), "r"(b), "f"(c0), "f"(c1), "f"(0.0f));
  } else {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%7,%8,%9,%9};"
                 : "=f"(d0), "=f"(d1), "=f"(lower0), "=f"(lower1)
                 : "r"(a), "r"(0u), "r"(b), "f"(c0), "f"(c1), "f"(0.0f));
  }
}
}  // namespace zmlx

namespace metal {
template <class D, class A, class B, class C>
ZMLX_FN void simdgroup_multiply_accumulate(simdgroup_matrix<D, 8, 8>& d, const simdgroup_matrix<A, 8, 8>& a,
                                           const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c) {
  if constexpr (zmlx::on_tensor_cores<A, B>) {
    const uint32_t x = zmlx::to_tensor(zmlx::bits<uint32_t>(a.ze));
    const uint32_t y = zmlx::turned(zmlx::to_tensor(zmlx::bits<uint32_t>(b.ze)));
    float s0, s1;
    zmlx::tensor_product<A>(s0, s1, x, y, zmlx::to_tensor(float(c.ze.x)), zmlx::to_tensor(float(c.ze.y)));
    d.ze = vec<D, 2>(D(zmlx::from_tensor(s0)), D(zmlx::from_tensor(s1)));
    return;
  }
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
