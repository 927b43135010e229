// Blocks of factors in threadgroup memory, and their products, which are added to tiles (see `tiles.metal`).
#include "tiles.metal"

// Threadgroup memory is declared in these, so that vectors and copies find whole lines.
struct kk_tile_line {
  alignas(64) uint words[16];
};
// How many hold so many elements of a type.
template <typename S>
constexpr int kk_tile_lines(int elements) {
  return (elements * int(sizeof(S)) + 63) / 64;
}

// A block of R x C elements, of which those within `rows` and `cols` count and the others are 0. A turned one lies as its transpose, C x R.
template <int L, int R, int C, bool TURNED, typename P>
struct kk_tile_block {
  P p;
  int rows, cols;
};
// What threadgroup memory for such a block takes, and where its rows begin.
template <int L, int R, int C, bool TURNED = false>
struct kk_tile_room {
  static constant constexpr int row = (TURNED ? R : C) + (L == 1 ? 0 : 8);
  static constant constexpr int size = (TURNED ? C : R) * ((TURNED ? R : C) + (L == 1 ? 0 : 8));
};
template <int L, int R, int C, bool TURNED, typename P>
inline kk_tile_block<L, R, C, TURNED, P> kk_tile_in(P p, int rows, int cols) {
  return kk_tile_block<L, R, C, TURNED, P>{p, metal::min(rows, R), metal::min(cols, C)};
}
// The same memory as the transpose.
template <int L, int R, int C, bool TURNED, typename P>
inline kk_tile_block<L, C, R, !TURNED, P> kk_tile_flip(kk_tile_block<L, R, C, TURNED, P> b) {
  return kk_tile_block<L, C, R, !TURNED, P>{b.p, b.cols, b.rows};
}

// A row of a panel as floats: n of WIDTH numbers.
template <int WIDTH, typename P, typename Q>
inline void kk_tile_row(P to, Q from, int n) {
  if (n == WIDTH) {
    const auto x = kk_as_floats<WIDTH>(from);
    for (int c = 0; c < WIDTH; ++c) to[c] = float(x[c]);
  } else {
    for (int c = 0; c < n; ++c) to[c] = float(from[c]);
  }
}
// A panel whose columns lie without gaps, `step` elements apart: n of WIDTH.
template <int WIDTH, typename P, typename Q>
inline void kk_tile_turn(P to, Q from, long step, int rows, int n) {
  for (int c = 0; c < n; ++c) {
    const auto column = from + c * step;
    for (int r = 0; r < rows; ++r) to[r * WIDTH + c] = float(column[r]);
  }
}

// Copies a block from where its element (r, c) is src[r * row_step + c * col_step]. All TG threads of the threadgroup take part, and
// see it after `kk_tile_wait`. Numbers become the block's type, which is float for one thread.
template <int TG, typename S, int L, int R, int C, typename P, typename Q>
inline void kk_tile_stage_as(kk_tile_block<L, R, C, false, P> b, Q src, long row_step, long col_step,
                             kk_tile_thread at, S) {
  const int step = kk_tile_room<L, R, C>::row;
  _Pragma("unroll 1") for (int e = int(at.index); e < R * C; e += TG) {
    // Neighbouring threads read neighbouring elements.
    const int r = col_step == 1 || row_step != 1 ? e / C : e % R;
    const int c = col_step == 1 || row_step != 1 ? e % C : e / R;
    S x = S(0.0f);
    if (r < b.rows && c < b.cols) x = S(float(src[r * row_step + c * col_step]));
    b.p[r * step + c] = x;
  }
}
template <int TG, int L, int R, int C, typename P, typename Q>
inline void kk_tile_stage(kk_tile_block<L, R, C, false, P> b, Q src, long row_step, long col_step,
                          kk_tile_thread at) {
  kk_tile_stage_as<TG>(b, src, row_step, col_step, at, *b.p);
}

