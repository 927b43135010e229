// Products of tiles (`kernels/products.metal`) for one thread: a few rows by two vectors of columns at a time stay in registers
// while the loop over the depth runs. g++ keeps an array of sums in memory if it is left to make vectors by itself.
#pragma once
#include "floats.h"

#if defined(__GNUC__) && !defined(ZMLX_CHECKED)
namespace zmlx {
#if defined(__AVX512F__)
static constexpr int tile_lanes = 16, tile_rows = 12;
#elif defined(__AVX__)
static constexpr int tile_lanes = 8, tile_rows = 6;
#elif defined(__aarch64__)
static constexpr int tile_lanes = 4, tile_rows = 12;
#else
static constexpr int tile_lanes = 4, tile_rows = 6;
#endif
// The vectors of a panel of WIDTH columns.
template <int WIDTH> struct tile_vector {
  static constexpr int lanes = WIDTH < tile_lanes ? WIDTH : tile_lanes;
  typedef float type __attribute__((vector_size(4 * lanes)));
};

template <class V> ZMLX_FN V tile_fma(V x, V y, V sum) {
  // Products and sums are fused here only: elsewhere each operation rounds.
#if defined(__AVX512F__) && !defined(__clang__)
  if constexpr (sizeof(V) == 64) return __builtin_ia32_vfmaddps512_mask(x, y, sum, -1, 4);
#endif
#if defined(__FMA__) && !defined(__clang__)
  if constexpr (sizeof(V) == 32) return __builtin_ia32_vfmaddps256(x, y, sum);
#endif
  for (unsigned i = 0; i < sizeof(V) / 4; ++i) sum[i] = __builtin_fmaf(x[i], y[i], sum[i]);
  return sum;
}
template <class V> ZMLX_FN V tile_load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}

