// half and bfloat: conversions of every pattern and of many floats, operations against exact
// double arithmetic rounded once, and the types that mixed expressions have in MSL.
#include "check.h"
#define ZMLX_MODE_PLAIN 1
#define ZMLX_MATH_SAFE 1
#include "zmlx_host.h"

// Rounds to `digits` binary digits, ties to even, with the format's exponent range; exact in double.
static double round_to(double x, int digits, int min_exp, double max) {
  if (x == 0 || x != x || __builtin_isinf(x)) return x;
  int e;
  __builtin_frexp(x, &e);
  e = e < min_exp ? min_exp : e;
  double unit = __builtin_ldexp(1.0, e - digits);
  double r = __builtin_rint(x / unit) * unit;
  return __builtin_fabs(r) > max ? __builtin_copysign(__builtin_inf(), x) : r;
}
static double to_half(double x) { return round_to(x, 11, -13, 65504); }
static double to_bfloat(double x) { return round_to(x, 8, -125, 0x1.fep127); }
static bool same(double a, double b) { return a != a ? b != b : a == b && __builtin_signbit(a) == __builtin_signbit(b); }

template <class T> static void all_patterns(double (*rounded)(double)) {
  for (unsigned h = 0; h < 65536; ++h) {
    T x = as_type<T>(uint16_t(h));
    float f = x;
    // Every pattern survives the way through float; NaN stays NaN.
    CHECK(f != f ? T(f) != T(f) : as_type<uint16_t>(T(f)) == h);
    CHECK(same(rounded(f), f));
    CHECK(as_type<uint16_t>(-x) == (h ^ 0x8000));
    CHECK(bool(x) == (f != 0.0f));
  }
}
template <class T> static T random_value() {
  switch (next_random() % 4) {
    case 0: return as_type<T>(uint16_t(next_random()));
    case 1: return T(float(int(next_random() % 4001) - 2000));
    default: return T((int(next_random() >> 8) - (1 << 23)) * 0x1p-20f);
  }
}
template <class T> static void operations(double (*rounded)(double)) {
  for (int i = 0; i < 400000; ++i) {
    T a = random_value<T>(), b = random_value<T>();
    double x = float(a), y = float(b);
    CHECK(same(float(a + b), rounded(x + y)));
    CHECK(same(float(a - b), rounded(x - y)));
    CHECK(same(float(a * b), rounded(x * y)));
    CHECK(same(float(a / b), rounded(float(x / y))) || same(float(a / b), rounded(x / y)));
    CHECK((a < b) == (x < y) && (a == b) == (x == y) && (a >= b) == (x >= y));
    CHECK(same(float(sqrt(a)), rounded(__builtin_sqrt(x))));
    float f = as_type<float>(next_random());
    CHECK(same(float(T(f)), rounded(f)));
  }
}

