// Conversions between float and the 16-bit formats, as bit operations on integers. g++ 12
// vectorizes no _Float16 conversion, so a loop over half data would run one element at a
// time; these are branch-free and become plain vector code on any x86 or ARM machine.
#pragma once
#include "../common/base.h"

namespace zmlx {
#if defined(__clang__) && defined(__FLT16_MANT_DIG__) && (defined(__F16C__) || defined(__aarch64__))
#define ZMLX_NATIVE_HALF_CONVERSION 1
#endif

ZMLX_FN constexpr float half_to_float(uint16_t h) {
#ifdef ZMLX_NATIVE_HALF_CONVERSION
  return float(bits<_Float16>(h));
#else
  uint32_t u = h & 0x7fffu, m = u << 13;
  // The exponent moves from bias 15 to 127; infinity and NaN move all the way up.
  uint32_t normal = m + (112u << 23) + (u >= 0x7c00u ? 112u << 23 : 0u);
  uint32_t tiny = bits<uint32_t>(bits<float>(m + (113u << 23)) - 0x1p-14f);
  uint32_t r = u < 0x400u ? tiny : normal;
  return bits<float>(r | uint32_t(h & 0x8000u) << 16);
#endif
}

ZMLX_FN constexpr uint16_t float_to_half(float x) {
#ifdef ZMLX_NATIVE_HALF_CONVERSION
  return bits<uint16_t>(_Float16(x));
#else
  uint32_t b = bits<uint32_t>(x), u = b & 0x7fffffffu;
  uint32_t normal = (u + 0xfffu + ((u >> 13) & 1u) - (112u << 23)) >> 13;
  normal = u >= 0x47800000u ? 0x7c00u : normal;
  // Adding 0.5 rounds to multiples of 2^-24, the spacing of half's denormals.
  uint32_t tiny = bits<uint32_t>(bits<float>(u) + 0.5f) - 0x3f000000u;
  uint32_t r = u < 0x38800000u ? tiny : normal;
  r = u > 0x7f800000u ? 0x7e00u : r;
  return uint16_t(r | (b >> 16 & 0x8000u));
#endif
}

ZMLX_FN constexpr float bfloat_to_float(uint16_t h) { return bits<float>(uint32_t(h) << 16); }

ZMLX_FN constexpr uint16_t float_to_bfloat(float x) {
  uint32_t u = bits<uint32_t>(x);
  uint32_t r = u + 0x7fffu + ((u >> 16) & 1u);
  r = (u & 0x7fffffffu) > 0x7f800000u ? (u | 0x400000u) : r;
  return uint16_t(r >> 16);
}
}  // namespace zmlx
