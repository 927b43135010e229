// Attention of many queries over tiles. Scores are never written: a threadgroup has BM queries of a head and
// goes through the keys BN at a time (T. Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023).
// Logits are of base 2. A simdgroup has R = BM / DOWN queries, for one thread all of them; DP is D rounded up to whole panels.
#include "products.metal"

// What is seen of the scores of a tile, and what is added to them. The tile's first row and column are `row` and `col`; query i sees the
// keys above i + behind up to i + ahead.
template <bool CAPPED, int MASK, bool SEGMENTS, typename M, typename Q, typename K>
struct kk_flash_scores {
  float scale, cap;
  int row, col, rows, cols, behind, ahead;
  M mask;
  long mask_row, mask_col;
  Q of_queries;
  long query_step;
  K of_keys;
  long key_step;
  // The score of a product, without what is not seen.
  float score(float x) const {
    x *= scale;
    // The tangent by an exponential: off by 2^-23 of the cap.
    return CAPPED ? cap - cap * metal::fast::divide(2.0f, 1.0f + metal::fast::exp2(2.88539008f * metal::fast::divide(x, cap))) : x;
  }
  // Its derivative by scale * product, from the score.
  float slope(float s) const { return CAPPED ? 1.0f - s / cap * (s / cap) : 1.0f; }
  bool seen(int r, int c) const {
    const int i = metal::min(row + r, rows - 1), j = metal::min(col + c, cols - 1);
    bool is = col + c < cols && row + r < rows && j <= i + ahead && j > i + behind;
    if (MASK == 1) is = is && mask[i * mask_row + j * mask_col] != 0;
    if (SEGMENTS) is = is && of_queries[i * query_step] == of_keys[j * key_step];
    return is;
  }
  // The score with what is added. Nothing is not zero: -0 + 0 is another number, so an addition would stay.
  float with_mask(float s, int r, int c) const {
    if (MASK != 2) return s;
    const int i = metal::min(row + r, rows - 1), j = metal::min(col + c, cols - 1);
    return s + float(mask[i * mask_row + j * mask_col]) * 1.44269504f;
  }
  float masked(float x, int r, int c) const { return with_mask(score(x), r, c); }
  float operator()(float x, int r, int c) const {
    const float s = masked(x, r, c);
    return seen(r, c) ? s : -INFINITY;
  }
  // Whether all of R x C is seen.
  bool whole(int R, int C) const {
    return MASK != 1 && !SEGMENTS && row + R <= rows && col + C <= cols && col + C - 1 <= row + ahead && col > row + R - 1 + behind;
  }
};
// The same where all is seen.
template <typename F>
struct kk_flash_all {
  F f;
  float operator()(float x, int r, int c) const { return f.masked(x, r, c); }
};

// The keys that some of `count` queries from `row` on may see.
struct kk_flash_span {
  int from, to;
};
inline kk_flash_span kk_flash_keys(int row, int count, int cols, int behind, int ahead) {
  return kk_flash_span{metal::clamp(row + behind + 1, 0, cols), metal::clamp(row + count + ahead, 0, cols)};
}
// The queries that may see some of `count` keys from `col` on.
inline kk_flash_span kk_flash_queries(int col, int count, int rows, int behind, int ahead) {
  return kk_flash_span{metal::clamp(col - ahead, 0, rows), metal::clamp(col + count - 1 - behind, 0, rows)};
}

// One instruction where metal::max takes several, for the sake of NaN, which comes through by the exponentials anyway.
struct kk_flash_larger {
  float operator()(float x, float y) const { return x > y ? x : y; }
};
struct kk_flash_power {
  float operator()(float x, float most) const { return metal::fast::exp2(x - most); }
};

