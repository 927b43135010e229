// float operations that need no polynomial: rounding, bits of the format, square roots,
// fmod and its kin. All but fmod and nextafter are branch-free.
#pragma once
#include "../common/base.h"

namespace zmlx {
ZMLX_FN constexpr bool is_nan(float x) { return (bits<uint32_t>(x) & 0x7fffffffu) > 0x7f800000u; }
ZMLX_FN constexpr bool is_inf(float x) { return (bits<uint32_t>(x) & 0x7fffffffu) == 0x7f800000u; }
ZMLX_FN constexpr bool is_finite(float x) { return (bits<uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }
ZMLX_FN constexpr bool is_normal(float x) {
  return (bits<uint32_t>(x) & 0x7fffffffu) - 0x00800000u < 0x7f000000u;
}
ZMLX_FN constexpr bool sign_bit(float x) { return bits<uint32_t>(x) >> 31; }
ZMLX_FN constexpr float m_fabs(float x) { return __builtin_fabsf(x); }
ZMLX_FN constexpr float m_copysign(float x, float y) { return __builtin_copysignf(x, y); }
ZMLX_FN float m_floor(float x) { return __builtin_floorf(x); }
ZMLX_FN float m_ceil(float x) { return __builtin_ceilf(x); }
ZMLX_FN float m_trunc(float x) { return __builtin_truncf(x); }
ZMLX_FN float m_rint(float x) { return __builtin_rintf(x); }
// The largest float below one half: adding it never carries a value below .5 to 1.
ZMLX_FN float m_round(float x) { return __builtin_truncf(x + __builtin_copysignf(0x1.fffffep-2f, x)); }
ZMLX_FN float m_fract(float x) {
  float r = x - __builtin_floorf(x);
  r = r >= 1.0f ? 0x1.fffffep-1f : r;
  return is_inf(x) ? 0.0f : r;
}
ZMLX_FN float m_sqrt(float x) { return __builtin_sqrtf(x); }
ZMLX_FN float m_rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
ZMLX_FN float m_fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }

// A fused multiply-add where the machine has one, for polynomials; elsewhere two roundings
// cost less than the library call that __builtin_fmaf would become.
ZMLX_FN float mad(float x, float y, float z) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
  return __builtin_fmaf(x, y, z);
#else
  return x * y + z;
#endif
}

// Conditions as masks, and c ? a : b on the bits. Where several conditions meet, or one does
// not change in a loop, the compiler makes jumps of them before it gets to vectorizing.
ZMLX_FN uint32_t mask(bool c) { return 0u - uint32_t(c); }
ZMLX_FN float choose(uint32_t m, float a, float b) {
  return bits<float>((bits<uint32_t>(a) & m) | (bits<uint32_t>(b) & ~m));
}

// Metal's min and max return the other argument when one is NaN. In this form scalar code
// predicts a jump, so that a running maximum waits for no comparison (measured: 5 GB/s, the
// other forms 0.5 to 3.5), and vector code blends.
ZMLX_FN constexpr float m_fmax(float x, float y) {
#ifdef ZMLX_MATH_FAST
  return x < y ? y : x;
#else
  return !(x >= y) && y == y ? y : x;
#endif
}
ZMLX_FN constexpr float m_fmin(float x, float y) {
#ifdef ZMLX_MATH_FAST
  return y < x ? y : x;
#else
  return !(x <= y) && y == y ? y : x;
#endif
}
ZMLX_FN constexpr float m_fdim(float x, float y) { return x <= y ? 0.0f : x - y; }
ZMLX_FN float m_fmod(float x, float y) { return __builtin_fmodf(x, y); }
// Metal's fast fmod is the formula, wrong for large quotients but free of loops.
ZMLX_FN float f_fmod(float x, float y) { return x - y * __builtin_truncf(x / y); }

ZMLX_FN float m_nextafter(float x, float y) {
  uint32_t ux = bits<uint32_t>(x), mag = ux & 0x7fffffffu;
  uint32_t away = ux + ((x < y) == (x > 0.0f) ? 1u : ~0u);
  uint32_t r = mag == 0 ? ((bits<uint32_t>(y) & 0x80000000u) | 1u) : away;
  float n = x == y ? y : bits<float>(r);
  return is_nan(x) || is_nan(y) ? x + y : n;
}

// The exponent field is replaced; a result below the normal range is built 2^60 too large
// and scaled down, so that it rounds once.
ZMLX_FN float m_ldexp(float x, int n) {
  float up = bits<uint32_t>(__builtin_fabsf(x)) < 0x00800000u ? 0x1p64f : 1.0f;
  float y = x * up;
  int e = int(bits<uint32_t>(y) >> 23 & 255u);
  int m = n < -600 ? -600 : n > 600 ? 600 : n;
  m -= up == 1.0f ? 0 : 64;
  int t = e + m;
  uint32_t keep = bits<uint32_t>(y) & 0x807fffffu;
  float normal = bits<float>(keep | uint32_t(t & 255) << 23);
  int d = t < -40 ? -40 : t;
  float tiny = bits<float>(keep | uint32_t((d + 60) & 255) << 23) * 0x1p-60f;
  float r = t >= 255 ? bits<float>((bits<uint32_t>(x) & 0x80000000u) | 0x7f800000u) : t <= 0 ? tiny : normal;
  return x == 0.0f || !is_finite(x) ? x : r;
}
ZMLX_FN float m_frexp(float x, int& e) {
  bool small = bits<uint32_t>(__builtin_fabsf(x)) < 0x00800000u;
  float y = small ? x * 0x1p64f : x;
  uint32_t u = bits<uint32_t>(y);
  int k = int(u >> 23 & 255u) - 126 - (small ? 64 : 0);
  bool plain = x == 0.0f || !is_finite(x);
  e = plain ? 0 : k;
  return plain ? x : bits<float>((u & 0x807fffffu) | 0x3f000000u);
}
ZMLX_FN int m_ilogb(float x) {
  int e;
  m_frexp(x, e);
  return is_nan(x) || is_inf(x) ? 2147483647 : x == 0.0f ? -2147483647 - 1 : e - 1;
}
}  // namespace zmlx
