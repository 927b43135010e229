// What kernels over matrices share: tiles of sums in registers. `products.metal` has blocks of factors in threadgroup memory and
// products of both; docs/TILES.md tells how to write a kernel with them.
//
// L says who holds a tile: the 32 lanes of a simdgroup, or with L = 1 one thread, as on a CPU. A kernel is written once for both:
//
// - A simdgroup's tile is made of simdgroup matrices. Simdgroups of a threadgroup share its blocks, whose rows lie one behind the
//   other with a gap that spreads them over the banks of threadgroup memory.
// - With L = 128 four simdgroups in a row, a team, have the same columns of tiles of 16 rows each, so that machines whose products are of more
//   rows than a simdgroup's multiply them together. Blocks have multiples of 64 columns as they lie. Elsewhere it is as with L = 32.
// - One thread's tile and blocks lie in panels: 32 columns (16 or 8, where C is no multiple) of all rows, then the next 32. A panel of a
//   block is what the loop of a product walks through without a gap, and a tile is also a block.
//
// Runtimes have bodies of their own for some of these (`runtime/host/tiles.h`, `runtime/cuda/tiles.h`): vectors of the machine's width
// on a CPU, whole fragments of tensor cores and copies that nobody waits for on a GPU of NVIDIA's.
#include "floats.metal"
#include "rows.metal"

// The thread's place.
struct kk_tile_thread {
  uint index;  // in the threadgroup
  uint lane;   // in the simdgroup
  uint simd;   // of the simdgroup in the threadgroup
};

// Columns of a panel, for one thread.
template <int C>
struct kk_tile_panel {
  static constant constexpr int width = C % 32 == 0 ? 32 : (C % 16 == 0 ? 16 : 8);
};

// Where a lane finds its two neighbouring elements of an 8x8 matrix, as Apple's GPUs spread it, and which bits of the lane's number
// tell lanes of one row apart.
template <int L>
struct kk_tile_lanes {
  static constant constexpr int near = 1, far = 8;
  static int row(uint lane) { return int((lane >> 2 & 4u) | (lane >> 1 & 3u)); }
  static int col(uint lane) { return int((lane >> 1 & 4u) | (lane & 1u) << 1); }
};

// R x C sums. R and C are multiples of 16.
template <int L, int R, int C>
struct kk_tile {
  metal::simdgroup_matrix<float, 8, 8> m[R / 8][C / 8];
  thread metal::float2& pair(int i, int j) { return m[i][j].thread_elements(); }
};
template <int R, int C>
struct kk_tile<1, R, C> {
  alignas(64) float v[R * C];
  static int place(int r, int c) {
    const int width = kk_tile_panel<C>::width;
    return c / width * R * width + r * width + c % width;
  }
};

// A number for each row of a tile: `count` of them are this thread's.
template <int L, int R>
struct kk_tile_rows {
  static constant constexpr int count = L == 1 ? R : R / 8;
  float v[L == 1 ? R : R / 8];
};

// All elements of a tile become x, or at least those of the first rows and columns.
template <int L, int R, int C>
inline void kk_tile_fill(thread kk_tile<L, R, C>& t, float x, int = R, int = C) {
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i)
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) t.pair(i, j) = metal::float2(x);
}
template <int R, int C>
inline void kk_tile_fill(thread kk_tile<1, R, C>& t, float x, int rows = R, int cols = C) {
  // Products go on to the end of a dozen.
  const int width = kk_tile_panel<C>::width, n = metal::min(R, (rows + 11) / 12 * 12) * width;
  for (int j = 0; j < metal::min(cols, C); j += width)
    for (int i = 0; i < n; ++i) t.v[j * R + i] = x;
}

