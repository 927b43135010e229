#include "quant.metal"
// Quantized matrices: how rows of codes become floats. A format is a structure that stands at a row of a matrix:
//
// - `codes(c, q)` gives 32 neighbouring codes of the row, chunk number c, as floats: `q[0]` and `q[1]`, sixteen each, the first half
//   and the second one; with `pairs` the even ones and the odd ones.
// - `scale(c, h)` tells what the codes in `q[h]` stand for: `scale * code + offset`. With `parts` of 1 both halves have the same.
// - `row(n)` is the same structure, n rows further on.
//
// A row is a whole number of chunks. The layouts here are MLX's; `quant_ggml.metal` has those of ggml's blocks.

// Sixteen numbers side by side. The CPU's runtime has vectors for them, and functions of these names for those
// (`runtime/host/quant.h`).
template <int N>
struct kk_side_f {
  float v[N];
};
template <int N>
struct kk_side_i {
  int v[N];
};
template <int N>
struct kk_side_b {
  uint v[N / 4];
};

// 16 bytes from an address that is a multiple of ALIGN, if `sure`.
template <int ALIGN, typename P>
inline kk_side_b<16> kk_load_bytes(P p, bool sure) {
  kk_side_b<16> b;
  if (ALIGN >= 16 && sure) {
    // A block, as vectors may lie anywhere.
    const kk_block<uint, 4> all = *reinterpret_cast<const device kk_block<uint, 4>*>(p);
    for (int i = 0; i < 4; ++i) b.v[i] = all.v[i];
  } else if (ALIGN >= 4 && sure) {
    for (int i = 0; i < 4; ++i) b.v[i] = reinterpret_cast<const device uint*>(p)[i];
  } else if (ALIGN >= 2 && sure) {
    const device ushort* q = reinterpret_cast<const device ushort*>(p);
    for (int i = 0; i < 4; ++i) b.v[i] = uint(q[2 * i]) | uint(q[2 * i + 1]) << 16;
  } else {
    for (int i = 0; i < 4; ++i)
      b.v[i] = uint(p[4 * i]) | uint(p[4 * i + 1]) << 8 | uint(p[4 * i + 2]) << 16 | uint(p[4 * i + 3]) << 24;
  }
  return b;
}

