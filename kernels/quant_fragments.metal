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

// Two floats whose lowest bits are those of a code, and what they are too large by.
inline uint kk_two_codes(uint bits, half) { return (bits & 0x000f000fu) | 0x64006400u; }
inline uint kk_two_codes(uint bits, bfloat) { return (bits & 0x000f000fu) | 0x43004300u; }
inline float kk_code_offset(half) { return 1024.0f; }
inline float kk_code_offset(bfloat) { return 128.0f; }
inline uint kk_two_ones(half) { return 0x3c003c00u; }
inline uint kk_two_ones(bfloat) { return 0x3f803f80u; }

// Eight elements of x, as pairs whose numbers differ by four: so the codes of a word lie.
template <typename P>
inline metal::uint4 kk_far_pairs(P x, bool sure) {
  uint y[4];
  if (sure) {
    const kk_block<uint, 4> all = *reinterpret_cast<const device kk_block<uint, 4>*>(x);
    for (int i = 0; i < 4; ++i) y[i] = all.v[i];
  } else {
    for (int i = 0; i < 4; ++i) y[i] = uint(as_type<ushort>(x[2 * i])) | uint(as_type<ushort>(x[2 * i + 1])) << 16;
  }
  return metal::uint4((y[0] & 0xffffu) | y[2] << 16, y[0] >> 16 | (y[2] & 0xffff0000u), (y[1] & 0xffffu) | y[3] << 16,
                      y[1] >> 16 | (y[3] & 0xffff0000u));
}

// Codes are read by chunks of 128: each of the four lanes of a row reads 16 bytes, four words. A group of codes has to be spread over all four
// lanes, so they exchange words: after that, word s of a lane belongs to group s * GROUPS / 4 of the chunk.
template <int GROUPS>
inline void kk_exchange(thread uint* v, uint lane) {
  if (GROUPS > 1) {
    const bool upper = (lane & 2u) != 0;
    for (int i = 0; i < 2; ++i) {
      const uint other = metal::simd_shuffle_xor(upper ? v[i] : v[i + 2], ushort(2));
      if (upper) v[i] = other;
      else v[i + 2] = other;
    }
  }
  if (GROUPS > 2) {
    const bool odd = (lane & 1u) != 0;
    for (int i = 0; i < 4; i += 2) {
      const uint other = metal::simd_shuffle_xor(odd ? v[i] : v[i + 1], ushort(1));
      if (odd) v[i] = other;
      else v[i + 1] = other;
    }
  }
}
// Where in the chunk word s of lane t of a row then stood.
template <int GROUPS>
inline int kk_exchanged(int s, int t) {
  if (GROUPS == 1) return 4 * t + s;
  if (GROUPS == 2) return 8 * (s / 2) + 4 * (t & 1) + 2 * (t >> 1) + (s & 1);
  return 4 * s + t;
}

// AHEAD chunks of the rows of BLOCKS blocks, with the scales of their groups: lane t of a row has those of groups t, t + 4, ...
template <int BLOCKS, int AHEAD, int GROUP, typename S>
struct kk_fragment_codes {
  static constant constexpr int each = 128 / GROUP, rounds = (AHEAD * (128 / GROUP) + 3) / 4;
  kk_block<uint, 4> word[AHEAD][BLOCKS][2];
  S scale[(AHEAD * (128 / GROUP) + 3) / 4][BLOCKS][2], bias[(AHEAD * (128 / GROUP) + 3) / 4][BLOCKS][2];
  // From chunk `first` on. What is behind the end is something else of the row.
  template <typename W, typename P>
  void load(thread const W* codes, thread const P* scales, thread const P* biases, int first, int last, int groups, bool whole, int t) {
    for (int a = 0; a < AHEAD; ++a)
      for (int b = 0; b < BLOCKS; ++b)
        for (int h = 0; h < 2; ++h) {
          const W p = codes[b * 2 + h] + metal::min((first + a) * 4 + t, last) * 4;
          if (whole) word[a][b][h] = *reinterpret_cast<const device kk_block<uint, 4>*>(p);
          else
            for (int i = 0; i < 4; ++i) word[a][b][h].v[i] = p[i];
        }
    for (int i = 0; i < rounds; ++i)
      for (int b = 0; b < BLOCKS; ++b)
        for (int h = 0; h < 2; ++h) {
          const int u = metal::min(first * each + i * 4 + t, groups - 1);
          scale[i][b][h] = scales[b * 2 + h][u];
          bias[i][b][h] = biases[b * 2 + h][u];
        }
  }
};

