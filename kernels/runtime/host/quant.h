// Sixteen numbers side by side as vectors, for the catalog's quantized products (`kernels/quant_products.metal`, whose functions have
// the same names). g++ takes loops of sixteen apart instead of making vectors of them.
#pragma once
#include "floats.h"

#if defined(__x86_64__) && defined(__AVX2__) && defined(__FMA__) && defined(__GNUC__) && !defined(__clang__) && !defined(ZMLX_CHECKED)
template <int N> struct kk_side_f;
template <int N> struct kk_side_i;
template <int N> struct kk_side_b;
namespace zmlx {
typedef uint8_t side_b __attribute__((vector_size(16)));
typedef int8_t side_c __attribute__((vector_size(16)));
typedef float floats8 __attribute__((vector_size(32)));
typedef int ints8 __attribute__((vector_size(32)));
typedef uint32_t uints8 __attribute__((vector_size(32)));
#if defined(__AVX512F__)
typedef float side_f __attribute__((vector_size(64)));
typedef int side_i __attribute__((vector_size(64)));
typedef uint32_t side_u __attribute__((vector_size(64)));
// What `f` makes of vectors.
template <class F, class... V> ZMLX_FN auto side_each(F f, V... v) { return f(v...); }
template <class V> ZMLX_FN floats8 side_low(V v) { return __builtin_shufflevector((side_f)v, (side_f)v, 0, 1, 2, 3, 4, 5, 6, 7); }
template <class V> ZMLX_FN floats8 side_high(V v) { return __builtin_shufflevector((side_f)v, (side_f)v, 8, 9, 10, 11, 12, 13, 14, 15); }
#else
// Vectors that the processor has; of others g++ makes single numbers.
template <class V> struct side_two {
  V low, high;
  auto& operator[](int i) { return ((remove_cvref_t<decltype(V()[0])>*)this)[i]; }
};
typedef side_two<floats8> side_f;
typedef side_two<ints8> side_i;
typedef side_two<uints8> side_u;
template <class F, class... V> ZMLX_FN auto side_each(F f, V... v) {
  return side_two<decltype(f(v.low...))>{f(v.low...), f(v.high...)};
}
ZMLX_FN floats8 side_low(side_f v) { return v.low; }
ZMLX_FN floats8 side_high(side_f v) { return v.high; }
#endif
}  // namespace zmlx
template <> struct kk_side_f<16> { zmlx::side_f v; };
template <> struct kk_side_i<16> { zmlx::side_i v; };
template <> struct kk_side_b<16> { zmlx::side_b v; };

