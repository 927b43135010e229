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
  // Sign and digits go to their places; the product then moves the exponent from bias 15 to
  // 127, denormals included. Infinity and NaN get the rest of their exponent.
  uint32_t u = uint32_t(int32_t(int16_t(h))) << 13 & 0x8fffe000u;
  uint32_t r = bits<uint32_t>(bits<float>(u) * 0x1p112f);
  return bits<float>((u & 0x0f800000u) == 0x0f800000u ? r | 0x7f800000u : r);
#endif
}

ZMLX_FN constexpr uint16_t float_to_half(float x) {
#ifdef ZMLX_NATIVE_HALF_CONVERSION
  return bits<uint16_t>(_Float16(x));
#else
  uint32_t b = bits<uint32_t>(x), mag = b & 0x7fffffffu;
  uint32_t u = mag < 0x47800000u ? mag : 0x47800000u;
  // Adding the power of two whose last place is half's last place (its denormals' for small
  // values) rounds to it, ties to even; the digits then stand at the bottom of the sum.
  uint32_t e = u & 0x7f800000u;
  e = e > 0x38800000u ? e : 0x38800000u;
  uint32_t place = e + (13u << 23);
  uint32_t digits = bits<uint32_t>(bits<float>(u) + bits<float>(place)) - place;
  uint32_t r = digits + (e >> 13) - (0x38800000u >> 13);
  r = mag > 0x7f800000u ? 0x7e00u : r;
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

// The bits of a rounded number (see `cuda/convert.h`).
ZMLX_FN constexpr uint16_t only_bits(uint16_t b) { return b; }
}  // namespace zmlx
