// Codes as bytes, what they stand for, and rows that are rounded to 8 bits, for the catalog's quantized products
// (`kernels/quant_bytes.metal` and `kernels/quant_rounded.metal`, whose functions have the same names). Sums are of two products of bytes
// each, which the processor adds up in 16 bits, then of four in 32; with VNNI of four at once.
#pragma once
#include "quant.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__clang__) && !defined(ZMLX_CHECKED)
#define ZMLX_BYTES
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define ZMLX_VNNI "vpdpbusd %2, %1, %0"
#elif defined(__AVXVNNI__)
#define ZMLX_VNNI "{vex} vpdpbusd %2, %1, %0"
#endif
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
#define ZMLX_WIDE_BYTES
#endif
namespace zmlx {
typedef char bytes32 __attribute__((vector_size(32)));
typedef char bytes16 __attribute__((vector_size(16)));
typedef short words16 __attribute__((vector_size(32)));
typedef short words8 __attribute__((vector_size(16)));
typedef int ints4 __attribute__((vector_size(16)));
typedef long long longs4 __attribute__((vector_size(32)));
typedef long long longs2 __attribute__((vector_size(16)));
typedef float floats4 __attribute__((vector_size(16)));

template <class T, class P> ZMLX_FN T bytes_at(P p) { return load_vector<T>((const char*)&*p); }
ZMLX_FN bytes32 bytes_both(bytes16 first, bytes16 second) {
  return (bytes32)__builtin_ia32_insert128i256((longs4)__builtin_ia32_si256_si((ints4)first), (longs2)second, 1);
}
#ifdef ZMLX_VNNI
// What products of an unsigned and a signed byte add up to, by fours, and `sum`.
ZMLX_FN ints8 more_products(ints8 sum, bytes32 codes, bytes32 x) {
  asm(ZMLX_VNNI : "+x"(sum) : "x"(codes), "x"(x));
  return sum;
}
#endif
// What products of a code of at most 7 bits, or a signed one, and of a signed byte add up to, by fours.
template <bool SIGN> ZMLX_FN ints8 byte_products(bytes32 codes, bytes32 x) {
  if constexpr (SIGN) {
    x = __builtin_ia32_psignb256(x, codes);
    codes = __builtin_ia32_pabsb256(codes);
  }
#ifdef ZMLX_VNNI
  return more_products(ints8{}, codes, x);
#else
  return __builtin_ia32_pmaddwd256(__builtin_ia32_pmaddubsw256(codes, x), words16{} + 1);
#endif
}
ZMLX_FN floats8 to_floats(ints8 x) { return __builtin_convertvector(x, floats8); }
ZMLX_FN floats8 fused(floats8 x, floats8 y, floats8 z) { return __builtin_ia32_vfmaddps256(x, y, z); }
#ifdef ZMLX_WIDE_BYTES
ZMLX_FN side_f fused(side_f x, side_f y, side_f z) { return side_mad(x, y, z); }
#endif
ZMLX_FN int ints_sum(ints4 x) {
  x += __builtin_shuffle(x, ints4{2, 3, 0, 1});
  return x[0] + x[1];
}
}  // namespace zmlx

