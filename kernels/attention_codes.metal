// Attention of a few queries over a long cache of codes, by products of fragments (see `quant_fragments.metal`): the first factor is codes, 16
// tokens of keys or 16 elements of values, the second one queries or weights, of eight queries that share a head of keys. Simdgroups share the
// tokens, 16 at a time; what they found is put together at the end. Codes are whole numbers, which floats of 16 bits hold exactly: the scale of
// a group comes after the product of its elements where it belongs to a key, and onto the weights where it belongs to a value.
#include "attention_tiles.metal"
#include "quant_fragments.metal"

// The bytes 0 and 2 of a word as floats of T, or with FORMAT 4 the lower halves of both, from which 8 is subtracted.
template <int FORMAT, typename T>
inline uint kk_two_whole(uint word, T) {
  uint out = 0;
  for (int i = 0; i < 2; ++i) {
    const int code = int((word >> (16 * i)) & (FORMAT == 8 ? 0xffu : 0xfu));
    const int whole = FORMAT == 8 ? (code ^ 0x80) - 0x80 : code - 8;
    out |= uint(as_type<ushort>(T(float(whole)))) << (16 * i);
  }
  return out;
}
// Four of the bytes of a (0 to 3) and b (4 to 7), whose numbers stand in the hexadecimal digits of `which`, the lowest first.
template <typename T>
inline uint kk_four_bytes(uint a, uint b, uint which, T) {
  uint out = 0;
  for (int i = 0; i < 4; ++i) {
    const uint n = which >> (4 * i) & 7u;
    out |= ((n < 4 ? a >> (8 * n) : b >> (8 * (n - 4))) & 0xffu) << (8 * i);
  }
  return out;
}

// A matrix of 8x8 elements of 16 bits, of which lane 4 g + t has row g, columns 2 t and 2 t + 1, in one word: its transpose.
template <typename T>
inline uint kk_transposed(uint word, uint lane, T) {
  const uint g = lane / 4, t = lane % 4;
  const uint left = metal::simd_shuffle(word, ushort(8 * t + g / 2)), right = metal::simd_shuffle(word, ushort(8 * t + 4 + g / 2));
  return g % 2 == 0 ? (left & 0xffffu) | right << 16 : left >> 16 | (right & 0xffff0000u);
}

// COUNT neighbouring words of a row of codes, from number `first` on. SURE says that elements are neighbours and rows begin where 16 bytes do.
template <int COUNT, bool SURE, typename P>
inline void kk_words(P row, long step, int first, thread uint* to) {
  if (SURE) {
    const kk_block<uint, COUNT> all = reinterpret_cast<const device kk_block<uint, COUNT>*>(row)[first / COUNT];
    for (int i = 0; i < COUNT; ++i) to[i] = all.v[i];
  } else {
    for (int i = 0; i < COUNT; ++i) {
      to[i] = 0;
      for (int b = 0; b < 4; ++b) to[i] |= (uint(row[(4 * (first + i) + b) * step]) & 0xffu) << (8 * b);
    }
  }
}

// How the four lanes of a token share the words of its keys, and eight lanes those of its values: so that what a product takes belongs to one
// group of elements.
template <int FORMAT, int GROUP, int D>
struct kk_codes_shape {
  static constant constexpr int groups = D / GROUP, words = D * FORMAT / 32, turns = 8 / FORMAT, elements = 32 / FORMAT;
  static constant constexpr int key = GROUP * FORMAT / 128 < 4 ? GROUP * FORMAT / 128 : 4, keys = words / (4 * key);
  static constant constexpr int value = GROUP * FORMAT / 256 < 4 ? GROUP * FORMAT / 256 : 4, values = words / (8 * value);
  // The element of byte `byte` of a word of the row.
  static int element(int word, int byte, int turn) { return word * elements + (FORMAT == 8 ? byte : 2 * byte + turn); }
};

