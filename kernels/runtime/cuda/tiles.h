// Tiles (`kernels/tiles.metal`, `kernels/products.metal`) on tensor cores: a simdgroup's sums lie as those of the product of 16x16 by
// 16x8, factors come as whole fragments out of threadgroup memory, and blocks get there by copies that nobody waits for.
//
// Layouts and instructions: NVIDIA, "Parallel Thread Execution ISA", the chapters on mma, ldmatrix and cp.async.
#pragma once
#include "simd.h"

// As the library declares them, behind this header.
template <int L> struct kk_tile_lanes;
template <int L, int R, int C> struct kk_tile;
template <int L, int R> struct kk_tile_rows;
template <int L, int R, int C, bool TURNED, typename P> struct kk_tile_block;
template <int L, int R, int C, bool TURNED> struct kk_tile_room;
template <typename S, int L, int R, int C> struct kk_tile_factor;
struct kk_tile_thread;

template <> struct kk_tile_lanes<32> {
  static constexpr int near = 1, far = 2;
  ZMLX_INLINE static int row(uint lane) { return int(lane >> 2); }
  ZMLX_INLINE static int col(uint lane) { return int(lane & 3u) << 1; }
};
// Rows i * 8 + lane / 4, columns j * 8 + lane % 4 * 2 and the next.
template <int R, int C> struct kk_tile<32, R, C> {
  static_assert(R % 16 == 0 && C % 16 == 0, "tiles have multiples of 16 rows and columns");
  metal::float2 m[R / 8][C / 8];
  ZMLX_INLINE metal::float2& pair(int i, int j) { return m[i][j]; }
};

namespace zmlx {
template <class T> inline constexpr bool is_short_float = is_same_v<T, half> || is_same_v<T, bfloat>;

ZMLX_FN uint32_t shared_address(const void* p) { return uint32_t(::__cvta_generic_to_shared(p)); }

struct fragment { uint32_t w[4]; };
// Four 8x8 matrices, one row of them at each lane's address; turned, each as its transpose.
template <bool TURNED> ZMLX_FN fragment load_fragment(const void* p) {
  fragment f;
  const uint32_t at = shared_address(p);
  if constexpr (TURNED)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f.w[0]), "=r"(f.w[1]), "=r"(f.w[2]), "=r"(f.w[3]) : "r"(at) : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(f.w[0]), "=r"(f.w[1]), "=r"(f.w[2]), "=r"(f.w[3]) : "r"(at) : "memory");
  return f;
}
// 16x16 of a first factor whose element (r, k) is p[r * row + k], or p[k * row + r] where it lies turned.
template <bool TURNED, class T> ZMLX_FN fragment first_fragment(const T* p, int row) {
  const int l = int(current_lane()), low = l & 7, right = l >> 3 & 1, below = l >> 4;
  return TURNED ? load_fragment<true>(p + (below * 8 + low) * row + right * 8)
                : load_fragment<false>(p + (right * 8 + low) * row + below * 8);
}
// 16x16 of a second factor whose element (k, c) is p[k * row + c], or p[c * row + k]: words 0 and 1 for the first eight columns.
template <bool TURNED, class T> ZMLX_FN fragment second_fragment(const T* p, int row) {
  const int l = int(current_lane()), low = l & 7, right = l >> 3 & 1, below = l >> 4;
  return TURNED ? load_fragment<false>(p + (below * 8 + low) * row + right * 8)
                : load_fragment<true>(p + (right * 8 + low) * row + below * 8);
}
template <class T> ZMLX_FN void add_product(metal::float2& upper, metal::float2& lower, const fragment& a, uint32_t b0, uint32_t b1) {
  if constexpr (is_same_v<T, half>)
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(upper.x), "+f"(upper.y), "+f"(lower.x), "+f"(lower.y)
        : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b0), "r"(b1));
  else
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(upper.x), "+f"(upper.y), "+f"(lower.x), "+f"(lower.y)
        : "r"(a.w[0]), "r"(a.w[1]), "r"(a.w[2]), "r"(a.w[3]), "r"(b0), "r"(b1));
}
template <class T> ZMLX_FN uint32_t packed_pair(metal::float2 x) {
  return uint32_t(bits<uint16_t>(T(x.x))) | uint32_t(bits<uint16_t>(T(x.y))) << 16;
}
}  // namespace zmlx