template <> struct kk_side_b<32> { zmlx::bytes32 v; };
template <> struct kk_side_f<4> { zmlx::floats4 v; };
ZMLX_FN kk_side_b<32> kk_bytes_cut(kk_side_b<32> b, int shift, uint32_t mask) {
  return {(zmlx::bytes32)((zmlx::words16)b.v >> shift) & (char(mask) - zmlx::bytes32{})};
}
ZMLX_FN kk_side_b<32> kk_bytes_joined(kk_side_b<32> low, kk_side_b<32> high, int shift) {
  return {low.v | (zmlx::bytes32)((zmlx::words16)high.v << shift)};
}
ZMLX_FN kk_side_b<32> kk_bytes_signed(kk_side_b<32> b) { return {b.v ^ (char(0x80) - zmlx::bytes32{})}; }
ZMLX_FN kk_side_b<32> kk_bytes_both(kk_side_b<16> first, kk_side_b<16> second) {
  return {zmlx::bytes_both((zmlx::bytes16)first.v, (zmlx::bytes16)second.v)};
}
ZMLX_FN kk_side_b<32> kk_nibbles(kk_side_b<16> b) {
  const zmlx::bytes16 upper = (zmlx::bytes16)((zmlx::words8)b.v >> 4);
  return {zmlx::bytes_both((zmlx::bytes16)b.v, upper) & (char(15) - zmlx::bytes32{})};
}
template <int N> requires(N == 32)
ZMLX_FN kk_side_b<N> kk_bytes_of_bits(uint32_t word) {
  const zmlx::ints8 all = int(word) - zmlx::ints8{};
  const zmlx::bytes32 place = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3};
  const zmlx::bytes32 bit = (zmlx::bytes32)((long long)0x8040201008040201ull - zmlx::longs4{});
  const zmlx::bytes32 own = __builtin_ia32_pshufb256((zmlx::bytes32)all, place) & bit;
  return {(own == bit) & (char(1) - zmlx::bytes32{})};
}
template <int BYTES, typename P> requires zmlx::side_bytes<P>
ZMLX_FN void kk_soon(P p) {
#pragma GCC unroll 8
  for (int i = 0; i < BYTES; i += 64) __builtin_prefetch((const char*)&*p + i);
}
template <int N> requires(N == 4)
ZMLX_FN kk_side_f<N> kk_four(float a, float b, float c, float d) { return {zmlx::floats4{a, b, c, d}}; }
template <int N, typename P> requires(N == 4 && zmlx::side_bytes<P>)
ZMLX_FN kk_side_f<N> kk_four_at(P p) {
  const zmlx::longs2 two = {zmlx::bytes_at<long long>(p), 0};
  return {__builtin_ia32_vcvtph2ps((zmlx::words8)two)};
}

namespace zmlx {
// The largest of whole numbers above 0.
ZMLX_FN uint32_t most_of(ints8 x) {
  ints4 a, b;
  __builtin_memcpy(&a, &x, 16);
  __builtin_memcpy(&b, (char*)&x + 16, 16);
  a = a > b ? a : b;
  b = __builtin_shuffle(a, ints4{2, 3, 0, 1});
  a = a > b ? a : b;
  b = __builtin_shuffle(a, ints4{1, 0, 3, 2});
  a = a > b ? a : b;
  return uint32_t(a[0]);
}
}  // namespace zmlx
ZMLX_FN uint32_t kk_side_reach(kk_side_f<16> x, kk_side_f<16> y) {
  const auto larger = [](auto a, auto b) {
    a &= 0x7fffffff;
    b &= 0x7fffffff;
    return a > b ? a : b;
  };
#ifdef ZMLX_WIDE_BYTES
  const zmlx::side_f most = (zmlx::side_f)larger((zmlx::side_i)x.v, (zmlx::side_i)y.v);
  return zmlx::most_of(larger((zmlx::ints8)zmlx::side_low(most), (zmlx::ints8)zmlx::side_high(most)));
#else
  const auto of = [&](zmlx::side_f v) { return larger((zmlx::ints8)zmlx::side_low(v), (zmlx::ints8)zmlx::side_high(v)); };
  return zmlx::most_of(larger(of(x.v), of(y.v)));
#endif
}
ZMLX_FN kk_side_b<16> kk_side_rounded(kk_side_f<16> x, float inverse) {
  // Rounds to the nearest, of two to the even one. What becomes of NaN does not matter, as the scale is NaN then.
#ifdef ZMLX_WIDE_BYTES
  const zmlx::side_i all = __builtin_ia32_cvtps2dq512_mask(x.v * inverse, zmlx::side_i{}, -1, 4);
  return {(zmlx::side_b)__builtin_ia32_pmovsdb512_mask(all, zmlx::bytes16{}, -1)};
#else
  const zmlx::floats8 low = zmlx::side_low(x.v), high = zmlx::side_high(x.v);
  const zmlx::ints8 a = __builtin_ia32_cvtps2dq256(low * inverse), b = __builtin_ia32_cvtps2dq256(high * inverse);
  zmlx::longs4 words = (zmlx::longs4)__builtin_ia32_packssdw256(a, b);
  // Both halves of the lower, then of the upper vector.
  words = __builtin_ia32_permdi256(words, 0xd8);
  zmlx::words8 first, second;
  __builtin_memcpy(&first, &words, 16);
  __builtin_memcpy(&second, (char*)&words + 16, 16);
  return {(zmlx::side_b)__builtin_ia32_packsswb128(first, second)};
#endif
}
namespace zmlx {
// By fours.
ZMLX_FN ints4 byte_sums(bytes16 b) {
  return __builtin_ia32_pmaddwd128(__builtin_ia32_pmaddubsw128(char(1) - bytes16{}, b), words8{} + 1);
}
}  // namespace zmlx
ZMLX_FN int kk_bytes_sum(kk_side_b<16> b) { return zmlx::ints_sum(zmlx::byte_sums((zmlx::bytes16)b.v)); }
ZMLX_FN int kk_bytes_sum(kk_side_b<16> a, kk_side_b<16> b) {
  return zmlx::ints_sum(zmlx::byte_sums((zmlx::bytes16)a.v) + zmlx::byte_sums((zmlx::bytes16)b.v));
}
template <typename P> ZMLX_FN void kk_bytes_store(P p, int step, kk_side_b<16> b) {
  const zmlx::ints4 words = (zmlx::ints4)b.v;
  if (__builtin_constant_p(step) && step == 1) __builtin_memcpy(&*p, &words, 16);
  else
    for (int i = 0; i < 4; ++i) p[i * step] = uint32_t(words[i]);
}
template <typename P> ZMLX_FN void kk_bytes_store(P p, int, kk_side_b<32> b) { __builtin_memcpy(&*p, &b.v, 32); }
template <typename P> ZMLX_FN void kk_side_store(P p, kk_side_f<4> x) { __builtin_memcpy(&*p, &x.v, 16); }

