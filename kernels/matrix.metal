// Products of matrices.
#include "products.metal"

// A matrix in memory: the distance between neighbours of a column, and of a row.
template <typename P>
struct kk_matrix {
  P p;
  long row, col;
};
template <typename P>
inline kk_matrix<P> kk_matrix_of(P p, long row, long col) {
  return kk_matrix<P>{p, row, col};
}

// Which of the tiles of all products this is. Tiles have `tm` x `tn` elements; eight rows of them go together through the columns, so that
// neighbouring threadgroups read the same factors.
struct kk_matrix_place {
  long product;
  int row, col;
};
inline kk_matrix_place kk_matrix_find(long group, int m, int n, int tm, int tn) {
  const long down = (m + tm - 1) / tm, across = (n + tn - 1) / tn, all = down * across;
  const long product = group / all, i = group - product * all;
  const long band = i / (8 * across), inside = i - band * 8 * across;
  const long high = metal::min(8L, down - band * 8);
  return kk_matrix_place{product, int(band * 8 + inside % high) * tm, int(inside / high) * tn};
}

// Where product number `index` of several begins, by the leading axes of a shape.
template <typename S, typename D>
inline long kk_matrix_offset(long index, S shape, D strides, int ndim) {
  long offset = 0;
  for (int d = ndim - 3; d >= 0; --d) {
    const long n = shape[d];
    offset += index % n * strides[d];
    index /= n;
  }
  return offset;
}

// What becomes of a sum: a bias of its column, a function, a residual.
template <bool BIAS, int FUNCTION, bool RESIDUAL, typename X, typename Y>
struct kk_matrix_end {
  X bias;
  Y residual;
  long step;
  float operator()(float x, int r, int c) const {
    if (BIAS) x += float(bias[c]);
    if (FUNCTION == 1) x = kk_silu(x);
    if (FUNCTION == 2) x = kk_gelu_tanh(x);
    if (FUNCTION == 3) x = kk_gelu(x);
    if (RESIDUAL) x += float(residual[r * step + c]);
    return x;
  }
};
template <bool BIAS, int FUNCTION, bool RESIDUAL, typename X, typename Y>
inline kk_matrix_end<BIAS, FUNCTION, RESIDUAL, X, Y> kk_matrix_with(X bias, Y residual, long step) {
  return kk_matrix_end<BIAS, FUNCTION, RESIDUAL, X, Y>{bias, residual, step};
}
template <typename E>
struct kk_matrix_part {
  E end;
  int row, col;
  float operator()(float x, int r, int c) const { return end(x, row + r, col + c); }
};

// One tile of at most BM x BN elements, by DOWN x ACROSS simdgroups or by one thread: `rows` x `cols` of them are stored to `out`, whose
// rows are `step` elements apart. STAGES blocks of BK columns of `a` and rows of `b` are on their way at a time.
template <typename T, int TG, int BM, int BN, int BK, int DOWN, int ACROSS, int STAGES, bool TA, bool TB, typename S,
          typename P, typename Q, typename O, typename E>
inline void kk_matrix_tile(kk_matrix<P> a, kk_matrix<Q> b, int rows, int cols, long depth, O out, long step, E end,
                           S as, S bs, kk_tile_thread at) {
  const int L = TG == 1 ? 1 : 32, R = BM / DOWN, C = BN / ACROSS;
  const int each_a = kk_tile_room<L, BM, BK, TA>::size, each_b = kk_tile_room<L, BK, BN, TB>::size;
  const int r0 = int(at.simd) / ACROSS * R, c0 = int(at.simd) % ACROSS * C;
  kk_tile<L, R, C> sums;
  kk_tile_fill(sums, 0.0f, rows, cols);
  const int count = int((depth + BK - 1) / BK);
  // A stage beyond the end is empty, so that all have the same number.
  for (int k = 0; k < STAGES - 1; ++k) {
    const int left = int(metal::min(long(BK), depth - k * long(BK)));
    if (left > 0) {
      kk_tile_stage<TG>(kk_tile_in<L, BM, BK, TA>(as + k * each_a, rows, left), a.p + k * BK * a.col, a.row, a.col, at);
      kk_tile_stage<TG>(kk_tile_in<L, BK, BN, TB>(bs + k * each_b, left, cols), b.p + k * BK * b.row, b.row, b.col, at);
    }
    kk_tile_commit<L>();
  }
  for (int k = 0; k < count; ++k) {
    if (STAGES == 1) {
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    } else {
      kk_tile_wait<L, STAGES == 1 ? 0 : STAGES - 2>();
    }
    const int next = k + STAGES - 1;
    const int left = int(metal::min(long(BK), depth - next * long(BK)));
    if (left > 0) {
      const int slot = next % STAGES;
      kk_tile_stage<TG>(kk_tile_in<L, BM, BK, TA>(as + slot * each_a, rows, left), a.p + next * BK * a.col, a.row,
                        a.col, at);
      kk_tile_stage<TG>(kk_tile_in<L, BK, BN, TB>(bs + slot * each_b, left, cols), b.p + next * BK * b.row, b.row,
                        b.col, at);
    }
    kk_tile_commit<L>();
    if (STAGES == 1) kk_tile_wait<L, 0>();
    const int slot = k % STAGES, here = int(metal::min(long(BK), depth - k * long(BK)));
    kk_tile_mma(sums, kk_tile_in<L, BM, BK, TA>(as + slot * each_a, rows, here), r0,
                kk_tile_in<L, BK, BN, TB>(bs + slot * each_b, here, cols), c0);
  }
  kk_tile_store<T>(sums, out + (r0 * step + c0), step, rows - r0, cols - c0, at, kk_matrix_part<E>{end, r0, c0});
}

