// The float cores beneath the math library: CUDA's own functions, which are accurate to a few units
// in the last place and take denormals, infinities and NaN as IEEE says. The fast ones (f_) use the
// chip's approximations, as metal::fast:: does.
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

// A number of the host's polynomials would do as well; these are what the chip's compiler knows best.
#define ZMLX_CORE(name, f) ZMLX_FN float m_##name(float x) { return ::f(x); }
#define ZMLX_SAME(name) ZMLX_FN float f_##name(float x) { return m_##name(x); }
ZMLX_CORE(fabs, fabsf) ZMLX_CORE(floor, floorf) ZMLX_CORE(ceil, ceilf) ZMLX_CORE(trunc, truncf)
ZMLX_CORE(rint, rintf) ZMLX_CORE(round, roundf) ZMLX_CORE(sqrt, __fsqrt_rn) ZMLX_CORE(rsqrt, rsqrtf)
ZMLX_CORE(exp, expf) ZMLX_CORE(exp2, exp2f) ZMLX_CORE(exp10, exp10f)
ZMLX_CORE(log, logf) ZMLX_CORE(log2, log2f) ZMLX_CORE(log10, log10f) ZMLX_CORE(log1p, log1pf)
ZMLX_CORE(sin, sinf) ZMLX_CORE(cos, cosf) ZMLX_CORE(tan, tanf)
ZMLX_CORE(asin, asinf) ZMLX_CORE(acos, acosf) ZMLX_CORE(atan, atanf)
ZMLX_CORE(sinh, sinhf) ZMLX_CORE(cosh, coshf) ZMLX_CORE(tanh, tanhf)
ZMLX_CORE(asinh, asinhf) ZMLX_CORE(acosh, acoshf) ZMLX_CORE(atanh, atanhf)
ZMLX_CORE(sinpi, sinpif) ZMLX_CORE(cospi, cospif)
#undef ZMLX_CORE
ZMLX_FN float m_tanpi(float x) { return ::sinpif(x) / ::cospif(x); }
ZMLX_FN float m_fract(float x) {
  float r = x - ::floorf(x);
  r = r >= 1.0f ? 0x1.fffffep-1f : r;
  return is_inf(x) ? 0.0f : r;
}
ZMLX_FN constexpr float m_copysign(float x, float y) {
  return bits<float>((bits<uint32_t>(x) & 0x7fffffffu) | (bits<uint32_t>(y) & 0x80000000u));
}
ZMLX_FN float m_fma(float x, float y, float z) { return ::__fmaf_rn(x, y, z); }
ZMLX_FN float mad(float x, float y, float z) { return ::__fmaf_rn(x, y, z); }
// The other argument when one is NaN, in one instruction.
ZMLX_FN constexpr float m_fmax(float x, float y) {
  if (!__builtin_is_constant_evaluated()) return ::fmaxf(x, y);
  return !(x >= y) && y == y ? y : x;
}
ZMLX_FN constexpr float m_fmin(float x, float y) {
  if (!__builtin_is_constant_evaluated()) return ::fminf(x, y);
  return !(x <= y) && y == y ? y : x;
}
ZMLX_FN constexpr float m_fdim(float x, float y) { return x <= y ? 0.0f : x - y; }
ZMLX_FN float m_fmod(float x, float y) { return ::fmodf(x, y); }
ZMLX_FN float f_fmod(float x, float y) { return x - y * ::truncf(x / y); }
ZMLX_FN float m_nextafter(float x, float y) { return ::nextafterf(x, y); }
ZMLX_FN float m_ldexp(float x, int n) { return ::ldexpf(x, n); }
ZMLX_FN float m_frexp(float x, int& e) {
  int k = 0;
  float r = ::frexpf(x, &k);
  bool plain = x == 0.0f || !is_finite(x);
  e = plain ? 0 : k;
  return plain ? x : r;
}
ZMLX_FN int m_ilogb(float x) {
  return is_nan(x) || is_inf(x) ? 2147483647 : x == 0.0f ? -2147483647 - 1 : ::ilogbf(x);
}
ZMLX_FN float m_atan2(float y, float x) { return ::atan2f(y, x); }
ZMLX_FN float m_pow(float x, float y) { return ::powf(x, y); }
ZMLX_FN float m_powr(float x, float y) {
  bool bad = !(x >= 0.0f) || y != y || ((x == 0.0f || is_inf(x)) && y == 0.0f) || (x == 1.0f && is_inf(y));
  return bad ? __builtin_nanf("") : ::powf(::fabsf(x), y);
}

ZMLX_FN float f_exp2(float x) { float r; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x)); return r; }
// Without the scaling by which __expf gives denormal numbers too.
ZMLX_FN float f_exp(float x) { return f_exp2(x * 1.44269504f); }
ZMLX_FN float f_exp10(float x) { return ::__exp10f(x); }
ZMLX_FN float f_log(float x) { return ::__logf(x); }
ZMLX_FN float f_log2(float x) { return ::__log2f(x); }
ZMLX_FN float f_log10(float x) { return ::__log10f(x); }
ZMLX_FN float f_sin(float x) { return ::sinf(x); }
ZMLX_FN float f_cos(float x) { return ::cosf(x); }
ZMLX_FN float f_tan(float x) { return ::tanf(x); }
ZMLX_FN float f_powr(float x, float y) { return f_exp2(y * f_log2(x)); }
ZMLX_FN float f_pow(float x, float y) { return ::powf(x, y); }
ZMLX_FN float f_atan2(float y, float x) { return m_atan2(y, x); }
ZMLX_SAME(asin) ZMLX_SAME(acos) ZMLX_SAME(atan) ZMLX_SAME(sinh) ZMLX_SAME(cosh) ZMLX_SAME(tanh)
ZMLX_SAME(asinh) ZMLX_SAME(acosh) ZMLX_SAME(atanh) ZMLX_SAME(sinpi) ZMLX_SAME(cospi) ZMLX_SAME(tanpi)
ZMLX_SAME(log1p)
#undef ZMLX_SAME
ZMLX_FN float r_sin(float x) { return m_sin(x); }
ZMLX_FN float r_cos(float x) { return m_cos(x); }
ZMLX_FN float r_tan(float x) { return m_tan(x); }
}  // namespace zmlx
