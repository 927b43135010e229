// Products with quantized matrices of 4 bits and x of 16 bits, by fragments: a simdgroup multiplies 16 rows of the matrix by 8 rows of x,
// 16 elements deep. Codes are whole numbers, which 16-bit floats hold exactly, so scales come after the sum of a group, in float.
#include "quant_rows.metal"

// A lane with number 4 g + t has of the first factor, rows g and g + 8: in a.x and a.z those of row g, in a.y and a.w those of the other one;
// of the second factor, column g: elements that belong to a.x and a.y are in b.x, those of a.z and a.w in b.y. A word has two elements, and
// which four of the 16 a lane has is up to whoever fills the fragments. Sums: rows g (x, y) and g + 8 (z, w), columns 2 t and 2 t + 1.
template <typename T>
inline metal::float4 kk_fragment_product(metal::uint4 a, metal::uint2 b, metal::float4 c, uint lane, T zero) {
  const uint g = lane / 4, t = lane % 4;
  for (uint s = 0; s < 4; ++s) {
    uint rows[4], left[2], right[2];
    for (int i = 0; i < 4; ++i) rows[i] = metal::simd_shuffle(a[i], ushort(g * 4 + s));
    for (int i = 0; i < 2; ++i) left[i] = metal::simd_shuffle(b[i], ushort(t * 8 + s));
    for (int i = 0; i < 2; ++i) right[i] = metal::simd_shuffle(b[i], ushort(t * 8 + 4 + s));
    for (int i = 0; i < 4; ++i) {
      const int row = i / 2;
      for (int j = 0; j < 2; ++j)
        for (int half_word = 0; half_word < 2; ++half_word) {
          const float y = kk_of_word(i % 2 == 0 ? left[j] : right[j], half_word, zero);
          c[i] = metal::fma(kk_of_word(rows[2 * j + row], half_word, zero), y, c[i]);
        }
    }
  }
  return c;
}

// Two floats whose lowest bits are those of a code, and what they are too large by. An NVIDIA GPU has other bodies for these and for the
// halves of words (`runtime/cuda/quant.h`).
inline uint kk_code_magic(half) { return 0x64006400u; }
inline uint kk_code_magic(bfloat) { return 0x43004300u; }
inline float kk_code_offset(half) { return 1024.0f; }
inline float kk_code_offset(bfloat) { return 128.0f; }
inline uint kk_two_ones(half) { return 0x3c003c00u; }
inline uint kk_two_ones(bfloat) { return 0x3f803f80u; }
template <typename U>
inline uint kk_two_codes(U bits, uint magic) { return (bits & 0x000f000fu) | magic; }
template <typename U>
inline uint kk_low_halves(U a, U b) { return (a & 0xffffu) | b << 16; }
template <typename U>
inline uint kk_high_halves(U a, U b) { return a >> 16 | (b & 0xffff0000u); }

// Eight elements of x, as pairs whose numbers differ by four: so the codes of a word lie.
template <bool SURE, typename P>
inline metal::uint4 kk_far_pairs(P x) {
  uint y[4];
  if (SURE) {
    const kk_block<uint, 4> all = *reinterpret_cast<const device kk_block<uint, 4>*>(x);
    for (int i = 0; i < 4; ++i) y[i] = all.v[i];
  } else {
    for (int i = 0; i < 4; ++i) y[i] = uint(as_type<ushort>(x[2 * i])) | uint(as_type<ushort>(x[2 * i + 1])) << 16;
  }
  return metal::uint4(kk_low_halves(y[0], y[2]), kk_high_halves(y[0], y[2]), kk_low_halves(y[1], y[3]), kk_high_halves(y[1], y[3]));
}

// Codes are worked on by chunks of 128, of which each of the four lanes of a row has four words. All four lanes have words of each group, next
// to each other: words i = 0 and on of group u of the chunk are number 16 u / GROUPS + 4 t / GROUPS + i of the chunk for lane t.
template <int GROUPS>
inline int kk_word_of(int slot, int t) {
  constexpr int run = 4 / GROUPS;
  return slot / run * (4 * run) + t * run + slot % run;
}