// The bits `mask` of each byte, from bit `shift` on.
template <int N>
inline kk_side_i<N> kk_of_bytes(kk_side_b<N> b, int shift, int mask) {
  kk_side_i<N> x;
  for (int j = 0; j < N; ++j) x.v[j] = int(b.v[j / 4] >> (8 * (j % 4) + shift)) & mask;
  return x;
}
// Signed bytes.
template <int N>
inline kk_side_i<N> kk_of_signed(kk_side_b<N> b) {
  kk_side_i<N> x;
  for (int j = 0; j < N; ++j) x.v[j] = int(b.v[j / 4] << (24 - 8 * (j % 4))) >> 24;
  return x;
}
// Bits of a word, from bit `first` on, one each.
template <int N>
inline kk_side_i<N> kk_of_bits(uint word, int first) {
  kk_side_i<N> x;
  for (int j = 0; j < N; ++j) x.v[j] = int(word >> (first + j)) & 1;
  return x;
}
// Four neighbours of BITS bits from each of four words.
template <int BITS>
inline kk_side_i<16> kk_of_fours(metal::uint4 w) {
  kk_side_i<16> x;
  for (int j = 0; j < 16; ++j) x.v[j] = int(w[j / 4] >> (BITS * (j % 4))) & ((1 << BITS) - 1);
  return x;
}
// low | high << shift
template <int N>
inline kk_side_i<N> kk_joined(kk_side_i<N> low, kk_side_i<N> high, int shift) {
  for (int j = 0; j < N; ++j) low.v[j] |= high.v[j] << shift;
  return low;
}
template <int N>
inline kk_side_f<N> kk_to_floats(kk_side_i<N> x) {
  kk_side_f<N> y;
  // Codes are below 2^22 in size. This is sooner done than a conversion.
  for (int j = 0; j < N; ++j) y.v[j] = as_type<float>(uint(x.v[j]) + 0x4b400000u) - 12582912.0f;
  return y;
}
// Floats of 4 bits, one of them mantissa, times two: 0 1 2 3 4 6 8 12, bit 3 is the sign.
template <int N>
inline kk_side_f<N> kk_twice_e2m1(kk_side_i<N> x) {
  for (int j = 0; j < N; ++j) {
    const int size = x.v[j] & 7;
    const int twice = size + metal::max(size - 4, 0) + 2 * metal::max(size - 6, 0);
    x.v[j] = (x.v[j] & 8) != 0 ? -twice : twice;
  }
  return kk_to_floats(x);
}
template <int N>
inline kk_side_f<N> kk_e4m3_side(kk_side_i<N> x) {
  kk_side_f<N> y;
  for (int j = 0; j < N; ++j) y.v[j] = kk_e4m3(x.v[j]);
  return y;
}
template <int N>
inline kk_side_f<N> kk_side_all(float x) {
  kk_side_f<N> y;
  for (int j = 0; j < N; ++j) y.v[j] = x;
  return y;
}
template <int N, typename P>
inline kk_side_f<N> kk_side_load(P p) {
  kk_side_f<N> y;
  for (int j = 0; j < N; ++j) y.v[j] = float(p[j]);
  return y;
}
template <int N, typename P>
inline void kk_side_store(P p, kk_side_f<N> x) {
  for (int j = 0; j < N; ++j) p[j] = x.v[j];
}
// x y + z
template <int N>
inline kk_side_f<N> kk_side_fma(kk_side_f<N> x, kk_side_f<N> y, kk_side_f<N> z) {
  for (int j = 0; j < N; ++j) z.v[j] = metal::fma(x.v[j], y.v[j], z.v[j]);
  return z;
}
template <int N>
inline kk_side_f<N> kk_side_plus(kk_side_f<N> x, kk_side_f<N> y) {
  for (int j = 0; j < N; ++j) x.v[j] += y.v[j];
  return x;
}
template <int N>
inline float kk_side_dot(kk_side_f<N> x, kk_side_f<N> y) {
  float even = 0.0f, odd = 0.0f;
  for (int j = 0; j < N; j += 2) {
    even = metal::fma(x.v[j], y.v[j], even);
    odd = metal::fma(x.v[j + 1], y.v[j + 1], odd);
  }
  return even + odd;
}
template <int N>
inline float kk_side_sum(kk_side_f<N> x) {
  float all = 0.0f;
  for (int j = 0; j < N; ++j) all += x.v[j];
  return all;
}

struct kk_scaled {
  float scale, offset;
};

// The number whose bits are two bytes.
template <typename P>
inline float kk_half_at(P p) {
  return float(as_type<half>(ushort(uint(p[0]) | uint(p[1]) << 8)));
}
template <typename T>
inline float kk_scale_of(T x) {
  return float(x);
}
// 2^(x - 127); 255 would be NaN.
inline float kk_e8m0(uint x) {
  const float power = as_type<float>(x == 0u ? 0x00400000u : x << 23);
  return x == 255u ? NAN : power;
}

// 32 codes of BITS bits of a stream of words, low bits first.
template <int BITS, typename P>
inline void kk_in_order(P p, bool sure, thread kk_side_i<16>* x) {
  uint w[BITS];
  if (sure) {
    for (int i = 0; i < BITS; ++i) w[i] = reinterpret_cast<const device uint*>(p)[i];
  } else {
    for (int i = 0; i < BITS; ++i)
      w[i] = uint(p[4 * i]) | uint(p[4 * i + 1]) << 8 | uint(p[4 * i + 2]) << 16 | uint(p[4 * i + 3]) << 24;
  }
  for (int h = 0; h < 2; ++h) {
    metal::uint4 fours;
    for (int g = 0; g < 4; ++g) {
      const int bit = (4 * h + g) * 4 * BITS, at = bit / 32, shift = bit % 32;
      uint word = w[at] >> shift;
      if (shift + 4 * BITS > 32) word |= w[at + 1] << (32 - shift);
      fours[g] = word;
    }
    x[h] = kk_of_fours<BITS>(fours);
  }
}

