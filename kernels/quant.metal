// Codes of quantized numbers as floats.

// Floats of 8 bits (P. Micikevicius and others, "FP8 Formats for Deep Learning", 2022). Every value exists before the
// choice between them, so that neighbours need no branch.

// Of 4 bits of exponent and 3 of mantissa, with NaN but no infinity.
template <typename I>
inline float kk_e4m3(I code) {
  const uint bits = uint(code);
  const uint low = bits & 0x7fu;
  const float small = float(low) * 0.001953125f;
  const float normal = as_type<float>((low << 20) + 0x3c000000u);
  const float finite = low < 8u ? small : normal;
  const uint size = low == 0x7fu ? 0x7fc00000u : as_type<uint>(finite);
  return as_type<float>(size | ((bits & 0x80u) << 24));
}

// Of 5 bits of exponent and 2 of mantissa: the upper half of a half.
template <typename I>
inline float kk_e5m2(I code) {
  const uint bits = uint(code);
  const uint low = bits & 0x7fu;
  const float small = float(low) * 0.0000152587890625f;
  const float normal = as_type<float>((low << 21) + 0x38000000u);
  const float finite = low < 4u ? small : normal;
  const uint odd = low == 0x7cu ? 0x7f800000u : 0x7fc00000u;
  const uint size = low < 0x7cu ? as_type<uint>(finite) : odd;
  return as_type<float>(size | ((bits & 0x80u) << 24));
}

// Quantiles of the normal distribution (T. Dettmers and others, "QLoRA", 2023).
constant float kk_nf4_table[16] = {
    -1.0f,                 -0.6961928009986877f,  -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f,  0.16093020141124725f,  0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f,  0.5626170039176941f,   0.7229568362236023f,  1.0f};

inline float kk_nf4(uint code) { return kk_nf4_table[code & 15u]; }

inline float kk_int4(uint code) { return float(code); }

// Both codes of the bytes [from, to), by a table of all bytes: a load and a store for two elements.
template <typename O, typename P>
inline void kk_nf4_pairs(P x, device O* out, float scale, size_t from, size_t to) {
  kk_block<O, 2> pairs[256];
  for (uint code = 0; code < 256u; ++code) {
    pairs[code].v[0] = O(kk_nf4(code & 15u) * scale);
    pairs[code].v[1] = O(kk_nf4(code >> 4) * scale);
  }
  for (size_t i = from; i < to; ++i) kk_store_block(out, i, pairs[x[i]]);
}