// AHEAD chunks of the rows of BLOCKS blocks, with the scales of their groups.
template <int BLOCKS, int AHEAD, int GROUP, typename S>
struct kk_fragment_codes {
  static constant constexpr int each = 128 / GROUP, run = GROUP / 32, groups_ahead = AHEAD * (128 / GROUP);
  // As many scales as one load may bring.
  static constant constexpr int scales_at_once = groups_ahead * int(sizeof(S)) > 16 ? 16 / int(sizeof(S)) : groups_ahead;
  kk_block<uint, GROUP / 32> word[AHEAD][BLOCKS][2][128 / GROUP];
  S scale[BLOCKS][2][AHEAD * (128 / GROUP)], bias[BLOCKS][2][AHEAD * (128 / GROUP)];
  // From chunk `first` on. What is behind the end is something else of the row.
  template <bool SURE, typename W, typename P>
  void load(thread const W* codes, thread const P* scales, thread const P* biases, int first, int words, int groups, int t) {
    for (int a = 0; a < AHEAD; ++a)
      for (int b = 0; b < BLOCKS; ++b)
        for (int h = 0; h < 2; ++h)
          for (int u = 0; u < each; ++u) {
            const int at = (first + a) * 16 + u * (4 * run) + t * run;
            const W p = codes[b * 2 + h] + (SURE ? at : metal::min(at, words - run));
            if (SURE) word[a][b][h][u] = *reinterpret_cast<const device kk_block<uint, GROUP / 32>*>(p);
            else
              for (int i = 0; i < run; ++i) word[a][b][h][u].v[i] = p[i];
          }
    for (int b = 0; b < BLOCKS; ++b)
      for (int h = 0; h < 2; ++h)
        for (int u = 0; u < groups_ahead; u += scales_at_once) {
          if (SURE) {
            const P at = scales[b * 2 + h] + (first * each + u), other = biases[b * 2 + h] + (first * each + u);
            const kk_block<S, scales_at_once> r = *reinterpret_cast<const device kk_block<S, scales_at_once>*>(at);
            const kk_block<S, scales_at_once> o = *reinterpret_cast<const device kk_block<S, scales_at_once>*>(other);
            for (int i = 0; i < scales_at_once; ++i) {
              scale[b][h][u + i] = r.v[i];
              bias[b][h][u + i] = o.v[i];
            }
          } else {
            for (int i = 0; i < scales_at_once; ++i) {
              const int at = metal::min(first * each + u + i, groups - 1);
              scale[b][h][u + i] = scales[b * 2 + h][at];
              bias[b][h][u + i] = biases[b * 2 + h][at];
            }
          }
        }
  }
};

// Whether a matrix and x begin at multiples of 16 bytes: then the chunks that are loaded at once begin at multiples of their size in every row
// that is a whole number of them. The answer is the same for all simdgroups, which meet at barriers.
template <int GROUP, typename S, typename X>
inline bool kk_all_aligned(kk_affine<4, GROUP, S> w, X x) {
  const size_t places = reinterpret_cast<size_t>(x) | reinterpret_cast<size_t>(w.w) | reinterpret_cast<size_t>(w.scales) |
                        reinterpret_cast<size_t>(w.biases);
  return places % 16 == 0;
}