// Scores become weights, of which the softmax goes along: the largest score of each row and the sum of its weights. What was added up so
// far is to be multiplied by `factor`.
template <int L, int R, int C>
inline void kk_flash_weigh(thread kk_tile<L, R, C>& scores, thread kk_tile_rows<L, R>& most, thread kk_tile_rows<L, R>& total,
                           thread kk_tile_rows<L, R>& factor) {
  kk_tile_rows<L, R> now;
  kk_tile_fold(scores, now, kk_flash_larger());
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) {
    const float old = most.v[i], larger = kk_flash_larger()(now.v[i], old);
    most.v[i] = larger;
    // Rows that have seen nothing yet stay as they are.
    now.v[i] = larger == -INFINITY ? 0.0f : larger;
    factor.v[i] = metal::fast::exp2(old - now.v[i]);
  }
  kk_tile_map_rows(scores, now, kk_flash_power());
  kk_tile_sum(scores, now);
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) total.v[i] = total.v[i] * factor.v[i] + now.v[i];
}
template <int L, int R, int C, int D>
inline void kk_flash_weigh(thread kk_tile<L, R, C>& scores, thread kk_tile_rows<L, R>& most, thread kk_tile_rows<L, R>& total,
                           thread kk_tile<L, R, D>& sums) {
  kk_tile_rows<L, R> factor;
  kk_flash_weigh(scores, most, total, factor);
  kk_tile_scale(sums, factor);
}
// Products become scores.
template <int L, int R, int C, typename F>
inline void kk_flash_score(thread kk_tile<L, R, C>& scores, F f, kk_tile_thread at) {
  if (f.whole(R, C)) {
    kk_tile_map(scores, at, kk_flash_all<F>{f});
  } else {
    kk_tile_map(scores, at, f);
  }
}

// The row of a tile that number i of a thread's rows is, and whether this thread speaks for it.
template <int L>
inline int kk_flash_row(int i, kk_tile_thread at) {
  return L == 1 ? i : i * 8 + kk_tile_lanes<L>::row(at.lane);
}
template <int L>
inline bool kk_flash_speaks(kk_tile_thread at) {
  return L == 1 || kk_tile_lanes<L>::col(at.lane) == 0;
}

// What was added up over all keys becomes the rows of the result, and the logarithms.
template <typename T, int L, int R, int D, typename E>
inline void kk_flash_end(thread kk_tile<L, R, D>& sums, thread kk_tile_rows<L, R>& most, thread kk_tile_rows<L, R>& total, float sink,
                         device T* out, device E* lse, int row, int rows, int r0, int d, kk_tile_thread at) {
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) {
    const float m = kk_flash_larger()(most.v[i], sink), shift = m == -INFINITY ? 0.0f : m;
    const float scaled = metal::fast::exp2(most.v[i] - shift), all = total.v[i] * scaled + metal::fast::exp2(sink - shift);
    total.v[i] = all == 0.0f ? 0.0f : scaled / all;
    const int r = r0 + kk_flash_row<L>(i, at);
    if (kk_flash_speaks<L>(at) && r < rows)
      lse[row + r] = all == 0.0f ? -INFINITY : (m + metal::log2(all)) * 0.693147181f;
  }
  kk_tile_scale(sums, total);
  kk_tile_store<T>(sums, out + (long(row) + r0) * d, long(d), rows - r0, d, at);
}

// One block of queries: q, k, v and out begin at the head's first row, rows are so many elements apart. `lse` gets the logarithm of
// the sum of exponentials of each row, that of the sink, minus infinity where there is none, included.
template <typename T, int L, int TG, int BM, int BN, int DP, int STAGES, typename F,
          typename P, typename V, typename S, typename E>