template <int N> struct kk_fours;
template <> struct kk_fours<8> { zmlx::floats8 v[4]; };
template <int N> requires(N == 8)
ZMLX_FN kk_fours<N> kk_fours_turned(const kk_side_f<4>* rows) {
  using zmlx::floats8;
  floats8 low[4], high[4];
  const auto joined = [](kk_side_f<4> a, kk_side_f<4> b) {
    return (floats8)zmlx::bytes_both((zmlx::bytes16)a.v, (zmlx::bytes16)b.v);
  };
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) low[i] = joined(rows[i], rows[i + 4]);
  const auto a = __builtin_ia32_unpcklps256(low[0], low[1]), b = __builtin_ia32_unpcklps256(low[2], low[3]);
  const auto c = __builtin_ia32_unpckhps256(low[0], low[1]), d = __builtin_ia32_unpckhps256(low[2], low[3]);
  const auto first = [](floats8 x, floats8 y) { return __builtin_ia32_shufps256(x, y, 0x44); };
  const auto second = [](floats8 x, floats8 y) { return __builtin_ia32_shufps256(x, y, 0xee); };
  return {{first(a, b), second(a, b), first(c, d), second(c, d)}};
}
template <int N, typename F> requires(N == 8)
ZMLX_FN kk_fours<N> kk_fours_of_one(const F* rows, size_t c, float offset) {
  zmlx::words8 halves;
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) halves[i] = zmlx::bytes_at<short>(rows[i].head(c));
  const zmlx::floats8 scale = __builtin_ia32_vcvtph2ps256(halves);
  return {{scale, scale * offset}};
}
#ifdef __AVX512F__
template <int N, typename F> requires(N == 8)
ZMLX_FN kk_fours<N> kk_fours_of_two(const F* rows, size_t c) {
  zmlx::ints8 halves;
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) halves[i] = zmlx::bytes_at<int>(rows[i].head(c));
  const zmlx::side_f all = __builtin_ia32_vcvtph2ps512_mask((zmlx::words16)halves, zmlx::side_f{}, -1, 4);
  return {{__builtin_shufflevector(all, all, 0, 2, 4, 6, 8, 10, 12, 14), __builtin_shufflevector(all, all, 1, 3, 5, 7, 9, 11, 13, 15)}};
}
#endif
#endif
