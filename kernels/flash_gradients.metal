// Gradients of attention of many queries, over tiles (`flash.metal`). Scores are computed once more, from the logarithms of the sums of
// exponentials. What belongs to a query or to a key is added up by one threadgroup in a fixed order, so results repeat.
#include "flash.metal"

// Calls f(x, y, r, c, i) for the elements of two tiles, as references; i is the thread's number of the row.
template <int L, int R, int C, typename F>
inline void kk_flash_zip(thread kk_tile<L, R, C>& a, thread kk_tile<L, R, C>& b, kk_tile_thread at, F f) {
  const int row = kk_tile_lanes<L>::row(at.lane), col = kk_tile_lanes<L>::col(at.lane);
  _Pragma("unroll") for (int i = 0; i < R / 8; ++i)
    _Pragma("unroll") for (int j = 0; j < C / 8; ++j) {
      metal::float2 x = a.pair(i, j), y = b.pair(i, j);
      float x0 = x[0], y0 = y[0], x1 = x[1], y1 = y[1];
      f(x0, y0, i * 8 + row, j * 8 + col, i);
      f(x1, y1, i * 8 + row, j * 8 + col + 1, i);
      a.pair(i, j) = metal::float2(x0, x1);
      b.pair(i, j) = metal::float2(y0, y1);
    }
}
template <int R, int C, typename F>
inline void kk_flash_zip(thread kk_tile<1, R, C>& a, thread kk_tile<1, R, C>& b, kk_tile_thread, F f) {
  constexpr int width = kk_tile_panel<C>::width;
  for (int j = 0; j < C; j += width)
    for (int r = 0; r < R; ++r) {
      thread float* x = a.v + j * R + r * width;
      thread float* y = b.v + j * R + r * width;
      for (int c = 0; c < width; ++c) f(x[c], y[c], r, j + c, r);
    }
}

// A product of query and key becomes its weight, and that of cotangent and value the score's gradient.
template <bool WHOLE, int ROWS, typename F>
struct kk_flash_slopes {
  F f;
  thread const float* lse;
  thread const float* delta;
  void operator()(thread float& x, thread float& y, int r, int c, int i) const {
    const float s = f.score(x), p = metal::fast::exp2(f.with_mask(s, r, c) - lse[i]);
    x = WHOLE || f.seen(r, c) ? p : 0.0f;
    y = x * (y - delta[i]) * f.slope(s);
  }
};
template <int L, int R, int C, typename F>
inline void kk_flash_slope(thread kk_tile<L, R, C>& x, thread kk_tile<L, R, C>& y, F f, thread kk_tile_rows<L, R>& lse,
                           thread kk_tile_rows<L, R>& delta, kk_tile_thread at) {
  if (f.whole(R, C)) {
    kk_flash_zip(x, y, at, kk_flash_slopes<true, R, F>{f, lse.v, delta.v});
  } else {
    kk_flash_zip(x, y, at, kk_flash_slopes<false, R, F>{f, lse.v, delta.v});
  }
}

// A number for each query of several heads.
template <typename E>
struct kk_flash_column {
  E p;
  long head, row;
};

// Those of the rows of a tile; the logarithms become those of base 2.
template <int L, int R, typename E, typename D>
inline void kk_flash_numbers(thread kk_tile_rows<L, R>& lse, thread kk_tile_rows<L, R>& delta, kk_flash_column<E> of_lse,
                             kk_flash_column<D> of_delta, int head, int row, int rows, kk_tile_thread at) {
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) {
    const int r = metal::min(row + kk_flash_row<L>(i, at), rows - 1);
    const float l = of_lse.p[head * of_lse.head + r * of_lse.row] * 1.44269504f;
    lse.v[i] = l == -INFINITY ? 0.0f : l;
    delta.v[i] = of_delta.p[head * of_delta.head + r * of_delta.row];
  }
}

struct kk_flash_times {
  float by;
  float operator()(float x, int, int) const { return x * by; }
};

// The gradient of one block of queries.
template <typename T, int L, int TG, int BM, int BN, int DP, int STAGES, typename F, typename P, typename V, typename S,
          typename E, typename D>
