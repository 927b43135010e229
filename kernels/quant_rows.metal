// Products with quantized matrices, row by row: x of few rows by the transpose of a matrix in one of the formats of
// `quant_products.metal` and `quant_ggml.metal`. Sums are floats.
#include "blocks.metal"
#include "quant_ggml.metal"
#include "quant_products.metal"

// 32 elements of a row, chunk number c.
template <int N, typename P>
inline void kk_chunk_of(P x, size_t c, thread kk_side_f<N>* v) {
  const int each = 16 / sizeof(*x), blocks = 32 / each;
  for (int i = 0; i < blocks; ++i) {
    const auto b = kk_load<16 / sizeof(*x)>(x, c * blocks + i);
    for (int j = 0; j < each; ++j) v[i * each / N].v[i * each % N + j] = float(b.v[j]);
  }
}
// Even ones before odd ones, and back.
template <int N>
inline void kk_split_pairs(thread kk_side_f<N>* v) {
  kk_side_f<N> even, odd;
  for (int j = 0; j < N / 2; ++j) {
    even.v[j] = v[0].v[2 * j];
    even.v[N / 2 + j] = v[1].v[2 * j];
    odd.v[j] = v[0].v[2 * j + 1];
    odd.v[N / 2 + j] = v[1].v[2 * j + 1];
  }
  v[0] = even;
  v[1] = odd;
}
template <int N>
inline void kk_join_pairs(thread kk_side_f<N>* v) {
  kk_side_f<N> first, second;
  for (int j = 0; j < N / 2; ++j) {
    first.v[2 * j] = v[0].v[j];
    first.v[2 * j + 1] = v[1].v[j];
    second.v[2 * j] = v[0].v[N / 2 + j];
    second.v[2 * j + 1] = v[1].v[N / 2 + j];
  }
  v[0] = first;
  v[1] = second;
}

// What the codes stand for.
template <typename F>
inline void kk_weights(F w, size_t c, thread kk_side_f<16>* q) {
  w.codes(c, q);
  const kk_scaled first = w.scale(c, 0);
  kk_scaled second = first;
  if (F::parts == 2) second = w.scale(c, 1);
  q[0] = kk_side_fma(q[0], kk_side_all<16>(first.scale), kk_side_all<16>(first.offset));
  q[1] = kk_side_fma(q[1], kk_side_all<16>(second.scale), kk_side_all<16>(second.offset));
}

// Chunks from `from` on as numbers. A GPU stores them 16 bytes at a time.
template <typename O, bool WIDE, typename F, typename P>
inline void kk_unpack(F w, size_t from, size_t to, P out) {
  constexpr int each = 16 / int(sizeof(O));
  for (size_t c = from; c < to; ++c) {
    kk_side_f<16> q[2];
    kk_weights(w, c, q);
    if (F::pairs) kk_join_pairs(q);
    if (WIDE) {
      for (int i = 0; i < 32 / each; ++i) {
        kk_block<O, each> block;
        for (int j = 0; j < each; ++j) block.v[j] = O(q[(i * each + j) / 16].v[(i * each + j) % 16]);
        kk_store_block(out, c * (32 / each) + i, block);
      }
      continue;
    }
    const auto p = out + c * 32;
    auto block = kk_open<32>(p);
    for (int j = 0; j < 16; ++j) {
      kk_put<O>(block, j, q[0].v[j]);
      kk_put<O>(block, 16 + j, q[1].v[j]);
    }
    kk_close<32>(p, block);
  }
}

