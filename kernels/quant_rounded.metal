// Products with quantized matrices whose rows of x are rounded to 8 bits: a scale for each 32 neighbours, the largest of them in size
// over 127. Codes (`quant_bytes.metal`) are multiplied as whole numbers, without rounding; the scales are floats.
#include "quant_bytes.metal"
#include "quant_rows.metal"

// The largest size among the numbers, as bits: those of infinity and NaN are above all others.
template <int N>
inline uint kk_side_reach(kk_side_f<N> x, kk_side_f<N> y) {
  uint most = 0;
  for (int j = 0; j < N; ++j) most = metal::max(most, metal::max(as_type<uint>(x.v[j]) & 0x7fffffffu, as_type<uint>(y.v[j]) & 0x7fffffffu));
  return most;
}
// The whole numbers next to x by `inverse`, of two the even one, as signed bytes.
template <int N>
inline kk_side_b<N> kk_side_rounded(kk_side_f<N> x, float inverse) {
  kk_side_b<N> b;
  for (int i = 0; i < N / 4; ++i) {
    uint word = 0;
    for (int j = 0; j < 4; ++j) word |= (uint(int(metal::rint(x.v[4 * i + j] * inverse))) & 255u) << (8 * j);
    b.v[i] = word;
  }
  return b;
}
// c plus four products of signed bytes.
inline int kk_dot4(uint a, uint b, int c) {
  for (int j = 0; j < 32; j += 8) c += (int(a << (24 - j)) >> 24) * (int(b << (24 - j)) >> 24);
  return c;
}
template <int N>
inline int kk_bytes_sum(kk_side_b<N> b) {
  int sum = 0;
  for (int i = 0; i < N / 4; ++i) sum = kk_dot4(b.v[i], 0x01010101u, sum);
  return sum;
}
template <int N>
inline int kk_bytes_sum(kk_side_b<N> a, kk_side_b<N> b) { return kk_bytes_sum(a) + kk_bytes_sum(b); }
// As words, `step` apart.
template <int N, typename P>
inline void kk_bytes_store(P p, int step, kk_side_b<N> b) {
  for (int i = 0; i < N / 4; ++i) p[i * step] = b.v[i];
}

// 32 numbers as bytes, and four floats `apart` for products: scale, scale times the sum of all, that sum; or with two PARTS scale, scale times
// the sum of the first half, scale, that of the second half. Numbers that are not finite make the scale NaN, and what is below 1e-36 counts as nothing.
template <int PARTS, bool PAIRS, typename X, typename P, typename Q>
inline void kk_round_chunk(X x, size_t c, P words, int step, Q four, int apart) {
  kk_side_f<16> v[2];
  kk_chunk_of(x, c, v);
  if (PAIRS) kk_split_pairs(v);
  const uint most = kk_side_reach(v[0], v[1]);
  const float largest = as_type<float>(most);
  const bool finite = most < 0x7f800000u;
  const float inverse = finite && largest > 1e-36f ? 127.0f / largest : 0.0f;
  const float scale = finite ? largest / 127.0f : NAN;
  const kk_side_b<16> first = kk_side_rounded(v[0], inverse), second = kk_side_rounded(v[1], inverse);
  kk_bytes_store(words, step, first);
  kk_bytes_store(words + 4 * step, step, second);
  const float sum = float(PARTS == 1 ? kk_bytes_sum(first, second) : kk_bytes_sum(first));
  four[0] = scale;
  four[apart] = scale * sum;
  four[2 * apart] = PARTS == 1 ? sum : scale;
  four[3 * apart] = PARTS == 1 ? 0.0f : scale * float(kk_bytes_sum(second));
}

// Sums of a row of x with N rows of the matrix, or of a row of the matrix with N rows of x. Whatever lies side by side, each sum is made in
// one order: of each chunk first what the codes add, then what the offset does. So a row's results do not depend on its company.
template <int N>
struct kk_beside {
  float v[N];
};
template <int N, typename P>
inline kk_beside<N> kk_beside_from(P sums, int step) {
  kk_beside<N> b;
  for (int i = 0; i < N; ++i) b.v[i] = sums[i * step];
  return b;
}
// The first `count`.
template <int N, typename P>
inline void kk_beside_out(kk_beside<N> b, P sums, int step, int count) {
  for (int i = 0; i < count; ++i) sums[i * step] = b.v[i];
}