inline void kk_flash_dq(P q, long q_row, long q_col, V k, long k_row, long k_col, V v, long v_row, long v_col, P g, long g_row,
                        long g_col, kk_flash_column<E> of_lse, kk_flash_column<D> of_delta, device T* out, int d, float scale, F f,
                        S qs, S gs, S ks, S kt, S vt, kk_tile_thread at) {
  constexpr int DOWN = TG == 1 ? 1 : TG / 32, R = BM / DOWN;
  constexpr bool turned = L != 1;
  constexpr int each_k = kk_tile_room<L, BN, DP, false>::size, each_v = kk_tile_room<L, DP, BN, turned>::size;
  const int row = f.row, rows = metal::min(BM, f.rows - row), r0 = int(at.simd) * R;
  const kk_flash_span keys = kk_flash_keys(row, rows, f.cols, f.behind, f.ahead);
  const int count = (metal::max(keys.to - keys.from, 0) + BN - 1) / BN;
  const auto queries = kk_tile_in<L, BM, DP, false>(qs, rows, d);
  const auto cotangents = kk_tile_in<L, BM, DP, false>(gs, rows, d);
  kk_tile_stage<TG>(queries, q + row * q_row, q_row, q_col, at);
  kk_tile_stage<TG>(cotangents, g + row * g_row, g_row, g_col, at);
  kk_tile<L, R, DP> sums;
  kk_tile_fill(sums, 0.0f);
  kk_tile_rows<L, R> lse, delta;
  kk_flash_numbers(lse, delta, of_lse, of_delta, 0, row + r0, f.rows, at);
  for (int j = 1 - STAGES; j < count; ++j) {
    if (STAGES == 1) metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (STAGES > 1 && j >= 0) kk_tile_wait<L, STAGES == 1 ? 0 : STAGES - 2>();
    const int next = j + STAGES - 1, next_key = keys.from + next * BN, left = metal::min(BN, keys.to - next_key);
    if (left > 0) {
      // Simdgroups read the same rows of keys both ways.
      const int slot = next % STAGES;
      kk_tile_stage<TG>(kk_tile_in<L, BN, DP, false>(ks + slot * each_k, left, d), k + next_key * k_row, k_row, k_col, at);
      if (!turned) kk_tile_stage<TG>(kk_tile_in<L, DP, BN, turned>(kt, d, left), k + next_key * k_row, k_col, k_row, at);
      kk_tile_stage<TG>(kk_tile_in<L, DP, BN, turned>(vt + slot * each_v, d, left), v + next_key * v_row, v_col, v_row, at);
    }
    kk_tile_commit<L>();
    if (j < 0) continue;
    if (STAGES == 1) kk_tile_wait<L, 0>();
    const int slot = j % STAGES, col = keys.from + j * BN, here = metal::min(BN, keys.to - col);
    const auto straight = kk_tile_in<L, BN, DP, false>(ks + slot * each_k, here, d);
    kk_tile<L, R, BN> x, y;
    kk_tile_product_later(x, queries, r0, kk_tile_in<L, DP, BN, turned>(turned ? ks + slot * each_k : kt, d, here), 0);
    kk_tile_product_later(y, cotangents, r0, kk_tile_in<L, DP, BN, turned>(vt + slot * each_v, d, here), 0);
    kk_tile_mma_wait<0>(x);
    kk_tile_mma_wait<0>(y);
    F here_f = f;
    here_f.row = row + r0;
    here_f.col = col;
    kk_flash_slope(x, y, here_f, lse, delta, at);
    kk_tile_mma(sums, y, straight, 0);
  }
  kk_tile_store<T>(sums, out + (long(row) + r0) * d, long(d), rows - r0, d, at, kk_flash_times{scale});
}

