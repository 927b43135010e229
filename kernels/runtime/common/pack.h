// Packing of float and half vectors into normalized integers and back. Values are clamped
// to the range first and rounded to even; the sRGB forms apply its transfer curve to rgb.
#pragma once
#include "common.h"

namespace zmlx {
template <int BITS> ZMLX_FN uint to_unorm(float x) {
  return uint(m_rint(m_fmin(m_fmax(x, 0.0f), 1.0f) * float((1u << BITS) - 1)));
}
template <int BITS> ZMLX_FN uint to_snorm(float x) {
  return uint(int(m_rint(m_fmin(m_fmax(x, -1.0f), 1.0f) * float((1u << (BITS - 1)) - 1)))) & ((1u << BITS) - 1);
}
template <int BITS> ZMLX_FN float from_unorm(uint x) { return float(x & ((1u << BITS) - 1)) / float((1u << BITS) - 1); }
template <int BITS> ZMLX_FN float from_snorm(uint x) {
  float f = float(int(x << (32 - BITS)) >> (32 - BITS)) / float((1u << (BITS - 1)) - 1);
  return f < -1.0f ? -1.0f : f;
}
ZMLX_FN float to_srgb(float x) {
  x = m_fmin(m_fmax(x, 0.0f), 1.0f);
  return x <= 0.0031308f ? 12.92f * x : 1.055f * m_powr(x, 1.0f / 2.4f) - 0.055f;
}
ZMLX_FN float from_srgb(float x) { return x <= 0.04045f ? x / 12.92f : m_powr((x + 0.055f) / 1.055f, 2.4f); }
}  // namespace zmlx

namespace metal {
#define ZMLX_PACKING(T)                                                                                         \
  ZMLX_FN uint pack_##T##_to_unorm4x8(T##4 v) {                                                                 \
    return zmlx::to_unorm<8>(v.x) | zmlx::to_unorm<8>(v.y) << 8 | zmlx::to_unorm<8>(v.z) << 16 | zmlx::to_unorm<8>(v.w) << 24; \
  }                                                                                                             \
  ZMLX_FN uint pack_##T##_to_snorm4x8(T##4 v) {                                                                 \
    return zmlx::to_snorm<8>(v.x) | zmlx::to_snorm<8>(v.y) << 8 | zmlx::to_snorm<8>(v.z) << 16 | zmlx::to_snorm<8>(v.w) << 24; \
  }                                                                                                             \
  ZMLX_FN uint pack_##T##_to_unorm2x16(T##2 v) { return zmlx::to_unorm<16>(v.x) | zmlx::to_unorm<16>(v.y) << 16; } \
  ZMLX_FN uint pack_##T##_to_snorm2x16(T##2 v) { return zmlx::to_snorm<16>(v.x) | zmlx::to_snorm<16>(v.y) << 16; } \
  ZMLX_FN uint pack_##T##_to_unorm10a2(T##4 v) {                                                                \
    return zmlx::to_unorm<10>(v.x) | zmlx::to_unorm<10>(v.y) << 10 | zmlx::to_unorm<10>(v.z) << 20 | zmlx::to_unorm<2>(v.w) << 30; \
  }                                                                                                             \
  ZMLX_FN ushort pack_##T##_to_unorm565(T##3 v) {                                                               \
    return ushort(zmlx::to_unorm<5>(v.x) << 11 | zmlx::to_unorm<6>(v.y) << 5 | zmlx::to_unorm<5>(v.z));         \
  }                                                                                                             \
  ZMLX_FN uint pack_##T##_to_srgb_unorm4x8(T##4 v) {                                                            \
    return zmlx::to_unorm<8>(zmlx::to_srgb(v.x)) | zmlx::to_unorm<8>(zmlx::to_srgb(v.y)) << 8 |                 \
           zmlx::to_unorm<8>(zmlx::to_srgb(v.z)) << 16 | zmlx::to_unorm<8>(v.w) << 24;                          \
  }                                                                                                             \
  ZMLX_FN T##4 unpack_unorm4x8_to_##T(uint x) {                                                                 \
    return T##4(zmlx::from_unorm<8>(x), zmlx::from_unorm<8>(x >> 8), zmlx::from_unorm<8>(x >> 16), zmlx::from_unorm<8>(x >> 24)); \
  }                                                                                                             \
  ZMLX_FN T##4 unpack_snorm4x8_to_##T(uint x) {                                                                 \
    return T##4(zmlx::from_snorm<8>(x), zmlx::from_snorm<8>(x >> 8), zmlx::from_snorm<8>(x >> 16), zmlx::from_snorm<8>(x >> 24)); \
  }                                                                                                             \
  ZMLX_FN T##2 unpack_unorm2x16_to_##T(uint x) { return T##2(zmlx::from_unorm<16>(x), zmlx::from_unorm<16>(x >> 16)); } \
  ZMLX_FN T##2 unpack_snorm2x16_to_##T(uint x) { return T##2(zmlx::from_snorm<16>(x), zmlx::from_snorm<16>(x >> 16)); } \
  ZMLX_FN T##4 unpack_unorm10a2_to_##T(uint x) {                                                                \
    return T##4(zmlx::from_unorm<10>(x), zmlx::from_unorm<10>(x >> 10), zmlx::from_unorm<10>(x >> 20), zmlx::from_unorm<2>(x >> 30)); \
  }                                                                                                             \
  ZMLX_FN T##3 unpack_unorm565_to_##T(ushort x) {                                                               \
    return T##3(zmlx::from_unorm<5>(uint(x) >> 11), zmlx::from_unorm<6>(uint(x) >> 5), zmlx::from_unorm<5>(x)); \
  }                                                                                                             \
  ZMLX_FN T##4 unpack_unorm4x8_srgb_to_##T(uint x) {                                                            \
    return T##4(zmlx::from_srgb(zmlx::from_unorm<8>(x)), zmlx::from_srgb(zmlx::from_unorm<8>(x >> 8)),          \
                zmlx::from_srgb(zmlx::from_unorm<8>(x >> 16)), zmlx::from_unorm<8>(x >> 24));                   \
  }
ZMLX_PACKING(float)
ZMLX_PACKING(half)
#undef ZMLX_PACKING
}  // namespace metal