inline void kk_flash_rows(P q, long q_row, long q_col, V k, long k_row, long k_col, V v, long v_row, long v_col, device T* out,
                          device E* lse, int d, F f, float sink, S qs, S ks, S vs, kk_tile_thread at) {
  constexpr int DOWN = TG == 1 ? 1 : TG / 32, R = BM / DOWN;
  // Keys lie as they are, in rows, for simdgroups; one thread turns them around as it copies.
  constexpr bool turned = L != 1;
  constexpr int each_k = kk_tile_room<L, DP, BN, turned>::size, each_v = kk_tile_room<L, BN, DP, false>::size;
  const int row = f.row, rows = metal::min(BM, f.rows - row), r0 = int(at.simd) * R;
  const kk_flash_span keys = kk_flash_keys(row, rows, f.cols, f.behind, f.ahead);
  const int count = (metal::max(keys.to - keys.from, 0) + BN - 1) / BN;
  const auto queries = kk_tile_in<L, BM, DP, false>(qs, rows, d);
  kk_tile_stage<TG>(queries, q + row * q_row, q_row, q_col, at);
  kk_tile<L, R, DP> sums;
  kk_tile_fill(sums, 0.0f);
  kk_tile_rows<L, R> most, total;
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) {
    most.v[i] = -INFINITY;
    total.v[i] = 0.0f;
  }
  for (int j = 0; j < STAGES - 1; ++j) {
    const int at_key = keys.from + j * BN, left = metal::min(BN, keys.to - at_key);
    if (left > 0) {
      kk_tile_stage<TG>(kk_tile_in<L, DP, BN, turned>(ks + j * each_k, d, left), k + at_key * k_row, k_col, k_row, at);
      kk_tile_stage<TG>(kk_tile_in<L, BN, DP, false>(vs + j * each_v, left, d), v + at_key * v_row, v_row, v_col, at);
    }
    kk_tile_commit<L>();
  }
  for (int j = 0; j < count; ++j) {
    if (STAGES == 1) {
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    } else {
      kk_tile_wait<L, STAGES == 1 ? 0 : STAGES - 2>();
    }
    const int next = j + STAGES - 1, next_key = keys.from + next * BN, left = metal::min(BN, keys.to - next_key);
    if (left > 0) {
      const int slot = next % STAGES;
      kk_tile_stage<TG>(kk_tile_in<L, DP, BN, turned>(ks + slot * each_k, d, left), k + next_key * k_row, k_col, k_row, at);
      kk_tile_stage<TG>(kk_tile_in<L, BN, DP, false>(vs + slot * each_v, left, d), v + next_key * v_row, v_row, v_col, at);
    }
    kk_tile_commit<L>();
    if (STAGES == 1) kk_tile_wait<L, 0>();
    const int slot = j % STAGES, col = keys.from + j * BN, here = metal::min(BN, keys.to - col);
    kk_tile<L, R, BN> scores;
    kk_tile_product_later(scores, queries, r0, kk_tile_in<L, DP, BN, turned>(ks + slot * each_k, d, here), 0);
    kk_tile_mma_wait<0>(scores);
    F g = f;
    g.row = row + r0;
    g.col = col;
    kk_flash_score(scores, g, at);
    kk_flash_weigh(scores, most, total, sums);
    kk_tile_mma(sums, scores, kk_tile_in<L, BN, DP, false>(vs + slot * each_v, here, d), 0);
  }
  kk_flash_end<T>(sums, most, total, sink, out, lse, row, rows, r0, d, at);
}

// What is staged in turn j: block j of keys, and that of values before it.
template <int L, int TG, int BN, int DP, typename V, typename S>
inline void kk_flash_turn(int j, kk_flash_span keys, V k, long k_row, long k_col, V v, long v_row, long v_col, int d, S ks, S vs,
                          kk_tile_thread at) {
  constexpr int each_k = kk_tile_room<L, DP, BN, true>::size, each_v = kk_tile_room<L, BN, DP, false>::size;
  const int col = keys.from + j * BN, left = keys.to - col, before = left + BN;
  if (left > 0)
    kk_tile_stage<TG>(kk_tile_in<L, DP, BN, true>(ks + j % 2 * each_k, d, left), k + col * k_row, k_col, k_row, at);
  if (j > 0 && before > 0)
    kk_tile_stage<TG>(kk_tile_in<L, BN, DP, false>(vs + (j + 1) % 2 * each_v, before, d), v + (col - BN) * v_row, v_row, v_col, at);
  kk_tile_commit<L>();
}