// Adds a chunk of N rows of the matrix: `words` and `scales` are those of x.
template <int PARTS, int MOST, bool SIGN, int N, typename P, typename Q>
inline void kk_beside_rows(thread kk_beside<N>& b, thread const kk_side_b<32>* codes, kk_fours<N> fours, P words, Q scales) {
  for (int i = 0; i < N; ++i)
    for (int part = 0; part < PARTS; ++part) {
      int sum = 0;
      for (int j = part * 4; j < 8 / PARTS + part * 4; ++j) sum = kk_dot4(codes[i].v[j], words[j], sum);
      b.v[i] = metal::fma(float(sum), fours.v[2 * part][i] * scales[2 * part], b.v[i]);
      b.v[i] = metal::fma(fours.v[2 * part + 1][i], scales[2 * part + 1], b.v[i]);
    }
}
template <int PARTS, int MOST, bool SIGN, int N, typename P, typename Q>
inline void kk_beside_rows(thread kk_beside<N>& b, thread const kk_side_b<16>* halves, kk_fours<N> fours, P words, Q scales) {
  kk_side_b<32> codes[N];
  for (int i = 0; i < N; ++i) codes[i] = kk_nibbles(halves[i]);
  kk_beside_rows<PARTS, MOST, SIGN>(b, codes, fours, words, scales);
}
// Adds a chunk of a row of the matrix, whose eight words are `codes`: `words` are those of N rows of x, and `scales` four floats, N apart.
template <int PARTS, int MOST, bool SIGN, int N, typename C, typename F, typename P, typename Q>
inline void kk_beside_add(thread kk_beside<N>& b, C codes, F four, P words, Q scales) {
  for (int m = 0; m < N; ++m)
    for (int part = 0; part < PARTS; ++part) {
      int sum = 0;
      for (int j = part * 4; j < 8 / PARTS + part * 4; ++j) sum = kk_dot4(codes[j], words[j * N + m], sum);
      b.v[m] = metal::fma(float(sum), four[2 * part] * scales[2 * part * N + m], b.v[m]);
      b.v[m] = metal::fma(four[2 * part + 1], scales[(2 * part + 1) * N + m], b.v[m]);
    }
}

// The same of two rows of the matrix, whose codes stand ALL chunks apart.
template <int PARTS, int MOST, bool SIGN, int ALL, int N, typename C, typename F, typename P, typename Q>
inline void kk_beside_two(thread kk_beside<N>& a, thread kk_beside<N>& b, C codes, F four, P words, Q scales) {
  kk_beside_add<PARTS, MOST, SIGN>(a, codes, four, words, scales);
  kk_beside_add<PARTS, MOST, SIGN>(b, codes + ALL * 8, four + ALL * 4, words, scales);
}

