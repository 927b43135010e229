// Logarithms and the inverse hyperbolic functions in float. A positive number is 2^e m with
// m between sqrt(1/2) and sqrt(2); log m comes from a minimax polynomial in m - 1, and the
// selects at the end give IEEE's results outside the domain. Branch-free, for vectors.
#pragma once
#include "math_exp.h"

namespace zmlx {
struct log_parts { float e, f; };

// Denormals are brought into the normal range first, unless the fast variants ask not to.
template <bool denormals> ZMLX_FN log_parts log_split(float x) {
  bool small = denormals && x < 0x1p-126f;
  uint32_t u = bits<uint32_t>(small ? x * 0x1p23f : x) - 0x3f3504f3u;
  float m = bits<float>((u & 0x7fffffu) + 0x3f3504f3u);
  return {float((int(u) >> 23) - (small ? 23 : 0)), m - 1.0f};
}
// log(1 + f) - f for f between sqrt(1/2) - 1 and sqrt(2) - 1.
ZMLX_FN float log_tail(float f) {
  float q = mad(0x1.1457e4p-4f, f, -0x1.de3bf6p-4f);
  q = mad(q, f, 0x1.e6f03cp-4f);
  q = mad(q, f, -0x1.fc2208p-4f);
  q = mad(q, f, 0x1.23376cp-3f);
  q = mad(q, f, -0x1.555c4ep-3f);
  q = mad(q, f, 0x1.99a4b6p-3f);
  q = mad(q, f, -0x1.000006p-2f);
  q = mad(q, f, 0x1.555548p-2f);
  float t = f * f;
  return mad(t, -0.5f, f * t * q);
}
ZMLX_FN float log_edges(float x, float r) {
  r = x < __builtin_inff() ? r : x;
  r = x == 0.0f ? -__builtin_inff() : r;
  return x < 0.0f ? __builtin_nanf("") : r;
}
ZMLX_FN float log_sum(log_parts p) {
  float y = mad(p.e, 0x1.7f7d1cp-20f, log_tail(p.f));
  return mad(p.e, 0x1.62e4p-1f, p.f + y);
}
ZMLX_FN float log2_sum(log_parts p) {
  float y = log_tail(p.f);
  y = mad(p.f, 0x1.4ae0c0p-26f, y * 0x1.715476p0f);
  return p.e + mad(p.f, 0x1.715476p0f, y);
}
ZMLX_FN float log10_sum(log_parts p) {
  float y = log_tail(p.f);
  y = mad(p.f, -0x1.5b235ep-27f, y * 0x1.bcb7b2p-2f);
  y = mad(p.e, 0x1.3509f8p-18f, y);
  return mad(p.e, 0x1.344p-2f, mad(p.f, 0x1.bcb7b2p-2f, y));
}
ZMLX_FN float m_log(float x) { return log_edges(x, log_sum(log_split<true>(x))); }
ZMLX_FN float m_log2(float x) { return log_edges(x, log2_sum(log_split<true>(x))); }
ZMLX_FN float m_log10(float x) { return log_edges(x, log10_sum(log_split<true>(x))); }
// Fast: a denormal counts as zero.
ZMLX_FN float fast_edges(float x, float r) { return log_edges(m_fabs(x) < 0x1p-126f ? 0.0f : x, r); }
ZMLX_FN float f_log(float x) { return fast_edges(x, log_sum(log_split<false>(x))); }
ZMLX_FN float f_log2(float x) { return fast_edges(x, log2_sum(log_split<false>(x))); }
ZMLX_FN float f_log10(float x) { return fast_edges(x, log10_sum(log_split<false>(x))); }

// log(1 + x): what rounding 1 + x lost goes back into the remainder, scaled like it.
ZMLX_FN float m_log1p(float x) {
  float u = 1.0f + x;
  float lost = x < 1.0f ? x - (u - 1.0f) : 1.0f - (u - x);
  log_parts p = log_split<false>(u);
  p.f += p.e > 60.0f ? 0.0f : lost * pow2i(-int(p.e));
  float r = log_edges(u, log_sum(p));
  return m_fabs(x) < 0x1p-25f ? x : r;
}
ZMLX_FN float f_log1p(float x) { return m_log1p(x); }

ZMLX_FN float m_asinh(float x) {
  float a = m_fabs(x), t = a * a;
  bool big = a > 0x1p24f;
  float w = big ? a : a + t / (1.0f + m_sqrt(1.0f + t));
  return m_copysign(m_log1p(w) + (big ? 0x1.62e430p-1f : 0.0f), x);
}
ZMLX_FN float m_acosh(float x) {
  float t = x - 1.0f;
  bool big = x > 0x1p24f;
  float w = big ? x : t + m_sqrt(t * (t + 2.0f));
  float r = m_log1p(w) + (big ? 0x1.62e430p-1f : 0.0f);
  return x < 1.0f ? __builtin_nanf("") : r;
}
ZMLX_FN float m_atanh(float x) {
  float a = m_fabs(x);
  return m_copysign(0.5f * m_log1p(2.0f * a / (1.0f - a)), x);
}
ZMLX_FN float f_asinh(float x) { return m_asinh(x); }
ZMLX_FN float f_acosh(float x) { return m_acosh(x); }
ZMLX_FN float f_atanh(float x) { return m_atanh(x); }
}  // namespace zmlx