// Where rows of 16 tokens begin: lane l knows it of token l % 16, and tells the others. Rows that begin where 16 bytes do are counted in such.
template <bool SURE>
struct kk_codes_rows {
  int key, value, key_scale, value_scale;
  static long start(int row) { return long(row) * 16; }
};
template <>
struct kk_codes_rows<false> {
  long key, value, key_scale, value_scale;
  static long start(long row) { return row; }
};
inline int kk_from_lane(int x, int lane) { return metal::simd_shuffle(x, ushort(lane)); }
inline long kk_from_lane(long x, int lane) {
  return long(ulong(uint(kk_from_lane(int(x), lane))) | ulong(uint(kk_from_lane(int(x >> 32), lane))) << 32);
}

// Whether the rows of a cache are few enough to be counted so.
template <int FORMAT, typename P, typename S>
inline bool kk_codes_fit(kk_cache<FORMAT, P, S> c, long blocks, long slots) {
  const long row = metal::abs(c.blocks) * blocks + metal::abs(c.slots) * slots;
  const long scale = metal::abs(c.scale_blocks) * blocks + metal::abs(c.scale_slots) * slots;
  return row >> 4 <= 0x7fffffff && scale <= 0x7fffffff;
}
// The scales of the token whose row of scales is `row`.
template <int GROUPS, int FORMAT, typename P, typename Z, typename S>
inline void kk_scales(kk_cache<FORMAT, P, Z> cache, long row, thread S (&to)[GROUPS]) {
  for (int u = 0; u < GROUPS; ++u) to[u] = cache.scales[row + u * cache.scale_step];
}

// Both caches, and the table of their blocks.
template <bool SURE, bool PAGED, int FORMAT, typename P, typename Z, typename B>
struct kk_codes_caches {
  typedef kk_codes_rows<SURE> rows;
  kk_cache<FORMAT, P, Z> keys, values;
  B table;
  long step, columns, blocks, slots;
  // Of tokens from `first` on, the last of which is the one before `to`.
  rows find(long first, long to, uint lane, thread bool& lost) const {
    kk_token at = kk_find<PAGED>(table, step, columns, blocks, slots, metal::min(first + long(lane & 15u), to - 1));
    if (at.block < 0) {
      lost = true;
      at = kk_token{0, 0};
    }
    const long key = at.block * keys.blocks + at.slot * keys.slots, value = at.block * values.blocks + at.slot * values.slots;
    const long key_scale = at.block * keys.scale_blocks + at.slot * keys.scale_slots;
    const long value_scale = at.block * values.scale_blocks + at.slot * values.scale_slots;
    rows out;
    out.key = SURE ? key >> 4 : key;
    out.value = SURE ? value >> 4 : value;
    out.key_scale = key_scale;
    out.value_scale = value_scale;
    return out;
  }
};

// What a lane has of 16 tokens: of keys, words of tokens g and g + 8; of values, words of tokens 2 t, 2 t + 1 and both + 8; the scales of tokens
// g and g + 8.
template <int FORMAT, int GROUP, int D, typename S>
struct kk_codes_keys {
  typedef kk_codes_shape<FORMAT, GROUP, D> shape;
  uint words[2][shape::keys * shape::key];
  S scale[2][shape::groups];
  template <bool SURE, bool PAGED, typename P, typename Z, typename B>
  void load(thread const kk_codes_caches<SURE, PAGED, FORMAT, P, Z, B>& from, kk_codes_rows<SURE> at, int g, int t) {
    for (int h = 0; h < 2; ++h) {
      const P row = from.keys.p + kk_codes_rows<SURE>::start(kk_from_lane(at.key, 8 * h + g));
      for (int b = 0; b < shape::keys; ++b)
        kk_words<shape::key, SURE>(row, from.keys.step, (b * 4 + t) * shape::key, words[h] + b * shape::key);
    }
    for (int h = 0; h < 2; ++h) kk_scales(from.keys, kk_from_lane(at.key_scale, 8 * h + g), scale[h]);
  }
};
template <int FORMAT, int GROUP, int D, typename S>
struct kk_codes_values {
  typedef kk_codes_shape<FORMAT, GROUP, D> shape;
  uint words[4][shape::values * shape::value];
  S scale[2][shape::groups];
  template <bool SURE, bool PAGED, typename P, typename Z, typename B>
  void load(thread const kk_codes_caches<SURE, PAGED, FORMAT, P, Z, B>& from, kk_codes_rows<SURE> at, int g, int t) {
    for (int j = 0; j < 4; ++j) {
      const int token = j / 2 * 8 + 2 * t + j % 2;
      const P row = from.values.p + kk_codes_rows<SURE>::start(kk_from_lane(at.value, token));
      for (int b = 0; b < shape::values; ++b)
        kk_words<shape::value, SURE>(row, from.values.step, (b * 8 + g) * shape::value, words[j] + b * shape::value);
    }
    for (int h = 0; h < 2; ++h) kk_scales(from.values, kk_from_lane(at.value_scale, 8 * h + g), scale[h]);
  }
};