// One thread, M rows of x: how many of their chunks lie ready. As many as the nearest memory holds, as a row of the matrix that is read from the
// beginning to the end comes fast.
template <int M>
struct kk_rounded {
  static constant constexpr int chunks = 512 / M;
};
// Few rows of x: eight rows of the matrix side by side. Short rows are fetched one after the other while the eight before them are worked on,
// as a processor sees coming what lies in a line; long ones each for itself.
template <int M, int ROWS, typename F>
inline void kk_walk_rows(F w, size_t from, int chunks, int rows, thread const uint* words, thread const float* scales, thread float* sums) {
  const int all = kk_rounded<M>::chunks;
  const size_t row = size_t(w.row(1).at.w - w.at.w);
  const bool line = row <= 2048;
  for (int r = 0; r < rows; r += 8) {
    F at[8];
    for (int i = 0; i < 8; ++i) at[i] = w.row(metal::min(r + i, rows - 1));
    kk_beside<8> b[M];
    for (int m = 0; m < M; ++m) b[m] = kk_beside_from<8>(sums + m * ROWS + r, 1);
    for (int c = 0; c < chunks; ++c) {
      if (line) kk_soon<8 * F::chunk>(at[0].at.w + (8 * row + (from + c) * (8 * F::chunk)));
      typename kk_packed<F::half>::codes codes[8];
      for (int i = 0; i < 8; ++i) {
        if (!line) kk_soon<1>(at[i].at.w + (8 * row + (from + c) * F::chunk));
        codes[i] = kk_packed<F::half>::of(at[i], from + c);
      }
      const kk_fours<8> fours = F::template fours<8>(at, from + c);
      for (int m = 0; m < M; ++m)
        kk_beside_rows<F::parts, F::most, F::sign>(b[m], codes, fours, words + (m * all + c) * 8, scales + (m * all + c) * 4);
    }
    for (int m = 0; m < M; ++m) kk_beside_out(b[m], sums + m * ROWS + r, 1, 8);
  }
}
// Many: M of them side by side, with two rows of the matrix in turn, as each sum waits for the one before it.
template <int M, int ROWS, typename F>
inline void kk_walk_beside(F w, size_t from, int chunks, int rows, thread const uint* words, thread const float* scales, thread float* sums) {
  constexpr int all = kk_rounded<M>::chunks;
  const size_t row = size_t(w.row(1).at.w - w.at.w);
  uint codes[2 * all * 8];
  float fours[2 * all * 4];
  for (int r = 0; r < rows; r += 2) {
    for (int i = 0; i < 2; ++i) {
      const F at = w.row(metal::min(r + i, rows - 1));
      for (int c = 0; c < chunks; ++c) {
        kk_soon<1>(at.at.w + (4 * row + (from + c) * F::chunk));
        kk_bytes_store(&codes[(i * all + c) * 8], 1, at.bytes(from + c));
        kk_side_store(&fours[(i * all + c) * 4], at.four(from + c));
      }
    }
    kk_beside<M> a = kk_beside_from<M>(sums + r, ROWS), b = kk_beside_from<M>(sums + r + 1, ROWS);
    for (int c = 0; c < chunks; ++c)
      kk_beside_two<F::parts, F::most, F::sign, all>(a, b, &codes[c * 8], &fours[c * 4], words + c * (8 * M), scales + c * (4 * M));
    kk_beside_out(a, sums + r, ROWS, M);
    kk_beside_out(b, sums + r + 1, ROWS, M);
  }
}
// As `kk_walk`, with x rounded. ROWS is a multiple of 8.
template <int M, int ROWS, typename F, typename X>
inline void kk_walk_rounded(F w, X x, size_t k, size_t slot, size_t share, int many, int rows, thread float* sums) {
  const int all = kk_rounded<M>::chunks;
  uint words[M * kk_rounded<M>::chunks * 8];
  float scales[M * kk_rounded<M>::chunks * 4];
  for (int i = 0; i < M * ROWS; ++i) sums[i] = 0.0f;
  const size_t chunks = k / 32;
  for (size_t from = 0; from < chunks; from += all) {
    const int n = int(metal::min(size_t(all), chunks - from));
    for (int m = 0; m < M; ++m) {
      // Rows that are not there are the last one once more, and nobody looks at their sums.
      const auto p = x + (slot + metal::min(m, many - 1)) / share * k;
      for (int c = 0; c < n; ++c) {
        if (M < 8) kk_round_chunk<F::parts, F::pairs>(p, from + c, words + (m * all + c) * 8, 1, scales + (m * all + c) * 4, 1);
        else kk_round_chunk<F::parts, F::pairs>(p, from + c, words + c * (8 * M) + m, M, scales + c * (4 * M) + m, M);
      }
    }
    if (M < 8) kk_walk_rows<M, ROWS>(w, from, n, rows, words, scales, sums);
    else kk_walk_beside<M, ROWS>(w, from, n, rows, words, scales, sums);
  }
}