// ROWS rows of a panel of WIDTH columns: `t` are the sums, `b` a panel of the second factor. The first factor has panels as well, of
// A_WIDTH columns and `a_panel` elements; with TA it lies as its transpose, and `a` is its first row's place in the first panel.
template <int ROWS, int WIDTH, int A_WIDTH, bool TA>
ZMLX_FN void tile_rows_of(float* __restrict t, const float* __restrict a, int64_t a_panel, const float* __restrict b, int depth) {
  typedef typename tile_vector<WIDTH>::type V;
  constexpr int lanes = tile_vector<WIDTH>::lanes, many = WIDTH / lanes < 2 ? 1 : 2;
  for (int c = 0; c < WIDTH; c += lanes * many) {
    V sums[ROWS][many];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
      for (int m = 0; m < many; ++m) sums[r][m] = tile_load<V>(t + r * WIDTH + c + m * lanes);
    for (int from = 0; from < depth; from += A_WIDTH) {
      const float* x = TA ? a + int64_t(from) * A_WIDTH : a + from / A_WIDTH * a_panel;
      const float* y = b + int64_t(from) * WIDTH + c;
      const int n = depth - from < A_WIDTH ? depth - from : A_WIDTH;
#pragma GCC unroll 2
      for (int k = 0; k < n; ++k) {
        V row[many];
#pragma GCC unroll 2
        for (int m = 0; m < many; ++m) row[m] = tile_load<V>(y + k * WIDTH + m * lanes);
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; ++r) {
          const V one = x[TA ? k * A_WIDTH + r : r * A_WIDTH + k] - V{};
#pragma GCC unroll 2
          for (int m = 0; m < many; ++m) sums[r][m] = tile_fma(one, row[m], sums[r][m]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 2
      for (int m = 0; m < many; ++m) __builtin_memcpy(t + r * WIDTH + c + m * lanes, &sums[r][m], sizeof(V));
  }
}
template <int C> struct tile_panel {
  static constexpr int width = C % 32 == 0 ? 32 : (C % 16 == 0 ? 16 : 8);
};
}  // namespace zmlx

template <int R, int C, int K, bool TA, bool TB, typename P, typename Q>
requires(R % 8 == 0)
ZMLX_FN void kk_tile_loop(float* t, P a, Q b, int rows, int cols, int depth) {
  constexpr int width = zmlx::tile_panel<C>::width, a_width = zmlx::tile_panel<TA ? R : K>::width;
  // Rows at a time; of a transposed factor those must not cross a panel's end.
  constexpr int many = TA ? (zmlx::tile_rows >= 8 ? 8 : 4) : (R < zmlx::tile_rows ? R : zmlx::tile_rows);
  const float* x = a;
  const float* y = b;
  for (int j = 0; j < cols; j += width) {
    const float* panel = y + int64_t(j) * K;
    float turned[TB ? K * width : 1];
    if constexpr (TB) {
      constexpr int b_width = zmlx::tile_panel<K>::width;
      for (int k = 0; k < depth; ++k)
        for (int c = 0; c < width; ++c)
          turned[k * width + c] = y[int64_t(k / b_width) * C * b_width + (j + c) * b_width + k % b_width];
      panel = turned;
    }
    int r = 0;
    for (; r < rows && r + many <= R; r += many) {
      const float* from = TA ? x + int64_t(r / a_width) * K * a_width + r % a_width : x + int64_t(r) * a_width;
      zmlx::tile_rows_of<many, width, a_width, TA>(t + int64_t(j) * R + r * width, from, int64_t(R) * a_width, panel, depth);
    }
    if constexpr (R % many != 0) {
      if (r < rows)
        zmlx::tile_rows_of<R % many, width, a_width, TA>(t + int64_t(j) * R + r * width, x + int64_t(r) * a_width,
                                                         int64_t(R) * a_width, panel, depth);
    }
  }
}

#ifdef ZMLX_WIDE_FLOATS
namespace zmlx {
ZMLX_FN vfloat tile_column(const float* p) { return load_vector<vfloat>(p); }
ZMLX_FN vfloat tile_column(const half* p) { return widened(load_vector<vshort>(p), half()); }
ZMLX_FN vfloat tile_column(const bfloat* p) { return widened(load_vector<vshort>(p), bfloat()); }

// A square of vectors becomes its transpose: in each step, halves of vectors that are `half_way` apart change places.
template <int half_way> ZMLX_FN void tile_exchange(vfloat (&v)[wide_floats]) {
  vint low, high;
#pragma GCC unroll 16
  for (int i = 0; i < wide_floats; ++i) {
    low[i] = i & half_way ? wide_floats + i - half_way : i;
    high[i] = i & half_way ? wide_floats + i : i + half_way;
  }
#pragma GCC unroll 16
  for (int i = 0; i < wide_floats; ++i) {
    if (i & half_way) continue;
    const vfloat a = v[i], b = v[i + half_way];
    v[i] = __builtin_shuffle(a, b, low);
    v[i + half_way] = __builtin_shuffle(a, b, high);
  }
}
// Pointers to numbers that are read as vectors of floats.
template <class T> inline constexpr bool is_float_of_any_size = is_same_v<T, float> || is_same_v<T, half> || is_same_v<T, bfloat>;
template <class P> concept float_pointer = is_float_of_any_size<remove_cvref_t<decltype(*declval<P>())>>;
}  // namespace zmlx

template <int WIDTH, typename P, typename Q>
requires(WIDTH % zmlx::wide_floats == 0 && zmlx::float_pointer<Q>)
ZMLX_FN void kk_tile_turn(P to, Q from, long step, int rows, int n) {
  constexpr int wide = zmlx::wide_floats;
  float* out = to;
  const auto* in = &*from;
  int c = 0;
  for (; c + wide <= n; c += wide) {
    int r = 0;
    for (; r + wide <= rows; r += wide) {
      zmlx::vfloat v[wide];
#pragma GCC unroll 16
      for (int i = 0; i < wide; ++i) v[i] = zmlx::tile_column(in + (c + i) * step + r);
      if constexpr (wide == 16) zmlx::tile_exchange<8>(v);
      zmlx::tile_exchange<4>(v);
      zmlx::tile_exchange<2>(v);
      zmlx::tile_exchange<1>(v);
#pragma GCC unroll 16
      for (int i = 0; i < wide; ++i) __builtin_memcpy(out + (r + i) * WIDTH + c, &v[i], sizeof(zmlx::vfloat));
    }
    for (; r < rows; ++r)
      for (int i = 0; i < wide; ++i) out[r * WIDTH + c + i] = float(in[(c + i) * step + r]);
  }
  for (; c < n; ++c)
    for (int r = 0; r < rows; ++r) out[r * WIDTH + c] = float(in[c * step + r]);
}

namespace zmlx {
// The sum of a vector's elements, in halves.
ZMLX_FN float tile_total(const vfloat& v) {
  float x[wide_floats];
  __builtin_memcpy(x, &v, sizeof(v));
#pragma GCC unroll 8
  for (int n = wide_floats / 2; n > 0; n /= 2)
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) x[i] += x[i + n];
  return x[0];
}
}  // namespace zmlx

template <int ROWS, int COLS, typename P, typename Q, typename S>
requires(zmlx::float_pointer<Q>)
ZMLX_FN void kk_tile_inner(P a, long a_row, Q b, long b_col, int n, S sums, long step) {
  constexpr int wide = zmlx::wide_floats;
  const float* x = a;
  const auto* y = &*b;
  float* to = sums;
  zmlx::vfloat part[ROWS][COLS] = {};
  int k = 0;
#pragma GCC unroll 2
  for (; k + wide <= n; k += wide) {
    zmlx::vfloat u[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) u[r] = zmlx::tile_column(x + r * a_row + k);
#pragma GCC unroll 4
    for (int c = 0; c < COLS; ++c) {
      const zmlx::vfloat v = zmlx::tile_column(y + c * b_col + k);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; ++r) part[r][c] = zmlx::tile_fma(u[r], v, part[r][c]);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int c = 0; c < COLS; ++c) {
      float sum = zmlx::tile_total(part[r][c]);
      for (int i = k; i < n; ++i) sum = __builtin_fmaf(x[r * a_row + i], float(y[c * b_col + i]), sum);
      to[r * step + c] += sum;
    }
}

template <int ROWS, int DEPTH, typename P, typename Q, typename S>
requires(zmlx::float_pointer<Q>)
ZMLX_FN void kk_tile_outer(P a, long a_row, Q b, long b_row, int cols, S sums, long step) {
  constexpr int wide = zmlx::wide_floats;
  const float* x = a;
  const auto* y = &*b;
  float* to = sums;
  int c = 0;
  for (; c + wide <= cols; c += wide) {
    zmlx::vfloat part[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) part[r] = zmlx::tile_column(to + r * step + c);
#pragma GCC unroll 8
    for (int k = 0; k < DEPTH; ++k) {
      const zmlx::vfloat v = zmlx::tile_column(y + k * b_row + c);
#pragma GCC unroll 4
      for (int r = 0; r < ROWS; ++r) part[r] = zmlx::tile_fma(x[r * a_row + k] - zmlx::vfloat{}, v, part[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < ROWS; ++r) __builtin_memcpy(to + r * step + c, &part[r], sizeof(zmlx::vfloat));
  }
  for (; c < cols; ++c)
    for (int k = 0; k < DEPTH; ++k)
      for (int r = 0; r < ROWS; ++r)
        to[r * step + c] = __builtin_fmaf(x[r * a_row + k], float(y[k * b_row + c]), to[r * step + c]);
}
#endif
#endif