// Two floats rounded to T, and what that takes away.
template <typename T>
inline uint kk_pair_of(float a, float b, T) {
  return uint(as_type<ushort>(T(a))) | uint(as_type<ushort>(T(b))) << 16;
}
template <typename T>
inline uint kk_rest_of(float a, float b, T zero) {
  return kk_pair_of(a - float(T(a)), b - float(T(b)), zero);
}

// Eight queries as second factors of the products with keys, from row `first` on; rows that do not count are zeros.
template <int FORMAT, int GROUP, int D, typename Q, typename T>
inline void kk_codes_queries(Q queries, long step, int first, int rows, int g, int t, thread metal::uint2* out, T zero) {
  typedef kk_codes_shape<FORMAT, GROUP, D> shape;
  const bool counts = first + g < rows;
  const auto row = queries(metal::min(first + g, rows - 1));
  for (int b = 0; b < shape::keys; ++b)
    for (int w = 0; w < shape::key; ++w)
      for (int turn = 0; turn < shape::turns; ++turn) {
        // Of bytes 0 and 2, and of 1 and 3.
        uint all[2];
        for (int byte = 0; byte < 2; ++byte) {
          const float low = float(row[shape::element((b * 4 + t) * shape::key + w, byte, turn) * step]);
          const float high = float(row[shape::element((b * 4 + t) * shape::key + w, byte + 2, turn) * step]);
          all[byte] = counts ? kk_pair_of(low, high, zero) : 0u;
        }
        out[(b * shape::key + w) * shape::turns + turn] = metal::uint2(all[0], all[1]);
      }
}

// The largest, and the sum, of what the lanes of equal t have.
inline float kk_largest_of_eight(float x) {
  for (int apart = 4; apart < 32; apart *= 2) x = kk_larger_of(x, metal::simd_shuffle_xor(x, ushort(apart)));
  return x;
}
inline float kk_sum_of_eight(float x) {
  for (int apart = 4; apart < 32; apart *= 2) x += metal::simd_shuffle_xor(x, ushort(apart));
  return x;
}

// Tokens `from` to `to` for the rows of a head, of which `rows` count, up to 8 MANY. `all` has room for the sums of all simdgroups, `out` is as
// in `kk_write_rows`.
template <bool WHOLE, int MANY, int GROUP, int D, int TG, bool SURE, bool PAGED, int FORMAT, typename Q, typename P, typename Z, typename B,
          typename F, typename O, typename N, typename S, typename T>