// The gradients of one block of keys and values from `col` on: of all queries of `heads` heads, whose rows lie so far apart. By one thread.
template <typename T, int BM, int BN, int DP, typename F, typename P, typename V, typename S, typename E, typename D>
inline void kk_flash_dkv_of_one(P q, long q_head, long q_row, long q_col, V k, long k_row, long k_col, V v, long v_row, long v_col, P g,
                                long g_head, long g_row, long g_col, kk_flash_column<E> of_lse, kk_flash_column<D> of_delta, int heads,
                                device T* dk, device T* dv, int d, float scale, F f, long mask_head, S qs, S gs, S kt, S vt,
                                kk_tile_thread at) {
  const int col = f.col, cols = metal::min(BN, f.cols - col);
  const kk_flash_span queries = kk_flash_queries(col, cols, f.rows, f.behind, f.ahead);
  const auto keys = kk_tile_in<1, DP, BN, false>(kt, d, cols), values = kk_tile_in<1, DP, BN, false>(vt, d, cols);
  kk_tile_stage<1>(keys, k + col * k_row, k_col, k_row, at);
  kk_tile_stage<1>(values, v + col * v_row, v_col, v_row, at);
  kk_tile<1, BN, DP> of_keys, of_values;
  kk_tile_fill(of_keys, 0.0f);
  kk_tile_fill(of_values, 0.0f);
  for (int h = 0; h < heads; ++h) {
    for (int row = queries.from; row < queries.to; row += BM) {
      const int rows = metal::min(BM, queries.to - row);
      const auto block = kk_tile_in<1, BM, DP, false>(qs, rows, d), cotangents = kk_tile_in<1, BM, DP, false>(gs, rows, d);
      kk_tile_stage<1>(block, q + (h * q_head + row * q_row), q_row, q_col, at);
      kk_tile_stage<1>(cotangents, g + (h * g_head + row * g_row), g_row, g_col, at);
      kk_tile_rows<1, BM> lse, delta;
      kk_flash_numbers(lse, delta, of_lse, of_delta, h, row, f.rows, at);
      kk_tile<1, BM, BN> x, y;
      kk_tile_fill(x, 0.0f);
      kk_tile_fill(y, 0.0f);
      kk_tile_mma(x, block, 0, keys, 0);
      kk_tile_mma(y, cotangents, 0, values, 0);
      F here = f;
      here.row = row;
      here.mask = f.mask + h * mask_head;
      kk_flash_slope(x, y, here, lse, delta, at);
      // A thread's tile is a block, and a block its transpose.
      kk_tile_mma(of_values, kk_tile_flip(kk_tile_in<1, BM, BN, false>(x.v, rows, BN)), 0, cotangents, 0);
      kk_tile_mma(of_keys, kk_tile_flip(kk_tile_in<1, BM, BN, false>(y.v, rows, BN)), 0, block, 0);
    }
  }
  kk_tile_store<T>(of_keys, dk + long(col) * d, long(d), cols, d, at, kk_flash_times{scale});
  kk_tile_store<T>(of_values, dv + long(col) * d, long(d), cols, d, at);
}

// The slopes of scores that stand turned around: a row is a key, a column a query.
template <bool WHOLE, typename F>
struct kk_flash_turned {
  F f;
  threadgroup const float* lse;
  threadgroup const float* delta;
  void operator()(thread float& x, thread float& y, int r, int c, int) const {
    const float s = f.score(x), p = metal::fast::exp2(f.with_mask(s, c, r) - lse[c]);
    x = WHOLE || f.seen(c, r) ? p : 0.0f;
    y = x * (y - delta[c]) * f.slope(s);
  }
};

// A place among the blocks of queries of all heads.
struct kk_flash_step {
  int head, row;
  void move(kk_flash_span queries, int rows) {
    row += rows;
    if (row < queries.to) return;
    row = queries.from;
    ++head;
  }
};

// Simdgroups: each has RK = BN / DOWN keys and computes their scores turned around, as rows, so that what becomes of them is the first factor of
// the products with cotangents and queries, from its registers. ACROSS of them share keys, compute the same scores, and have columns of the gradients
// of their own, as registers hold no more. `numbers` has room for two rows of BM for each stage.
template <typename T, int L, int TG, int BM, int BN, int DP, int STAGES, int ACROSS, typename F, typename P, typename V, typename S, typename E,
          typename D>
