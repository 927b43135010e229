// Sixteen numbers side by side as vectors, for the catalog's quantized products (`kernels/quant_products.metal`, whose functions have
// the same names). g++ takes loops of sixteen apart instead of making vectors of them.
#pragma once
#include "floats.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__GNUC__) && !defined(__clang__) && !defined(ZMLX_CHECKED)
template <int N> struct kk_side_f;
template <int N> struct kk_side_i;
template <int N> struct kk_side_b;
namespace zmlx {
typedef float side_f __attribute__((vector_size(64)));
typedef int side_i __attribute__((vector_size(64)));
typedef uint32_t side_u __attribute__((vector_size(64)));
typedef uint8_t side_b __attribute__((vector_size(16)));
typedef int8_t side_c __attribute__((vector_size(16)));
typedef short side_h __attribute__((vector_size(32)));
}  // namespace zmlx
template <> struct kk_side_f<16> { zmlx::side_f v; };
template <> struct kk_side_i<16> { zmlx::side_i v; };
template <> struct kk_side_b<16> { zmlx::side_b v; };

namespace zmlx {
template <class P> concept side_bytes = is_same_v<remove_cv_t<remove_reference_t<decltype(*P())>>, uint8_t>;
template <class T> ZMLX_FN side_i of_bytes(T bytes) {
#if defined(__AVX512F__)
  typedef char side_q __attribute__((vector_size(16)));
  if constexpr (is_same_v<T, side_b>) return (side_i)__builtin_ia32_pmovzxbd512_mask((side_q)bytes, side_i{}, -1);
  else return (side_i)__builtin_ia32_pmovsxbd512_mask((side_q)bytes, side_i{}, -1);
#else
  return __builtin_convertvector(bytes, side_i);
#endif
}
ZMLX_FN side_f side_mad(side_f x, side_f y, side_f z) {
#if defined(__AVX512F__)
  return __builtin_ia32_vfmaddps512_mask(x, y, z, -1, 4);
#else
  // Rounded twice, which the sums do not mind.
  return x * y + z;
#endif
}
ZMLX_FN side_f side_of(const float* p) { return load_vector<side_f>(p); }
#ifdef ZMLX_WIDE_FLOATS
template <class T> ZMLX_FN side_f side_of(const T* p) {
#if ZMLX_WIDE_FLOATS == 16
  return widened(load_vector<vshort>(p), T());
#else
  side_f f;
  const vfloat low = widened(load_vector<vshort>(p), T()), high = widened(load_vector<vshort>(p + 8), T());
  __builtin_memcpy(&f, &low, 32);
  __builtin_memcpy((char*)&f + 32, &high, 32);
  return f;
#endif
}
#endif
ZMLX_FN float side_half(uint16_t h) {
#ifdef __F16C__
  typedef short eight __attribute__((vector_size(16)));
  return __builtin_ia32_vcvtph2ps(eight{short(h)})[0];
#else
  return half_to_float(h);
#endif
}
}  // namespace zmlx

