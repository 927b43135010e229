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
template <int VEC, class F> ZMLX_FN void close(F* p, const float* v) {
  for (int i = 0; i < VEC; i += wide_floats) {
    const vshort h = narrowed(load_vector<vfloat>(v + i), F());
    __builtin_memcpy(p + i, &h, sizeof(h));
  }
}
template <int VEC, class F> ZMLX_FN void close(F* p, const float_block<F, VEC>& b) { close<VEC>(p, b.v); }
}  // namespace zmlx

#define ZMLX_FLOATS(F)                                                                                        \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN zmlx::float_block<F, VEC> kk_as_floats(const F* p) { return zmlx::floats<VEC>(p); }                    \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN zmlx::float_block<F, VEC> kk_open(F*) { zmlx::float_block<F, VEC> b; return b; }                    \
  template <class O, int VEC, class V>                                                                        \
  ZMLX_FN void kk_put(zmlx::float_block<F, VEC>& b, int i, V v) { b.v[i] = float(v); }                        \
  template <int VEC> ZMLX_FN void kk_close(F* p, const zmlx::float_block<F, VEC>& b) { zmlx::close(p, b); }  \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN zmlx::float_block<F, VEC> kk_take_floats(const F* p) { return zmlx::floats<VEC>(p); }                \
  template <int VEC> requires zmlx::in_vectors<VEC>                                                           \
  ZMLX_FN void kk_store_floats(F* p, const float* v) { zmlx::close<VEC>(p, v); }
ZMLX_FLOATS(half) ZMLX_FLOATS(bfloat)
#undef ZMLX_FLOATS

// Which of eight 16-bit floats are not zero, as bits (`kernels/bits.metal`): four at a time, in the places of a word. Above the sign is cut
// off, adding all other bits carries into its place unless a number is zero.
namespace zmlx {
ZMLX_FN unsigned nonzero_of_four(const void* p) {
  unsigned long long word;
  __builtin_memcpy(&word, p, sizeof(word));
  const unsigned long long rest = 0x7fff7fff7fff7fffull, ones = ((word & rest) + rest) >> 15 & 0x0001000100010001ull;
  return unsigned(ones * 0x0001000200040008ull >> 48) & 15u;
}
}  // namespace zmlx
#define ZMLX_PACK(F) \
  ZMLX_FN unsigned char kk_pack_byte(const F* p) { return (unsigned char)(zmlx::nonzero_of_four(p) | zmlx::nonzero_of_four(p + 4) << 4); }
ZMLX_PACK(half) ZMLX_PACK(bfloat)
#undef ZMLX_PACK

// The inner products of a row with four others (`kk_inner` in `kernels/attention.metal`), in the order that is written there: g++ makes single
// numbers of the sums of halves.
namespace zmlx {
typedef float floats_of_4 __attribute__((vector_size(16)));
typedef float floats_of_8 __attribute__((vector_size(32)));
template <class V> ZMLX_FN V half_of(const float* v, int which) { return load_vector<V>(v + which * int(sizeof(V) / 4)); }
// Sixteen sums become four.
ZMLX_FN floats_of_4 four_sums(const float* v) {
  const floats_of_8 x = half_of<floats_of_8>(v, 0) + half_of<floats_of_8>(v, 1);
  return __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
}
}  // namespace zmlx
template <int W, int SUMS, int MANY> requires(W % 16 == 0 && SUMS == 16 && MANY == 4)
ZMLX_FN void kk_inner(const float* a, const float* b, float* out) {
  using namespace zmlx;
  constexpr int vectors = 16 / wide_floats;
  vfloat sums[4][vectors];
#pragma GCC unroll 16
  for (int i = 0; i < W / 16; ++i)
#pragma GCC unroll 4
    for (int m = 0; m < 4; ++m)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) {
        const int at = i * 16 + v * wide_floats;
        const vfloat x = load_vector<vfloat>(a + at), y = load_vector<vfloat>(b + m * W + at);
#if ZMLX_WIDE_FLOATS == 16
        sums[m][v] = i == 0 ? x * y : __builtin_ia32_vfmaddps512_mask(x, y, sums[m][v], -1, 4);
#else
        sums[m][v] = i == 0 ? x * y : __builtin_ia32_vfmaddps256(x, y, sums[m][v]);
#endif
      }
  floats_of_4 s[4];
#pragma GCC unroll 4
  for (int m = 0; m < 4; ++m) s[m] = four_sums((const float*)sums[m]);
  const auto low = [](floats_of_4 p, floats_of_4 q) { return __builtin_shufflevector(p, q, 0, 1, 4, 5); };
  const auto high = [](floats_of_4 p, floats_of_4 q) { return __builtin_shufflevector(p, q, 2, 3, 6, 7); };
  const floats_of_4 first = low(s[0], s[1]) + high(s[0], s[1]), second = low(s[2], s[3]) + high(s[2], s[3]);
  const floats_of_4 all = __builtin_shufflevector(first, second, 0, 2, 4, 6) + __builtin_shufflevector(first, second, 1, 3, 5, 7);
  __builtin_memcpy(out, &all, 16);
}

// g++ has no vectors of bool, but of the bytes that they are.
template <int VEC> ZMLX_FN zmlx::float_block<bool, VEC> kk_as_floats(const bool* p) {
  const unsigned char* bytes = reinterpret_cast<const unsigned char*>(p);
  zmlx::float_block<bool, VEC> b;
  for (int i = 0; i < VEC; ++i) b.v[i] = bytes[i] != 0 ? 1.0f : 0.0f;
  return b;
}
#endif
