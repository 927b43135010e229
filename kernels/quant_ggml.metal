// Quantized matrices in ggml's blocks, as they lie in GGUF files: structures as in `quant_products.metal`.
#include "quant_products.metal"

// ggml: blocks of 32 codes. HEAD bytes of scale and, behind it, of what else there is; `kind` says what.
// Q4_0, Q4_1, Q5_0, Q5_1: four bits each, the first half in the lower ones; of five, the upper bits in a word of their own.
template <int BITS, bool MIN>
struct kk_ggml32 {
  static constant constexpr int parts = 1, align = MIN ? 4 : 2, bytes = 18 + (MIN ? 2 : 0) + (BITS == 5 ? 4 : 0);
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_ggml32 row(size_t n) const { return kk_ggml32{w + n * (chunks * bytes), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const device uchar* p = w + c * bytes + (MIN ? 4 : 2);
    const kk_side_b<16> b = kk_load_bytes<align>(p + (BITS == 5 ? 4 : 0), sure);
    kk_side_i<16> low = kk_of_bytes(b, 0, 15), high = kk_of_bytes(b, 4, 15);
    if (BITS == 5) {
      const uint upper = uint(p[0]) | uint(p[1]) << 8 | uint(p[2]) << 16 | uint(p[3]) << 24;
      low = kk_joined(low, kk_of_bits<16>(upper, 0), 4);
      high = kk_joined(high, kk_of_bits<16>(upper, 16), 4);
    }
    q[0] = kk_to_floats(low);
    q[1] = kk_to_floats(high);
  }
  kk_scaled scale(size_t c, int) const {
    const float d = kk_half_at(w + c * bytes);
    return kk_scaled{d, MIN ? kk_half_at(w + c * bytes + 2) : d * (BITS == 5 ? -16.0f : -8.0f)};
  }
};
// Q8_0: signed bytes.
struct kk_q8_0 {
  static constant constexpr int parts = 1;
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_q8_0 row(size_t n) const { return kk_q8_0{w + n * (chunks * 34), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    q[0] = kk_to_floats(kk_of_signed(kk_load_bytes<2>(w + c * 34 + 2, sure)));
    q[1] = kk_to_floats(kk_of_signed(kk_load_bytes<2>(w + c * 34 + 18, sure)));
  }
  kk_scaled scale(size_t c, int) const { return kk_scaled{kk_half_at(w + c * 34), 0.0f}; }
};

// ggml: blocks of 256 codes, eight chunks.
struct kk_q2_k {
  static constant constexpr int parts = 2;
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_q2_k row(size_t n) const { return kk_q2_k{w + n * (chunks / 8 * 84), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const device uchar* p = w + c / 8 * 84 + 16 + c % 8 / 4 * 32;
    const int shift = int(c % 4) * 2;
    q[0] = kk_to_floats(kk_of_bytes(kk_load_bytes<4>(p, sure), shift, 3));
    q[1] = kk_to_floats(kk_of_bytes(kk_load_bytes<4>(p + 16, sure), shift, 3));
  }
  kk_scaled scale(size_t c, int h) const {
    const device uchar* p = w + c / 8 * 84;
    const uint s = p[c % 8 * 2 + h];
    return kk_scaled{kk_half_at(p + 80) * float(s & 15u), -kk_half_at(p + 82) * float(s >> 4)};
  }
};
struct kk_q3_k {
  static constant constexpr int parts = 2;
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_q3_k row(size_t n) const { return kk_q3_k{w + n * (chunks / 8 * 110), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const device uchar* p = w + c / 8 * 110;
    const int at = int(c % 8), shift = at % 4 * 2;
    for (int h = 0; h < 2; ++h) {
      const kk_side_b<16> low = kk_load_bytes<2>(p + 32 + at / 4 * 32 + h * 16, sure);
      const kk_side_b<16> high = kk_load_bytes<2>(p + h * 16, sure);
      q[h] = kk_to_floats(kk_joined(kk_of_bytes(low, shift, 3), kk_of_bytes(high, at, 1), 2));
    }
  }
  kk_scaled scale(size_t c, int h) const {
    const device uchar* p = w + c / 8 * 110;
    const int group = int(c % 8) * 2 + h;
    const uint low = uint(p[96 + group % 8]) >> (group / 8 * 4) & 15u;
    const uint high = uint(p[104 + group % 4]) >> (group / 4 * 2) & 3u;
    const float d = kk_half_at(p + 108) * float(int(low | high << 4) - 32);
    return kk_scaled{d, -4.0f * d};
  }
};
// The six bits of the scale and of the minimum of group g, of twelve bytes for eight groups.
template <typename P>
inline kk_scaled kk_six_bits(P p, float d, float min, int g) {
  const uint last = p[g + 4], first = p[g % 4];
  const uint middle = p[g % 4 + 4];
  const uint s = g < 4 ? first & 63u : (last & 15u) | first >> 6 << 4;
  const uint m = g < 4 ? middle & 63u : last >> 4 | middle >> 6 << 4;
  return kk_scaled{d * float(s), -min * float(m)};
}
// Q4_K and Q5_K.
template <int BITS>
struct kk_ggml256 {
  static constant constexpr int parts = 1, bytes = BITS == 5 ? 176 : 144;
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_ggml256 row(size_t n) const { return kk_ggml256{w + n * (chunks / 8 * bytes), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const device uchar* p = w + c / 8 * bytes + 16;
    const int at = int(c % 8);
    for (int h = 0; h < 2; ++h) {
      const kk_side_b<16> b = kk_load_bytes<16>(p + (BITS == 5 ? 32 : 0) + at / 2 * 32 + h * 16, sure);
      kk_side_i<16> x = kk_of_bytes(b, at % 2 * 4, 15);
      if (BITS == 5) x = kk_joined(x, kk_of_bytes(kk_load_bytes<16>(p + h * 16, sure), at, 1), 4);
      q[h] = kk_to_floats(x);
    }
  }
  kk_scaled scale(size_t c, int) const {
    const device uchar* p = w + c / 8 * bytes;
    return kk_six_bits(p + 4, kk_half_at(p), kk_half_at(p + 2), int(c % 8));
  }
};
struct kk_q6_k {
  static constant constexpr int parts = 2;
  const device uchar* w;
  size_t chunks;
  bool sure;
  kk_q6_k row(size_t n) const { return kk_q6_k{w + n * (chunks / 8 * 210), chunks, sure}; }
  static constant constexpr bool pairs = false;
  void codes(size_t c, thread kk_side_f<16>* q) const {
    const device uchar* p = w + c / 8 * 210;
    const int part = int(c % 8) / 4, at = int(c % 4);
    for (int h = 0; h < 2; ++h) {
      const kk_side_b<16> low = kk_load_bytes<2>(p + part * 64 + at % 2 * 32 + h * 16, sure);
      const kk_side_b<16> high = kk_load_bytes<2>(p + 128 + part * 32 + h * 16, sure);
      q[h] = kk_to_floats(kk_joined(kk_of_bytes(low, at / 2 * 4, 15), kk_of_bytes(high, at * 2, 3), 4));
    }
  }
  kk_scaled scale(size_t c, int h) const {
    const device uchar* p = w + c / 8 * 210;
    const float d = kk_half_at(p + 208) * float(int8_t(p[192 + c % 8 * 2 + h]));
    return kk_scaled{d, -32.0f * d};
  }
};
