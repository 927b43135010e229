// Integer functions against their definitions, packing, limits, traits, complex numbers and
// MLX's indexing helpers.
#include "check.h"
#define ZMLX_MODE_PLAIN 1
#define ZMLX_MATH_SAFE 1
#include "zmlx_host.h"

template <class T> static void integers() {
  const int W = 8 * sizeof(T);
  typedef metal::make_unsigned_t<T> U;
  for (int n = 0; n < 20000; ++n) {
    uint64_t r = (uint64_t)next_random() << 32 | next_random(), q = (uint64_t)next_random() << 32 | next_random();
    if (n % 3 == 0) r >>= next_random() % 64;
    T a = T(r), b = T(q);
    __int128 x = a, y = b, lo = metal::numeric_limits<T>::min(), hi = metal::numeric_limits<T>::max();
    auto sat = [&](__int128 v) { return T(v < lo ? lo : v > hi ? hi : v); };
    int pop = 0, lead = W, trail = W;
    for (int i = 0; i < W; ++i) if (U(a) >> i & 1) ++pop, lead = W - 1 - i, trail = trail == W ? i : trail;
    CHECK(popcount(a) == T(pop) && clz(a) == T(lead) && ctz(a) == T(trail));
    CHECK(addsat(a, b) == sat(x + y) && subsat(a, b) == sat(x - y));
    CHECK(hadd(a, b) == T((x + y) >> 1) && rhadd(a, b) == T((x + y + 1) >> 1));
    CHECK(absdiff(a, b) == U(x < y ? y - x : x - y) && max(a, b) == (a < b ? b : a));
    if (W < 64) CHECK(mulhi(a, b) == T((x * y) >> W));
    int k = next_random() % W;
    CHECK(rotate(a, T(k)) == T(U(U(a) << k) | (k ? U(a) >> (W - k) : 0)));
    U rev = 0;
    for (int i = 0; i < W; ++i) rev |= U(U(a) >> i & 1) << (W - 1 - i);
    CHECK(reverse_bits(a) == T(rev));
    uint off = next_random() % W, cnt = next_random() % (W - off + 1);
    U field = cnt == (uint)W ? U(~U(0)) : U((U(1) << cnt) - 1), want = U(U(a) >> off) & field;
    if (cnt && T(-1) < T(0) && (want >> (cnt - 1) & 1)) want |= U(~field);
    CHECK(extract_bits(a, off, cnt) == T(want));
    U keep = U(field << off);
    CHECK(insert_bits(a, b, off, cnt) == T((U(a) & U(~keep)) | (U(U(b) << off) & keep)));
  }
}

static void misc() {
  CHECK(mul24(3, -4) == -12 && mul24(0x1000001u, 2u) == 2u && mad24(2, 3, 4) == 10 && mulhi(0x80000000u, 4u) == 2u && mulhi(-1l, 1l) == -1);
  CHECK(mulhi(~0ul, ~0ul) == ~0ul - 1 && madhi(0x80000000u, 4u, 5u) == 7u && madsat(100000, 100000, 0) == INT_MAX);
  CHECK(all(popcount(uint2(3, 7)) == uint2(2, 3)) && all(rotate(uint2(1, 2), uint2(1, 1)) == uint2(2, 4)) && all(clz(int2(1, 0)) == int2(31, 32)));
  CHECK(pack_float_to_unorm4x8(float4(0, 1, 0.5f, 2)) == 0xff80ff00u && pack_float_to_snorm4x8(float4(-1, 1, 0, -2)) == 0x81007f81u);
  CHECK(all(unpack_snorm4x8_to_float(0x81007f80u) == float4(-1, 1, 0, -1)) && all(unpack_unorm2x16_to_float(0xffff0000u) == float2(0, 1)));
  CHECK(pack_float_to_snorm2x16(float2(-1, 1)) == 0x7fff8001u && pack_half_to_unorm565(half3(1, 0, 1)) == 0xf81f);
  CHECK(all(unpack_unorm565_to_float(0xf81f) == float3(1, 0, 1)) && pack_float_to_unorm10a2(float4(1, 0, 1, 1)) == 0xfff003ffu);
  for (uint i = 0; i < 256; ++i) {
    CHECK(pack_float_to_unorm4x8(unpack_unorm4x8_to_float(i * 0x01010101u)) == i * 0x01010101u);
    CHECK(pack_float_to_srgb_unorm4x8(unpack_unorm4x8_srgb_to_float(i * 0x01010101u)) == i * 0x01010101u);
    if (i != 128) CHECK(pack_half_to_snorm4x8(unpack_snorm4x8_to_half(i)) == i);
  }
  CHECK(metal::numeric_limits<int>::min() == INT_MIN && metal::numeric_limits<uchar>::max() == 255 && metal::numeric_limits<short>::lowest() == -32768);
  CHECK(metal::numeric_limits<long>::max() == LONG_MAX && metal::numeric_limits<ulong>::max() == ULONG_MAX && metal::numeric_limits<bool>::max());
  CHECK(isinf(Limits<float>::max) && Limits<float>::min < 0 && Limits<float>::finite_max == FLT_MAX && Limits<int>::min == INT_MIN && Limits<half>::finite_min == half(-65504));
  CHECK(!isnan(Limits<bfloat>::max) && Limits<bool>::max && !Limits<bool>::min && Limits<uint8_t>::max == 255);
  static_assert(is_same_v<conditional_t<true, int, float>, int> && is_floating_point_v<half> && is_integral<uint>::value && !is_integral_v<float>);
  static_assert(is_unsigned_v<uint> && is_signed_v<int> && is_same_v<enable_if_t<true, half>, half> && is_pointer_v<int*> && is_convertible_v<int, float>);
  static_assert(is_same_v<remove_cv_t<const int>, int> && !is_convertible_v<float*, int> && is_same<float, float>::value);
  metal::array<int, 3> arr = {1, 2, 3};
  int sum = 0;
  for (int v : arr) sum += v;
  CHECK(sum == 6 && arr.size() == 3 && arr[2] == 3);
}