namespace zmlx {
template <class P> concept side_bytes = is_same_v<remove_cv_t<remove_reference_t<decltype(*P())>>, uint8_t>;
template <class T> ZMLX_FN side_i of_bytes(T bytes) {
  typedef char side_q __attribute__((vector_size(16)));
#if defined(__AVX512F__)
  if constexpr (is_same_v<T, side_b>) return (side_i)__builtin_ia32_pmovzxbd512_mask((side_q)bytes, side_i{}, -1);
  else return (side_i)__builtin_ia32_pmovsxbd512_mask((side_q)bytes, side_i{}, -1);
#else
  const side_q low = (side_q)bytes;
  const side_q high = __builtin_shuffle(low, side_q{8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15});
  if constexpr (is_same_v<T, side_b>) return {__builtin_ia32_pmovzxbd256(low), __builtin_ia32_pmovzxbd256(high)};
  else return {__builtin_ia32_pmovsxbd256(low), __builtin_ia32_pmovsxbd256(high)};
#endif
}
ZMLX_FN side_f side_mad(side_f x, side_f y, side_f z) {
#if defined(__AVX512F__)
  return __builtin_ia32_vfmaddps512_mask(x, y, z, -1, 4);
#else
  return side_each([](floats8 a, floats8 b, floats8 c) { return __builtin_ia32_vfmaddps256(a, b, c); }, x, y, z);
#endif
}
#if defined(__AVX512F__)
ZMLX_FN side_f side_of(const float* p) { return load_vector<side_f>(p); }
ZMLX_FN void side_to(float* p, side_f x) { __builtin_memcpy(p, &x, 64); }
ZMLX_FN side_f side_all(float x) { return x - side_f{}; }
#else
ZMLX_FN side_f side_of(const float* p) { return {load_vector<floats8>(p), load_vector<floats8>(p + 8)}; }
ZMLX_FN void side_to(float* p, side_f x) {
  __builtin_memcpy(p, &x.low, 32);
  __builtin_memcpy(p + 8, &x.high, 32);
}
ZMLX_FN side_f side_all(float x) { return {x - floats8{}, x - floats8{}}; }
#endif
template <int STEP> ZMLX_FN side_u side_steps() {
#if defined(__AVX512F__)
  return side_u{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} * STEP;
#else
  return {uints8{0, 1, 2, 3, 4, 5, 6, 7} * STEP, uints8{8, 9, 10, 11, 12, 13, 14, 15} * STEP};
#endif
}
#ifdef ZMLX_WIDE_FLOATS
template <class T> ZMLX_FN side_f side_of(const T* p) {
#if ZMLX_WIDE_FLOATS == 16
  return widened(load_vector<vshort>(p), T());
#else
  return {widened(load_vector<vshort>(p), T()), widened(load_vector<vshort>(p + 8), T())};
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
  return {zmlx::side_each([&](auto v) { return (v >> shift) & mask; }, zmlx::of_bytes(b.v))};
}
ZMLX_FN kk_side_i<16> kk_of_signed(kk_side_b<16> b) { return {zmlx::of_bytes((zmlx::side_c)b.v)}; }
template <int N> requires(N == 16)
ZMLX_FN kk_side_i<16> kk_of_bits(uint32_t word, int first) {
  const auto bit = [&](auto each) { return (decltype(each > each))(((word >> first) - decltype(each){}) >> each & 1u); };
  return {zmlx::side_each(bit, zmlx::side_steps<1>())};
}
template <int BITS> requires(BITS > 0)
ZMLX_FN kk_side_i<16> kk_of_fours(metal::uint4 w) {
  constexpr int b = BITS;
  const uint32_t x = w[0], y = w[1], z = w[2], t = w[3];
  const auto of = [](auto all, auto each) { return (decltype(all > all))(all >> each & ((1u << BITS) - 1u)); };
#if defined(__AVX512F__)
  const zmlx::side_u each = {0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b};
  const zmlx::side_u all = {x, x, x, x, y, y, y, y, z, z, z, z, t, t, t, t};
  return {of(all, each)};
#else
  const zmlx::uints8 each = {0, b, 2 * b, 3 * b, 0, b, 2 * b, 3 * b};
  return {{of(zmlx::uints8{x, x, x, x, y, y, y, y}, each), of(zmlx::uints8{z, z, z, z, t, t, t, t}, each)}};
#endif
}
ZMLX_FN kk_side_i<16> kk_joined(kk_side_i<16> low, kk_side_i<16> high, int shift) {
  return {zmlx::side_each([&](auto a, auto b) { return a | b << shift; }, low.v, high.v)};
}
namespace zmlx {
ZMLX_FN floats8 side_converted(ints8 v) { return __builtin_convertvector(v, floats8); }
#if defined(__AVX512F__)
ZMLX_FN side_f side_converted(side_i v) { return __builtin_convertvector(v, side_f); }
#endif
}
ZMLX_FN kk_side_f<16> kk_to_floats(kk_side_i<16> x) {
  return {zmlx::side_each([](auto v) { return zmlx::side_converted(v); }, x.v)};
}
ZMLX_FN kk_side_f<16> kk_twice_e2m1(kk_side_i<16> x) {
  const auto number = [](auto v) {
    const auto size = v & 7, four = size - 4, six = size - 6;
    const auto twice = size + (four > 0 ? four : v - v) + 2 * (six > 0 ? six : v - v);
    return zmlx::side_converted((v & 8) != 0 ? -twice : twice);
  };
  return {zmlx::side_each(number, x.v)};
}
ZMLX_FN kk_side_f<16> kk_e4m3_side(kk_side_i<16> x) {
  const auto number = [](auto v) {
    const auto low = v & 0x7f;
    const auto small = zmlx::side_converted(low) * 0.001953125f;
    auto bits = low < 8 ? (decltype(low < 8))small : (low << 20) + 0x3c000000;
    bits = low == 0x7f ? v - v + 0x7fc00000 : bits;
    return (decltype(zmlx::side_converted(v)))(bits | (v & 0x80) << 24);
  };
  return {zmlx::side_each(number, x.v)};
}
template <int N> requires(N == 16) ZMLX_FN kk_side_f<N> kk_side_all(float x) { return {zmlx::side_all(x)}; }
template <int N, typename P> requires(N == 16) ZMLX_FN kk_side_f<N> kk_side_load(P p) { return {zmlx::side_of(&*p)}; }
template <typename P> ZMLX_FN void kk_side_store(P p, kk_side_f<16> x) { zmlx::side_to(&*p, x.v); }
ZMLX_FN kk_side_f<16> kk_side_fma(kk_side_f<16> x, kk_side_f<16> y, kk_side_f<16> z) { return {zmlx::side_mad(x.v, y.v, z.v)}; }
ZMLX_FN kk_side_f<16> kk_side_plus(kk_side_f<16> x, kk_side_f<16> y) {
  return {zmlx::side_each([](auto a, auto b) { return a + b; }, x.v, y.v)};
}
ZMLX_FN float kk_side_sum(kk_side_f<16> x) {
  // Shuffles of whole vectors: a look at parts of one in memory would keep it there all the time.
  const zmlx::ints8 each = {0, 1, 2, 3, 4, 5, 6, 7};
  zmlx::floats8 v = zmlx::side_low(x.v) + zmlx::side_high(x.v);
  v += __builtin_shuffle(v, each ^ 4);
  v += __builtin_shuffle(v, each ^ 2);
  return v[0] + v[1];
}
ZMLX_FN float kk_side_dot(kk_side_f<16> x, kk_side_f<16> y) {
  return kk_side_sum({zmlx::side_each([](auto a, auto b) { return a * b; }, x.v, y.v)});
}
template <typename P> requires(sizeof(*P()) <= 4)
ZMLX_FN void kk_chunk_of(P x, size_t c, kk_side_f<16>* v) {
  v[0].v = zmlx::side_of(&x[c * 32]);
  v[1].v = zmlx::side_of(&x[c * 32 + 16]);
}
ZMLX_FN void kk_split_pairs(kk_side_f<16>* v) {
#if defined(__AVX512F__)
  const zmlx::side_i even = {0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = __builtin_shuffle(a, b, even);
  v[1].v = __builtin_shuffle(a, b, even + 1);
#else
  const zmlx::ints8 even = {0, 2, 4, 6, 8, 10, 12, 14};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = {__builtin_shuffle(a.low, a.high, even), __builtin_shuffle(b.low, b.high, even)};
  v[1].v = {__builtin_shuffle(a.low, a.high, even + 1), __builtin_shuffle(b.low, b.high, even + 1)};
#endif
}
ZMLX_FN void kk_join_pairs(kk_side_f<16>* v) {
#if defined(__AVX512F__)
  const zmlx::side_i first = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = __builtin_shuffle(a, b, first);
  v[1].v = __builtin_shuffle(a, b, first + 8);
#else
  const zmlx::ints8 first = {0, 8, 1, 9, 2, 10, 3, 11};
  const zmlx::side_f a = v[0].v, b = v[1].v;
  v[0].v = {__builtin_shuffle(a.low, b.low, first), __builtin_shuffle(a.low, b.low, first + 4)};
  v[1].v = {__builtin_shuffle(a.high, b.high, first), __builtin_shuffle(a.high, b.high, first + 4)};
#endif
}
#endif
