// pow and powr in float: exp2(y log2 x) in double, whose extra digits absorb the factor y,
// rounded once at the end. Branch-free; the selects that follow are IEEE 754's list of
// special cases.
#pragma once
#include "math_log.h"
#include "math_trig.h"

namespace zmlx {
ZMLX_FN double log2_wide(float x) {
  log_parts p = log_split<true>(x);
  double f = p.f;
  double q = mad(-0x1.6b8958eef1547p-4, f, 0x1.406f93cce2421p-3);
  q = mad(q, f, -0x1.40cce483c3fb8p-3);
  q = mad(q, f, 0x1.44e4384658797p-3);
  q = mad(q, f, -0x1.6eb2acd508845p-3);
  q = mad(q, f, 0x1.a6252ca000090p-3);
  q = mad(q, f, -0x1.ec8df599ebcbap-3);
  q = mad(q, f, 0x1.2776f03b9a2d4p-2);
  q = mad(q, f, -0x1.7154338227035p-2);
  q = mad(q, f, 0x1.ec709cd04be76p-2);
  q = mad(q, f, -0x1.7154767dde12dp-1);
  q = mad(q, f, 0x1.71547652d5183p0);
  return mad(q, f, double(p.e));
}
ZMLX_FN float exp2_wide(double z) {
  z = z < -200.0 ? -200.0 : z;
  z = z > 200.0 ? 200.0 : z;
  double t = z + 0x1.8p52, n = t - 0x1.8p52, r = z - n;
  double q = mad(0x1.4498d4078d2efp-13, r, 0x1.5f48f30c53ecdp-10);
  q = mad(q, r, 0x1.3b2996358e070p-7);
  q = mad(q, r, 0x1.c6aecbff76e86p-5);
  q = mad(q, r, 0x1.ebfbe10dd76b3p-3);
  q = mad(q, r, 0x1.62e430d084138p-1);
  q = mad(q, r, 0x1.ffffffff4e3fbp-1);
  return float(q * bits<double>((bits<uint64_t>(t) + 1023u) << 52));
}
// |x|^y with the limits at zero and infinity.
ZMLX_FN float pow_positive(float a, float y) {
  float r = exp2_wide(double(y) * log2_wide(a));
  uint32_t zero = mask(a == 0.0f), inf = mask(a == __builtin_inff());
  uint32_t up = mask(y > 0.0f), down = mask(y < 0.0f);
  r = choose((zero & up) | (inf & down), 0.0f, r);
  r = choose((zero & down) | (inf & up), __builtin_inff(), r);
  return choose(mask(a == 1.0f), 1.0f, r);
}
// Halving makes an odd whole number a half; infinity and all large numbers are even.
ZMLX_FN uint32_t is_whole(float y) { return mask(m_trunc(y) == y); }
ZMLX_FN uint32_t is_odd(float y) { return is_whole(y) & ~is_whole(y * 0.5f); }
ZMLX_FN float give_sign(float r, float x, float y) {
  return bits<float>(bits<uint32_t>(r) ^ (is_odd(y) & bits<uint32_t>(x) & 0x80000000u));
}

ZMLX_FN float m_pow(float x, float y) {
  float r = give_sign(pow_positive(m_fabs(x), y), x, y);
  r = choose(mask(x < 0.0f) & mask(is_finite(x)) & ~is_whole(y), __builtin_nanf(""), r);
  r = choose(mask(x != x) | mask(y != y), x + y, r);
  return choose(mask(y == 0.0f) | mask(x == 1.0f), 1.0f, r);
}
ZMLX_FN float m_powr(float x, float y) {
  float r = pow_positive(m_fabs(x), y);
  uint32_t limit = mask(x == 0.0f) | mask(x == __builtin_inff());
  uint32_t bad = ~mask(x >= 0.0f) | mask(y != y) | (limit & mask(y == 0.0f)) | (mask(x == 1.0f) & mask(is_inf(y)));
  return choose(bad, __builtin_nanf(""), r);
}
// Fast: float throughout, for x > 0 and moderate y; negative x keeps integer powers right.
ZMLX_FN float f_powr(float x, float y) { return f_exp2(y * f_log2(x)); }
ZMLX_FN float f_pow(float x, float y) {
  float r = give_sign(f_exp2(y * f_log2(m_fabs(x))), x, y);
  r = choose(mask(x < 0.0f) & ~is_whole(y), __builtin_nanf(""), r);
  return choose(mask(y == 0.0f), 1.0f, r);
}
}  // namespace zmlx