// One thread reads rows or columns, whichever is without gaps. Of what does not count, it writes what products look at.
template <int TG, int R, int C, typename P, typename Q>
inline void kk_tile_stage(kk_tile_block<1, R, C, false, P> b, Q src, long row_step, long col_step,
                          kk_tile_thread) {
  const int width = kk_tile_panel<C>::width, all = metal::min(R, (b.rows + 11) / 12 * 12);
  for (int j = 0; j < b.cols; j += width) {
    const auto to = b.p + j * R;
    const auto from = src + j * col_step;
    const int n = metal::min(width, b.cols - j);
    if (n < width)
      for (int i = 0; i < b.rows * width; ++i) to[i] = 0.0f;
    if (col_step == 1) {
      for (int r = 0; r < b.rows; ++r) kk_tile_row<kk_tile_panel<C>::width>(to + r * width, from + r * row_step, n);
    } else if (row_step == 1) {
      kk_tile_turn<kk_tile_panel<C>::width>(to, from, col_step, b.rows, n);
    } else {
      for (int r = 0; r < b.rows; ++r)
        for (int c = 0; c < n; ++c) to[r * width + c] = float(from[r * row_step + c * col_step]);
    }
    for (int i = b.rows * width; i < all * width; ++i) to[i] = 0.0f;
  }
}
template <int TG, int L, int R, int C, typename P, typename Q>
inline void kk_tile_stage(kk_tile_block<L, R, C, true, P> b, Q src, long row_step, long col_step,
                          kk_tile_thread at) {
  kk_tile_stage<TG>(kk_tile_flip(b), src, col_step, row_step, at);
}

// The same from rows that lie anywhere: row r begins at place(r).
template <int TG, typename S, int L, int R, int C, typename P, typename F>
inline void kk_tile_stage_rows_as(kk_tile_block<L, R, C, false, P> b, F place, long col_step, kk_tile_thread at, S) {
  const int step = kk_tile_room<L, R, C>::row;
  _Pragma("unroll 1") for (int e = int(at.index); e < R * C; e += TG) {
    const int r = e / C, c = e % C;
    S x = S(0.0f);
    if (r < b.rows && c < b.cols) x = S(float(place(r)[c * col_step]));
    b.p[r * step + c] = x;
  }
}
template <int TG, int L, int R, int C, typename P, typename F>
inline void kk_tile_stage_rows(kk_tile_block<L, R, C, false, P> b, F place, long col_step, kk_tile_thread at) {
  kk_tile_stage_rows_as<TG>(b, place, col_step, at, *b.p);
}

// Blocks staged since the last `kk_tile_commit` belong together; after `kk_tile_wait` all but the last N such groups are there for
// the whole threadgroup, and what was read before may be overwritten. Only where copies go on beside the work is it more than a barrier.
template <int L>
inline void kk_tile_commit() {}
template <int L, int N>
inline void kk_tile_wait() {
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
}

// Writes a tile into a block from row r0 and column c0 on, rounded to the block's type; a barrier has to follow before another
// simdgroup reads it.
template <typename S, typename P>
struct kk_tile_into {
  P p;
  int row, col;
  void operator()(float x, int r, int c) const { p[r * row + c * col] = S(x); }
};
template <typename S, int L, int R, int C, int RB, int CB, bool TURNED, typename P>
inline void kk_tile_put_as(thread kk_tile<L, R, C>& t, kk_tile_block<L, RB, CB, TURNED, P> b, int r0, int c0,
                           kk_tile_thread at, S) {
  const int step = kk_tile_room<L, RB, CB, TURNED>::row;
  const int row = TURNED ? 1 : step, col = TURNED ? step : 1;
  kk_tile_each(t, R, C, at, kk_tile_into<S, P>{b.p + (r0 * row + c0 * col), row, col});
}
template <int L, int R, int C, int RB, int CB, bool TURNED, typename P>
inline void kk_tile_put(thread kk_tile<L, R, C>& t, kk_tile_block<L, RB, CB, TURNED, P> b, int r0, int c0,
                        kk_tile_thread at) {
  kk_tile_put_as(t, b, r0, c0, at, *b.p);
}
template <int R, int C, typename P>
inline void kk_tile_put(thread kk_tile<1, R, C>& t, kk_tile_block<1, R, C, false, P> b, int, int, kk_tile_thread) {
  for (int i = 0; i < R * C; ++i) b.p[i] = t.v[i];
}

