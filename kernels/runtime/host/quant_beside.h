// Products of codes as bytes with rows that are rounded to 8 bits, side by side (`kk_beside` in `kernels/quant_rounded.metal`): eight rows of
// the matrix, or eight or sixteen rows of x.
#pragma once
#include "quant_bytes.h"

#ifdef ZMLX_BYTES
template <int N> struct kk_beside;
namespace zmlx {
template <int N> struct beside_sums { floats8 v[N / 8]; };
}
template <> struct kk_beside<8> : zmlx::beside_sums<8> {};
#ifdef ZMLX_WIDE_BYTES
template <> struct kk_beside<16> { zmlx::side_f v[1]; };
#else
template <> struct kk_beside<16> : zmlx::beside_sums<16> {};
#endif
template <int N, typename P> requires(N == 8 || N == 16)
ZMLX_FN kk_beside<N> kk_beside_from(P sums, int step) {
  kk_beside<N> b;
  constexpr int lanes = sizeof(b.v[0]) / 4;
#pragma GCC unroll 4
  for (int l = 0; l < N / lanes; ++l) {
    if (__builtin_constant_p(step) && step == 1) __builtin_memcpy(&b.v[l], &*(sums + l * lanes), sizeof(b.v[l]));
    else
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) b.v[l][i] = sums[(l * lanes + i) * step];
  }
  return b;
}
template <int N, typename P> requires(N == 8 || N == 16)
ZMLX_FN void kk_beside_out(kk_beside<N> b, P sums, int step, int) {
  constexpr int lanes = sizeof(b.v[0]) / 4;
#pragma GCC unroll 4
  for (int l = 0; l < N / lanes; ++l) {
    if (__builtin_constant_p(step) && step == 1) __builtin_memcpy(&*(sums + l * lanes), &b.v[l], sizeof(b.v[l]));
    else
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) sums[(l * lanes + i) * step] = b.v[l][i];
  }
}

namespace zmlx {
// Neighbours of both add up, and take turns.
ZMLX_FN words16 added_words(words16 a, words16 b) { return __builtin_ia32_punpcklwd256(a, b) + __builtin_ia32_punpckhwd256(a, b); }
ZMLX_FN ints8 added_ints(ints8 a, ints8 b) { return __builtin_ia32_punpckldq256(a, b) + __builtin_ia32_punpckhdq256(a, b); }
ZMLX_FN longs4 low_longs(longs4 a, longs4 b) { return __builtin_ia32_punpcklqdq256(a, b); }
ZMLX_FN longs4 high_longs(longs4 a, longs4 b) { return __builtin_ia32_punpckhqdq256(a, b); }

#ifdef ZMLX_WIDE_BYTES
typedef char bytes64 __attribute__((vector_size(64)));
ZMLX_FN side_i more_products(side_i sum, bytes64 codes, bytes64 x) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
  return sum;
}
typedef long long longs8 __attribute__((vector_size(64)));
ZMLX_FN bytes64 wide_both(bytes32 a, bytes32 b) {
  const longs8 low = (longs8)__builtin_ia32_si512_256si((ints8)a);
  return (bytes64)__builtin_ia32_inserti64x4_mask(low, (longs4)b, 1, low, -1);
}
// In each quarter the pairs of both add up, and take turns.
ZMLX_FN side_i wide_added(side_i a, side_i b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29) +
         __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