// Each element x in row r and column c becomes f(x, r, c).
template <int L, int R, int C, typename F>
inline void kk_tile_map(thread kk_tile<L, R, C>& t, kk_tile_thread at, F f) {
  const int row = kk_tile_lanes<L>::row(at.lane), col = kk_tile_lanes<L>::col(at.lane);
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i)
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) {
      const metal::float2 x = t.pair(i, j);
      const int r = i * 8 + row, c = j * 8 + col;
      t.pair(i, j) = metal::float2(f(x[0], r, c), f(x[1], r, c + 1));
    }
}
template <int R, int C, typename F>
inline void kk_tile_map(thread kk_tile<1, R, C>& t, kk_tile_thread, F f) {
  const int width = kk_tile_panel<C>::width;
  for (int j = 0; j < C; j += width)
    for (int r = 0; r < R; ++r) {
      thread float* v = t.v + j * R + r * width;
      for (int c = 0; c < width; ++c) v[c] = f(v[c], r, j + c);
    }
}

// Calls f(x, r, c) for the elements of the first rows and columns.
template <int L, int R, int C, typename F>
inline void kk_tile_each(thread kk_tile<L, R, C>& t, int rows, int cols, kk_tile_thread at, F f) {
  const int row = kk_tile_lanes<L>::row(at.lane), col = kk_tile_lanes<L>::col(at.lane);
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i)
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) {
      const metal::float2 x = t.pair(i, j);
      const int r = i * 8 + row, c = j * 8 + col;
      if (r < rows && c < cols) f(x[0], r, c);
      if (r < rows && c + 1 < cols) f(x[1], r, c + 1);
    }
}
template <int R, int C, typename F>
inline void kk_tile_each(thread kk_tile<1, R, C>& t, int rows, int cols, kk_tile_thread, F f) {
  const int width = kk_tile_panel<C>::width;
  for (int j = 0; j < metal::min(cols, C); j += width)
    for (int r = 0; r < metal::min(rows, R); ++r) {
      thread const float* v = t.v + j * R + r * width;
      const int n = metal::min(width, cols - j);
      for (int c = 0; c < n; ++c) f(v[c], r, j + c);
    }
}

// Each element x becomes f(x, y) with the number y of its row.
template <int L, int R, int C, typename F>
inline void kk_tile_map_rows(thread kk_tile<L, R, C>& t, thread const kk_tile_rows<L, R>& y, F f) {
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i)
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) {
      const metal::float2 x = t.pair(i, j);
      t.pair(i, j) = metal::float2(f(x[0], y.v[i]), f(x[1], y.v[i]));
    }
}
template <int R, int C, typename F>
inline void kk_tile_map_rows(thread kk_tile<1, R, C>& t, thread const kk_tile_rows<1, R>& y, F f) {
  const int width = kk_tile_panel<C>::width;
  for (int j = 0; j < C; j += width)
    for (int r = 0; r < R; ++r) {
      thread float* v = t.v + j * R + r * width;
      const float of_row = y.v[r];
      for (int c = 0; c < width; ++c) v[c] = f(v[c], of_row);
    }
}
struct kk_tile_times {
  float operator()(float x, float y) const { return x * y; }
};
template <int L, int R, int C>
inline void kk_tile_scale(thread kk_tile<L, R, C>& t, thread const kk_tile_rows<L, R>& y) {
  kk_tile_map_rows(t, y, kk_tile_times());
}

