// Tiles of four simdgroups together (`kk_tile` with L = 128, a team) on the tensor cores of sm_90: 64 rows at a time are multiplied by factors that
// lie in threadgroup memory, so the second factor is read once where four simdgroups by themselves read it four times.
//
// A block lies in panels of 64 columns, 128 bytes, of all its rows; the 16-byte words of a row change places by the row's number (the layout that the
// instructions call 128-byte swizzle), so that neither rows nor columns of words share a bank. Blocks begin at multiples of 1024 bytes.
//
// Instructions and layouts: NVIDIA, "Parallel Thread Execution ISA", the chapter on asynchronous warpgroup level matrix instructions.
#pragma once
#include "tiles.h"
#ifdef __CUDA_ARCH_FEAT_SM90_ALL

template <> struct kk_tile_lanes<128> : kk_tile_lanes<32> {};
// The 16 rows of one simdgroup, as in its own tiles.
template <int R, int C> struct kk_tile<128, R, C> {
  static_assert(R == 16 && C % 64 == 0, "a simdgroup of a team has 16 rows and whole panels");
  metal::float2 m[2][C / 8];
  ZMLX_INLINE metal::float2& pair(int i, int j) { return m[i][j]; }
};
template <int R, int C, bool TURNED> struct kk_tile_room<128, R, C, TURNED> {
  static constexpr int size = R * C;
};

