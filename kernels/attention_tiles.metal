// Attention of a few queries over a long cache, by products of tiles. Queries that share a head of keys are the R rows of a tile. Simdgroups
// share its tokens: each takes BN of SIMDS * BN, with a softmax of its own that goes along, and what they found is put together at the end
// (T. Dao and others, "Flash-Decoding for long-context inference", 2023).
#include "attention.metal"
#include "attention_parts.metal"
#include "flash.metal"

// What of the tokens from `col` on the queries see. Row r is query r % queries of a head.
template <bool CAPPED>
struct kk_few_scores {
  float scale, cap;
  long col, end, length, window;
  int queries, first;
  bool causal;
  float masked(float x, int, int) const { return kk_capped<CAPPED>(x * scale, cap); }
  float operator()(float x, int r, int c) const {
    const long place = length - queries + (first + r) % queries + 1, token = col + c;
    const bool is = token < metal::min(end, causal ? place : length) && (window == 0 || token >= place - window);
    return is ? masked(x, r, c) : -INFINITY;
  }
  bool whole(int count) const {
    return col + count <= metal::min(end, causal ? length - queries + 1 : length) && (window == 0 || col >= length - window);
  }
};
// What rounding to T takes away.
template <typename T>
struct kk_few_rest {
  float operator()(float x, int, int) const { return x - float(T(x)); }
};
template <typename T>
inline kk_few_rest<T> kk_few_rest_of(T) {
  return kk_few_rest<T>();
}

// Where rows begin: of queries, from number `first` of those that share a head of keys, and of tokens of a cache.
template <typename P>
struct kk_few_rows {
  P p;
  long head, query;
  int queries, first;
  P operator()(int r) const { return p + ((first + r) / queries * head + (first + r) % queries * query); }
};
template <typename P>
struct kk_few_sinks {
  P p;
  long step;
  int queries, first;
  bool there;
  float operator()(int r) const { return there ? float(p[(first + r) / queries * step]) : -INFINITY; }
};

// Tokens of a cache, whose table has blocks of `slots` tokens. Of pages, the places of a tile's tokens are looked up ahead, in `places`.
template <typename B>
struct kk_few_table {
  B table;
  long step, columns, blocks, slots;
  threadgroup metal::int2* places;
  threadgroup int* gone;
  // Those of `count` tokens of the tile that begins at `from`.
  template <int TG>
  void look_up(long from, int count, uint index) const {
    for (int i = int(index); i < count; i += TG) {
      const kk_token at = kk_find<true>(table, step, columns, blocks, slots, from + i);
      if (at.block < 0) *gone = 1;
      places[i] = metal::int2(at.block < 0 ? 0 : int(at.block), at.block < 0 ? 0 : int(at.slot));
    }
  }
};
template <typename P>
struct kk_few_tokens {
  P p;
  long block, slot;
  threadgroup const metal::int2* places;
  P operator()(int r) const { return p + (places[r].x * block + places[r].y * slot); }
};
// A tile of keys or values.
template <bool PAGED, int TG, typename K, typename P>
inline void kk_few_stage(K block, P p, long of_block, long of_slot, long col, long from, threadgroup const metal::int2* places,
                         kk_tile_thread at) {
  if (PAGED) {
    kk_tile_stage_rows<TG>(block, kk_few_tokens<P>{p, of_block, of_slot, places}, col, at);
  } else {
    kk_tile_stage<TG>(block, p + from * of_slot, of_slot, col, at);
  }
}
// Where a head of a cache lies.
template <typename P>
struct kk_few_cache {
  P p;
  long block, slot, col;
};

// What the simdgroups found of R rows is put together: the sums of values in `all`, a row of WIDE each, and in `shared` first the largest
// scores and then the sums of weights. `out` is as in `kk_write_rows`.
template <bool WHOLE, int TG, int R, int WIDE, typename O, typename Z>
inline void kk_few_joined(threadgroup const float* all, threadgroup const float* shared, int rows, int n, bool gone, device O* out,
                          long row_step, Z sinks, uint index) {
  constexpr int SIMDS = TG / 32;
  for (int e = int(index); e < rows * n; e += TG) {
    const int r = e / n, c = e % n;
    float largest = -INFINITY, sum = 0.0f, value = 0.0f;
    for (int k = 0; k < SIMDS; ++k) largest = metal::max(largest, shared[k * R + r]);
    const float shift = largest == -INFINITY ? 0.0f : largest;
    for (int k = 0; k < SIMDS; ++k) {
      const float factor = metal::fast::exp2(shared[k * R + r] - shift);
      sum += factor * shared[(SIMDS + k) * R + r];
      value += factor * all[(k * R + r) * WIDE + c];
    }
    if (gone) value = sum = NAN;
    device O* to = out + r * row_step;
    kk_put_value<WHOLE>(to, c, value, WHOLE ? kk_weight_of_all(largest, sum, sinks(r)) : 0.0f);
    if (!WHOLE && c == 0) {
      to[n] = O(largest);
      to[n + 1] = O(sum);
    }
  }
}

// Tokens `from` to `to` for the rows of a head, of which `rows` count. `out` is as in `kk_write_rows`.
template <bool WHOLE, bool PAGED, int TG, int R, int BN, int DP, int STAGES, typename Q, typename K, typename B, typename F, typename S,
          typename O, typename Z>
