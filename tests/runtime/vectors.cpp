// Vectors, swizzles, packed vectors, matrices and reinterpretation, as MSL text uses them.
#include "check.h"
#define ZMLX_MODE_PLAIN 1
#define ZMLX_MATH_SAFE 1
#include "zmlx_host.h"

static bool eq(float4 a, float4 b) { return all(a == b); }
static bool eq(float3 a, float3 b) { return all(a == b); }
static bool eq(float2 a, float2 b) { return all(a == b); }

static void construction() {
  float2 v2 = float2(1, 2);
  float3 v3 = float3(v2, 3), w3 = float3(1, v2);
  CHECK(eq(v3, float3(1, 2, 3)) && eq(w3, float3(1, 1, 2)));
  CHECK(eq(float4(v2, v2), float4(1, 2, 1, 2)) && eq(float4(v3, 9), float4(1, 2, 3, 9)));
  CHECK(eq(float4(0, v2, 4), float4(0, 1, 2, 4)) && eq(float4(7, v3), float4(7, 1, 2, 3)));
  CHECK(eq(float4(5, 6, v2), float4(5, 6, 1, 2)) && eq(float4(v2, 8, 9), float4(1, 2, 8, 9)));
  float4 braces = {1, 2.5f, 3, 4}, splat = 2, zero = {};
  CHECK(eq(braces, float4(1, 2.5f, 3, 4)) && eq(splat, float4(2, 2, 2, 2)) && eq(zero, float4(0)));
  float4 list[2] = {{1, 2, 3, 4}, float4(0)};
  CHECK(list[0].w == 4);
  CHECK(eq(float4(int4(-1, 2, -3, 4)), float4(-1, 2, -3, 4)));
  CHECK(all(int3(float3(-1.7f, 1.7f, 2.2f)) == int3(-1, 1, 2)));
  CHECK(all(uchar4(uint4(257, 2, 3, 511)) == uchar4(1, 2, 3, 255)));
  CHECK(sizeof(float3) == 16 && sizeof(half3) == 8 && sizeof(uchar3) == 4 && sizeof(bool4) == 4);
  CHECK(sizeof(packed_float3) == 12 && sizeof(packed_half3) == 6 && sizeof(float2) == 8);
  half4 h = half4(braces);
  CHECK(float(h.y) == 2.5f && eq(float4(h), braces));
  bfloat4 b = bfloat4(h);
  CHECK(float(b.w) == 4.0f);
  vec<float, 4> same = braces;
  CHECK(eq(same, braces));
  metal::float4 qualified = same;
  CHECK(eq(qualified, braces));
  constexpr float3 k = float3(1, 2, 3);
  static_assert(k.y == 2.0f);
}

static void arithmetic() {
  float4 a = float4(1, 2, 3, 4);
  CHECK(eq(a * 2, float4(2, 4, 6, 8)) && eq(2.0f * a, a + a) && eq(1 / float4(1, 2, 4, 8), float4(1, 0.5f, 0.25f, 0.125f)));
  CHECK(eq(a * half(2), a + a) && eq(-a, 0 - a) && eq(+a, a));
  a += 1;
  a -= float4(1);
  a *= 2.0f;
  a /= 2;
  CHECK(eq(a, float4(1, 2, 3, 4)));
  int4 i = int4(7, -7, 5, 9);
  CHECK(all(i % 4 == int4(3, -3, 1, 1)) && all(i / 2 == int4(3, -3, 2, 4)) && all((i & 3) == int4(3, 1, 1, 1)));
  CHECK(all(i << 1 == int4(14, -14, 10, 18)) && all(i >> 1 == int4(3, -4, 2, 4)) && all(~i == -i - 1));
  i++;
  ++i;
  CHECK(i.x == 9);
  uchar4 u = uchar4(250, 1, 2, 3) + uchar4(10);
  CHECK(u.x == 4 && u.y == 11);
  short2 s = short2(32767, -32768) + short2(1, -1);
  CHECK(s.x == -32768 && s.y == 32767);
  bool4 m = a > 2;
  CHECK(!m.x && !m.y && m.z && m.w && any(m) && !all(m) && all(m == !(a <= 2)) && all((m && !m) == bool4(false)));
  CHECK(eq(select(a, float4(0), m), float4(1, 2, 0, 0)) && eq(a * float4(m), float4(0, 0, 3, 4)));
  CHECK(eq(a * (m.z ? zmlx_alt(1.0f) : zmlx_alt(0.0f)), a));
  half2 h = half2(60000.0f, 1);
  CHECK(isinf((h + h).x) && all(isinf(h * h) == bool2(true, false)));
  long2 l = long2(1) << 40;
  CHECK(l.x == 1l << 40);
}