// `acc[block][columns][4]`: 16 rows of the matrix for each of BLOCKS, and 8 rows of x for each of COLUMNS. AHEAD chunks are worked on
// together, from number `from` * AHEAD on, and then those `step` times as far on. Rows of the matrix beyond `rows` are the
// last one once more; rows of x beyond `many`, and what is behind the end of a row, are zeros.
template <int BLOCKS, int COLUMNS, int AHEAD, int GROUP, typename S, typename X, typename T>
inline void kk_fragments(kk_affine<4, GROUP, S> w, X x, size_t k, int rows, int many, size_t from, size_t step, uint lane,
                         thread metal::float4* acc, T zero) {
  constexpr int each = 128 / GROUP, groups_ahead = AHEAD * each;
  const int g = int(lane) / 4, t = int(lane) % 4, stride = int(step) * AHEAD;
  const int chunks = int((k + 127) / 128), groups = int(k / GROUP), last = int(k / 32) - 1;
  const bool sure = reinterpret_cast<size_t>(x) % 16 == 0, whole = reinterpret_cast<size_t>(w.w) % 16 == 0;
  const metal::uint4 ones = metal::uint4(kk_two_ones(zero));
  const device uint* codes[BLOCKS * 2];
  const device S* scales[BLOCKS * 2];
  const device S* biases[BLOCKS * 2];
  for (int b = 0; b < BLOCKS * 2; ++b) {
    const auto at = w.row(metal::min(b * 8 + g, rows - 1));
    codes[b] = reinterpret_cast<const device uint*>(at.w);
    scales[b] = at.scales;
    biases[b] = at.biases;
  }
  for (int i = 0; i < BLOCKS * COLUMNS; ++i) acc[i] = metal::float4(0.0f);
  // Where x has few rows, registers are left for the next codes.
  constexpr bool early = COLUMNS == 1;
  kk_fragment_codes<BLOCKS, AHEAD, GROUP, S> next;
  if (early && int(from) * AHEAD < chunks) next.load(codes, scales, biases, int(from) * AHEAD, last, groups, whole, t);
  for (int first = int(from) * AHEAD; first < chunks; first += stride) {
    kk_fragment_codes<BLOCKS, AHEAD, GROUP, S> now;
    if (early) {
      now = next;
      if (first + stride < chunks) next.load(codes, scales, biases, first + stride, last, groups, whole, t);
    } else {
      now.load(codes, scales, biases, first, last, groups, whole, t);
    }
    for (int a = 0; a < AHEAD; ++a)
      for (int b = 0; b < BLOCKS; ++b)
        for (int h = 0; h < 2; ++h) kk_exchange<each>(now.word[a][b][h].v, lane);
#pragma unroll
    for (int u = 0; u < groups_ahead; ++u) {
      kk_scaled s[BLOCKS][2];
      for (int b = 0; b < BLOCKS; ++b)
        for (int h = 0; h < 2; ++h) {
          const ushort who = ushort((lane & ~3u) | uint(u & 3));
          const float by = metal::simd_shuffle(float(now.scale[u / 4][b][h]), who);
          s[b][h] = kk_scaled{by, metal::fma(-kk_code_offset(zero), by, metal::simd_shuffle(float(now.bias[u / 4][b][h]), who))};
        }
#pragma unroll
      for (int n = 0; n < COLUMNS; ++n) {
        metal::float4 sums[BLOCKS], all = metal::float4(0.0f);
        for (int b = 0; b < BLOCKS; ++b) sums[b] = metal::float4(0.0f);
        const int row = n * 8 + g;
        for (int i = 0; i < 4 / each; ++i) {
          const int a = u / each, slot = u % each * (4 / each) + i;
          const int place = (first + a) * 128 + kk_exchanged<each>(slot, t) * 8;
          metal::uint4 y = metal::uint4(0u);
          if (row < many && place < int(k)) y = kk_far_pairs(x + (size_t(row) * k + place), sure);
          for (int half_way = 0; half_way < 2; ++half_way) {
            const metal::uint2 two = half_way == 0 ? metal::uint2(y[0], y[1]) : metal::uint2(y[2], y[3]);
            all = kk_fragment_product(ones, two, all, lane, zero);
            for (int b = 0; b < BLOCKS; ++b) {
              const uint upper = now.word[a][b][0].v[slot] >> (8 * half_way), lower = now.word[a][b][1].v[slot] >> (8 * half_way);
              const metal::uint4 both = metal::uint4(kk_two_codes(upper, zero), kk_two_codes(lower, zero),
                                                     kk_two_codes(upper >> 4, zero), kk_two_codes(lower >> 4, zero));
              sums[b] = kk_fragment_product(both, two, sums[b], lane, zero);
            }
          }
        }
        for (int b = 0; b < BLOCKS; ++b) {
          metal::float4 v = acc[b * COLUMNS + n];
          for (int i = 0; i < 4; ++i) {
            const kk_scaled r = s[b][i / 2];
            v[i] = metal::fma(r.scale, sums[b][i], metal::fma(r.offset, all[i], v[i]));
          }
          acc[b * COLUMNS + n] = v;
        }
      }
    }
  }
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