template <typename P> requires zmlx::side_bytes<P>
ZMLX_FN float kk_half_at(P p) { return zmlx::side_half(zmlx::load_vector<uint16_t>(&*p)); }
ZMLX_FN float kk_scale_of(half x) { return zmlx::side_half(zmlx::bits<uint16_t>(x)); }
template <int ALIGN, typename P> requires zmlx::side_bytes<P>
ZMLX_FN kk_side_b<16> kk_load_bytes(P p, bool) {
  return {zmlx::load_vector<zmlx::side_b>(&*p)};
}
ZMLX_FN kk_side_i<16> kk_of_bytes(kk_side_b<16> b, int shift, int mask) {
  return {(zmlx::of_bytes(b.v) >> shift) & mask};
}
ZMLX_FN kk_side_i<16> kk_of_signed(kk_side_b<16> b) { return {zmlx::of_bytes((zmlx::side_c)b.v)}; }
template <int N> requires(N == 16)
ZMLX_FN kk_side_i<16> kk_of_bits(uint32_t word, int first) {
  const zmlx::side_u each = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return {(zmlx::side_i)((word >> first) - zmlx::side_u{} >> each) & 1};
}
template <int BITS> requires(BITS > 0)
ZMLX_FN kk_side_i<16> kk_of_fours(metal::uint4 w) {
  constexpr int b = BITS;
  const zmlx::side_u each = {0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b};
  const uint32_t x = w[0], y = w[1], z = w[2], t = w[3];
  const zmlx::side_u all = {x, x, x, x, y, y, y, y, z, z, z, z, t, t, t, t};
  return {(zmlx::side_i)(all >> each) & ((1 << b) - 1)};
}
ZMLX_FN kk_side_i<16> kk_joined(kk_side_i<16> low, kk_side_i<16> high, int shift) { return {low.v | high.v << shift}; }
ZMLX_FN kk_side_f<16> kk_to_floats(kk_side_i<16> x) { return {__builtin_convertvector(x.v, zmlx::side_f)}; }
ZMLX_FN kk_side_f<16> kk_twice_e2m1(kk_side_i<16> x) {
  const zmlx::side_i size = x.v & 7, four = size - 4, six = size - 6;
  const zmlx::side_i twice = size + (four > 0 ? four : zmlx::side_i{}) + 2 * (six > 0 ? six : zmlx::side_i{});
  return {__builtin_convertvector((x.v & 8) != 0 ? -twice : twice, zmlx::side_f)};
}
ZMLX_FN kk_side_f<16> kk_e4m3_side(kk_side_i<16> x) {
  const zmlx::side_i low = x.v & 0x7f;
  const zmlx::side_f small = __builtin_convertvector(low, zmlx::side_f) * 0.001953125f;
  zmlx::side_i bits = low < 8 ? (zmlx::side_i)small : (low << 20) + 0x3c000000;
  bits = low == 0x7f ? zmlx::side_i{} + 0x7fc00000 : bits;
  return {(zmlx::side_f)(bits | (x.v & 0x80) << 24)};
}
template <int N> requires(N == 16) ZMLX_FN kk_side_f<N> kk_side_all(float x) { return {x - zmlx::side_f{}}; }
template <int N, typename P> requires(N == 16) ZMLX_FN kk_side_f<N> kk_side_load(P p) { return {zmlx::side_of(&*p)}; }
template <typename P> ZMLX_FN void kk_side_store(P p, kk_side_f<16> x) { __builtin_memcpy(&*p, &x.v, sizeof(x.v)); }
ZMLX_FN kk_side_f<16> kk_side_fma(kk_side_f<16> x, kk_side_f<16> y, kk_side_f<16> z) { return {zmlx::side_mad(x.v, y.v, z.v)}; }
ZMLX_FN kk_side_f<16> kk_side_plus(kk_side_f<16> x, kk_side_f<16> y) { return {x.v + y.v}; }
ZMLX_FN float kk_side_sum(kk_side_f<16> x) {
  // Shuffles of whole vectors: a look at parts of one in memory would keep it there all the time.
  const zmlx::side_i each = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  zmlx::side_f v = x.v;
  v += __builtin_shuffle(v, each ^ 8);
  v += __builtin_shuffle(v, each ^ 4);
  v += __builtin_shuffle(v, each ^ 2);
  return v[0] + v[1];
}
ZMLX_FN float kk_side_dot(kk_side_f<16> x, kk_side_f<16> y) { return kk_side_sum({x.v * y.v}); }
template <typename P> requires(sizeof(*P()) <= 4)
ZMLX_FN void kk_chunk_of(P x, size_t c, kk_side_f<16>* v) {
  v[0].v = zmlx::side_of(&x[c * 32]);
  v[1].v = zmlx::side_of(&x[c * 32 + 16]);
}
ZMLX_FN void kk_split_pairs(kk_side_f<16>* v) {
  const zmlx::side_i even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = __builtin_shuffle(a, b, even);
  v[1].v = __builtin_shuffle(a, b, even + 1);
}
ZMLX_FN void kk_join_pairs(kk_side_f<16>* v) {
  const zmlx::side_i first = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = __builtin_shuffle(a, b, first);
  v[1].v = __builtin_shuffle(a, b, first + 8);
}
#endif
