// Conversions between float and the 16-bit formats: one instruction each, rounded to nearest even as
// on Metal. Constants are computed on the bits.
#pragma once
#include "../common/base.h"

namespace zmlx {
ZMLX_FN constexpr float half_to_float(uint16_t h) {
  if (!__builtin_is_constant_evaluated()) {
    float r = 0;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(h));
    return r;
  }
  uint32_t u = uint32_t(int32_t(int16_t(h))) << 13 & 0x8fffe000u;
  uint32_t r = bits<uint32_t>(bits<float>(u) * 0x1p112f);
  return bits<float>((u & 0x0f800000u) == 0x0f800000u ? r | 0x7f800000u : r);
}
ZMLX_FN constexpr uint16_t float_to_half(float x) {
  if (!__builtin_is_constant_evaluated()) {
    uint16_t r = 0;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
  }
  uint32_t b = bits<uint32_t>(x), mag = b & 0x7fffffffu;
  uint32_t u = mag < 0x47800000u ? mag : 0x47800000u;
  uint32_t e = u & 0x7f800000u;
  e = e > 0x38800000u ? e : 0x38800000u;
  uint32_t place = e + (13u << 23);
  uint32_t digits = bits<uint32_t>(bits<float>(u) + bits<float>(place)) - place;
  uint32_t r = digits + (e >> 13) - (0x38800000u >> 13);
  r = mag > 0x7f800000u ? 0x7e00u : r;
  return uint16_t(r | (b >> 16 & 0x8000u));
}
ZMLX_FN constexpr float bfloat_to_float(uint16_t h) { return bits<float>(uint32_t(h) << 16); }
ZMLX_FN constexpr uint16_t float_to_bfloat(float x) {
#if __CUDA_ARCH__ >= 800
  if (!__builtin_is_constant_evaluated()) {
    uint16_t r = 0;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x));
    return r;
  }
#endif
  uint32_t u = bits<uint32_t>(x);
  uint32_t r = u + 0x7fffu + ((u >> 16) & 1u);
  r = (u & 0x7fffffffu) > 0x7f800000u ? (u | 0x400000u) : r;
  return uint16_t(r >> 16);
}
// The bits of a rounded number, for those who want the bits. ptxas 13.0 takes the register of 16 bits that a conversion writes for a
// number wherever it is used: of its lower byte it would store the number as an integer. A register of 32 bits is bits alone.
ZMLX_FN constexpr uint16_t only_bits(uint16_t b) {
  if (!__builtin_is_constant_evaluated()) {
    uint32_t wide = 0;
    asm("cvt.u32.u16 %0, %1;" : "=r"(wide) : "h"(b));
    return uint16_t(wide);
  }
  return b;
}
}  // namespace zmlx