// As below, two rows a vector. Signed codes become larger by 128, which `sum`, that of x, makes up for.
template <bool SIGN> ZMLX_FN void eight_sums(const kk_side_b<32>* codes, bytes32 x, int sum, ints8& first, ints8& second) {
  const bytes64 both = wide_both(x, x);
  side_i v[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    bytes64 two = wide_both(codes[i].v, codes[i + 4].v);
    side_i from = {};
    if constexpr (SIGN) {
      two ^= char(0x80) - bytes64{};
      from[0] = from[8] = -128 * sum;
    }
    v[i] = more_products(from, two, both);
  }
  const side_i a = wide_added(v[0], v[1]), b = wide_added(v[2], v[3]);
  const side_i all = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
                     __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  first = __builtin_shufflevector(all, all, 0, 1, 2, 3, 8, 9, 10, 11);
  second = __builtin_shufflevector(all, all, 4, 5, 6, 7, 12, 13, 14, 15);
}
// Half bytes, four rows a vector.
ZMLX_FN ints8 eight_sums(const kk_side_b<16>* halves, bytes32 x) {
  const bytes16 low = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const bytes16 high = __builtin_shufflevector(x, x, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
  const bytes32 lows = bytes_both(low, low), highs = bytes_both(high, high);
  typedef short words32 __attribute__((vector_size(64)));
  side_i v[2];
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const kk_side_b<16>* h = halves + 4 * i;
    const bytes64 four = wide_both(bytes_both((bytes16)h[0].v, (bytes16)h[1].v), bytes_both((bytes16)h[2].v, (bytes16)h[3].v));
    const bytes64 mask = char(15) - bytes64{};
    v[i] = more_products(side_i{}, four & mask, wide_both(lows, lows));
    v[i] = more_products(v[i], (bytes64)((words32)four >> 4) & mask, wide_both(highs, highs));
  }
  // In each quarter the sum of row i, that of row i + 4, and the same once more.
  const side_i pairs = wide_added(v[0], v[1]);
  const side_i sums = pairs + __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  return __builtin_shufflevector(sums, sums, 0, 4, 8, 12, 1, 5, 9, 13);
}
#endif
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
namespace zmlx {
template <class Q> ZMLX_FN void beside_added(kk_beside<8>& b, ints8 sums, floats8 scale, floats8 offset, Q scales) {
  const auto of = [&](int which) { return float(scales[which]) - floats8{}; };
  b.v[0] = fused(to_floats(sums), scale * of(0), b.v[0]);
  b.v[0] = fused(offset, of(1), b.v[0]);
}
}  // namespace zmlx
template <int PARTS, int MOST, bool SIGN, typename P, typename Q>
ZMLX_FN void kk_beside_rows(kk_beside<8>& b, const kk_side_b<32>* codes, kk_fours<8> fours, P words, Q scales) {
  zmlx::ints8 first, second;
  const auto x = zmlx::bytes_at<zmlx::bytes32>(words);
#ifdef ZMLX_WIDE_BYTES
  static_assert(PARTS == 1 || !SIGN);
  zmlx::eight_sums<SIGN>(codes, x, SIGN ? int(float(scales[2])) : 0, first, second);
#else
  zmlx::eight_sums<MOST, SIGN>(codes, x, first, second);
#endif
  if constexpr (PARTS == 1) zmlx::beside_added(b, first + second, fours.v[0], fours.v[1], scales);
  else {
    zmlx::beside_added(b, first, fours.v[0], fours.v[1], scales);
    zmlx::beside_added(b, second, fours.v[2], fours.v[3], scales + 2);
  }
}
#ifdef ZMLX_WIDE_BYTES
template <int PARTS, int MOST, bool SIGN, typename P, typename Q>
ZMLX_FN void kk_beside_rows(kk_beside<8>& b, const kk_side_b<16>* halves, kk_fours<8> fours, P words, Q scales) {
  static_assert(PARTS == 1 && !SIGN);
  const zmlx::ints8 sums = zmlx::eight_sums(halves, zmlx::bytes_at<zmlx::bytes32>(words));
  zmlx::beside_added(b, sums, fours.v[0], fours.v[1], scales);
}
#endif
#ifdef ZMLX_VNNI
// Two rows of the matrix, so that what belongs to x is loaded once.
template <int PARTS, int MOST, bool SIGN, int ALL, int M, typename C, typename F, typename P, typename Q> requires(M == 8 || M == 16)
ZMLX_FN void kk_beside_two(kk_beside<M>& a, kk_beside<M>& b, C codes, F four, P words, Q scales) {
  typedef zmlx::remove_cvref_t<decltype(b.v[0])> V;
  typedef decltype(b.v[0] < b.v[0]) I;
  typedef char B __attribute__((vector_size(sizeof(V))));
  constexpr int lanes = sizeof(V) / 4;
#pragma GCC unroll 2
  for (int l = 0; l < M / lanes; ++l)
#pragma GCC unroll 2
    for (int part = 0; part < PARTS; ++part) {
      const auto of = [&](int which) { return zmlx::bytes_at<V>(scales + which * M + l * lanes); };
      I first = {}, second;
      // Signed codes become larger by 128, which the sums of x make up for.
      if constexpr (SIGN) first = __builtin_convertvector(of(2) * -128.0f, I);
      second = first;
#pragma GCC unroll 8
      for (int i = part * 4; i < 8 / PARTS + part * 4; ++i) {
        const auto code = [&](int at) { return (B)(int(SIGN ? codes[at] ^ 0x80808080u : codes[at]) - I{}); };
        const B x = zmlx::bytes_at<B>(words + i * M + l * lanes);
        first = zmlx::more_products(first, code(i), x);
        second = zmlx::more_products(second, code(ALL * 8 + i), x);
      }
      const V scale = of(2 * part), sum = of(2 * part + 1);
      const auto add = [&](V& to, I products, F of) {
        to = zmlx::fused(__builtin_convertvector(products, V), (float(of[2 * part]) - V{}) * scale, to);
        to = zmlx::fused(float(of[2 * part + 1]) - V{}, sum, to);
      };
      add(a.v[l], first, four);
      add(b.v[l], second, four + ALL * 4);
    }
}
#else
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
          zmlx::words16 more;
          if constexpr (SIGN) more = __builtin_ia32_pmaddubsw256(__builtin_ia32_pabsb256(one), __builtin_ia32_psignb256(x, one));
          else more = __builtin_ia32_pmaddubsw256(one, x);
          two[l] = j == 0 ? more : two[l] + more;
        }
      }
#pragma GCC unroll 4
      for (int l = 0; l < many; ++l) {
        const zmlx::ints8 more = __builtin_ia32_pmaddwd256(two[l], zmlx::words16{} + 1);
        sums[l] = i == 0 ? more : sums[l] + more;
      }
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
#endif
