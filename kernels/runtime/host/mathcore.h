// float cores of the math library (first version: the C library).
#pragma once
#include "../common/base.h"
namespace zmlx {
#define ZMLX_C1(n) ZMLX_FN float m_##n(float x) { return __builtin_##n##f(x); } ZMLX_FN float f_##n(float x) { return m_##n(x); }
ZMLX_C1(exp) ZMLX_C1(exp2) ZMLX_C1(exp10) ZMLX_C1(log) ZMLX_C1(log2) ZMLX_C1(log10)
ZMLX_C1(sin) ZMLX_C1(cos) ZMLX_C1(tan) ZMLX_C1(asin) ZMLX_C1(acos) ZMLX_C1(atan)
ZMLX_C1(sinh) ZMLX_C1(cosh) ZMLX_C1(tanh) ZMLX_C1(asinh) ZMLX_C1(acosh) ZMLX_C1(atanh)
ZMLX_C1(log1p)
#undef ZMLX_C1
ZMLX_FN float m_sinpi(float x) { return m_sin(3.14159265f * x); }
ZMLX_FN float m_cospi(float x) { return m_cos(3.14159265f * x); }
ZMLX_FN float m_tanpi(float x) { return m_tan(3.14159265f * x); }
ZMLX_FN float f_sinpi(float x) { return m_sinpi(x); }
ZMLX_FN float f_cospi(float x) { return m_cospi(x); }
ZMLX_FN float f_tanpi(float x) { return m_tanpi(x); }
ZMLX_FN float m_pow(float x, float y) { return __builtin_powf(x, y); }
ZMLX_FN float f_pow(float x, float y) { return __builtin_powf(x, y); }
ZMLX_FN float m_powr(float x, float y) { return __builtin_powf(x, y); }
ZMLX_FN float f_powr(float x, float y) { return __builtin_powf(x, y); }
ZMLX_FN float m_atan2(float x, float y) { return __builtin_atan2f(x, y); }
ZMLX_FN float f_atan2(float x, float y) { return __builtin_atan2f(x, y); }
}  // namespace zmlx
