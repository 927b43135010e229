// Trigonometric functions in float. The default ones reduce the argument in double, without
// a table or a branch and for every float there is, and vectorize at half width; the fast
// ones reduce in float, good up to some 10^4.
#pragma once
#include "rounding.h"

namespace zmlx {
struct quadrant { float r; uint32_t n; };

ZMLX_FN double mad(double x, double y, double z) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMA)
  return __builtin_fma(x, y, z);
#else
  return x * y + z;
#endif
}
// The value of the highest step whose mask is set, each mask implying those before it. On the
// bits, because compilers make jumps of nested conditionals.
template <class F, class M> ZMLX_FN F stairs(M m1, M m2, M m3, M m4, F f0, F f1, F f2, F f3, F f4) {
  M u0 = bits<M>(f0), u1 = bits<M>(f1), u2 = bits<M>(f2), u3 = bits<M>(f3), u4 = bits<M>(f4);
  return bits<F>(u0 ^ (m1 & (u0 ^ u1)) ^ (m2 & (u1 ^ u2)) ^ (m3 & (u2 ^ u3)) ^ (m4 & (u3 ^ u4)));
}
ZMLX_FN uint64_t widen(uint32_t m) { return uint64_t(int64_t(int32_t(m))); }
// Takes the multiples of pi/2 off d + low. Adding 1.5 * 2^52 rounds to an integer and leaves
// its low bits in the mantissa; of the three parts of pi/2 the first two have few digits, so
// that the products with them are exact even without an fma.
ZMLX_FN quadrant quadrant_of(double d, double low) {
  double t = d * 0x1.45f306dc9c883p-1 + 0x1.8p52, n = t - 0x1.8p52;
  double r = mad(n, -0x1.921fb544p0, d);
  r = mad(n, -0x1.0b4611a4p-34, r);
  r = mad(n, -0x1.13198a2e03707p-65, r) + low;
  return {float(r), uint32_t(bits<uint64_t>(t))};
}
// A large x is a whole number times 2^k: the number stays, and what a period leaves of 2^k
// (in two doubles) takes its place.
ZMLX_FN quadrant trig_split(float x) {
  float a = m_fabs(x);
  uint32_t m1 = mask(a >= 0x1p47f), m2 = mask(a >= 0x1p71f), m3 = mask(a >= 0x1p95f), m4 = mask(a >= 0x1p119f);
  float s = stairs(m1, m2, m3, m4, 1.0f, 0x1p-24f, 0x1p-48f, 0x1p-72f, 0x1p-96f);
  double c = stairs(widen(m1), widen(m2), widen(m3), widen(m4), 1.0, -0x1.c9b6498c1137fp-1, 0x1.09f4683d25023p-3,
                    0x1.ee6639887604dp-3, 0x1.89a58c41dc40cp1);
  double e = stairs(widen(m1), widen(m2), widen(m3), widen(m4), 0.0, -0x1.2643605c762f1p-58, 0x1.fee10ecf6f246p-59,
                    0x1.8b437ad3f55e0p-58, -0x1.27745096c7eeep-53);
  double m = x * s, d = m * c, low = mad(m, e, mad(m, c, -d));
  return quadrant_of(d, low);
}
// For |x| up to 2^46, at twice the speed: what the relaxed mode uses.
ZMLX_FN quadrant relaxed_trig_split(float x) { return quadrant_of(m_fabs(x) > 0x1p46f ? x - x : x, 0.0); }
ZMLX_FN quadrant fast_trig_split(float x) {
  float n = m_rint(x * 0x1.45f306p-1f);
#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
  float r = mad(n, -0x1.921fb6p0f, x);
  r = mad(n, 0x1.777a5cp-25f, r);
  r = mad(n, 0x1.ee59dap-50f, r);
#else
  // Short parts of pi/2, whose products with n are exact.
  float r = ((x - n * 0x1.92p0f) - n * 0x1.fbp-12f) - n * 0x1.5110b4p-22f;
#endif
  return {r, uint32_t(int(n))};
}
ZMLX_FN float sin_poly(float r) {
  float z = r * r;
  float q = mad(mad(-0x1.9947cep-13f, z, 0x1.11074cp-7f), z, -0x1.555546p-3f);
  return mad(r * z, q, r);
}
ZMLX_FN float cos_poly(float r) {
  float z = r * r;
  float q = mad(mad(0x1.99fc2ap-16f, z, -0x1.6c0c76p-10f), z, 0x1.55554ap-5f);
  return mad(z * z, q, mad(z, -0.5f, 1.0f));
}
ZMLX_FN float flip(float v, uint32_t n) { return bits<float>(bits<uint32_t>(v) ^ (n & 2u) << 30); }
ZMLX_FN float sin_of(quadrant q) { return flip(q.n & 1u ? cos_poly(q.r) : sin_poly(q.r), q.n); }
ZMLX_FN float cos_of(quadrant q) { return flip(q.n & 1u ? sin_poly(q.r) : cos_poly(q.r), q.n + (q.n & 1u)); }
ZMLX_FN float tan_of(quadrant q) {
  float s = sin_poly(q.r), c = cos_poly(q.r);
  bool odd = q.n & 1u;
  return (odd ? -c : s) / (odd ? s : c);
}
// The polynomials lose the sign of zero.
ZMLX_FN float m_sin(float x) { return x == 0.0f ? x : sin_of(trig_split(x)); }
ZMLX_FN float m_tan(float x) { return x == 0.0f ? x : tan_of(trig_split(x)); }
ZMLX_FN float m_cos(float x) { return cos_of(trig_split(x)); }
ZMLX_FN float r_sin(float x) { return x == 0.0f ? x : sin_of(relaxed_trig_split(x)); }
ZMLX_FN float r_tan(float x) { return x == 0.0f ? x : tan_of(relaxed_trig_split(x)); }
ZMLX_FN float r_cos(float x) { return cos_of(relaxed_trig_split(x)); }
ZMLX_FN float f_sin(float x) { return sin_of(fast_trig_split(x)); }
ZMLX_FN float f_tan(float x) { return tan_of(fast_trig_split(x)); }
ZMLX_FN float f_cos(float x) { return cos_of(fast_trig_split(x)); }