// The same as floats; of 4 bits, even ones come before odd ones.
template <int BITS, typename P>
inline void kk_stream(P p, bool sure, thread kk_side_f<16>* q) {
  if (BITS == 4) {
    const kk_side_b<16> b = kk_load_bytes<16>(p, sure);
    q[0] = kk_to_floats(kk_of_bytes(b, 0, 15));
    q[1] = kk_to_floats(kk_of_bytes(b, 4, 15));
  } else if (BITS == 8) {
    q[0] = kk_to_floats(kk_of_bytes(kk_load_bytes<16>(p, sure), 0, 255));
    q[1] = kk_to_floats(kk_of_bytes(kk_load_bytes<16>(p + 16, sure), 0, 255));
  } else {
    kk_side_i<16> x[2];
    kk_in_order<BITS>(p, sure, x);
    q[0] = kk_to_floats(x[0]);
    q[1] = kk_to_floats(x[1]);
  }
}

// MLX: BITS bits a code in a stream of words, low bits first; scale and offset for GROUP codes of a row.
template <int BITS, int GROUP, typename S>
struct kk_affine {
  static constant constexpr int parts = 1;
  const device uchar* w;
  const device S* scales;
  const device S* biases;
  size_t chunks;
  bool sure;
  kk_affine row(size_t n) const {
    const size_t groups = chunks * 32 / GROUP;
    return kk_affine{w + n * (chunks * (4 * BITS)), scales + n * groups, biases + n * groups, chunks, sure};
  }
  static constant constexpr bool pairs = BITS == 4;
  void codes(size_t c, thread kk_side_f<16>* q) const { kk_stream<BITS>(w + c * (4 * BITS), sure, q); }
  kk_scaled scale(size_t c, int) const {
    const size_t g = c / (GROUP / 32);
    return kk_scaled{kk_scale_of(scales[g]), kk_scale_of(biases[g])};
  }
};

// Floats of 4 bits, a power of two for 32 of them.
struct kk_mxfp4 {
  static constant constexpr int parts = 1;
  const device uchar* w;
  const device uchar* scales;
  size_t chunks;
  bool sure;
  kk_mxfp4 row(size_t n) const { return kk_mxfp4{w + n * (chunks * 16), scales + n * chunks, chunks, sure}; }
  static constant constexpr bool pairs = true;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const kk_side_b<16> b = kk_load_bytes<16>(w + c * 16, sure);
    q[0] = kk_twice_e2m1(kk_of_bytes(b, 0, 15));
    q[1] = kk_twice_e2m1(kk_of_bytes(b, 4, 15));
  }
  kk_scaled scale(size_t c, int) const { return kk_scaled{0.5f * kk_e8m0(scales[c]), 0.0f}; }
};
// Floats of 8 bits, a power of two for 32 of them.
struct kk_mxfp8 {
  static constant constexpr int parts = 1;
  const device uchar* w;
  const device uchar* scales;
  size_t chunks;
  bool sure;
  kk_mxfp8 row(size_t n) const { return kk_mxfp8{w + n * (chunks * 32), scales + n * chunks, chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    q[0] = kk_e4m3_side(kk_of_bytes(kk_load_bytes<16>(w + c * 32, sure), 0, 255));
    q[1] = kk_e4m3_side(kk_of_bytes(kk_load_bytes<16>(w + c * 32 + 16, sure), 0, 255));
  }
  kk_scaled scale(size_t c, int) const { return kk_scaled{kk_e8m0(scales[c]), 0.0f}; }
};
// Floats of 4 bits, a float of 8 bits for 16 of them, and a scale of all.
struct kk_nvfp4 {
  static constant constexpr int parts = 2;
  const device uchar* w;
  const device uchar* scales;
  float all;
  size_t chunks;
  bool sure;
  kk_nvfp4 row(size_t n) const {
    return kk_nvfp4{w + n * (chunks * 16), scales + n * (chunks * 2), all, chunks, sure};
  }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    kk_side_i<16> x[2];
    kk_in_order<4>(w + c * 16, sure, x);
    q[0] = kk_twice_e2m1(x[0]);
    q[1] = kk_twice_e2m1(x[1]);
  }
  kk_scaled scale(size_t c, int h) const { return kk_scaled{0.5f * all * kk_e4m3(scales[c * 2 + h]), 0.0f}; }
};