namespace zmlx {
template <int R, int C> struct block_place<128, R, C> {
  static_assert(C % 64 == 0 && R % 8 == 0, "blocks of teams are of whole panels");
  ZMLX_INLINE static int of(int r, int c) { return (c >> 6) * (R * 64) + r * 64 + (((c >> 3 & 7) ^ (r & 7)) << 3) + (c & 7); }
};

// Where a factor lies: panels `panel` bytes apart, and 1024 bytes from 8 rows to the next 8.
ZMLX_FN uint64_t factor_place(const void* p, int panel) {
  return uint64_t(shared_address(p) >> 4 & 0x3fffu) | uint64_t(panel >> 4) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}
ZMLX_FN void team_begins() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
ZMLX_FN void team_hands_over() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> ZMLX_FN void team_waits() { asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory"); }

#define ZMLX_SUMS_1(t, j) "+f"(t[0][j].x), "+f"(t[0][j].y), "+f"(t[1][j].x), "+f"(t[1][j].y)
#define ZMLX_SUMS_8(t, j)                                                                                            \
  ZMLX_SUMS_1(t, j), ZMLX_SUMS_1(t, j + 1), ZMLX_SUMS_1(t, j + 2), ZMLX_SUMS_1(t, j + 3), ZMLX_SUMS_1(t, j + 4), \
      ZMLX_SUMS_1(t, j + 5), ZMLX_SUMS_1(t, j + 6), ZMLX_SUMS_1(t, j + 7)
#define ZMLX_NAMES_32 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define ZMLX_NAMES_64 \
  ZMLX_NAMES_32       \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
// Sums are added to where `adds` is not 0.
#define ZMLX_TEAM(COLS, TYPE, ADDS, NAMES, FACTORS) \
  "{ .reg .pred adds; setp.ne.b32 adds, " ADDS ", 0; wgmma.mma_async.sync.aligned.m64n" COLS "k16.f32." TYPE "." TYPE " {" NAMES "}, " FACTORS "; }"

// 64 rows by the 64 or 128 columns from column 8 * J of the tile on, 16 deep, both factors where they lie.
#define ZMLX_PLACES_64(TYPE)                                                                          \
  asm volatile(ZMLX_TEAM("64", TYPE, "%34", ZMLX_NAMES_32, "%32, %33, adds, 1, 1, %35, %36")          \
               : ZMLX_SUMS_8(t, J) : "l"(a), "l"(b), "r"(adds), "n"(TA), "n"(TB))
#define ZMLX_PLACES_128(TYPE)                                                                         \
  asm volatile(ZMLX_TEAM("128", TYPE, "%66", ZMLX_NAMES_64, "%64, %65, adds, 1, 1, %67, %68")         \
               : ZMLX_SUMS_8(t, J), ZMLX_SUMS_8(t, J + 8) : "l"(a), "l"(b), "r"(adds), "n"(TA), "n"(TB))
template <class T, int J, int N, int TA, int TB, int C> ZMLX_FN void team_product(metal::float2 (&t)[2][C], uint64_t a, uint64_t b, int adds) {
  if constexpr (N == 64 && is_same_v<T, half>) ZMLX_PLACES_64("f16");
  else if constexpr (N == 64) ZMLX_PLACES_64("bf16");
  else if constexpr (is_same_v<T, half>) ZMLX_PLACES_128("f16");
  else ZMLX_PLACES_128("bf16");
}
// The same with the first factor in registers.
#define ZMLX_WORDS_64(TYPE)                                                                           \
  asm volatile(ZMLX_TEAM("64", TYPE, "%37", ZMLX_NAMES_32, "{%32,%33,%34,%35}, %36, adds, 1, 1, %38") \
               : ZMLX_SUMS_8(t, J) : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "l"(b), "r"(adds), "n"(TB))
#define ZMLX_WORDS_128(TYPE)                                                                            \
  asm volatile(ZMLX_TEAM("128", TYPE, "%69", ZMLX_NAMES_64, "{%64,%65,%66,%67}, %68, adds, 1, 1, %70")  \
               : ZMLX_SUMS_8(t, J), ZMLX_SUMS_8(t, J + 8)                                               \
               : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "l"(b), "r"(adds), "n"(TB))
template <class T, int J, int N, int TB, int C> ZMLX_FN void team_product(metal::float2 (&t)[2][C], const fragment& a, uint64_t b, int adds) {
  if constexpr (N == 64 && is_same_v<T, half>) ZMLX_WORDS_64("f16");
  else if constexpr (N == 64) ZMLX_WORDS_64("bf16");
  else if constexpr (is_same_v<T, half>) ZMLX_WORDS_128("f16");
  else ZMLX_WORDS_128("bf16");
}
#undef ZMLX_SUMS_1
#undef ZMLX_SUMS_8
#undef ZMLX_NAMES_32
#undef ZMLX_NAMES_64
#undef ZMLX_TEAM
#undef ZMLX_PLACES_64
#undef ZMLX_PLACES_128
#undef ZMLX_WORDS_64
#undef ZMLX_WORDS_128

// All columns of a tile from 8 * J on by one 16 deep piece; `b` is where column 0 lies, `step` is how far 64 columns are from the next 64.
template <class T, int J, int TA, int TB, class A, int C> ZMLX_FN void team_columns(metal::float2 (&t)[2][C], const A& a, const T* b, int panel, int step, int adds) {
  if constexpr (J < C) {
    constexpr int n = C - J >= 16 ? 128 : 64;
    const uint64_t at = factor_place(b + J / 8 * step, panel);
    if constexpr (is_same_v<A, fragment>) team_product<T, J, n, TB>(t, a, at, adds);
    else team_product<T, J, n, TA, TB>(t, a, at, adds);
    team_columns<T, J + n / 8, TA, TB>(t, a, b, panel, step, adds);
  }
}
}  // namespace zmlx

// A compiler that knows nothing of work that goes on by itself must not move what registers hold across these.
template <int R, int C> ZMLX_FN void kk_tile_hold(kk_tile<128, R, C>& t) {
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < C / 8; ++j) asm volatile("" : "+f"(t.m[i][j].x), "+f"(t.m[i][j].y)::"memory");
}
// All but the last N products that were handed over are done.
template <int N, int R, int C> ZMLX_FN void kk_tile_mma_wait(kk_tile<128, R, C>& t) {
  zmlx::team_waits<N>();
  kk_tile_hold(t);
}
template <bool ADDS, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
ZMLX_FN void kk_team_mma(kk_tile<128, R, C>& t, kk_tile_block<128, RA, K, TA, P> a, int r0, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  typedef metal::remove_cvref_t<decltype(*a.p)> S;
  static_assert(K % 16 == 0 && zmlx::is_short_float<S>, "factors of 16 bits");
  // The team's first row.
  const int row = r0 & ~63;
  const S* x = a.p + (TA ? row * K : row * 64);
  const S* y = b.p + (TB ? c0 * 64 : c0 * K);
  if (ADDS) kk_tile_hold(t);
  zmlx::team_begins();
#pragma unroll
  for (int k = 0; k < K; k += 16) {
    const uint64_t from = zmlx::factor_place(x + (TA ? k * 64 : (k >> 6) * RA * 64 + (k & 63)), K * 128);
    zmlx::team_columns<S, 0, TA, !TB>(t.m, from, y + (TB ? (k >> 6) * CB * 64 + (k & 63) : k * 64), K * 128, TB ? 4096 : K * 64,
                                      ADDS || k > 0);
  }
  zmlx::team_hands_over();
}
template <int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
ZMLX_FN void kk_tile_mma_later(kk_tile<128, R, C>& t, kk_tile_block<128, RA, K, TA, P> a, int r0, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  kk_team_mma<true>(t, a, r0, b, c0);
}
template <int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
ZMLX_FN void kk_tile_product_later(kk_tile<128, R, C>& t, kk_tile_block<128, RA, K, TA, P> a, int r0, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  kk_team_mma<false>(t, a, r0, b, c0);
}
template <typename S, int R, int C> struct kk_tile_factor<S, 128, R, C> {
  zmlx::fragment f[C / 16];
};
template <typename S, int R, int C> ZMLX_FN void kk_tile_round(kk_tile<128, R, C>& t, kk_tile_factor<S, 128, R, C>& to) {
  static_assert(zmlx::is_short_float<S>, "factors of 16 bits");
#pragma unroll
  for (int k = 0; k < C / 16; ++k)
    to.f[k] = {{zmlx::packed_pair<S>(t.m[0][2 * k]), zmlx::packed_pair<S>(t.m[1][2 * k]), zmlx::packed_pair<S>(t.m[0][2 * k + 1]),
                zmlx::packed_pair<S>(t.m[1][2 * k + 1])}};
}
template <typename S, int R, int C, int K, int CB, bool TB, typename Q>
ZMLX_FN void kk_tile_mma_later(kk_tile<128, R, C>& t, kk_tile_factor<S, 128, R, K>& a, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  const S* y = b.p + (TB ? c0 * 64 : c0 * K);
#pragma unroll
  for (int k = 0; k < K / 16; ++k)
    asm volatile("" : "+r"(a.f[k].w[0]), "+r"(a.f[k].w[1]), "+r"(a.f[k].w[2]), "+r"(a.f[k].w[3])::"memory");
  kk_tile_hold(t);
  zmlx::team_begins();
#pragma unroll
  for (int k = 0; k < K / 16; ++k)
    zmlx::team_columns<S, 0, 0, !TB>(t.m, a.f[k], y + (TB ? (k * 16 >> 6) * CB * 64 + (k * 16 & 63) : k * 16 * 64), K * 128,
                                      TB ? 4096 : K * 64, 1);
  zmlx::team_hands_over();
}
template <int R, int C, int K, int CB, bool TB, typename Q>
ZMLX_FN void kk_tile_mma_later(kk_tile<128, R, C>& t, kk_tile<128, R, K>& a, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  kk_tile_factor<metal::remove_cvref_t<decltype(*b.p)>, 128, R, K> f;
  kk_tile_round(a, f);
  kk_tile_mma_later(t, f, b, c0);
}
template <int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
ZMLX_FN void kk_tile_mma(kk_tile<128, R, C>& t, kk_tile_block<128, RA, K, TA, P> a, int r0, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  kk_tile_mma_later(t, a, r0, b, c0);
  kk_tile_mma_wait<0>(t);
}
template <int R, int C, int K, int CB, bool TB, typename Q>
ZMLX_FN void kk_tile_mma(kk_tile<128, R, C>& t, kk_tile<128, R, K>& a, kk_tile_block<128, K, CB, TB, Q> b, int c0) {
  kk_tile_mma_later(t, a, b, c0);
  kk_tile_mma_wait<0>(t);
}
#endif
