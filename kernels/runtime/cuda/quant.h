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

// Some bits of a word put onto others, or exchanged by them, in one instruction: compilers take two where both constants are known.
namespace zmlx {
ZMLX_FN uint32_t put_onto(uint32_t word, uint32_t mask, uint32_t others) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0xea;" : "=r"(out) : "r"(word), "r"(mask), "r"(others));
  return out;
}
ZMLX_FN uint32_t exchanged_by(uint32_t word, uint32_t mask, uint32_t others) {
  uint32_t out;
  asm("lop3.b32 %0, %1, %2, %3, 0x6a;" : "=r"(out) : "r"(word), "r"(mask), "r"(others));
  return out;
}
}  // namespace zmlx
// And halves of two words.
template <typename U> requires(zmlx::is_same_v<U, uint32_t>)
ZMLX_FN uint32_t kk_two_codes(U bits, uint32_t magic) {
  return zmlx::put_onto(bits, 0x000f000fu, magic);
}
template <typename U> requires(zmlx::is_same_v<U, uint32_t>)
ZMLX_FN uint32_t kk_low_halves(U a, U b) {
  return __byte_perm(a, b, 0x5410);
}
template <typename U> requires(zmlx::is_same_v<U, uint32_t>)
ZMLX_FN uint32_t kk_high_halves(U a, U b) {
  return __byte_perm(a, b, 0x7632);
}

template <typename T>
ZMLX_FN uint32_t kk_twice(T x) {
  const uint32_t bits = as_type<uint16_t>(x);
  return __byte_perm(bits, bits, 0x1010);
}
// Codes as whole numbers, from which a fused multiply-add of both halves makes weights.
template <typename S, typename T>
struct kk_scale_pair;
template <typename T> requires(zmlx::is_same_v<T, half> || zmlx::is_same_v<T, bfloat>)
struct kk_scale_pair<T, T> {
  uint32_t scale, offset;
  ZMLX_INLINE kk_scale_pair(T s, T o) : scale(kk_twice(s)), offset(kk_twice(o)) {}
  ZMLX_INLINE uint32_t of(uint32_t word) const {
    uint32_t codes, out;
    if constexpr (zmlx::is_same_v<T, half>) {
      asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(codes) : "r"(kk_two_codes(word, 0x64006400u)), "r"(0x64006400u));
      asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(codes), "r"(scale), "r"(offset));
    } else {
      asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(codes) : "r"(kk_two_codes(word, 0x43004300u)), "r"(0x3f803f80u), "r"(0xc300c300u));
      asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(codes), "r"(scale), "r"(offset));
    }
    return out;
  }
};

// Two codes as floats in three instructions and fewer: their bits become the lowest of a large float, from which the rest is subtracted.
template <int FORMAT, typename T> requires(zmlx::is_same_v<T, half> || zmlx::is_same_v<T, bfloat>)
ZMLX_FN uint32_t kk_two_whole(uint32_t word, T) {
  uint32_t out;
  if constexpr (zmlx::is_same_v<T, half>) {
    const uint32_t large =
        FORMAT == 8 ? zmlx::exchanged_by(word, 0x00ff00ffu, 0x64806480u) : zmlx::put_onto(word, 0x000f000fu, 0x64006400u);
    asm("sub.rn.f16x2 %0, %1, %2;" : "=r"(out) : "r"(large), "r"(FORMAT == 8 ? 0x64806480u : 0x64086408u));
  } else {
    const uint32_t large = zmlx::put_onto(word, FORMAT == 8 ? 0x007f007fu : 0x000f000fu, 0x43004300u);
    const uint32_t rest = FORMAT == 8 ? zmlx::put_onto(word, 0x00800080u, 0xc300c300u) : 0xc308c308u;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(out) : "r"(large), "r"(0x3f803f80u), "r"(rest));
  }
  return out;
}
template <typename T> requires(zmlx::is_same_v<T, half> || zmlx::is_same_v<T, bfloat>)
ZMLX_FN uint32_t kk_transposed(uint32_t word, uint32_t, T) {
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(word));
  return out;
}
template <typename T> requires(zmlx::is_same_v<T, half> || zmlx::is_same_v<T, bfloat>)
ZMLX_FN uint32_t kk_four_bytes(uint32_t a, uint32_t b, uint32_t which, T) { return ::__byte_perm(a, b, which); }
#endif