// `w` stands at the first row. SURE: addresses are multiples of what is loaded at once, and rows are a whole number of AHEAD chunks.
template <int BLOCKS, int COLUMNS, int AHEAD, bool SURE, int GROUP, typename S, typename X, typename T>
inline void kk_fragments_of(kk_affine<4, GROUP, S> w, X x, size_t k, int rows, int many, size_t from, size_t step, uint lane,
                            thread metal::float4* acc, T zero) {
  using Codes = kk_fragment_codes<BLOCKS, AHEAD, GROUP, S>;
  constexpr int each = Codes::each, run = Codes::run;
  const int g = int(lane) / 4, t = int(lane) % 4, stride = int(step) * AHEAD;
  const int chunks = int((k + 127) / 128), groups = int(k / GROUP), words = int(k / 8);
  const metal::uint4 ones = metal::uint4(kk_two_ones(zero));
  const uint magic = kk_code_magic(zero);
  const device uint* codes[BLOCKS * 2];
  const device S* scales[BLOCKS * 2];
  const device S* biases[BLOCKS * 2];
  for (int b = 0; b < BLOCKS * 2; ++b) {
    const auto at = w.row(metal::min(b * 8 + g, rows - 1));
    codes[b] = reinterpret_cast<const device uint*>(at.w);
    scales[b] = at.scales;
    biases[b] = at.biases;
  }
  X y[COLUMNS];
  for (int n = 0; n < COLUMNS; ++n) y[n] = x + size_t(metal::min(n * 8 + g, many - 1)) * k;
  for (int i = 0; i < BLOCKS * COLUMNS; ++i) acc[i] = metal::float4(0.0f);
  // Where x has few rows, registers are left for the next codes.
  constexpr bool early = COLUMNS == 1;
  Codes next;
  if (early && int(from) * AHEAD < chunks) next.template load<SURE>(codes, scales, biases, int(from) * AHEAD, words, groups, t);
  for (int first = int(from) * AHEAD; first < chunks; first += stride) {
    Codes now;
    if (early) {
      now = next;
      if (first + stride < chunks) next.template load<SURE>(codes, scales, biases, first + stride, words, groups, t);
    } else {
      now.template load<SURE>(codes, scales, biases, first, words, groups, t);
    }
#pragma unroll
    for (int u = 0; u < Codes::groups_ahead; ++u) {
#pragma unroll
      for (int n = 0; n < COLUMNS; ++n) {
        metal::float4 sums[BLOCKS], all = metal::float4(0.0f);
        for (int b = 0; b < BLOCKS; ++b) sums[b] = metal::float4(0.0f);
        for (int i = 0; i < run; ++i) {
          const int a = u / each, slot = u % each * run + i;
          const int place = (first + a) * 128 + kk_word_of<each>(slot, t) * 8;
          metal::uint4 v = metal::uint4(0u);
          if (SURE || place < int(k)) v = kk_far_pairs<SURE>(y[n] + place);
          for (int half_way = 0; half_way < 2; ++half_way) {
            const metal::uint2 two = half_way == 0 ? metal::uint2(v[0], v[1]) : metal::uint2(v[2], v[3]);
            all = kk_fragment_product(ones, two, all, lane, zero);
            for (int b = 0; b < BLOCKS; ++b) {
              const uint upper = now.word[a][b][0][u % each].v[i] >> (8 * half_way), lower = now.word[a][b][1][u % each].v[i] >> (8 * half_way);
              const metal::uint4 both = metal::uint4(kk_two_codes(upper, magic), kk_two_codes(lower, magic),
                                                     kk_two_codes(upper >> 4, magic), kk_two_codes(lower >> 4, magic));
              sums[b] = kk_fragment_product(both, two, sums[b], lane, zero);
            }
          }
        }
        for (int b = 0; b < BLOCKS; ++b) {
          metal::float4 v = acc[b * COLUMNS + n];
          for (int h = 0; h < 2; ++h) {
            const float by = float(now.scale[b][h][u]), offset = metal::fma(-kk_code_offset(zero), by, float(now.bias[b][h][u]));
            for (int i = 2 * h; i < 2 * h + 2; ++i) v[i] = metal::fma(by, sums[b][i], metal::fma(offset, all[i], v[i]));
          }
          acc[b * COLUMNS + n] = v;
        }
      }
    }
  }
}