// One thread: how many chunks of M rows of x lie ready, in the order of the codes.
template <int M>
struct kk_ready {
  static constant constexpr int chunks = M > 4 ? 16 : 32;
};
template <int M, bool PAIRS, typename X>
inline void kk_get_ready(X x, size_t k, size_t slot, size_t share, int many, size_t from, int chunks, thread float* xs) {
  const int all = kk_ready<M>::chunks;
  for (int m = 0; m < M; ++m) {
    // Rows that are not there are the last one once more, and nobody looks at their sums.
    const size_t row = (slot + metal::min(m, many - 1)) / share;
    for (int c = 0; c < chunks; ++c) {
      kk_side_f<16> v[2];
      kk_chunk_of(x + row * k, from + c, v);
      if (PAIRS) kk_split_pairs(v);
      kk_side_store(xs + (m * all + c) * 32, v[0]);
      kk_side_store(xs + (m * all + c) * 32 + 16, v[1]);
    }
  }
}
// What these chunks of a row of the matrix add to its M products, whose sums are `step` apart. Of few products each has two partial
// sums, as an addition has to wait for the one before.
template <int M, typename F>
inline void kk_walk_row(F w, size_t from, int chunks, thread const float* xs, thread float* sums, int step) {
  const int all = kk_ready<M>::chunks, second = M < 8 ? 1 : 0;
  kk_side_f<16> v[M][M < 8 ? 2 : 1];
  for (int m = 0; m < M; ++m) v[m][0] = v[m][second] = kk_side_all<16>(0.0f);
  for (int c = 0; c < chunks; ++c) {
    kk_side_f<16> q[2];
    kk_weights(w, from + c, q);
    for (int m = 0; m < M; ++m) {
      thread const float* p = xs + (m * all + c) * 32;
      v[m][0] = kk_side_fma(q[0], kk_side_load<16>(p), v[m][0]);
      v[m][second] = kk_side_fma(q[1], kk_side_load<16>(p + 16), v[m][second]);
    }
  }
  for (int m = 0; m < M; ++m) {
    if (M < 8) v[m][0] = kk_side_plus(v[m][0], v[m][second]);
    sums[m * step] += kk_side_sum(v[m][0]);
  }
}
// One thread: `rows` of ROWS rows of the matrix by `many` of M slots of x, of which `share` have one row. sums[m * ROWS + r].
template <int M, int ROWS, typename F, typename X>
inline void kk_walk(F w, X x, size_t k, size_t slot, size_t share, int many, int rows, thread float* sums) {
  const int all = kk_ready<M>::chunks;
  float xs[M * kk_ready<M>::chunks * 32];
  for (int i = 0; i < M * ROWS; ++i) sums[i] = 0.0f;
  const size_t chunks = k / 32;
  for (size_t from = 0; from < chunks; from += all) {
    const int n = int(metal::min(size_t(all), chunks - from));
    kk_get_ready<M, F::pairs>(x, k, slot, share, many, from, n, xs);
    for (int r = 0; r < rows; ++r) kk_walk_row<M>(w.row(r), from, n, xs, sums + r, ROWS);
  }
}

// The products of a chunk's codes with x, and the sums of x by halves, as the scales want them.
template <typename F>
inline float kk_scaled_dot(F w, size_t c, thread const kk_side_f<16>* q, thread const kk_side_f<16>* v, float low, float high) {
  const float first = kk_side_dot(q[0], v[0]), second = kk_side_dot(q[1], v[1]);
  const kk_scaled s = w.scale(c, 0);
  if (F::parts == 1) return metal::fma(s.scale, first + second, s.offset * (low + high));
  const kk_scaled t = w.scale(c, 1);
  return metal::fma(s.scale, first, s.offset * low) + metal::fma(t.scale, second, t.offset * high);
}
// A simdgroup: the same, with lanes that take every 32nd chunk. All lanes have the sums.
template <int M, int ROWS, typename F, typename X>
inline void kk_lanes(F w, X x, size_t k, size_t slot, size_t share, int many, int rows, uint lane, thread float* sums) {
  for (int i = 0; i < M * ROWS; ++i) sums[i] = 0.0f;
  const size_t chunks = k / 32;
  for (size_t c = lane; c < chunks; c += 32) {
    kk_side_f<16> q[M > 1 ? ROWS : 1][2];
    if (M > 1)
      for (int r = 0; r < ROWS; ++r) w.row(metal::min(r, rows - 1)).codes(c, q[r]);
    for (int m = 0; m < M; ++m) {
      kk_side_f<16> v[2];
      kk_chunk_of(x + (slot + metal::min(m, many - 1)) / share * k, c, v);
      if (F::pairs) kk_split_pairs(v);
      const float low = kk_side_sum(v[0]), high = kk_side_sum(v[1]);
      for (int r = 0; r < ROWS; ++r) {
        const F at = w.row(metal::min(r, rows - 1));
        if (M == 1) at.codes(c, q[0]);
        sums[m * ROWS + r] += kk_scaled_dot(at, c, q[M > 1 ? r : 0], v, low, high);
      }
    }
  }
  for (int i = 0; i < M * ROWS; ++i) sums[i] = metal::simd_sum(sums[i]);
}