template <typename S, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
ZMLX_FN void kk_tile_mma_as(kk_tile<32, R, C>& t, kk_tile_block<32, RA, K, TA, P> a, int r0,
                            kk_tile_block<32, K, CB, TB, Q> b, int c0, S) {
  const int rows = kk_tile_room<32, RA, K, TA>::row, cols = kk_tile_room<32, K, CB, TB>::row;
  const S* x = a.p;
  const S* y = b.p;
  if constexpr (zmlx::is_short_float<S>) {
    static_assert(K % 16 == 0, "blocks are multiples of 16 deep");
#pragma unroll
    for (int k = 0; k < K; k += 16) {
      zmlx::fragment f[R / 16];
#pragma unroll
      for (int i = 0; i < R / 16; ++i)
        f[i] = zmlx::first_fragment<TA>(x + (TA ? k * rows + r0 + i * 16 : (r0 + i * 16) * rows + k), rows);
#pragma unroll
      for (int j = 0; j < C / 16; ++j) {
        const zmlx::fragment g =
            zmlx::second_fragment<TB>(y + (TB ? (c0 + j * 16) * cols + k : k * cols + c0 + j * 16), cols);
#pragma unroll
        for (int i = 0; i < R / 16; ++i) {
          zmlx::add_product<S>(t.m[2 * i][2 * j], t.m[2 * i + 1][2 * j], f[i], g.w[0], g.w[1]);
          zmlx::add_product<S>(t.m[2 * i][2 * j + 1], t.m[2 * i + 1][2 * j + 1], f[i], g.w[2], g.w[3]);
        }
      }
    }
  } else {
    // Tensor cores would round factors of 32 bits, so lanes multiply.
    const int row = r0 + kk_tile_lanes<32>::row(zmlx::current_lane()), col = c0 + kk_tile_lanes<32>::col(zmlx::current_lane());
#pragma unroll 2
    for (int k = 0; k < K; ++k) {
      float u[R / 8];
#pragma unroll
      for (int i = 0; i < R / 8; ++i) u[i] = float(x[TA ? k * rows + row + i * 8 : (row + i * 8) * rows + k]);
#pragma unroll
      for (int j = 0; j < C / 8; ++j) {
        const float v0 = float(y[TB ? (col + j * 8) * cols + k : k * cols + col + j * 8]);
        const float v1 = float(y[TB ? (col + j * 8 + 1) * cols + k : k * cols + col + j * 8 + 1]);
#pragma unroll
        for (int i = 0; i < R / 8; ++i) {
          t.m[i][j].x = ::fmaf(u[i], v0, t.m[i][j].x);
          t.m[i][j].y = ::fmaf(u[i], v1, t.m[i][j].y);
        }
      }
    }
  }
}

