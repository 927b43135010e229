// What the run-time compiler lacks: the integer names of <stdint.h>, which it may not have at hand,
// and the builtins that the shared headers are written with.
#pragma once
#define ZMLX_INLINE inline __attribute__((always_inline))
#define ZMLX_FN static ZMLX_INLINE
#define MLX_MTL_PRAGMA_UNROLL _Pragma("unroll")

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef unsigned long uintptr_t;
typedef long intptr_t;

#define __builtin_inff() __builtin_bit_cast(float, 0x7f800000u)
#define __builtin_huge_valf() __builtin_inff()
#define __builtin_nanf(text) __builtin_bit_cast(float, 0x7fc00000u)
#define __builtin_popcountll(x) zmlx::popcount64(x)
#define __builtin_clzll(x) zmlx::clz64(x)
#define __builtin_ctzll(x) zmlx::ctz64(x)
#define __builtin_bswap64(x) zmlx::bswap64(x)
#define __builtin_fabsf(x) zmlx::fabs32(x)

namespace zmlx {
// As functions that constants may be made with.
ZMLX_FN constexpr int popcount64(uint64_t x) {
  if (!__builtin_is_constant_evaluated()) return ::__popcll(x);
  int n = 0;
  for (; x; x &= x - 1) ++n;
  return n;
}
ZMLX_FN constexpr int clz64(uint64_t x) {
  if (!__builtin_is_constant_evaluated()) return ::__clzll((long long)x);
  int n = 0;
  for (; n < 64 && !(x >> 63); x <<= 1) ++n;
  return n;
}
ZMLX_FN constexpr int ctz64(uint64_t x) {
  if (!__builtin_is_constant_evaluated()) return ::__ffsll((long long)x) - 1;
  int n = 0;
  for (; n < 64 && !(x & 1); x >>= 1) ++n;
  return n;
}
ZMLX_FN constexpr uint64_t bswap64(uint64_t x) {
  x = (x & 0x00ff00ff00ff00ffull) << 8 | (x >> 8 & 0x00ff00ff00ff00ffull);
  x = (x & 0x0000ffff0000ffffull) << 16 | (x >> 16 & 0x0000ffff0000ffffull);
  return x << 32 | x >> 32;
}
ZMLX_FN constexpr float fabs32(float x) {
  if (!__builtin_is_constant_evaluated()) return ::fabsf(x);
  return __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, x) & 0x7fffffffu);
}
}  // namespace zmlx
