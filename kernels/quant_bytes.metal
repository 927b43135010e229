// Quantized matrices as bytes, for products with rows of x that are rounded to 8 bits. A format is a structure that stands at a row:
//
// - `bytes(c)` gives the 32 codes of chunk number c as bytes, in the order of `quant_products.metal`: first half, second half, or even
//   ones and odd ones. With `sign` they are signed, else at most `most`.
// - `halves(c)`, where `half` says that there are such, gives them as they lie there, half a byte each.
// - `four(c)` tells what they stand for: scale and offset of all, or, with `parts` of 2, those of the first sixteen, then those of the
//   others. `fours<N>(rows, c)` tells it of N rows.
// - `chunk` is how many bytes of a row belong to a chunk, rounded up.
#include "quant_ggml.metal"
#include "quant_products.metal"

template <int N>
inline kk_side_b<N> kk_bytes_cut(kk_side_b<N> b, int shift, uint mask) {
  for (int i = 0; i < N / 4; ++i) b.v[i] = b.v[i] >> shift & mask * 0x01010101u;
  return b;
}
// low | high << shift; bytes of `high` have so few bits that they stay within their own.
template <int N>
inline kk_side_b<N> kk_bytes_joined(kk_side_b<N> low, kk_side_b<N> high, int shift) {
  for (int i = 0; i < N / 4; ++i) low.v[i] |= high.v[i] << shift;
  return low;
}
// 128 less than before, as signed bytes.
template <int N>
inline kk_side_b<N> kk_bytes_signed(kk_side_b<N> b) {
  for (int i = 0; i < N / 4; ++i) b.v[i] ^= 0x80808080u;
  return b;
}
template <int N>
inline kk_side_b<2 * N> kk_bytes_both(kk_side_b<N> first, kk_side_b<N> second) {
  kk_side_b<2 * N> b;
  for (int i = 0; i < N / 4; ++i) {
    b.v[i] = first.v[i];
    b.v[N / 4 + i] = second.v[i];
  }
  return b;
}
// The lower four bits of each byte, then the upper ones.
template <int N>
inline kk_side_b<2 * N> kk_nibbles(kk_side_b<N> b) {
  return kk_bytes_both(kk_bytes_cut(b, 0, 15u), kk_bytes_cut(b, 4, 15u));
}
// Bits of a word, each a byte.
template <int N>
inline kk_side_b<N> kk_bytes_of_bits(uint word) {
  kk_side_b<N> b;
  for (int i = 0; i < N / 4; ++i) {
    b.v[i] = 0;
    for (int j = 0; j < 4; ++j) b.v[i] |= (word >> (4 * i + j) & 1u) << (8 * j);
  }
  return b;
}

// BYTES of memory that will be read soon, from p on: matters to a CPU only. Nothing need be there.
template <int BYTES, typename P>
inline void kk_soon(P) {}

template <int N>
inline kk_side_f<N> kk_four(float a, float b, float c, float d) {
  kk_side_f<N> x;
  x.v[0] = a;
  x.v[1] = b;
  x.v[2] = c;
  x.v[3] = d;
  return x;
}
// Two halves, and two numbers that nobody looks at. Eight bytes may be read.
template <int N, typename P>
inline kk_side_f<N> kk_four_at(P p) {
  return kk_four<N>(kk_half_at(p), kk_half_at(p + 2), 0.0f, 0.0f);
}

// What the codes of N rows of the matrix stand for, number by number.
template <int N>
struct kk_fours {
  float v[4][N];
};
template <int N>
inline kk_fours<N> kk_fours_turned(thread const kk_side_f<4>* rows) {
  kk_fours<N> all;
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < 4; ++j) all.v[j][i] = rows[i].v[j];
  return all;
}
template <int N, typename F>
inline kk_fours<N> kk_fours_each(thread const F* rows, size_t c) {
  kk_side_f<4> fours[N];
  for (int i = 0; i < N; ++i) fours[i] = rows[i].four(c);
  return kk_fours_turned<N>(fours);
}
// Rows whose chunks have, at `head(c)`, a half, the scale, of which the offset is a multiple; or two, scale and offset.
template <int N, typename F>
inline kk_fours<N> kk_fours_of_one(thread const F* rows, size_t c, float) { return kk_fours_each<N>(rows, c); }
template <int N, typename F>
inline kk_fours<N> kk_fours_of_two(thread const F* rows, size_t c) { return kk_fours_each<N>(rows, c); }