// The same where products go on by themselves: the next scores are multiplied, and the last values added up, while weights are computed. Keys
// are staged one block before values, two of each at a time. N is the type of factors.
template <typename T, typename N, int L, int TG, int BM, int BN, int DP, typename F, typename P, typename V, typename S, typename E>
inline void kk_flash_rows_ahead(P q, long q_row, long q_col, V k, long k_row, long k_col, V v, long v_row, long v_col, device T* out,
                                device E* lse, int d, F f, float sink, S qs, S ks, S vs, kk_tile_thread at) {
  constexpr int R = BM / (TG / 32), each_k = kk_tile_room<L, DP, BN, true>::size, each_v = kk_tile_room<L, BN, DP, false>::size;
  const int row = f.row, rows = metal::min(BM, f.rows - row), r0 = int(at.simd) * R;
  const kk_flash_span keys = kk_flash_keys(row, rows, f.cols, f.behind, f.ahead);
  const int count = (metal::max(keys.to - keys.from, 0) + BN - 1) / BN;
  const auto queries = kk_tile_in<L, BM, DP, false>(qs, rows, d);
  kk_tile_stage<TG>(queries, q + row * q_row, q_row, q_col, at);
  kk_tile<L, R, DP> sums;
  kk_tile_fill(sums, 0.0f);
  kk_tile_rows<L, R> most, total, factor;
  for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) {
    most.v[i] = -INFINITY;
    total.v[i] = 0.0f;
  }
  kk_tile<L, R, BN> scores;
  kk_tile_factor<N, L, R, BN> weights;
  F g = f;
  g.row = row + r0;
  if (count > 0) {
    kk_flash_turn<L, TG, BN, DP>(0, keys, k, k_row, k_col, v, v_row, v_col, d, ks, vs, at);
    kk_tile_wait<L, 0>();
    kk_flash_turn<L, TG, BN, DP>(1, keys, k, k_row, k_col, v, v_row, v_col, d, ks, vs, at);
    kk_tile_product_later(scores, queries, r0, kk_tile_in<L, DP, BN, true>(ks, d, BN), 0);
    kk_tile_mma_wait<0>(scores);
    g.col = keys.from;
    kk_flash_score(scores, g, at);
    kk_flash_weigh(scores, most, total, factor);
    kk_tile_round(scores, weights);
    for (int j = 1; j < count; ++j) {
      kk_tile_wait<L, 0>();
      kk_flash_turn<L, TG, BN, DP>(j + 1, keys, k, k_row, k_col, v, v_row, v_col, d, ks, vs, at);
      kk_tile_product_later(scores, queries, r0, kk_tile_in<L, DP, BN, true>(ks + j % 2 * each_k, d, BN), 0);
      kk_tile_mma_later(sums, weights, kk_tile_in<L, BN, DP, false>(vs + (j + 1) % 2 * each_v, BN, d), 0);
      kk_tile_mma_wait<1>(scores);
      g.col = keys.from + j * BN;
      kk_flash_score(scores, g, at);
      kk_flash_weigh(scores, most, total, factor);
      kk_tile_mma_wait<0>(sums);
      kk_tile_scale(sums, factor);
      kk_tile_round(scores, weights);
    }
    kk_tile_wait<L, 0>();
    kk_tile_mma_later(sums, weights, kk_tile_in<L, BN, DP, false>(vs + (count + 1) % 2 * each_v, BN, d), 0);
    kk_tile_mma_wait<0>(sums);
  }
  kk_flash_end<T>(sums, most, total, sink, out, lse, row, rows, r0, d, at);
}