static void complex_numbers() {
  complex64_t a(1, 2), b{3, -1}, z;
  CHECK(a * b == complex64_t(5, 5) && a + 1 == complex64_t(2, 2) && 2.0f * a == complex64_t(2, 4) && z == complex64_t(0, 0));
  CHECK(a / b == complex64_t(0.1f, 0.7f) && -a == complex64_t(-1, -2) && a - b == complex64_t(-2, 3) && a > complex64_t(1, 1) && !(a < a) && a <= a);
  a += b;
  CHECK(a == complex64_t(4, 1) && a.real == 4 && complex64_t(half(2)).real == 2 && float2(a).y == 1 && (float)a == 4);
  CHECK(complex64_t(-7, 7) % complex64_t(3, 3) == complex64_t(2, 1));
  complex64_t from = 3, list = {1.0f, 2.0f};
  float re = a;
  CHECK(re == 4 && complex64_t(half(1)) * 2 == complex64_t(2, 0));
  CHECK(from == complex64_t(3, 0) && list.imag == 2 && sizeof(complex64_t) == 8);
  complex64_t l = log1p(complex64_t(1e-8f, 0));
  CHECK(__builtin_fabsf(l.real - 1e-8f) < 1e-14f);
}

static void indexing() {
  int shape[3] = {2, 3, 4};
  int64_t strides[3] = {100, 1, 7}, other[3] = {12, 4, 1};
  LoopedElemToLoc<3, int64_t> loop(3), two(3);
  for (int i = 0; i < 24; ++i) {
    int64_t want = i / 12 * 100 + i / 4 % 3 * 1 + i % 4 * 7;
    CHECK(elem_to_loc(int64_t(i), shape, strides, 3) == want && elem_to_loc<uint>(uint(i), shape, strides, 3) == want);
    CHECK(elem_to_loc(i, shape, strides, 3) == want && elem_to_loc(uint3(i % 4, i / 4 % 3, i / 12), shape, strides, 3) == want);
    CHECK(elem_to_loc_3(uint3(i % 4, i / 4 % 3, i / 12), strides) == want && loop.location() == want);
    CHECK(all(elem_to_loc_2_nd(uint3(i % 4, i / 4 % 3, i / 12), shape, strides, other, 3) == long2(want, i)));
    loop.next(shape, strides);
  }
  two.next(7, shape, strides);
  CHECK(two.location() == elem_to_loc(int64_t(7), shape, strides, 3));
  CHECK(ceildiv(7, 2) == 4 && ceildiv(8u, 4) == 2 && elem_to_loc_1(3u, strides[2]) == 21 && elem_to_loc_2(uint2(1, 2), strides + 1) == 9);
  CHECK(cast_to<bool>(complex64_t(0, 1)) && !cast_to<bool>(0.0f) && cast_to<int>(2.5f) == 2 && WorkPerThread<half>::n == 4);
}

int main() {
  integers<char>();
  integers<uchar>();
  integers<short>();
  integers<ushort>();
  integers<int>();
  integers<uint>();
  integers<long>();
  integers<ulong>();
  misc();
  complex_numbers();
  indexing();
  return failures != 0;
}
