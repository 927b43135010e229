// Products of a simdgroup's fragments on tensor cores (`kernels/quant_fragments.metal`).
// Such kernels are launched with whole simdgroups only.
#pragma once
#include "simd.h"

#if __CUDA_ARCH__ >= 800
template <typename T> requires(zmlx::is_same_v<T, half> || zmlx::is_same_v<T, bfloat>)
ZMLX_FN metal::float4 kk_fragment_product(metal::uint4 a, metal::uint2 b, metal::float4 c, uint32_t, T) {
  float c0 = c.x, c1 = c.y, c2 = c.z, c3 = c.w;
  if constexpr (zmlx::is_same_v<T, half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                 : "r"(uint32_t(a.x)), "r"(uint32_t(a.y)), "r"(uint32_t(a.z)), "r"(uint32_t(a.w)), "r"(uint32_t(b.x)), "r"(uint32_t(b.y)));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
                 : "r"(uint32_t(a.x)), "r"(uint32_t(a.y)), "r"(uint32_t(a.z)), "r"(uint32_t(a.w)), "r"(uint32_t(b.x)), "r"(uint32_t(b.y)));
  }
  return metal::float4(c0, c1, c2, c3);
}
#endif