inline void kk_flash_dkv(P q, long q_head, long q_row, long q_col, V k, long k_row, long k_col, V v, long v_row, long v_col, P g,
                         long g_head, long g_row, long g_col, kk_flash_column<E> of_lse, kk_flash_column<D> of_delta, int heads,
                         device T* dk, device T* dv, int d, float scale, F f, long mask_head, S qs, S gs, S ks, S vs,
                         threadgroup float* numbers, kk_tile_thread at) {
  constexpr int DOWN = TG / 32 / ACROSS, RK = BN / DOWN, C = DP / ACROSS, each = kk_tile_room<L, BM, DP, false>::size;
  const int col = f.col, cols = metal::min(BN, f.cols - col), k0 = int(at.simd) % DOWN * RK, c0 = int(at.simd) / DOWN * C;
  const kk_flash_span queries = kk_flash_queries(col, cols, f.rows, f.behind, f.ahead);
  const int count = heads * ((metal::max(queries.to - queries.from, 0) + BM - 1) / BM);
  const auto keys = kk_tile_in<L, BN, DP, false>(ks, cols, d), values = kk_tile_in<L, BN, DP, false>(vs, cols, d);
  kk_tile_stage<TG>(keys, k + col * k_row, k_row, k_col, at);
  kk_tile_stage<TG>(values, v + col * v_row, v_row, v_col, at);
  kk_tile<L, RK, C> of_keys, of_values;
  kk_tile_fill(of_keys, 0.0f);
  kk_tile_fill(of_values, 0.0f);
  kk_flash_step now = {0, queries.from}, next = now;
  for (int j = 1 - STAGES; j < count; ++j) {
    if (STAGES == 1) metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    if (STAGES > 1 && j >= 0) kk_tile_wait<L, STAGES == 1 ? 0 : STAGES - 2>();
    if (j + STAGES - 1 < count) {
      const int slot = (j + STAGES - 1) % STAGES, rows = metal::min(BM, queries.to - next.row);
      kk_tile_stage<TG>(kk_tile_in<L, BM, DP, false>(qs + slot * each, rows, d), q + (next.head * q_head + next.row * q_row), q_row,
                        q_col, at);
      kk_tile_stage<TG>(kk_tile_in<L, BM, DP, false>(gs + slot * each, rows, d), g + (next.head * g_head + next.row * g_row), g_row,
                        g_col, at);
      for (int i = int(at.index); i < BM; i += TG) {
        const int r = metal::min(next.row + i, f.rows - 1);
        const float l = of_lse.p[next.head * of_lse.head + r * of_lse.row] * 1.44269504f;
        numbers[2 * slot * BM + i] = l == -INFINITY ? 0.0f : l;
        numbers[(2 * slot + 1) * BM + i] = of_delta.p[next.head * of_delta.head + r * of_delta.row];
      }
      next.move(queries, BM);
    }
    kk_tile_commit<L>();
    if (j < 0) continue;
    if (STAGES == 1) kk_tile_wait<L, 0>();
    const int slot = j % STAGES, rows = metal::min(BM, queries.to - now.row);
    kk_tile<L, RK, BM> x, y;
    kk_tile_product_later(x, keys, k0, kk_tile_in<L, DP, BM, true>(qs + slot * each, d, rows), 0);
    kk_tile_product_later(y, values, k0, kk_tile_in<L, DP, BM, true>(gs + slot * each, d, rows), 0);
    kk_tile_mma_wait<0>(x);
    kk_tile_mma_wait<0>(y);
    F here = f;
    here.row = now.row;
    here.col = col + k0;
    here.mask = f.mask + now.head * mask_head;
    threadgroup const float* lse = numbers + 2 * slot * BM;
    if (here.whole(BM, RK)) {
      kk_flash_zip(x, y, at, kk_flash_turned<true, F>{here, lse, lse + BM});
    } else {
      kk_flash_zip(x, y, at, kk_flash_turned<false, F>{here, lse, lse + BM});
    }
    kk_tile_mma_later(of_values, x, kk_tile_in<L, BM, DP, false>(gs + slot * each, rows, d), c0);
    kk_tile_mma_later(of_keys, y, kk_tile_in<L, BM, DP, false>(qs + slot * each, rows, d), c0);
    kk_tile_mma_wait<0>(of_values);
    kk_tile_mma_wait<0>(of_keys);
    now.move(queries, BM);
  }
  const long first = (long(col) + k0) * d + c0;
  kk_tile_store<T>(of_keys, dk + first, long(d), cols - k0, d - c0, at, kk_flash_times{scale});
  kk_tile_store<T>(of_values, dv + first, long(d), cols - k0, d - c0, at);
}