// Rows folded by f, which is associative and commutative.
struct kk_tile_larger {
  float operator()(float x, float y) const { return metal::max(x, y); }
};
struct kk_tile_added {
  float operator()(float x, float y) const { return x + y; }
};
template <int L, int R, int C, typename F>
inline void kk_tile_fold(thread kk_tile<L, R, C>& t, thread kk_tile_rows<L, R>& y, F f) {
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i) {
    float all = 0.0f;
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) {
      const metal::float2 x = t.pair(i, j);
      all = j == 0 ? f(x[0], x[1]) : f(all, f(x[0], x[1]));
    }
    all = f(all, metal::simd_shuffle_xor(all, ushort(kk_tile_lanes<L>::near)));
    y.v[i] = f(all, metal::simd_shuffle_xor(all, ushort(kk_tile_lanes<L>::far)));
  }
}
template <int R, int C, typename F>
inline void kk_tile_fold(thread kk_tile<1, R, C>& t, thread kk_tile_rows<1, R>& y, F f) {
  const int width = kk_tile_panel<C>::width;
  for (int r = 0; r < R; ++r) {
    // As many partial results as a panel has columns, so that vectors do it.
    float part[width];
    for (int c = 0; c < width; ++c) part[c] = t.v[r * width + c];
    for (int j = width; j < C; j += width)
      for (int c = 0; c < width; ++c) part[c] = f(part[c], t.v[j * R + r * width + c]);
    if (width == 32)
      for (int c = 0; c < 16; ++c) part[c] = f(part[c], part[c + width / 2]);
    if (width >= 16)
      for (int c = 0; c < 8; ++c) part[c] = f(part[c], part[c + (width > 8 ? 8 : 0)]);
    for (int c = 0; c < 4; ++c) part[c] = f(part[c], part[c + 4]);
    y.v[r] = f(f(part[0], part[2]), f(part[1], part[3]));
  }
}
template <int L, int R, int C>
inline void kk_tile_max(thread kk_tile<L, R, C>& t, thread kk_tile_rows<L, R>& y) {
  kk_tile_fold(t, y, kk_tile_larger());
}
template <int L, int R, int C>
inline void kk_tile_sum(thread kk_tile<L, R, C>& t, thread kk_tile_rows<L, R>& y) {
  kk_tile_fold(t, y, kk_tile_added());
}

// Writes f(x, r, c) of the first rows and columns to rows that are `step` elements apart, rounded to their type T.
template <typename T, typename P, typename F>
struct kk_tile_to {
  P p;
  long step;
  F f;
  void operator()(float x, int r, int c) const { p[r * step + c] = T(f(x, r, c)); }
};
template <typename T, int L, int R, int C, typename P, typename F>
inline void kk_tile_store(thread kk_tile<L, R, C>& t, P p, long step, int rows, int cols, kk_tile_thread at, F f) {
  kk_tile_each(t, rows, cols, at, kk_tile_to<T, P, F>{p, step, f});
}
template <typename T, int R, int C, typename P, typename F>
inline void kk_tile_store(thread kk_tile<1, R, C>& t, P p, long step, int rows, int cols, kk_tile_thread, F f) {
  const int width = kk_tile_panel<C>::width;
  for (int r = 0; r < metal::min(rows, R); ++r)
    for (int j = 0; j < metal::min(cols, C); j += width) {
      const auto to = p + (r * step + j);
      thread const float* v = t.v + j * R + r * width;
      if (cols - j >= width) {
        auto block = kk_open<kk_tile_panel<C>::width>(to);
        for (int c = 0; c < width; ++c) kk_put<T>(block, c, f(v[c], r, j + c));
        kk_close<kk_tile_panel<C>::width>(to, block);
      } else {
        for (int c = 0; c < cols - j; ++c) to[c] = T(f(v[c], r, j + c));
      }
    }
}
struct kk_tile_same {
  float operator()(float x, int, int) const { return x; }
};
template <typename T, int L, int R, int C, typename P>
inline void kk_tile_store(thread kk_tile<L, R, C>& t, P p, long step, int rows, int cols, kk_tile_thread at) {
  kk_tile_store<T>(t, p, step, rows, cols, at, kk_tile_same());
}

// Reads the first rows and columns; the others become 0.
template <typename P>
struct kk_tile_from {
  P p;
  long step;
  int rows, cols;
  float operator()(float, int r, int c) const {
    return r < rows && c < cols ? float(p[r * step + c]) : 0.0f;
  }
};
template <int L, int R, int C, typename P>
inline void kk_tile_load(thread kk_tile<L, R, C>& t, P p, long step, int rows, int cols, kk_tile_thread at) {
  kk_tile_map(t, at, kk_tile_from<P>{p, step, rows, cols});
}
