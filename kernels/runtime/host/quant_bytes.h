// Codes as bytes, and their products with rows that are rounded to 8 bits, for the catalog's quantized products
// (`kernels/quant_bytes.metal` and `kernels/quant_rounded.metal`, whose functions have the same names): sums of two products of bytes
// each, which the processor adds up in 16 bits, then of four in 32; with VNNI of four at once.
#pragma once
#include "quant.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__) && defined(__GNUC__) && !defined(__clang__) && !defined(ZMLX_CHECKED)
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define ZMLX_VNNI "vpdpbusd %2, %1, %0"
#elif defined(__AVXVNNI__)
#define ZMLX_VNNI "{vex} vpdpbusd %2, %1, %0"
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
// What products of a code of at most 7 bits, or a signed one, and of a signed byte add up to, by fours.
template <bool SIGN> ZMLX_FN ints8 byte_products(bytes32 codes, bytes32 x) {
  if constexpr (SIGN) {
    x = __builtin_ia32_psignb256(x, codes);
    codes = __builtin_ia32_pabsb256(codes);
  }
#ifdef ZMLX_VNNI
  ints8 sum = {};
  asm(ZMLX_VNNI : "+x"(sum) : "x"(codes), "xm"(x));
  return sum;
#else
  return __builtin_ia32_pmaddwd256(__builtin_ia32_pmaddubsw256(codes, x), words16{} + 1);
#endif
}
ZMLX_FN floats8 to_floats(ints8 x) { return __builtin_convertvector(x, floats8); }
ZMLX_FN floats8 fused(floats8 x, floats8 y, floats8 z) { return __builtin_ia32_vfmaddps256(x, y, z); }
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
template <typename P> requires zmlx::side_bytes<P>
ZMLX_FN void kk_soon(P p) { __builtin_prefetch(&*p); }
template <int N> requires(N == 4)
ZMLX_FN kk_side_f<N> kk_four(float a, float b, float c, float d) { return {zmlx::floats4{a, b, c, d}}; }
template <int N, typename P> requires(N == 4 && zmlx::side_bytes<P>)
ZMLX_FN kk_side_f<N> kk_four_at(P p) {
  const zmlx::longs2 two = {zmlx::bytes_at<long long>(p), 0};
  return {__builtin_ia32_vcvtph2ps((zmlx::words8)two)};
}

ZMLX_FN uint32_t kk_side_reach(kk_side_f<16> x) {
  zmlx::ints8 low = (zmlx::ints8)zmlx::side_low(x.v) & 0x7fffffff;
  const zmlx::ints8 high = (zmlx::ints8)zmlx::side_high(x.v) & 0x7fffffff;
  low = low > high ? low : high;
  zmlx::ints4 a, b;
  __builtin_memcpy(&a, &low, 16);
  __builtin_memcpy(&b, (char*)&low + 16, 16);
  a = a > b ? a : b;
  b = __builtin_shuffle(a, zmlx::ints4{2, 3, 0, 1});
  a = a > b ? a : b;
  return uint32_t(a[0] > a[1] ? a[0] : a[1]);
}
ZMLX_FN kk_side_b<16> kk_side_rounded(kk_side_f<16> x, float inverse) {
  const zmlx::floats8 low = zmlx::side_low(x.v), high = zmlx::side_high(x.v);
  // Rounds to the nearest, of two to the even one. What becomes of NaN does not matter, as the scale is NaN then.
  const zmlx::ints8 a = __builtin_ia32_cvtps2dq256(low * inverse), b = __builtin_ia32_cvtps2dq256(high * inverse);
  zmlx::longs4 words = (zmlx::longs4)__builtin_ia32_packssdw256(a, b);
  // Both halves of the lower, then of the upper vector.
  words = __builtin_ia32_permdi256(words, 0xd8);
  zmlx::words8 first, second;
  __builtin_memcpy(&first, &words, 16);
  __builtin_memcpy(&second, (char*)&words + 16, 16);
  return {(zmlx::side_b)__builtin_ia32_packsswb128(first, second)};
}
ZMLX_FN int kk_bytes_sum(kk_side_b<16> b) {
  const zmlx::bytes16 ones = char(1) - zmlx::bytes16{};
  return zmlx::ints_sum(__builtin_ia32_pmaddwd128(__builtin_ia32_pmaddubsw128(ones, (zmlx::bytes16)b.v), zmlx::words8{} + 1));
}
template <typename P> ZMLX_FN void kk_bytes_store(P p, int step, kk_side_b<16> b) {
  const zmlx::ints4 words = (zmlx::ints4)b.v;
  if (__builtin_constant_p(step) && step == 1) __builtin_memcpy(&*p, &words, 16);
  else
    for (int i = 0; i < 4; ++i) p[i * step] = uint32_t(words[i]);
}
template <typename P> ZMLX_FN void kk_bytes_store(P p, int, kk_side_b<32> b) { __builtin_memcpy(&*p, &b.v, 32); }
template <typename P> ZMLX_FN void kk_side_store(P p, kk_side_f<4> x) { __builtin_memcpy(&*p, &x.v, 16); }