// A tile's sums lie as a first factor does, but for their size.
template <typename S, int R, int C, int K, int CB, bool TB, typename Q>
ZMLX_FN void kk_tile_mma_as(kk_tile<32, R, C>& t, kk_tile<32, R, K>& a, kk_tile_block<32, K, CB, TB, Q> b, int c0, S) {
  const int cols = kk_tile_room<32, K, CB, TB>::row;
  const S* y = b.p;
  if constexpr (zmlx::is_short_float<S>) {
#pragma unroll
    for (int k = 0; k < K / 16; ++k) {
      zmlx::fragment f[R / 16];
#pragma unroll
      for (int i = 0; i < R / 16; ++i)
        f[i] = {{zmlx::packed_pair<S>(a.m[2 * i][2 * k]), zmlx::packed_pair<S>(a.m[2 * i + 1][2 * k]),
                 zmlx::packed_pair<S>(a.m[2 * i][2 * k + 1]), zmlx::packed_pair<S>(a.m[2 * i + 1][2 * k + 1])}};
#pragma unroll
      for (int j = 0; j < C / 16; ++j) {
        const zmlx::fragment g =
            zmlx::second_fragment<TB>(y + (TB ? (c0 + j * 16) * cols + k * 16 : k * 16 * cols + c0 + j * 16), cols);
#pragma unroll
        for (int i = 0; i < R / 16; ++i) {
          zmlx::add_product<S>(t.m[2 * i][2 * j], t.m[2 * i + 1][2 * j], f[i], g.w[0], g.w[1]);
          zmlx::add_product<S>(t.m[2 * i][2 * j + 1], t.m[2 * i + 1][2 * j + 1], f[i], g.w[2], g.w[3]);
        }
      }
    }
  } else {
    const int lane = int(zmlx::current_lane()), col = c0 + kk_tile_lanes<32>::col(uint(lane));
#pragma unroll
    for (int k = 0; k < K; ++k) {
      float u[R / 8];
#pragma unroll
      for (int i = 0; i < R / 8; ++i)
        u[i] = ::__shfl_sync(~0u, k % 2 ? a.m[i][k / 8].y : a.m[i][k / 8].x, (lane & ~3) | k % 8 / 2);
#pragma unroll
      for (int j = 0; j < C / 8; ++j) {
        const float v0 = float(y[TB ? (col + j * 8) * cols + k : k * cols + col + j * 8]);
        const float v1 = float(y[TB ? (col + j * 8 + 1) * cols + k : k * cols + col + j * 8 + 1]);
#pragma unroll
        for (int i = 0; i < R / 8; ++i) {
          t.m[i][j].x = ::fmaf(u[i], v0, t.m[i][j].x);
          t.m[i][j].y = ::fmaf(u[i], v1, t.m[i][j].y);
        }
      }
    }
  }
}

#if __CUDA_ARCH__ >= 800
namespace zmlx {
// 16 bytes on their way into threadgroup memory, of which those behind the first `bytes` arrive as zeros. `valid` is any address to read from.
ZMLX_FN void copy_later(uint32_t to, const void* from, int bytes, const void* valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(::__cvta_generic_to_global(bytes > 0 ? from : valid)),
               "r"(bytes) : "memory");
}
}  // namespace zmlx
#endif

namespace zmlx {
// Where an element of a block lies.
template <int L, int R, int C> struct block_place {
  ZMLX_INLINE static int of(int r, int c) { return r * kk_tile_room<L, R, C, false>::row + c; }
};
}  // namespace zmlx