template <class T> static void mixed() {
  using metal::is_same_v;
  T h = T(1.5f);
  CHECK(is_same_v<decltype(h * 2.0f), float>);
  CHECK(is_same_v<decltype(2.0f - h), float>);
  CHECK(is_same_v<decltype(h * 2), T>);
  CHECK(is_same_v<decltype(2u / h), T>);
  CHECK(is_same_v<decltype(h + h), T>);
  CHECK(is_same_v<decltype(max(h, h)), T>);
  CHECK(is_same_v<decltype(max(h, 0)), T>);
  CHECK(is_same_v<decltype(max(h, 0.0f)), float>);
  CHECK(is_same_v<decltype(exp(h)), T>);
  CHECK(is_same_v<decltype(pow(h, 2.0f)), float>);
  CHECK(is_same_v<decltype(fma(h, h, h)), T>);
  CHECK(is_same_v<decltype(h < 2.0f), bool>);
  // The alternatives of a conditional, as the lowering wraps them.
  bool c = next_random() | 1;
  CHECK(is_same_v<decltype(c ? zmlx_alt(h) : zmlx_alt(0.5f)), float>);
  auto z = c ? zmlx_alt(h) : zmlx_alt(0);
  CHECK(float(z) == 1.5f);
  T t = c ? zmlx_alt(h) : zmlx_alt(-h);
  CHECK(float(t * t) == 2.25f);
  float f = c ? zmlx_alt(t) : zmlx_alt(0.1f);
  CHECK(f == 1.5f);
  CHECK(float(exp(c ? zmlx_alt(T(0)) : zmlx_alt(h))) == 1.0f);
  CHECK(float((c ? zmlx_alt(h) : zmlx_alt(h)) + 1) == 2.5f);
  CHECK(float(max(c ? zmlx_alt(h) : zmlx_alt(h), h)) == 1.5f);
  int n = 3;
  (c ? zmlx_alt(n) : zmlx_alt(n)) = 4;
  CHECK(n == 4);
  // Compound assignment rounds each time: 2048 + 1 stays in half, 256 + 1 in bfloat.
  T s = T(is_same_v<T, half> ? 2048.0f : 256.0f), before = s;
  s += 1;
  s += 1;
  CHECK(s == before);
  s += 1.0f;
  CHECK(s == before);
  s++;
  CHECK(s == before);
  s = 3.0f;
  s *= 0.5f;
  CHECK(float(s) == 1.5f);
  T array[4] = {0, 1.0f, T(2), 3u};
  CHECK(float(array[0] + array[1] + array[2] + array[3]) == 6.0f);
  float g = 1;
  g += h * h;
  g *= h;
  int n2 = 10, n3 = h;
  n2 *= h;
  uint u3 = T(3);
  CHECK(g == 4.875f && n2 == 15 && n3 == 1 && u3 == 3u);
  volatile T v = h;
  float from_volatile = v;
  CHECK(from_volatile == 1.5f && (h ? 1 : 0) && (h && true) && int(c ? zmlx_alt(h) : zmlx_alt(h)) == 1);
  CHECK(float(c ? zmlx_alt(1) : zmlx_alt(h)) == 1.0f && float(-(c ? zmlx_alt(h) : zmlx_alt(0))) == -1.5f);
  int i = int(T(-2.75f));
  CHECK(i == -2 && (int)T(7.9f) == 7 && uint(T(3)) == 3u && static_cast<long>(T(5)) == 5);
  CHECK(float(static_cast<T>(1.0)) == 1.0f);
  CHECK(!T(0) && T(1) && !(T(0) || T(-0.0f)));
  constexpr T k = T(0.5f) * T(3);
  static_assert(float(k) == 1.5f);
  static_assert(float(-metal::numeric_limits<T>::max()) == float(metal::numeric_limits<T>::lowest()));
  switch (int(T(2))) { case 2: break; default: CHECK(false); }
}

int main() {
  all_patterns<half>(to_half);
  all_patterns<bfloat>(to_bfloat);
  operations<half>(to_half);
  operations<bfloat>(to_bfloat);
  mixed<half>();
  mixed<bfloat>();
  // Overflow happens in half where it does on a GPU.
  half big = 60000.0f;
  CHECK(isinf(big + big) && isinf(big * half(2)) && !isinf(big * 2.0f));
  CHECK(metal::is_same_v<decltype(half(1) * bfloat(1)), float>);
  CHECK(float(half(bfloat(3))) == 3.0f && float(bfloat(half(0.5f))) == 0.5f);
  CHECK(float(HALF_MAX) == 65504.0f && float(HALF_EPSILON) == 0x1p-10f);
  CHECK(float(nextafter(half(1), half(2))) == 1.0f + 0x1p-10f && float(nextafter(half(0), half(-1))) == -0x1p-24f);
  CHECK(isnormal(half(1)) && !isnormal(half(0x1p-20f)) && !isnormal(half(INFINITY)));
  return failures != 0;
}