// `acc[block][columns][4]`: 16 rows of the matrix for each of BLOCKS, and 8 rows of x for each of COLUMNS. AHEAD chunks are worked on
// together, from number `from` * AHEAD on, and then those `step` times as far on. Rows of the matrix beyond `rows` and of x beyond
// `many` are the last one once more, and nobody reads their sums; what is behind the end of a row is zeros.
template <int BLOCKS, int COLUMNS, int AHEAD, int GROUP, typename S, typename X, typename T>
inline void kk_fragments(kk_affine<4, GROUP, S> w, size_t row, X x, size_t k, int rows, int many, size_t from, size_t step, uint lane,
                         thread metal::float4* acc, T zero) {
  const auto at = w.row(row);
  if (kk_all_aligned(w, x) && k % (128 * AHEAD) == 0) kk_fragments_of<BLOCKS, COLUMNS, AHEAD, true>(at, x, k, rows, many, from, step, lane, acc, zero);
  else kk_fragments_of<BLOCKS, COLUMNS, AHEAD, false>(at, x, k, rows, many, from, step, lane, acc, zero);
}

// Two weights of 16 bits of the codes in the lowest four bits of each half of a word: scale * code + offset, rounded once. An NVIDIA GPU has
// another body where scales have the weights' dtype.
template <typename S, typename T>
struct kk_scale_pair {
  float scale, offset;
  kk_scale_pair(S scale, S offset) : scale(float(scale)), offset(float(offset)) {}
  uint of(uint word) const {
    const T low = T(metal::fma(scale, float(word & 15u), offset)), high = T(metal::fma(scale, float(word >> 16 & 15u), offset));
    return uint(as_type<ushort>(low)) | uint(as_type<ushort>(high)) << 16;
  }
};

// As above for simdgroups that have different rows of the matrix and all of k: they share chunks of x, which lie in threadgroup memory
// as fragments want them, twice COLUMNS * 128 blocks of 16 bytes. `w` stands at the simdgroup's first row. Weights are rounded to 16 bits, as
// where a matrix is unpacked: with many rows of x that is less work than scales of sums.
template <int BLOCKS, int COLUMNS, int SIMDS, bool SURE, int GROUP, typename S, typename X, typename T>
inline void kk_fragments_shared(kk_affine<4, GROUP, S> w, X x, size_t k, int rows, int many, uint simd, uint lane,
                                threadgroup kk_block<uint, 4>* stage, thread metal::float4* acc, T zero) {
  using Codes = kk_fragment_codes<BLOCKS, 1, GROUP, S>;
  constexpr int each = Codes::each, run = Codes::run, mine = COLUMNS * 4 / SIMDS;
  const int g = int(lane) / 4, t = int(lane) % 4, chunks = int(k / 128), groups = int(k / GROUP), words = int(k / 8);
  const device uint* codes[BLOCKS * 2];
  const device S* scales[BLOCKS * 2];
  const device S* biases[BLOCKS * 2];
  for (int b = 0; b < BLOCKS * 2; ++b) {
    const auto at = w.row(metal::min(b * 8 + g, rows - 1));
    codes[b] = reinterpret_cast<const device uint*>(at.w);
    scales[b] = at.scales;
    biases[b] = at.biases;
  }
  // Which of the chunk's blocks a thread brings, and where they go: rows of 16 blocks, of which four neighbours are read together. Odd rows
  // have their halves changed over, so that eight lanes meet in no bank.
  X from[COLUMNS * 4 / SIMDS];
  int to[COLUMNS * 4 / SIMDS];
  for (int i = 0; i < mine; ++i) {
    const int number = int(simd * 32 + lane) + i * (SIMDS * 32), row = number / 16, word = number % 16;
    const int slot = word / (4 * run) * run + word % run;
    from[i] = x + (size_t(metal::min(row, many - 1)) * k + word * 8);
    to[i] = row * 16 + ((slot * 4 + word % (4 * run) / run) ^ (row % 2 * 4));
  }
  for (int i = 0; i < BLOCKS * COLUMNS; ++i) acc[i] = metal::float4(0.0f);
  Codes next;
  next.template load<SURE>(codes, scales, biases, 0, words, groups, t);
  for (int i = 0; i < mine; ++i) {
    const metal::uint4 v = kk_far_pairs<SURE>(from[i]);
    stage[to[i]] = kk_block<uint, 4>{{v[0], v[1], v[2], v[3]}};
  }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const Codes now = next;
    metal::uint4 later[COLUMNS * 4 / SIMDS];
    if (chunk + 1 < chunks) {
      next.template load<SURE>(codes, scales, biases, chunk + 1, words, groups, t);
      for (int i = 0; i < mine; ++i) later[i] = kk_far_pairs<SURE>(from[i] + (chunk + 1) * 128);
    }
    threadgroup kk_block<uint, 4>* here = stage + chunk % 2 * (COLUMNS * 128);
#pragma unroll
    for (int u = 0; u < each; ++u)
      for (int i = 0; i < run; ++i) {
        metal::uint4 weights[BLOCKS][2];
        for (int b = 0; b < BLOCKS; ++b) {
          const kk_scale_pair<S, T> upper(now.scale[b][0][u], now.bias[b][0][u]), lower(now.scale[b][1][u], now.bias[b][1][u]);
          for (int half_way = 0; half_way < 2; ++half_way) {
            const uint v = now.word[0][b][0][u].v[i] >> (8 * half_way), w = now.word[0][b][1][u].v[i] >> (8 * half_way);
            weights[b][half_way] = metal::uint4(upper.of(v), lower.of(w), upper.of(v >> 4), lower.of(w >> 4));
          }
        }
#pragma unroll
        for (int n = 0; n < COLUMNS; ++n) {
          const kk_block<uint, 4> v = here[(n * 8 + g) * 16 + (((u * run + i) * 4 + t) ^ (g % 2 * 4))];
          for (int half_way = 0; half_way < 2; ++half_way) {
            const metal::uint2 two = metal::uint2(v.v[2 * half_way], v.v[2 * half_way + 1]);
            for (int b = 0; b < BLOCKS; ++b)
              acc[b * COLUMNS + n] = kk_fragment_product(weights[b][half_way], two, acc[b * COLUMNS + n], lane, zero);
          }
        }
      }
    if (chunk + 1 < chunks) {
      threadgroup kk_block<uint, 4>* there = stage + (chunk + 1) % 2 * (COLUMNS * 128);
      for (int i = 0; i < mine; ++i) there[to[i]] = kk_block<uint, 4>{{later[i][0], later[i][1], later[i][2], later[i][3]}};
    }
    metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  }
}