inline void kk_few_tiles(Q queries, long q_col, kk_few_cache<K> keys, kk_few_cache<K> values, kk_few_table<B> table, F f, int rows, int n,
                         long from, long to, device O* out, long row_step, Z sinks, S qs, S ks, S vs, threadgroup float* shared,
                         kk_tile_thread at) {
  constexpr int SIMDS = TG / 32, ALL = SIMDS * BN;
  constexpr int each = kk_tile_room<32, ALL, DP, false>::size, row = kk_tile_room<32, ALL, DP, false>::row;
  const auto q = kk_tile_in<32, R, DP, false>(qs, rows, n);
  threadgroup metal::int2* places = table.places;
  if (at.index == 0) *table.gone = 0;
  kk_tile_stage_rows<TG>(q, queries, q_col, at);
  kk_tile<32, R, DP> sums;
  kk_tile_fill(sums, 0.0f);
  kk_tile_rows<32, R> most, total;
  for (int i = 0; i < kk_tile_rows<32, R>::count; ++i) {
    most.v[i] = -INFINITY;
    total.v[i] = 0.0f;
  }
  const int count = to > from ? int((to - from + ALL - 1) / ALL) : 0, mine = int(at.simd) * BN;
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  for (int j = 0; j < STAGES - 1; ++j) {
    const long first = from + long(j) * ALL;
    const int left = int(metal::clamp(to - first, long(0), long(ALL)));
    if (PAGED) {
      table.places = places + j % 2 * ALL;
      table.template look_up<TG>(first, left, at.index);
      metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
    }
    if (left > 0) {
      kk_few_stage<PAGED, TG>(kk_tile_in<32, ALL, DP, false>(ks + j * each, left, n), keys.p, keys.block, keys.slot, keys.col, first,
                              table.places, at);
      kk_few_stage<PAGED, TG>(kk_tile_in<32, ALL, DP, false>(vs + j * each, left, n), values.p, values.block, values.slot, values.col,
                              first, table.places, at);
    }
    kk_tile_commit<32>();
  }
  if (PAGED) {
    const long first = from + long(STAGES - 1) * ALL;
    table.places = places + (STAGES - 1) % 2 * ALL;
    table.template look_up<TG>(first, int(metal::clamp(to - first, long(0), long(ALL))), at.index);
  }
  for (int j = 0; j < count; ++j) {
    kk_tile_wait<32, STAGES - 2>();
    const int next = j + STAGES - 1, slot = next % STAGES;
    const long first = from + long(next) * ALL;
    const int left = int(metal::clamp(to - first, long(0), long(ALL)));
    if (left > 0) {
      table.places = places + next % 2 * ALL;
      kk_few_stage<PAGED, TG>(kk_tile_in<32, ALL, DP, false>(ks + slot * each, left, n), keys.p, keys.block, keys.slot, keys.col, first,
                              table.places, at);
      kk_few_stage<PAGED, TG>(kk_tile_in<32, ALL, DP, false>(vs + slot * each, left, n), values.p, values.block, values.slot, values.col,
                              first, table.places, at);
      if (PAGED) {
        table.places = places + (next + 1) % 2 * ALL;
        table.template look_up<TG>(first + ALL, int(metal::clamp(to - first - ALL, long(0), long(ALL))), at.index);
      }
    }
    kk_tile_commit<32>();
    const S k = ks + j % STAGES * each, v = vs + j % STAGES * each;
    kk_tile<32, R, BN> scores;
    kk_tile_fill(scores, 0.0f);
    kk_tile_mma(scores, q, 0, kk_tile_in<32, DP, ALL, true>(k, n, ALL), mine);
    F here = f;
    here.col = from + long(j) * ALL + mine;
    if (here.whole(BN)) {
      kk_tile_map(scores, at, kk_flash_all<F>{here});
    } else {
      kk_tile_map(scores, at, here);
    }
    kk_flash_weigh(scores, most, total, sums);
    // Weights in two parts, as a product rounds them to the type of the values: only a part of 2^-18 of them is lost.
    const auto own = kk_tile_in<32, BN, DP, false>(v + mine * row, ALL, n);
    kk_tile_mma(sums, scores, own, 0);
    kk_tile_map(scores, at, kk_few_rest_of(*v));
    kk_tile_mma(sums, scores, own, 0);
  }
  // All are through with the keys: their memory takes what the simdgroups found.
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  constexpr int wide = DP + 8;
  threadgroup float* all = (threadgroup float*)ks;
  static_assert(SIMDS * R * wide * int(sizeof(float)) <= STAGES * each * int(sizeof(*ks)), "the sums fit");
  kk_tile_each(sums, rows, n, at, kk_tile_into<float, threadgroup float*>{all + int(at.simd) * R * wide, wide, 1});
  for (int i = 0; i < kk_tile_rows<32, R>::count; ++i) {
    const int r = kk_flash_row<32>(i, at);
    if (kk_flash_speaks<32>(at)) {
      shared[int(at.simd) * R + r] = most.v[i];
      shared[(SIMDS + int(at.simd)) * R + r] = total.v[i];
    }
  }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  kk_few_joined<WHOLE, TG, R, wide>(all, shared, rows, n, PAGED && *table.gone != 0, out, row_step, sinks, at.index);
}