// A product of few rows, by one thread: what counts is how the second factor is read, once and in the order in which it lies. `as` holds
// ROWS x DEPTH floats, `sums` ROWS x COLS; ROWS is a multiple of 4.
template <typename T, int ROWS, int DEPTH, int COLS, typename S, typename P, typename Q, typename O, typename E>
inline void kk_matrix_thin(kk_matrix<P> a, kk_matrix<Q> b, int rows, int cols, long depth, O out, long step, E end,
                           S as, S sums) {
  const int all = rows == 1 ? 1 : (rows + 3) / 4 * 4;
  for (int r = 0; r < all; ++r)
    for (int c = 0; c < cols; ++c) sums[r * COLS + c] = 0.0f;
  for (long from = 0; from < depth; from += DEPTH) {
    const int n = int(metal::min(long(DEPTH), depth - from));
    for (int r = 0; r < all; ++r) {
      if (r >= rows) {
        for (int k = 0; k < n; ++k) as[r * DEPTH + k] = 0.0f;
      } else if (a.col == 1) {
        const auto row = a.p + (r * a.row + from);
        for (int k = 0; k < n; k += 32) kk_tile_row<32>(as + r * DEPTH + k, row + k, metal::min(32, n - k));
      } else {
        for (int k = 0; k < n; ++k) as[r * DEPTH + k] = float(a.p[r * a.row + (from + k) * a.col]);
      }
    }
    const auto second = b.p + from * b.row;
    if (b.row == 1) {
      int c = 0;
      for (; c + 4 <= cols; c += 4) {
        if (all == 1) kk_tile_inner<1, 4>(as, long(DEPTH), second + c * b.col, b.col, n, sums + c, long(COLS));
        for (int r = 0; r + 4 <= all; r += 4)
          kk_tile_inner<4, 4>(as + r * DEPTH, long(DEPTH), second + c * b.col, b.col, n, sums + r * COLS + c, long(COLS));
      }
      for (; c < cols; ++c)
        for (int r = 0; r < all; ++r)
          kk_tile_inner<1, 1>(as + r * DEPTH, long(DEPTH), second + c * b.col, b.col, n, sums + r * COLS + c, long(COLS));
    } else if (b.col == 1) {
      int k = 0;
      for (; k + 8 <= n; k += 8) {
        if (all == 1) kk_tile_outer<1, 8>(as + k, long(DEPTH), second + k * b.row, b.row, cols, sums, long(COLS));
        for (int r = 0; r + 4 <= all; r += 4)
          kk_tile_outer<4, 8>(as + r * DEPTH + k, long(DEPTH), second + k * b.row, b.row, cols, sums + r * COLS, long(COLS));
      }
      for (; k < n; ++k)
        for (int r = 0; r < all; ++r)
          kk_tile_outer<1, 1>(as + r * DEPTH + k, long(DEPTH), second + k * b.row, b.row, cols, sums + r * COLS, long(COLS));
    } else {
      for (int k = 0; k < n; ++k)
        for (int c = 0; c < cols; ++c) {
          const float x = float(second[k * b.row + c * b.col]);
          for (int r = 0; r < rows; ++r) sums[r * COLS + c] = metal::fma(as[r * DEPTH + k], x, sums[r * COLS + c]);
        }
    }
  }
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) out[r * step + c] = T(end(sums[r * COLS + c], r, c));
}