// Functions of pi x: taking off the multiples of 2 and of 1/2 is exact.
ZMLX_FN quadrant pi_split(float x) {
  float t = x - 2.0f * m_rint(x * 0.5f);
  float n = m_rint(t + t);
  return {t - 0.5f * n, uint32_t(int(n))};
}
ZMLX_FN float sinpi_poly(float r) {
  float z = r * r;
  float q = mad(mad(mad(0x1.4be4b4p-4f, z, -0x1.32cb1ep-1f), z, 0x1.466bbcp1f), z, -0x1.4abbcep2f);
  return mad(r, 0x1.921fb6p1f, r * mad(z, q, -0x1.777a5cp-24f));
}
ZMLX_FN float cospi_poly(float r) {
  float z = r * r;
  float q = mad(mad(mad(-0x1.a105f2p-6f, z, 0x1.e1e852p-3f), z, -0x1.55d3bcp0f), z, 0x1.03c1f0p2f);
  return mad(z, mad(q, z, -0x1.3bd3ccp2f), 1.0f);
}
ZMLX_FN float m_sinpi(float x) {
  quadrant q = pi_split(x);
  float r = flip(q.n & 1u ? cospi_poly(q.r) : sinpi_poly(q.r), q.n);
  return r == 0.0f ? m_copysign(0.0f, x) : r;
}
ZMLX_FN float m_cospi(float x) {
  quadrant q = pi_split(x);
  return flip(q.n & 1u ? sinpi_poly(q.r) : cospi_poly(q.r), q.n + (q.n & 1u)) + 0.0f;
}
ZMLX_FN float m_tanpi(float x) {
  quadrant q = pi_split(x);
  float s = sinpi_poly(q.r), c = cospi_poly(q.r);
  bool odd = q.n & 1u;
  return x == 0.0f ? x : (odd ? -c : s) / (odd ? s : c);
}
ZMLX_FN float f_sinpi(float x) { return m_sinpi(x); }
ZMLX_FN float f_cospi(float x) { return m_cospi(x); }
ZMLX_FN float f_tanpi(float x) { return m_tanpi(x); }