template <int N> struct kk_beside;
namespace zmlx {
template <int N> struct beside_sums { floats8 v[N / 8]; };
}
template <> struct kk_beside<8> : zmlx::beside_sums<8> {};
template <> struct kk_beside<16> : zmlx::beside_sums<16> {};
template <int N, typename P> requires(N == 8 || N == 16)
ZMLX_FN kk_beside<N> kk_beside_from(P sums, int step) {
  kk_beside<N> b;
#pragma GCC unroll 4
  for (int l = 0; l < N / 8; ++l) {
    if (__builtin_constant_p(step) && step == 1) b.v[l] = zmlx::bytes_at<zmlx::floats8>(sums + l * 8);
    else
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) b.v[l][i] = sums[(l * 8 + i) * step];
  }
  return b;
}
template <int N, typename P> requires(N == 8 || N == 16)
ZMLX_FN void kk_beside_out(kk_beside<N> b, P sums, int step, int) {
#pragma GCC unroll 4
  for (int l = 0; l < N / 8; ++l) {
    if (__builtin_constant_p(step) && step == 1) __builtin_memcpy(&*(sums + l * 8), &b.v[l], 32);
    else
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) sums[(l * 8 + i) * step] = b.v[l][i];
  }
}

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
namespace zmlx {
// Neighbours of both add up, and take turns.
ZMLX_FN words16 added_words(words16 a, words16 b) { return __builtin_ia32_punpcklwd256(a, b) + __builtin_ia32_punpckhwd256(a, b); }
ZMLX_FN ints8 added_ints(ints8 a, ints8 b) { return __builtin_ia32_punpckldq256(a, b) + __builtin_ia32_punpckhdq256(a, b); }
ZMLX_FN longs4 low_longs(longs4 a, longs4 b) { return __builtin_ia32_punpcklqdq256(a, b); }
ZMLX_FN longs4 high_longs(longs4 a, longs4 b) { return __builtin_ia32_punpckhqdq256(a, b); }

// The sums of the first halves of eight rows with x, and those of the second halves.
template <int MOST, bool SIGN> ZMLX_FN void eight_sums(const kk_side_b<32>* codes, bytes32 x, ints8& first, ints8& second) {
#ifndef ZMLX_VNNI
  if constexpr (!SIGN && MOST <= 15) {
    // Eight sums of two products stay below 2^15.
    words16 w[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) w[i] = __builtin_ia32_pmaddubsw256(codes[i].v, x);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) w[i] = added_words(w[2 * i], w[2 * i + 1]);
    // Words of four rows, twice: as pairs of two rows they change places whole.
    const auto pairs = [](words16 a, words16 b) {
      return (words16)__builtin_ia32_punpckldq256((ints8)a, (ints8)b) + (words16)__builtin_ia32_punpckhdq256((ints8)a, (ints8)b);
    };
    const words16 low = pairs(w[0], w[1]), high = pairs(w[2], w[3]);
    const words16 all = (words16)low_longs((longs4)low, (longs4)high) + (words16)high_longs((longs4)low, (longs4)high);
    words8 a, b;
    __builtin_memcpy(&a, &all, 16);
    __builtin_memcpy(&b, (char*)&all + 16, 16);
    first = __builtin_ia32_pmovsxwd256(a);
    second = __builtin_ia32_pmovsxwd256(b);
    return;
  }
#endif
  ints8 v[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) v[i] = byte_products<SIGN>(codes[i].v, x);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) v[i] = added_ints(v[2 * i], v[2 * i + 1]);
  const auto four = [](ints8 a, ints8 b) { return (ints8)low_longs((longs4)a, (longs4)b) + (ints8)high_longs((longs4)a, (longs4)b); };
  const ints8 low = four(v[0], v[1]), high = four(v[2], v[3]);
  first = (ints8)__builtin_ia32_permti256((longs4)low, (longs4)high, 0x20);
  second = (ints8)__builtin_ia32_permti256((longs4)low, (longs4)high, 0x31);
}
}  // namespace zmlx
template <int PARTS, int MOST, bool SIGN, typename P, typename Q>
ZMLX_FN void kk_beside_rows(kk_beside<8>& b, const kk_side_b<32>* codes, kk_fours<8> fours, P words, Q scales) {
  zmlx::ints8 first, second;
  zmlx::eight_sums<MOST, SIGN>(codes, zmlx::bytes_at<zmlx::bytes32>(words), first, second);
  const auto of = [&](int which) { return float(scales[which]) - zmlx::floats8{}; };
  const auto add = [&](zmlx::ints8 sums, int at) {
    b.v[0] = zmlx::fused(zmlx::to_floats(sums), fours.v[at] * of(at), b.v[0]);
    b.v[0] = zmlx::fused(fours.v[at + 1], of(at + 1), b.v[0]);
  };
  if constexpr (PARTS == 1) add(first + second, 0);
  else {
    add(first, 0);
    add(second, 2);
  }
}
template <int PARTS, int MOST, bool SIGN, int M, typename C, typename F, typename P, typename Q> requires(M == 8 || M == 16)
ZMLX_FN void kk_beside_add(kk_beside<M>& b, C codes, F four, P words, Q scales) {
  constexpr int many = M / 8;
#pragma GCC unroll 2
  for (int part = 0; part < PARTS; ++part) {
    zmlx::ints8 sums[many];
    // So many sums of two products fit into 16 bits, of those of a part.
    constexpr int fit = 32767 / (2 * 127 * MOST), whole = 8 / PARTS;
    constexpr int steps = fit >= whole ? whole : (fit >= 4 ? 4 : (fit >= 2 ? 2 : 1));
#pragma GCC unroll 8
    for (int i = 0; i < 8 / PARTS; i += steps) {
      zmlx::words16 two[many];
#pragma GCC unroll 8
      for (int j = 0; j < steps; ++j) {
        const int at = part * 4 + i + j;
        const zmlx::bytes32 one = (zmlx::bytes32)(int(codes[at]) - zmlx::ints8{});
#pragma GCC unroll 4
        for (int l = 0; l < many; ++l) {
          const zmlx::bytes32 x = zmlx::bytes_at<zmlx::bytes32>(words + at * M + l * 8);
#ifdef ZMLX_VNNI
          const zmlx::ints8 more = zmlx::byte_products<SIGN>(one, x);
          sums[l] = i + j == 0 ? more : sums[l] + more;
#else
          zmlx::words16 more;
          if constexpr (SIGN) more = __builtin_ia32_pmaddubsw256(__builtin_ia32_pabsb256(one), __builtin_ia32_psignb256(x, one));
          else more = __builtin_ia32_pmaddubsw256(one, x);
          two[l] = j == 0 ? more : two[l] + more;
#endif
        }
      }
#ifndef ZMLX_VNNI
#pragma GCC unroll 4
      for (int l = 0; l < many; ++l) {
        const zmlx::ints8 more = __builtin_ia32_pmaddwd256(two[l], zmlx::words16{} + 1);
        sums[l] = i == 0 ? more : sums[l] + more;
      }
#endif
    }
    const zmlx::floats8 scale = float(four[2 * part]) - zmlx::floats8{}, offset = float(four[2 * part + 1]) - zmlx::floats8{};
#pragma GCC unroll 4
    for (int l = 0; l < many; ++l) {
      const auto of = [&](int which) { return zmlx::bytes_at<zmlx::floats8>(scales + which * M + l * 8); };
      b.v[l] = zmlx::fused(zmlx::to_floats(sums[l]), scale * of(2 * part), b.v[l]);
      b.v[l] = zmlx::fused(offset, of(2 * part + 1), b.v[l]);
    }
  }
}
#endif