// Adds a product to a tile: rows of `a` from r0 on by columns of `b` from c0 on. For one thread both are 0.
template <typename S, int L, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_mma_as(thread kk_tile<L, R, C>& t, kk_tile_block<L, RA, K, TA, P> a, int r0,
                           kk_tile_block<L, K, CB, TB, Q> b, int c0, S) {
  const int rows = kk_tile_room<L, RA, K, TA>::row, cols = kk_tile_room<L, K, CB, TB>::row;
  for (int k = 0; k < K; k += 8) {
    metal::simdgroup_matrix<S, 8, 8> x[R / 8], y[C / 8];
    for (int i = 0; i < R / 8; ++i)
      metal::simdgroup_load(x[i], a.p + (TA ? k * rows + r0 + i * 8 : (r0 + i * 8) * rows + k), ulong(rows),
                            metal::ulong2(0), TA);
    for (int j = 0; j < C / 8; ++j)
      metal::simdgroup_load(y[j], b.p + (TB ? (c0 + j * 8) * cols + k : k * cols + c0 + j * 8), ulong(cols),
                            metal::ulong2(0), TB);
    for (int i = 0; i < R / 8; ++i)
      for (int j = 0; j < C / 8; ++j) metal::simdgroup_multiply_accumulate(t.m[i][j], x[i], y[j], t.m[i][j]);
  }
}
template <int L, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_mma(thread kk_tile<L, R, C>& t, kk_tile_block<L, RA, K, TA, P> a, int r0,
                        kk_tile_block<L, K, CB, TB, Q> b, int c0) {
  kk_tile_mma_as(t, a, r0, b, c0, *a.p);
}

// Adds the product of a tile, rounded to the type of `b`, by columns of `b` from c0 on.
template <typename S, int L, int R, int C, int K, int CB, bool TB, typename Q>
inline void kk_tile_mma_as(thread kk_tile<L, R, C>& t, thread kk_tile<L, R, K>& a, kk_tile_block<L, K, CB, TB, Q> b,
                           int c0, S) {
  const int cols = kk_tile_room<L, K, CB, TB>::row;
  for (int k = 0; k < K / 8; ++k) {
    metal::simdgroup_matrix<S, 8, 8> y[C / 8];
    for (int j = 0; j < C / 8; ++j)
      metal::simdgroup_load(y[j], b.p + (TB ? (c0 + j * 8) * cols + k * 8 : k * 8 * cols + c0 + j * 8), ulong(cols),
                            metal::ulong2(0), TB);
    for (int i = 0; i < R / 8; ++i) {
      metal::simdgroup_matrix<S, 8, 8> x;
      const metal::float2 from = a.pair(i, k);
      x.thread_elements()[0] = S(from[0]);
      x.thread_elements()[1] = S(from[1]);
      for (int j = 0; j < C / 8; ++j) metal::simdgroup_multiply_accumulate(t.m[i][j], x, y[j], t.m[i][j]);
    }
  }
}
template <int L, int R, int C, int K, int CB, bool TB, typename Q>
inline void kk_tile_mma(thread kk_tile<L, R, C>& t, thread kk_tile<L, R, K>& a, kk_tile_block<L, K, CB, TB, Q> b,
                        int c0) {
  kk_tile_mma_as(t, a, b, c0, *b.p);
}

// The same, handed over: the product may be worked on while the threads go on, and its sums are there, and its factors may change, after
// `kk_tile_mma_wait` for all but the last N that were handed over. Where nothing goes on by itself these are the product and nothing. A tile
// becomes the product of `kk_tile_product_later`, whatever it was.
template <int L, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_mma_later(thread kk_tile<L, R, C>& t, kk_tile_block<L, RA, K, TA, P> a, int r0,
                              kk_tile_block<L, K, CB, TB, Q> b, int c0) {
  kk_tile_mma(t, a, r0, b, c0);
}
template <int L, int R, int C, int RA, int K, int CB, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_product_later(thread kk_tile<L, R, C>& t, kk_tile_block<L, RA, K, TA, P> a, int r0,
                                  kk_tile_block<L, K, CB, TB, Q> b, int c0) {
  kk_tile_fill(t, 0.0f);
  kk_tile_mma(t, a, r0, b, c0);
}
template <int L, int R, int C, int K, int CB, bool TB, typename Q>
inline void kk_tile_mma_later(thread kk_tile<L, R, C>& t, thread kk_tile<L, R, K>& a, kk_tile_block<L, K, CB, TB, Q> b,
                              int c0) {
  kk_tile_mma(t, a, b, c0);
}
// A tile as the first factor of products, rounded to the type of the others; the tile is free then.
template <typename S, int L, int R, int C>
struct kk_tile_factor {
  kk_tile<L, R, C> t;
};
template <typename S, int L, int R, int C>
inline void kk_tile_round(thread kk_tile<L, R, C>& t, thread kk_tile_factor<S, L, R, C>& to) {
  to.t = t;
}
template <typename S, int L, int R, int C, int K, int CB, bool TB, typename Q>
inline void kk_tile_mma_later(thread kk_tile<L, R, C>& t, thread kk_tile_factor<S, L, R, K>& a,
                              kk_tile_block<L, K, CB, TB, Q> b, int c0) {
  kk_tile_mma(t, a.t, b, c0);
}
template <int N, int L, int R, int C>
inline void kk_tile_mma_wait(thread kk_tile<L, R, C>&) {}

