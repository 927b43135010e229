// metal::numeric_limits and the limit macros of MSL's <metal_limits> and <metal_math>.
#pragma once
#include "float16.h"

#define CHAR_BIT 8
#define SCHAR_MAX 127
#define SCHAR_MIN (-128)
#define CHAR_MAX 127
#define CHAR_MIN (-128)
#define UCHAR_MAX 255
#define SHRT_MAX 32767
#define SHRT_MIN (-32768)
#define USHRT_MAX 65535
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 4294967295u
#define LONG_MAX 9223372036854775807l
#define LONG_MIN (-9223372036854775807l - 1)
#define ULONG_MAX 18446744073709551615ul

#define FLT_DIG 6
#define FLT_MANT_DIG 24
#define FLT_MAX_10_EXP 38
#define FLT_MAX_EXP 128
#define FLT_MIN_10_EXP (-37)
#define FLT_MIN_EXP (-125)
#define FLT_RADIX 2
#define FLT_MAX 0x1.fffffep127f
#define FLT_MIN 0x1p-126f
#define FLT_EPSILON 0x1p-23f
#define HALF_DIG 3
#define HALF_MANT_DIG 11
#define HALF_MAX_10_EXP 4
#define HALF_MAX_EXP 16
#define HALF_MIN_10_EXP (-4)
#define HALF_MIN_EXP (-13)
#define HALF_RADIX 2
#define HALF_MAX half(0x1.ffcp15f)
#define HALF_MIN half(0x1p-14f)
#define HALF_EPSILON half(0x1p-10f)
#define BFLT_MAX bfloat(0x1.fep127f)
#define BFLT_MIN bfloat(0x1p-126f)
#define BFLT_EPSILON bfloat(0x1p-7f)

#define MAXFLOAT FLT_MAX
#define MAXHALF HALF_MAX
#define HUGE_VALF __builtin_huge_valf()
#define HUGE_VALH half(__builtin_huge_valf())
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#define FP_NAN 0
#define FP_INFINITE 1
#define FP_ZERO 2
#define FP_SUBNORMAL 3
#define FP_NORMAL 4

#define M_E_F 2.71828182845904523536f
#define M_LOG2E_F 1.44269504088896340736f
#define M_LOG10E_F 0.434294481903251827651f
#define M_LN2_F 0.693147180559945309417f
#define M_LN10_F 2.30258509299404568402f
#define M_PI_F 3.14159265358979323846f
#define M_PI_2_F 1.57079632679489661923f
#define M_PI_4_F 0.785398163397448309616f
#define M_1_PI_F 0.318309886183790671538f
#define M_2_PI_F 0.636619772367581343076f
#define M_2_SQRTPI_F 1.12837916709551257390f
#define M_SQRT2_F 1.41421356237309504880f
#define M_SQRT1_2_F 0.707106781186547524401f
#define M_E_H half(M_E_F)
#define M_LOG2E_H half(M_LOG2E_F)
#define M_LOG10E_H half(M_LOG10E_F)
#define M_LN2_H half(M_LN2_F)
#define M_LN10_H half(M_LN10_F)
#define M_PI_H half(M_PI_F)
#define M_PI_2_H half(M_PI_2_F)
#define M_PI_4_H half(M_PI_4_F)
#define M_1_PI_H half(M_1_PI_F)
#define M_2_PI_H half(M_2_PI_F)
#define M_2_SQRTPI_H half(M_2_SQRTPI_F)
#define M_SQRT2_H half(M_SQRT2_F)
#define M_SQRT1_2_H half(M_SQRT1_2_F)

namespace metal {
// What Metal's own library calls its parts; programs specialize and read them.
template <class T> struct _numeric_limits_impl {
  static constexpr bool is_specialized = false;
};
template <class T> struct _fp_encoding_traits;
template <> struct _fp_encoding_traits<float> {
  static constexpr uint32_t sign_mask = 0x80000000u, inf_mask = 0x7f800000u;
};
template <> struct _fp_encoding_traits<half> {
  static constexpr uint16_t sign_mask = 0x8000u, inf_mask = 0x7c00u;
};
template <class T> struct numeric_limits : _numeric_limits_impl<T> {};
template <class T> requires is_integral_v<T> struct numeric_limits<T> {
  static constexpr bool is_specialized = true, is_integer = true, is_exact = true, is_signed = is_signed_v<T>;
  static constexpr bool has_infinity = false, has_quiet_NaN = false;
  static constexpr int radix = 2, digits = is_same_v<T, bool> ? 1 : int(8 * sizeof(T)) - (is_signed ? 1 : 0);
  static constexpr int digits10 = digits * 30103 / 100000;
  static constexpr T max() { return is_same_v<T, bool> ? T(1) : is_signed ? T(~(1ull << (8 * sizeof(T) - 1))) : T(~0ull); }
  static constexpr T min() { return is_same_v<T, bool> || !is_signed ? T(0) : T(1ull << (8 * sizeof(T) - 1)); }
  static constexpr T lowest() { return min(); }
  static constexpr T epsilon() { return 0; }
  static constexpr T infinity() { return 0; }
};
#define ZMLX_FLOAT_LIMITS(T, DIG, DIG10, MAXEXP, MINEXP, MAX, MIN, EPS, DEN)                          \
  template <> struct numeric_limits<T> {                                                              \
    static constexpr bool is_specialized = true, is_integer = false, is_exact = false, is_signed = true; \
    static constexpr bool has_infinity = true, has_quiet_NaN = true, has_signaling_NaN = true;        \
    static constexpr bool is_iec559 = true, has_denorm = true;                                        \
    static constexpr int radix = 2, digits = DIG, digits10 = DIG10, max_exponent = MAXEXP, min_exponent = MINEXP; \
    static constexpr T max() { return T(MAX); }                                                       \
    static constexpr T min() { return T(MIN); }                                                       \
    static constexpr T lowest() { return T(-MAX); }                                                   \
    static constexpr T epsilon() { return T(EPS); }                                                   \
    static constexpr T round_error() { return T(0.5f); }                                              \
    static constexpr T infinity() { return T(__builtin_inff()); }                                     \
    static constexpr T quiet_NaN() { return T(__builtin_nanf("")); }                                  \
    static constexpr T signaling_NaN() { return T(__builtin_nanf("")); }                              \
    static constexpr T denorm_min() { return T(DEN); }                                                \
  };
ZMLX_FLOAT_LIMITS(float, 24, 6, 128, -125, 0x1.fffffep127f, 0x1p-126f, 0x1p-23f, 0x1p-149f)
ZMLX_FLOAT_LIMITS(half, 11, 3, 16, -13, 0x1.ffcp15f, 0x1p-14f, 0x1p-10f, 0x1p-24f)
ZMLX_FLOAT_LIMITS(bfloat, 8, 2, 128, -125, 0x1.fep127f, 0x1p-126f, 0x1p-7f, 0x1p-133f)
#undef ZMLX_FLOAT_LIMITS
}  // namespace metal
