// Blocks of half and bfloat as floats, for the kernels made from expressions (`kernels/floats.metal`). g++ vectorizes no conversion
// of _Float16, and in a loop that computes, too, it arranges vectors of both widths at a high price; a block that is converted
// as a whole stays in registers. The conversions give the same bits as those of single elements, but for the digits of a NaN.
#pragma once
#include "../common/float16.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(ZMLX_CHECKED)
#if defined(__AVX512F__)
#define ZMLX_WIDE_FLOATS 16
#elif defined(__F16C__) && defined(__AVX2__)
#define ZMLX_WIDE_FLOATS 8
#endif
#endif

#ifdef ZMLX_WIDE_FLOATS
namespace zmlx {
static constexpr int wide_floats = ZMLX_WIDE_FLOATS;
typedef float vfloat __attribute__((vector_size(4 * ZMLX_WIDE_FLOATS)));
typedef uint32_t vword __attribute__((vector_size(4 * ZMLX_WIDE_FLOATS)));
typedef int vint __attribute__((vector_size(4 * ZMLX_WIDE_FLOATS)));
typedef short vshort __attribute__((vector_size(2 * ZMLX_WIDE_FLOATS)));

template <class F, int VEC> struct float_block {
  float v[VEC];
  ZMLX_INLINE float operator[](int i) const { return v[i]; }
};

// Whole vectors make up a block.
template <int VEC> concept in_vectors = VEC % wide_floats == 0;

template <class V, class P> ZMLX_FN V load_vector(const P* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}

ZMLX_FN vfloat widened(vshort h, half) {
#if ZMLX_WIDE_FLOATS == 16
  return __builtin_ia32_vcvtph2ps512_mask(h, vfloat{}, -1, 4);
#else
  return __builtin_ia32_vcvtph2ps256(h);
#endif
}
ZMLX_FN vfloat widened(vshort h, bfloat) {
#if ZMLX_WIDE_FLOATS == 16
  return (vfloat)((vword)__builtin_ia32_pmovzxwd512_mask(h, vint{}, -1) << 16);
#else
  return (vfloat)((vword)__builtin_ia32_pmovzxwd256(h) << 16);
#endif
}

ZMLX_FN vshort narrowed(vfloat f, half) {
#if ZMLX_WIDE_FLOATS == 16
  return __builtin_ia32_vcvtps2ph512_mask(f, 0, vshort{}, -1);
#else
  return __builtin_ia32_vcvtps2ph256(f, 0);
#endif
}
ZMLX_FN vshort narrowed(vfloat f, bfloat) {
  const vword u = (vword)f;
  vword r = u + 0x7fffu + ((u >> 16) & 1u);
  r = f != f ? (u | 0x400000u) : r;
#if ZMLX_WIDE_FLOATS == 16
  return __builtin_ia32_pmovdw512_mask((vint)(r >> 16), vshort{}, -1);
#else
  // Both halves of the lower, then of the upper 16 bytes: their order is put right behind.
  typedef long long vlong __attribute__((vector_size(32)));
  typedef short vtwice __attribute__((vector_size(32)));
  const vtwice packed = __builtin_ia32_packusdw256((vint)(r >> 16), vint{});
  const vlong ordered = __builtin_ia32_permdi256((vlong)packed, 0x08);
  return load_vector<vshort>(&ordered);
#endif
}

template <int VEC, class F> ZMLX_FN float_block<F, VEC> floats(const F* p) {
  float_block<F, VEC> b;
  for (int i = 0; i < VEC; i += wide_floats) {
    const vfloat f = widened(load_vector<vshort>(p + i), F());
    __builtin_memcpy(b.v + i, &f, sizeof(f));
  }
  return b;
}
template <int VEC, class F> ZMLX_FN void close(F* p, const float_block<F, VEC>& b) {
  for (int i = 0; i < VEC; i += wide_floats) {
    const vshort h = narrowed(load_vector<vfloat>(b.v + i), F());
    __builtin_memcpy(p + i, &h, sizeof(h));
  }
}
}  // namespace zmlx

#define ZMLX_FLOATS(F)                                                                                        \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN zmlx::float_block<F, VEC> kk_as_floats(const F* p) { return zmlx::floats<VEC>(p); }                    \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN zmlx::float_block<F, VEC> kk_open(F*) { zmlx::float_block<F, VEC> b; return b; }                    \
  template <class O, int VEC, class V>                                                                        \
  ZMLX_FN void kk_put(zmlx::float_block<F, VEC>& b, int i, V v) { b.v[i] = float(v); }                        \
  template <int VEC> ZMLX_FN void kk_close(F* p, const zmlx::float_block<F, VEC>& b) { zmlx::close(p, b); }
ZMLX_FLOATS(half) ZMLX_FLOATS(bfloat)
#undef ZMLX_FLOATS

// g++ has no vectors of bool, but of the bytes that they are.
template <int VEC> ZMLX_FN zmlx::float_block<bool, VEC> kk_as_floats(const bool* p) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(p);
  zmlx::float_block<bool, VEC> b;
  for (int i = 0; i < VEC; ++i) b.v[i] = bytes[i] != 0 ? 1.0f : 0.0f;
  return b;
}
#endif