// asin(s) for s up to 1/2, from its square.
ZMLX_FN float asin_poly(float s, float z) {
  float q = mad(mad(mad(0x1.59f37ap-5f, z, 0x1.8b871ep-6f), z, 0x1.748ef4p-5f), z, 0x1.330136p-4f);
  return mad(s * z, mad(q, z, 0x1.5555cap-3f), s);
}
// Above 1/2 through asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)).
ZMLX_FN float m_asin(float x) {
  float a = m_fabs(x);
  bool big = a > 0.5f;
  float z = big ? mad(a, -0.5f, 0.5f) : a * a;
  float t = asin_poly(big ? m_sqrt(z) : a, z);
  return m_copysign(big ? mad(t, -2.0f, 0x1.921fb6p0f) - 0x1.777a5cp-25f : t, x);
}
ZMLX_FN float m_acos(float x) {
  float a = m_fabs(x);
  bool big = a > 0.5f;
  float z = big ? mad(a, -0.5f, 0.5f) : a * a;
  float t = asin_poly(big ? m_sqrt(z) : a, z);
  float near1 = x < 0.0f ? mad(t, -2.0f, 0x1.921fb6p1f) - 0x1.777a5cp-24f : t + t;
  float mid = (0x1.921fb6p0f - m_copysign(t, x)) - 0x1.777a5cp-25f;
  return big ? near1 : mid;
}
// The polynomial covers up to tan(pi/8); the two intervals above are turned onto it.
ZMLX_FN float atan_poly(float t) {
  float z = t * t;
  float q = mad(mad(mad(-0x1.f22b0ap-5f, z, 0x1.b1fa16p-4f), z, -0x1.23b636p-3f), z, 0x1.9991a6p-3f);
  return mad(t * z, mad(q, z, -0x1.55554ap-2f), t);
}
ZMLX_FN float m_atan(float x) {
  float a = m_fabs(x);
  bool mid = a > 0x1.a8279ap-2f, big = a > 0x1.3504f4p1f;
  float num = big ? -1.0f : mid ? a - 1.0f : a, den = big ? a : mid ? a + 1.0f : 1.0f;
  float base = big ? 0x1.921fb6p0f : mid ? 0x1.921fb6p-1f : 0.0f;
  float low = big ? -0x1.777a5cp-25f : mid ? -0x1.777a5cp-26f : 0.0f;
  return m_copysign(base + (atan_poly(num / den) + low), x);
}
ZMLX_FN float m_atan2(float y, float x) {
  float a = m_fabs(y), b = m_fabs(x);
  uint32_t swap = mask(a > b);
  float n = choose(swap, b, a), d = choose(swap, a, b);
  float s = d > 0x1p120f ? 0x1p-10f : 1.0f;
  n *= s;
  d *= s;
  // Equal parts (zeros and infinities among them) would give 0/0.
  uint32_t same = mask(n == d), mid = mask(n > d * 0x1.a8279ap-2f);
  float num = choose(same, 0.0f, choose(mid, n - d, n)), den = choose(same, 1.0f, choose(mid, n + d, d));
  float t = atan_poly(num / den);
  // The octant's angle as base + t, then its mirror images; low parts carried along.
  uint32_t turned = mid | (same & mask(d != 0.0f));
  float base = choose(turned, 0x1.921fb6p-1f, 0.0f), low = choose(turned, -0x1.777a5cp-26f, 0.0f);
  base = choose(swap, 0x1.921fb6p0f - base, base);
  low = choose(swap, -0x1.777a5cp-25f - low, low);
  uint32_t left = mask(sign_bit(x));
  base = choose(left, 0x1.921fb6p1f - base, base);
  low = choose(left, -0x1.777a5cp-24f - low, low);
  t = bits<float>(bits<uint32_t>(t) ^ ((swap ^ left) & 0x80000000u));
  float r = m_copysign(base + (t + low), y);
  return choose(mask(x != x) | mask(y != y), x + y, r);
}
ZMLX_FN float f_asin(float x) { return m_asin(x); }
ZMLX_FN float f_acos(float x) { return m_acos(x); }
ZMLX_FN float f_atan(float x) { return m_atan(x); }
ZMLX_FN float f_atan2(float y, float x) { return m_atan2(y, x); }
}  // namespace zmlx