// One thread: all rows that count by the columns that do, as deep as both go.
template <int R, int C, int K, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_loop(thread float* t, P a, Q b, int rows, int cols, int depth) {
  const int width = kk_tile_panel<C>::width;
  for (int j = 0; j < cols; j += width)
    for (int r = 0; r < rows; ++r) {
      thread float* v = t + j * R + r * width;
      for (int k = 0; k < depth; ++k) {
        const float x = a[TA ? kk_tile<1, K, R>::place(k, r) : kk_tile<1, R, K>::place(r, k)];
        if (TB) {
          for (int c = 0; c < width; ++c) v[c] = metal::fma(x, float(b[kk_tile<1, C, K>::place(j + c, k)]), v[c]);
        } else {
          const auto y = b + (j * K + k * width);
          for (int c = 0; c < width; ++c) v[c] = metal::fma(x, float(y[c]), v[c]);
        }
      }
    }
}
template <int R, int C, int K, bool TA, bool TB, typename P, typename Q>
inline void kk_tile_mma(thread kk_tile<1, R, C>& t, kk_tile_block<1, R, K, TA, P> a, int,
                        kk_tile_block<1, K, C, TB, Q> b, int) {
  kk_tile_loop<R, C, K, TA, TB>(t.v, a.p, b.p, a.rows, b.cols, metal::min(a.cols, b.rows));
}
template <int R, int C, int K, bool TB, typename Q>
inline void kk_tile_mma(thread kk_tile<1, R, C>& t, thread kk_tile<1, R, K>& a, kk_tile_block<1, K, C, TB, Q> b, int) {
  kk_tile_loop<R, C, K, false, TB>(t.v, (thread const float*)(a.v), b.p, R, b.cols, b.rows);
}

// Inner products for one thread: sums[r * step + c] += row r of `a`, which are floats, by column c of `b`, both without gaps and n long.
template <int ROWS, int COLS, typename P, typename Q, typename S>
inline void kk_tile_inner(P a, long a_row, Q b, long b_col, int n, S sums, long step) {
  for (int r = 0; r < ROWS; ++r)
    for (int c = 0; c < COLS; ++c) {
      const auto x = a + r * a_row;
      const auto y = b + c * b_col;
      float part[16];
      for (int i = 0; i < 16; ++i) part[i] = 0.0f;
      int k = 0;
      for (; k + 16 <= n; k += 16)
        for (int i = 0; i < 16; ++i) part[i] = metal::fma(x[k + i], float(y[k + i]), part[i]);
      for (int i = 0; k + i < n; ++i) part[i] = metal::fma(x[k + i], float(y[k + i]), part[i]);
      for (int half_way = 8; half_way > 0; half_way /= 2)
        for (int i = 0; i < half_way; ++i) part[i] += part[i + half_way];
      sums[r * step + c] += part[0];
    }
}

// Rows of a matrix times numbers: sums[r * step + c] += a[r * a_row + k] * b[k * b_row + c] for k < DEPTH, c < cols.
template <int ROWS, int DEPTH, typename P, typename Q, typename S>
inline void kk_tile_outer(P a, long a_row, Q b, long b_row, int cols, S sums, long step) {
  for (int k = 0; k < DEPTH; ++k)
    for (int r = 0; r < ROWS; ++r) {
      const float x = a[r * a_row + k];
      for (int c = 0; c < cols; ++c) sums[r * step + c] = metal::fma(x, float(b[k * b_row + c]), sums[r * step + c]);
    }
}
