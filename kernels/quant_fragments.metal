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
    const metal::uint4 all = *reinterpret_cast<const device metal::uint4*>(x);
    for (int i = 0; i < 4; ++i) y[i] = all[i];
  } else {
    for (int i = 0; i < 4; ++i) y[i] = uint(as_type<ushort>(x[2 * i])) | uint(as_type<ushort>(x[2 * i + 1])) << 16;
  }
  return metal::uint4((y[0] & 0xffffu) | y[2] << 16, y[0] >> 16 | (y[2] & 0xffff0000u), (y[1] & 0xffffu) | y[3] << 16,
                      y[1] >> 16 | (y[3] & 0xffff0000u));
}

// `acc[block][columns][4]`: 16 rows of the matrix for each of BLOCKS, and 8 rows of x for each of COLUMNS. Groups from `from` on, every
// `step`-th one. Rows of the matrix beyond `rows` are the last one once more, rows of x beyond `many` are zeros.
template <int BLOCKS, int COLUMNS, int GROUP, typename S, typename X, typename T>
inline void kk_fragments(kk_affine<4, GROUP, S> w, X x, size_t k, int rows, int many, size_t from, size_t step, uint lane,
                         thread metal::float4* acc, T zero) {
  const int words = GROUP / 32;
  const uint g = lane / 4, t = lane % 4;
  const bool sure = reinterpret_cast<size_t>(x) % 16 == 0;
  const metal::uint4 ones = metal::uint4(kk_two_ones(zero));
  const device uint* codes[BLOCKS][2];
  const device S* scales[BLOCKS][2];
  const device S* biases[BLOCKS][2];
  for (int b = 0; b < BLOCKS; ++b)
    for (int h = 0; h < 2; ++h) {
      const auto at = w.row(metal::min(b * 16 + h * 8 + int(g), rows - 1));
      codes[b][h] = reinterpret_cast<const device uint*>(at.w) + t * words;
      scales[b][h] = at.scales;
      biases[b][h] = at.biases;
    }
  for (int i = 0; i < BLOCKS * COLUMNS; ++i) acc[i] = metal::float4(0.0f);
  const size_t groups = k / GROUP;
  for (size_t u = from; u < groups; u += step) {
    uint word[BLOCKS][2][GROUP / 32];
    kk_scaled s[BLOCKS][2];
    for (int b = 0; b < BLOCKS; ++b)
      for (int h = 0; h < 2; ++h) {
        for (int i = 0; i < words; ++i) word[b][h][i] = codes[b][h][u * (4 * words) + i];
        const float scale = float(scales[b][h][u]);
        s[b][h] = kk_scaled{scale, metal::fma(-kk_code_offset(zero), scale, float(biases[b][h][u]))};
      }
#pragma unroll
    for (int n = 0; n < COLUMNS; ++n) {
      metal::float4 sums[BLOCKS], all = metal::float4(0.0f);
      for (int b = 0; b < BLOCKS; ++b) sums[b] = metal::float4(0.0f);
      const int row = n * 8 + int(g);
      for (int i = 0; i < words; ++i) {
        metal::uint4 y = metal::uint4(0u);
        if (row < many) y = kk_far_pairs(x + (size_t(row) * k + u * GROUP + t * (8 * words) + i * 8), sure);
        for (int half_way = 0; half_way < 2; ++half_way) {
          const metal::uint2 two = half_way == 0 ? metal::uint2(y[0], y[1]) : metal::uint2(y[2], y[3]);
          all = kk_fragment_product(ones, two, all, lane, zero);
          for (int b = 0; b < BLOCKS; ++b) {
            const uint first = word[b][0][i] >> (8 * half_way), second = word[b][1][i] >> (8 * half_way);
            const metal::uint4 a = metal::uint4(kk_two_codes(first, zero), kk_two_codes(second, zero),
                                                kk_two_codes(first >> 4, zero), kk_two_codes(second >> 4, zero));
            sums[b] = kk_fragment_product(a, two, sums[b], lane, zero);
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