// Codes as half bytes, or as bytes.
template <bool HALF>
struct kk_packed {
  typedef kk_side_b<16> codes;
  template <typename F>
  static codes of(F row, size_t c) { return row.halves(c); }
};
template <>
struct kk_packed<false> {
  typedef kk_side_b<32> codes;
  template <typename F>
  static codes of(F row, size_t c) { return row.bytes(c); }
};

template <int BITS, bool MIN>
struct kk_ggml32_bytes {
  typedef kk_ggml32<BITS, MIN> F;
  static constant constexpr int parts = 1, most = BITS == 5 ? 31 : 15, chunk = F::bytes;
  static constant constexpr bool sign = false, pairs = false, half = BITS == 4;
  F at;
  kk_ggml32_bytes row(size_t n) const { return kk_ggml32_bytes{at.row(n)}; }
  kk_side_b<32> bytes(size_t c) const {
    const device uchar* p = at.w + c * F::bytes + (MIN ? 4 : 2);
    const kk_side_b<32> low = kk_nibbles(halves(c));
    if (BITS != 5) return low;
    const uint upper = uint(p[0]) | uint(p[1]) << 8 | uint(p[2]) << 16 | uint(p[3]) << 24;
    return kk_bytes_joined(low, kk_bytes_of_bits<32>(upper), 4);
  }
  kk_side_b<16> halves(size_t c) const {
    return kk_load_bytes<F::align>(at.w + c * F::bytes + (MIN ? 4 : 2) + (BITS == 5 ? 4 : 0), at.sure);
  }
  const device uchar* head(size_t c) const { return at.w + c * F::bytes; }
  template <int N>
  static kk_fours<N> fours(thread const kk_ggml32_bytes* rows, size_t c) {
    if (MIN) return kk_fours_of_two<N>(rows, c);
    return kk_fours_of_one<N>(rows, c, BITS == 5 ? -16.0f : -8.0f);
  }
  kk_side_f<4> four(size_t c) const {
    const device uchar* p = head(c);
    if (MIN) return kk_four_at<4>(p);
    const float d = kk_half_at(p);
    return kk_four<4>(d, d * (BITS == 5 ? -16.0f : -8.0f), 0.0f, 0.0f);
  }
};
struct kk_q8_0_bytes {
  static constant constexpr int parts = 1, most = 128, chunk = 34;
  static constant constexpr bool sign = true, pairs = false, half = false;
  kk_q8_0 at;
  kk_q8_0_bytes row(size_t n) const { return kk_q8_0_bytes{at.row(n)}; }
  kk_side_b<32> bytes(size_t c) const {
    const device uchar* p = at.w + c * 34 + 2;
    return kk_bytes_both(kk_load_bytes<2>(p, at.sure), kk_load_bytes<2>(p + 16, at.sure));
  }
  const device uchar* head(size_t c) const { return at.w + c * 34; }
  template <int N>
  static kk_fours<N> fours(thread const kk_q8_0_bytes* rows, size_t c) {
    return kk_fours_of_one<N>(rows, c, 0.0f);
  }
  kk_side_f<4> four(size_t c) const { return kk_four<4>(kk_half_at(head(c)), 0.0f, 0.0f, 0.0f); }
};
// Q4_K and Q5_K.
template <int BITS>
struct kk_ggml256_bytes {
  typedef kk_ggml256<BITS> F;
  static constant constexpr int parts = 1, most = BITS == 5 ? 31 : 15, chunk = F::bytes / 8;
  static constant constexpr bool sign = false, pairs = false, half = false;
  F at;
  kk_ggml256_bytes row(size_t n) const { return kk_ggml256_bytes{at.row(n)}; }
  kk_side_b<32> bytes(size_t c) const {
    const device uchar* p = at.w + c / 8 * F::bytes + 16;
    const int which = int(c % 8);
    const device uchar* q = p + (BITS == 5 ? 32 : 0) + which / 2 * 32;
    const kk_side_b<32> b = kk_bytes_both(kk_load_bytes<16>(q, at.sure), kk_load_bytes<16>(q + 16, at.sure));
    const kk_side_b<32> low = kk_bytes_cut(b, which % 2 * 4, 15u);
    if (BITS != 5) return low;
    const kk_side_b<32> high = kk_bytes_both(kk_load_bytes<16>(p, at.sure), kk_load_bytes<16>(p + 16, at.sure));
    return kk_bytes_joined(low, kk_bytes_cut(high, which, 1u), 4);
  }
  template <int N>
  static kk_fours<N> fours(thread const kk_ggml256_bytes* rows, size_t c) {
    return kk_fours_each<N>(rows, c);
  }
  kk_side_f<4> four(size_t c) const {
    const kk_scaled s = at.scale(c, 0);
    return kk_four<4>(s.scale, s.offset, 0.0f, 0.0f);
  }
};
struct kk_q6_k_bytes {
  static constant constexpr int parts = 2, most = 63, chunk = 27;
  static constant constexpr bool sign = false, pairs = false, half = false;
  kk_q6_k at;
  kk_q6_k_bytes row(size_t n) const { return kk_q6_k_bytes{at.row(n)}; }
  kk_side_b<32> bytes(size_t c) const {
    const device uchar* p = at.w + c / 8 * 210;
    const int part = int(c % 8) / 4, which = int(c % 4);
    const device uchar* l = p + part * 64 + which % 2 * 32;
    const device uchar* h = p + 128 + part * 32;
    const kk_side_b<32> low = kk_bytes_both(kk_load_bytes<2>(l, at.sure), kk_load_bytes<2>(l + 16, at.sure));
    const kk_side_b<32> high = kk_bytes_both(kk_load_bytes<2>(h, at.sure), kk_load_bytes<2>(h + 16, at.sure));
    return kk_bytes_joined(kk_bytes_cut(low, which / 2 * 4, 15u), kk_bytes_cut(high, which * 2, 3u), 4);
  }
  template <int N>
  static kk_fours<N> fours(thread const kk_q6_k_bytes* rows, size_t c) {
    return kk_fours_each<N>(rows, c);
  }
  kk_side_f<4> four(size_t c) const {
    const device uchar* p = at.w + c / 8 * 210;
    const float d = kk_half_at(p + 208);
    const float a = d * float(int8_t(p[192 + c % 8 * 2])), b = d * float(int8_t(p[193 + c % 8 * 2]));
    return kk_four<4>(a, -32.0f * a, b, -32.0f * b);
  }
};
// MLX, 4 and 8 bits.
template <int BITS, int GROUP, typename S>
struct kk_affine_bytes {
  typedef kk_affine<BITS, GROUP, S> F;
  static constant constexpr int parts = 1, most = BITS == 4 ? 15 : 128, chunk = 4 * BITS;
  static constant constexpr bool sign = BITS == 8, pairs = BITS == 4, half = BITS == 4;
  F at;
  kk_affine_bytes row(size_t n) const { return kk_affine_bytes{at.row(n)}; }
  kk_side_b<32> bytes(size_t c) const {
    const device uchar* p = at.w + c * (4 * BITS);
    const kk_side_b<16> b = halves(c);
    if (BITS == 4) return kk_nibbles(b);
    // The second half is not there with 4 bits, where nobody looks at it.
    return kk_bytes_signed(kk_bytes_both(b, kk_load_bytes<16>(p + (BITS == 4 ? 0 : 16), at.sure)));
  }
  kk_side_b<16> halves(size_t c) const { return kk_load_bytes<16>(at.w + c * (4 * BITS), at.sure); }
  template <int N>
  static kk_fours<N> fours(thread const kk_affine_bytes* rows, size_t c) {
    return kk_fours_each<N>(rows, c);
  }
  kk_side_f<4> four(size_t c) const {
    const kk_scaled s = at.scale(c, 0);
    return kk_four<4>(s.scale, BITS == 8 ? s.offset + 128.0f * s.scale : s.offset, 0.0f, 0.0f);
  }
};