inline void kk_few_codes(Q queries, long q_step, kk_codes_caches<SURE, PAGED, FORMAT, P, Z, B> caches, F f, int rows, long from, long to,
                         device O* out, long row_step, N sinks, threadgroup float* all, threadgroup float* shared, threadgroup int* gone,
                         uint index, uint lane, uint simd, S, T zero) {
  typedef kk_codes_shape<FORMAT, GROUP, D> shape;
  constexpr int SIMDS = TG / 32, ALL = SIMDS * 16, R = 8 * MANY;
  const int g = int(lane) / 4, t = int(lane) % 4;
  if (index == 0) *gone = 0;
  metal::uint2 q[MANY][D / 16];
  // Of elements g (x, y) and g + 8 (z, w) of a fragment, queries 2 t and 2 t + 1.
  metal::float4 sums[MANY][D / 16];
  float most[MANY][2], total[MANY][2];
  for (int m = 0; m < MANY; ++m) {
    kk_codes_queries<FORMAT, GROUP, D>(queries, q_step, 8 * m, rows, g, t, q[m], zero);
    for (int i = 0; i < D / 16; ++i) sums[m][i] = metal::float4(0.0f);
    for (int c = 0; c < 2; ++c) {
      most[m][c] = -INFINITY;
      total[m][c] = 0.0f;
    }
  }
  bool lost = false;
  long first = from + long(simd) * 16;
  kk_codes_keys<FORMAT, GROUP, D, S> key;
  kk_codes_values<FORMAT, GROUP, D, S> value;
  kk_codes_rows<SURE> next = {};
  if (first < to) {
    next = caches.find(first, to, lane, lost);
    key.load(caches, next, g, t);
    value.load(caches, next, g, t);
    if (first + ALL < to) next = caches.find(first + ALL, to, lane, lost);
  }
  for (; first < to; first += ALL) {
    // Tokens g (x, y) and g + 8 (z, w), queries 2 t and 2 t + 1.
    metal::float4 scores[MANY];
    for (int m = 0; m < MANY; ++m) scores[m] = metal::float4(0.0f);
    constexpr int keys_each = shape::keys * shape::key / shape::groups;
    _Pragma("unroll") for (int u = 0; u < shape::groups; ++u) {
      metal::float4 part[MANY];
      for (int m = 0; m < MANY; ++m) part[m] = metal::float4(0.0f);
      _Pragma("unroll") for (int w = u * keys_each; w < (u + 1) * keys_each; ++w)
        _Pragma("unroll") for (int turn = 0; turn < shape::turns; ++turn) {
          const uint upper = key.words[0][w] >> (4 * turn), lower = key.words[1][w] >> (4 * turn);
          const metal::uint4 codes = metal::uint4(kk_two_whole<FORMAT>(upper, zero), kk_two_whole<FORMAT>(lower, zero),
                                                  kk_two_whole<FORMAT>(upper >> 8, zero), kk_two_whole<FORMAT>(lower >> 8, zero));
          for (int m = 0; m < MANY; ++m) part[m] = kk_fragment_product(codes, q[m][w * shape::turns + turn], part[m], lane, zero);
        }
      const float upper = float(key.scale[0][u]), lower = float(key.scale[1][u]);
      for (int m = 0; m < MANY; ++m)
        scores[m] = metal::float4(metal::fma(upper, part[m][0], scores[m][0]), metal::fma(upper, part[m][1], scores[m][1]),
                                  metal::fma(lower, part[m][2], scores[m][2]), metal::fma(lower, part[m][3], scores[m][3]));
    }
    // The next keys are on their way while these scores are worked on, the next values while the next scores are.
    const bool more = first + ALL < to;
    if (more) key.load(caches, next, g, t);
    F here = f;
    here.col = first;
    const bool whole = here.whole(16);
    bool changed = false;
    float factor[MANY][2];
    _Pragma("unroll") for (int m = 0; m < MANY; ++m)
      _Pragma("unroll") for (int c = 0; c < 2; ++c) {
        const int row = 8 * m + 2 * t + c;
        float upper = scores[m][c], lower = scores[m][2 + c];
        upper = whole ? here.masked(upper, row, g) : here(upper, row, g);
        lower = whole ? here.masked(lower, row, g + 8) : here(lower, row, g + 8);
        const float largest = kk_largest_of_eight(kk_larger_of(most[m][c], kk_larger_of(upper, lower)));
        const float shift = largest == -INFINITY ? 0.0f : largest;
        factor[m][c] = metal::fast::exp2(most[m][c] - shift);
        changed = changed || factor[m][c] != 1.0f;
        most[m][c] = largest;
        scores[m][c] = metal::fast::exp2(upper - shift);
        scores[m][2 + c] = metal::fast::exp2(lower - shift);
        total[m][c] = metal::fma(total[m][c], factor[m][c], scores[m][c] + scores[m][2 + c]);
      }
    if (metal::simd_any(changed))
      for (int m = 0; m < MANY; ++m)
        for (int i = 0; i < D / 16; ++i) {
          const metal::float4 x = sums[m][i];
          sums[m][i] = metal::float4(x[0] * factor[m][0], x[1] * factor[m][1], x[2] * factor[m][0], x[3] * factor[m][1]);
        }
    constexpr int values_each = shape::values * shape::value / shape::groups;
    _Pragma("unroll") for (int u = 0; u < shape::groups; ++u) {
      // Weights times scales, in two parts: a product rounds them to T.
      metal::uint2 large[MANY], rest[MANY];
      const float upper = float(value.scale[0][u]), lower = float(value.scale[1][u]);
      for (int m = 0; m < MANY; ++m) {
        const float a = upper * scores[m][0], b = upper * scores[m][1], c = lower * scores[m][2], d = lower * scores[m][3];
        large[m] = metal::uint2(kk_transposed(kk_pair_of(a, b, zero), lane, zero), kk_transposed(kk_pair_of(c, d, zero), lane, zero));
        rest[m] = metal::uint2(kk_transposed(kk_rest_of(a, b, zero), lane, zero), kk_transposed(kk_rest_of(c, d, zero), lane, zero));
      }
      _Pragma("unroll") for (int w = u * values_each; w < (u + 1) * values_each; ++w) {
        // Of four tokens by four bytes, those of the tokens become neighbours, the second and the third exchanged.
        const uint a = kk_four_bytes(value.words[0][w], value.words[2][w], 0x5140u, zero);
        const uint b = kk_four_bytes(value.words[0][w], value.words[2][w], 0x7362u, zero);
        const uint c = kk_four_bytes(value.words[1][w], value.words[3][w], 0x5140u, zero);
        const uint d = kk_four_bytes(value.words[1][w], value.words[3][w], 0x7362u, zero);
        // Two elements of each lane are a fragment's: those of two bytes, or both of one.
        _Pragma("unroll") for (int n = 0; n < 2 * shape::turns; ++n) {
          uint two[2];
          for (int i = 0; i < 2; ++i) {
            const int byte = (2 * n + i) / shape::turns, turn = (2 * n + i) % shape::turns;
            two[i] = kk_four_bytes(byte < 2 ? a : b, byte < 2 ? c : d, byte % 2 == 0 ? 0x5410u : 0x7632u, zero) >> (4 * turn);
          }
          const metal::uint4 codes = metal::uint4(kk_two_whole<FORMAT>(two[0], zero), kk_two_whole<FORMAT>(two[1], zero),
                                                  kk_two_whole<FORMAT>(two[0] >> 8, zero), kk_two_whole<FORMAT>(two[1] >> 8, zero));
          for (int m = 0; m < MANY; ++m) {
            thread metal::float4& sum = sums[m][w * 2 * shape::turns + n];
            sum = kk_fragment_product(codes, large[m], sum, lane, zero);
            sum = kk_fragment_product(codes, rest[m], sum, lane, zero);
          }
        }
      }
    }
    if (more) {
      value.load(caches, next, g, t);
      if (first + 2 * ALL < to) next = caches.find(first + 2 * ALL, to, lane, lost);
    }
  }
  constexpr int wide = D + 8;
  // The flag has been cleared.
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  if (PAGED && lost) *gone = 1;
  for (int m = 0; m < MANY; ++m)
    for (int c = 0; c < 2; ++c) {
      const int row = int(simd) * R + 8 * m + 2 * t + c;
      for (int w = 0; w < shape::values * shape::value; ++w)
        for (int n = 0; n < 4 * shape::turns; ++n) {
          const int e = shape::element((w / shape::value * 8 + g) * shape::value + w % shape::value, n / shape::turns, n % shape::turns);
          all[row * wide + e] = sums[m][w * 2 * shape::turns + n / 2][n % 2 * 2 + c];
        }
      const float sum = kk_sum_of_eight(total[m][c]);
      if (g == 0) {
        shared[row] = most[m][c];
        shared[SIMDS * R + row] = sum;
      }
    }
  metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);
  kk_few_joined<WHOLE, TG, R, wide>(all, shared, rows, D, PAGED && *gone != 0, out, row_step, sinks, index);
}
