// exp, exp2, exp10 and the hyperbolic functions in float. All are branch-free arithmetic on
// the bits, so that a loop over them vectorizes: the argument is split into an integer power
// of two and a remainder of at most half of one, whose minimax polynomial is summed by
// Horner's rule. Accuracy is measured over all inputs; see README.md.
#pragma once
#include "rounding.h"

namespace zmlx {
ZMLX_FN float pow2i(int n) { return bits<float>(uint32_t(n + 127) << 23); }

// p * 2^n. Two factors reach beyond float's exponents, so denormal results round once.
ZMLX_FN float scale2(float p, int n) {
  int h = n >> 1;
  return p * pow2i(h) * pow2i(n - h);
}
// Comparisons written so that a NaN argument stays NaN.
ZMLX_FN float keep_within(float x, float lo, float hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

// e^r - 1 for |r| <= ln(2)/2.
ZMLX_FN float exp_tail(float r) {
  float q = mad(0x1.6db58ap-10f, r, 0x1.123c78p-7f);
  q = mad(q, r, 0x1.55545cp-5f);
  q = mad(q, r, 0x1.55548ep-3f);
  q = mad(q, r, 0.5f);
  return mad(r * r, q, r);
}
// x = n ln 2 + r; the high part of ln 2 has few bits, so n times it is exact.
ZMLX_FN float exp_split(float x, float& n) {
  n = m_rint(x * 0x1.715476p0f);
  return mad(n, -0x1.7f7d1cp-20f, mad(n, -0x1.62e4p-1f, x));
}

ZMLX_FN float m_exp(float x) {
  float n, r = exp_split(keep_within(x, -104.0f, 89.0f), n);
  return scale2(1.0f + exp_tail(r), int(n));
}
// Without results below the normal range: they become zero.
ZMLX_FN float f_exp(float x) {
  float n, r = exp_split(keep_within(x, -87.6f, 89.0f), n);
  return (1.0f + exp_tail(r)) * pow2i(int(n) - 1) * 2.0f;
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
  x = keep_within(x, -151.0f, 129.0f);
  float n = m_rint(x);
  return scale2(exp2_poly(x - n), int(n));
}
ZMLX_FN float f_exp2(float x) {
  x = keep_within(x, -126.4f, 129.0f);
  float n = m_rint(x);
  return exp2_poly(x - n) * pow2i(int(n) - 1) * 2.0f;
}

ZMLX_FN float m_exp10(float x) {
  x = keep_within(x, -46.0f, 39.0f);
  float n = m_rint(x * 0x1.a934f0p1f);
  float r = mad(n, -0x1.3509f8p-18f, mad(n, -0x1.344p-2f, x));
  return scale2(1.0f + exp_tail(r * 0x1.26bb1cp1f), int(n));
}
ZMLX_FN float f_exp10(float x) { return m_exp10(x); }

// tanh from e = exp(2|x|) - 1, which stays accurate near zero: tanh = e / (e + 2).
ZMLX_FN float m_tanh(float x) {
  float a = m_fabs(x), n;
  float r = exp_split(2.0f * (a > 10.0f ? 10.0f : a), n);
  float s = pow2i(int(n));
  float e = mad(s, exp_tail(r), s - 1.0f);
  return m_copysign(e / (e + 2.0f), x);
}
ZMLX_FN float f_tanh(float x) { return m_tanh(x); }

// A quarter of e^a - 1, and of e^a: the last doubling overflows exactly where sinh does.
ZMLX_FN float m_sinh(float x) {
  float a = m_fabs(x), n;
  float r = exp_split(a > 89.6f ? 89.6f : a, n);
  float s = pow2i(int(n) - 2);
  float e = mad(s, exp_tail(r), s - 0.25f);
  r = m_copysign(2.0f * (e + e / mad(4.0f, e, 1.0f)), x);
  return a < 0x1p-12f ? x : r;
}
ZMLX_FN float f_sinh(float x) { return m_sinh(x); }
ZMLX_FN float m_cosh(float x) {
  float a = m_fabs(x), n;
  float r = exp_split(a > 89.6f ? 89.6f : a, n);
  float s = pow2i(int(n) - 2);
  float e = mad(s, exp_tail(r), s);
  return 2.0f * (e + 0.0625f / e);
}
ZMLX_FN float f_cosh(float x) { return m_cosh(x); }
}  // namespace zmlx