static void swizzles() {
  float4 a = float4(1, 2, 3, 4);
  CHECK(eq(a.zmlx_get<3, 2, 1, 0>(), float4(4, 3, 2, 1)) && eq(a.zmlx_get<0, 0>(), float2(1, 1)));
  CHECK(a.r == 1 && a.g == 2 && a.b == 3 && a.a == 4 && a[2] == 3);
  a.zmlx_set<0, 2>() = float2(10, 30);
  CHECK(eq(a, float4(10, 2, 30, 4)));
  a.zmlx_set<0, 1>() = a.zmlx_get<1, 0>();
  CHECK(eq(a, float4(2, 10, 30, 4)));
  a.zmlx_set<0, 1, 2>() *= 2;
  CHECK(eq(a, float4(4, 20, 60, 4)));
  a.zmlx_set<3, 0>() += float2(1, 2);
  CHECK(eq(a, float4(6, 20, 60, 5)));
  a.zmlx_set<1>() = 7;
  a.w = 1;
  a[2] = 0;
  CHECK(eq(a, float4(6, 7, 0, 1)));
  float2 out = a.zmlx_set<0, 1>();
  CHECK(eq(out, float2(6, 7)));
  packed_float3 p = packed_float3(1, 2, 3);
  p.zmlx_set<2, 0>() = float2(9, 8);
  CHECK(eq(float3(p), float3(8, 2, 9)) && eq(p.zmlx_get<1, 1>(), float2(2, 2)));
}

static void packed() {
  float raw[6] = {1, 2, 3, 4, 5, 6};
  packed_float3* p = (packed_float3*)raw;
  float3 a = p[1];
  CHECK(eq(a, float3(4, 5, 6)) && eq(p[0] + p[1], float3(5, 7, 9)) && eq(p[0] * 2, float3(2, 4, 6)));
  CHECK(eq(2.0f * p[0], float3(2, 4, 6)) && eq(a - p[0], float3(3, 3, 3)) && eq(p[1] - float3(1), float3(3, 4, 5)));
  CHECK(eq(1 / p[0], 1 / float3(1, 2, 3)) && eq(-p[0], float3(-1, -2, -3)) && all(p[0] < p[1]));
  p[0] = a;
  p[1] += a;
  CHECK(raw[0] == 4 && raw[5] == 12);
  p[0] = packed_float3(half3(1, 2, 3));
  CHECK(raw[2] == 3 && eq(abs(-p[0]), p[0]) && eq(max(p[0], 2), float3(2, 2, 3)) && eq(float3(packed_half3(1, 2, 3)), p[0]));
  CHECK(p[0].y == 2 && p[0][2] == 3);
  float4* unaligned = (float4*)(raw + 1);
  *unaligned = *unaligned * 2;
  CHECK(raw[1] == 4 && raw[5] == 12);
}