// 16 bytes at a time where the rows allow it; what lies beyond the end arrives as zeros.
template <int TG, int L, int R, int C, typename P, typename Q> requires(L != 1)
ZMLX_FN void kk_tile_stage(kk_tile_block<L, R, C, false, P> b, Q src, long row_step, long col_step, kk_tile_thread at) {
  typedef metal::remove_cvref_t<decltype(*b.p)> S;
  typedef metal::remove_cvref_t<decltype(*src)> T;
  typedef zmlx::block_place<L, R, C> place;
#if __CUDA_ARCH__ >= 800
  if constexpr (metal::is_same_v<S, T> && C * sizeof(S) % 16 == 0) {
    constexpr int wide = 16 / sizeof(S), across = C / wide;
    const T* from = src;
    if (col_step == 1 && (uint64_t(from) | uint64_t(row_step) * sizeof(T)) % 16 == 0) {
      const uint32_t to = zmlx::shared_address(b.p);
      const auto copy = [&](int r, int c, const T* p) {
        const int left = r < b.rows ? b.cols - c : 0;
        const int bytes = left >= wide ? 16 : left > 0 ? left * int(sizeof(S)) : 0;
        zmlx::copy_later(to + place::of(r, c) * int(sizeof(S)), p, bytes, from);
      };
      if constexpr (TG % across == 0 && R % (TG / across) == 0) {
        // Each thread has one column.
        const int first = int(at.index) / across, c = int(at.index) % across * wide;
        const T* p = from + (first * row_step + c);
#pragma unroll
        for (int r = 0; r < R; r += TG / across) copy(first + r, c, p + r * row_step);
      } else {
        for (int e = int(at.index); e < R * across; e += TG) {
          const int r = e / across, c = e % across * wide;
          copy(r, c, from + (r * row_step + c));
        }
      }
      return;
    }
  }
#endif
#pragma unroll 1
  for (int e = int(at.index); e < R * C; e += TG) {
    // Neighbouring threads read neighbouring elements.
    const bool along = col_step == 1 || row_step != 1;
    const int r = along ? e / C : e % R, c = along ? e % C : e / R;
    b.p[place::of(r, c)] = r < b.rows && c < b.cols ? S(float(src[r * row_step + c * col_step])) : S(0.0f);
  }
}
template <int TG, int R, int C, typename P, typename F>
ZMLX_FN void kk_tile_stage_rows(kk_tile_block<32, R, C, false, P> b, F place, long col_step, kk_tile_thread at) {
  typedef metal::remove_cvref_t<decltype(*b.p)> S;
  constexpr int wide = 16 / sizeof(S), across = C / wide, step = kk_tile_room<32, R, C, false>::row;
  static_assert(C % wide == 0, "rows are multiples of 16 bytes");
#pragma unroll
  for (int e = 0; e < R * across; e += TG) {
    const int i = e + int(at.index), r = i / across, c = i % across * wide;
    if (R * across % TG != 0 && i >= R * across) break;
    const int left = r < b.rows ? b.cols - c : 0;
    const auto row = place(left > 0 ? r : 0);
    S* to = b.p + (r * step + c);
#if __CUDA_ARCH__ >= 800
    if constexpr (metal::is_same_v<S, metal::remove_cvref_t<decltype(*row)>>) {
      if (col_step == 1 && uint64_t(row) % 16 == 0) {
        const int bytes = left >= wide ? 16 : left > 0 ? left * int(sizeof(S)) : 0;
        zmlx::copy_later(zmlx::shared_address(to), row + c, bytes, row);
        continue;
      }
    }
#endif
    for (int k = 0; k < wide; ++k) to[k] = S(k < left ? float(row[(c + k) * col_step]) : 0.0f);
  }
}
#if __CUDA_ARCH__ >= 800
template <int L> requires(L != 1) ZMLX_FN void kk_tile_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int L, int N> requires(L != 1) ZMLX_FN void kk_tile_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#if __CUDA_ARCH__ >= 900
  // Products of teams read threadgroup memory by a way of their own, which sees what threads wrote behind this.
  if constexpr (L == 128) asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
  ::__syncthreads();
}
#endif

// Neighbours of 16 bits go together.
template <typename T, int L, int R, int C, typename P, typename F> requires(L != 1)
ZMLX_FN void kk_tile_store(kk_tile<L, R, C>& t, P p, long step, int rows, int cols, kk_tile_thread at, F f) {
  const int row = kk_tile_lanes<32>::row(at.lane), col = kk_tile_lanes<32>::col(at.lane);
  T* to = p;
  const bool pairs = sizeof(T) == 2 && ((uint64_t(to) | uint64_t(step) * sizeof(T)) % 4 == 0);
#pragma unroll
  for (int i = 0; i < R / 8; ++i)
#pragma unroll
    for (int j = 0; j < C / 8; ++j) {
      const int r = i * 8 + row, c = j * 8 + col;
      if (r >= rows || c >= cols) continue;
      const metal::float2 x = t.m[i][j];
      if (pairs && c + 1 < cols) {
        if constexpr (sizeof(T) == 2)
          *reinterpret_cast<uint32_t*>(to + (r * step + c)) =
              zmlx::packed_pair<T>(metal::float2(f(x.x, r, c), f(x.y, r, c + 1)));
      } else {
        to[r * step + c] = T(f(x.x, r, c));
        if (c + 1 < cols) to[r * step + c + 1] = T(f(x.y, r, c + 1));
      }
    }
}