// The same for any addresses; k is a multiple of 128.
template <int BLOCKS, int COLUMNS, int SIMDS, int GROUP, typename S, typename X, typename T>
inline void kk_fragments_all(kk_affine<4, GROUP, S> w, size_t row, X x, size_t k, int rows, int many, uint simd, uint lane,
                             threadgroup kk_block<uint, 4>* stage, thread metal::float4* acc, T zero) {
  const auto at = w.row(row);
  if (kk_all_aligned(w, x)) kk_fragments_shared<BLOCKS, COLUMNS, SIMDS, true>(at, x, k, rows, many, simd, lane, stage, acc, zero);
  else kk_fragments_shared<BLOCKS, COLUMNS, SIMDS, false>(at, x, k, rows, many, simd, lane, stage, acc, zero);
}

// Simdgroups of a threadgroup that took different groups add up; the first one has all in the end.
template <int COUNT, int SIMDS>
inline void kk_fragments_added(thread metal::float4* acc, threadgroup float* shared, uint lane, uint simd) {
#pragma unroll
  for (int i = 0; i < COUNT; ++i)
    for (int j = 0; j < 4; ++j) shared[((simd * COUNT + i) * 4 + j) * 32 + lane] = acc[i][j];
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (simd == 0)
#pragma unroll
    for (int i = 0; i < COUNT; ++i)
      for (int j = 0; j < 4; ++j)
        for (int s = 1; s < SIMDS; ++s) acc[i][j] += shared[((s * COUNT + i) * 4 + j) * 32 + lane];
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
}
