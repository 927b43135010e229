// exp, exp2, exp10 and the hyperbolic functions in float. All are branch-free arithmetic on
// the bits, so that a loop over them vectorizes: the argument is split into an integer power
// of two and a remainder of at most half of one, whose minimax polynomial is summed by
// Horner's rule. Accuracy is measured over all inputs; see README.md.
#pragma once
#include "rounding.h"

namespace zmlx {
ZMLX_FN float pow2i(int n) { return bits<float>(uint32_t(n + 127) << 23); }

// e^r - 1 for |r| <= ln(2)/2.
ZMLX_FN float exp_tail(float r) {
  float q = mad(0x1.6db58ap-10f, r, 0x1.123c78p-7f);
  q = mad(q, r, 0x1.55545cp-5f);
  q = mad(q, r, 0x1.55548ep-3f);
  q = mad(q, r, 0.5f);
  return mad(r * r, q, r);
}
// The integer nearest to x * y, at most 129. Adding 1.5 * 2^23 rounds to an integer and leaves it
// in the low bits, plus BIAS: shifted to the exponent's place, those are a power of two. The bound is
// put on the bits, where it costs one instruction; a comparison of floats and a second one before it
// become jumps that the compiler then turns into seven.
template <int BIAS> ZMLX_FN float near_integer(float x, float y, uint32_t& b) {
  constexpr float magic = 12582912.0f + float(BIAS);
  constexpr int32_t most = 0x4b400000 + BIAS + 129;
  int32_t c = bits<int32_t>(mad(x, y, magic));
  c = c < most ? c : most;
  b = uint32_t(c);
  return bits<float>(c) - magic;
}
// p * 2^n for b = n + 254. Two factors reach beyond float's exponents, so denormal results round
// once: half of b is the exponent of one, and the rest that of the other.
ZMLX_FN float scale_by(float p, uint32_t b) {
  uint32_t half = b >> 1;
  return p * bits<float>(half << 23) * bits<float>((b - half) << 23);
}
// x = n ln 2 + r; the high part of ln 2 has few bits, so n times it is exact.
template <int BIAS> ZMLX_FN float exp_split(float x, uint32_t& b) {
  float n = near_integer<BIAS>(x, 0x1.715476p0f, b);
  return mad(n, -0x1.7f7d1cp-20f, mad(n, -0x1.62e4p-1f, x));
}

// Arguments too large need no bound of their own: the remainder grows with them, and infinity
// comes out. NaN passes every comparison.
ZMLX_FN float m_exp(float x) {
  uint32_t b;
  float r = exp_split<254>(x < -104.0f ? -104.0f : x, b);
  return scale_by(1.0f + exp_tail(r), b);
}
// Without results below the normal range: they become zero.
ZMLX_FN float f_exp(float x) {
  uint32_t b;
  float r = exp_split<126>(x < -87.6f ? -87.6f : x, b);
  return (1.0f + exp_tail(r)) * bits<float>(b << 23) * 2.0f;
}

ZMLX_FN float exp2_poly(float r) {
  float q = mad(0x1.44910ep-13f, r, 0x1.5f497cp-10f);
  q = mad(q, r, 0x1.3b29a8p-7f);
  q = mad(q, r, 0x1.c6aeccp-5f);
  q = mad(q, r, 0x1.ebfbe0p-3f);
  q = mad(q, r, 0x1.62e430p-1f);
  return mad(q, r, 1.0f);
}
ZMLX_FN float m_exp2(float x) {
  uint32_t b;
  x = x < -151.0f ? -151.0f : x;
  float n = near_integer<254>(x, 1.0f, b);
  return scale_by(exp2_poly(x - n), b);
}
ZMLX_FN float f_exp2(float x) {
  uint32_t b;
  x = x < -126.4f ? -126.4f : x;
  float n = near_integer<126>(x, 1.0f, b);
  return exp2_poly(x - n) * bits<float>(b << 23) * 2.0f;
}

ZMLX_FN float m_exp10(float x) {
  uint32_t b;
  x = x < -46.0f ? -46.0f : x;
  float n = near_integer<254>(x, 0x1.a934f0p1f, b);
  float r = mad(n, -0x1.3509f8p-18f, mad(n, -0x1.344p-2f, x));
  return scale_by(1.0f + exp_tail(r * 0x1.26bb1cp1f), b);
}
ZMLX_FN float f_exp10(float x) { return m_exp10(x); }

// tanh from e = exp(2|x|) - 1, which stays accurate near zero: tanh = e / (e + 2).
ZMLX_FN float m_tanh(float x) {
  float a = m_fabs(x);
  uint32_t b;
  float r = exp_split<127>(2.0f * (a > 10.0f ? 10.0f : a), b);
  float s = bits<float>(b << 23);
  float e = mad(s, exp_tail(r), s - 1.0f);
  return m_copysign(e / (e + 2.0f), x);
}
ZMLX_FN float f_tanh(float x) { return m_tanh(x); }

// A quarter of e^a - 1, and of e^a: the last doubling overflows exactly where sinh does.
ZMLX_FN float m_sinh(float x) {
  float a = m_fabs(x);
  uint32_t b;
  float r = exp_split<125>(a > 89.6f ? 89.6f : a, b);
  float s = bits<float>(b << 23);
  float e = mad(s, exp_tail(r), s - 0.25f);
  r = m_copysign(2.0f * (e + e / mad(4.0f, e, 1.0f)), x);
  return a < 0x1p-12f ? x : r;
}
ZMLX_FN float f_sinh(float x) { return m_sinh(x); }
ZMLX_FN float m_cosh(float x) {
  float a = m_fabs(x);
  uint32_t b;
  float r = exp_split<125>(a > 89.6f ? 89.6f : a, b);
  float s = bits<float>(b << 23);
  float e = mad(s, exp_tail(r), s);
  return 2.0f * (e + 0.0625f / e);
}
ZMLX_FN float f_cosh(float x) { return m_cosh(x); }
}  // namespace zmlx