static void functions() {
  float3 a = float3(1, 2, 2), b = float3(0, 3, 4);
  CHECK(dot(a, b) == 14 && length(a) == 3 && distance(a, b) == length(a - b) && eq(cross(float3(1, 0, 0), float3(0, 1, 0)), float3(0, 0, 1)));
  CHECK(eq(clamp(b, 1, 3.5f), float3(1, 3, 3.5f)) && eq(mix(a, b, 0.5f), float3(0.5f, 2.5f, 3)) && eq(fma(a, b, a), float3(1, 8, 10)));
  CHECK(eq(min(a, b), float3(0, 2, 2)) && eq(step(2, a), float3(0, 1, 1)) && eq(saturate(float3(-1, 0.5f, 2)), float3(0, 0.5f, 1)));
  CHECK(eq(floor(float3(-0.5f, 1.5f, 2)), float3(-1, 1, 2)) && eq(sign(float3(-3, 0, 3)), float3(-1, 0, 1)) && eq(fract(float2(1.25f, -0.25f)), float2(0.25f, 0.75f)));
  CHECK(smoothstep(0.0f, 1.0f, 0.5f) == 0.5f && abs(-3) == 3 && abs(short(-3)) == 3 && max(2u, 3u) == 3u && clamp(5, 0, 3) == 3);
  float whole, f = modf(-2.75f, whole);
  int e;
  CHECK(f == -0.75f && whole == -2 && frexp(12.0f, e) == 0.75f && e == 4 && ldexp(0.75f, 4) == 12);
  CHECK(ldexp(1.0f, -149) == 1e-45f && ldexp(0x1.8p-100f, 200) == 0x1.8p100f && isinf(ldexp(1.0f, 128)) && ldexp(1e-45f, 149) == 1);
  CHECK(ilogb(0.3f) == -2 && max3(1, 5, 3) == 5 && median3(5, 1, 3) == 3 && min3(2.0f, 1.0f, 3.0f) == 1);
  CHECK(max(NAN, 1.0f) == 1 && min(1.0f, NAN) == 1 && sign(NAN) == 0 && saturate(NAN) == 0 && isnan(fmax(NAN, NAN)));
  CHECK(select(1, 2, true) == 2 && select(1.0f, 2.0f, false) == 1 && metal::precise::max(1.0f, 2.0f) == 2 && fast::clamp(3.0f, 0.0f, 1.0f) == 1);
  float c, s = sincos(0.0f, c);
  CHECK(s == 0 && c == 1);
  CHECK(as_type<uint>(1.0f) == 0x3f800000u && as_type<float2>(ulong(0x3f80000040000000ull)).x == 2.0f);
  CHECK(as_type<half2>(0x3c004000u).x == half(2) && as_type<uint2>(float2(1, 2)).y == 0x40000000u && as_type<uchar4>(0x04030201u).w == 4);
  CHECK(round(2.5f) == 3 && rint(2.5f) == 2 && round(-0.49999997f) == 0 && trunc(-1.5f) == -1 && fmod(-7.5f, 2.0f) == -1.5f);
}

static void matrices() {
  float2x2 m = float2x2(1, 2, 3, 4), id = float2x2(1.0f);
  CHECK(m[1][0] == 3 && eq(m[0], float2(1, 2)) && m * id == m && transpose(m)[0][1] == 3 && determinant(m) == -2);
  CHECK(eq(m * float2(1, 1), float2(4, 6)) && eq(float2(1, 1) * m, float2(3, 7)) && (m * m)[0][0] == 7 && (2 * m)[1][1] == 8);
  float3x3 r = float3x3(float3(1, 2, 3), float3(0, 1, 4), float3(5, 6, 0));
  CHECK(determinant(r) == 1);
  float4x4 q = float4x4(2.0f);
  q[3][0] = 5;
  CHECK(determinant(q) == 16 && eq(q * float4(1, 1, 1, 1), float4(7, 2, 2, 2)));
  float2x3 wide = float2x3(1, 2, 3, 4, 5, 6);
  float3x3 product = wide * transpose(wide);
  CHECK(product[0][0] == 17 && product[2][1] == 36);
  m += id;
  CHECK(m[0][0] == 2 && (m - id)[0][0] == 1 && float(half2x2(m)[1][1]) == 5);
}

int main() {
  construction();
  arithmetic();
  swizzles();
  packed();
  functions();
  matrices();
  return failures != 0;
}
