//! The language: templates, structures, lambdas, vectors, matrices, statements, attributes.

use super::{Probe, all_true};

#[test]
fn structures_templates_and_lambdas() {
    let header = "
#include <metal_stdlib>
#include <metal_simdgroup>
#include <metal_simdgroup_matrix>
#include <metal_atomic>
#include \"metal_math\"
#pragma METAL fp contract(off)
#pragma clang diagnostic push
#pragma clang diagnostic ignored \"-Wunused\"
using namespace metal;
using metal::float4;
typedef float real;
typedef struct { float a; float b; } Couple;
using Vec = metal::vec<float, 4>;
constant constexpr int SIZES[4] = {1, 2, 4, 8};
constexpr constant float TABLE[2][2] = {{1, 2}, {3, 4}};
static constant float LUT[] = {0.5f, 1.5f, 2.5f};
constant float4 WEIGHTS[2] = {float4(1), float4(1, 2, 3, 4)};
constant half HALVES[3] = {1.0h, -0.5h, 2};
static constexpr constant uint K = 3u;
enum class Mode : uint { Add, Mul = 4 };
enum { WIDTH = 16, HEIGHT = WIDTH * 2 };
namespace detail {
template <typename U, int N = 2>
struct Acc {
  U data[N]; static constexpr constant int size = N;
  METAL_FUNC Acc() { for (int i = 0; i < N; i++) data[i] = U(0); }
  METAL_FUNC Acc(U v) { for (int i = 0; i < N; i++) data[i] = v; }
  thread U& operator[](int i) thread { return data[i]; }
  const thread U& operator[](int i) const thread { return data[i]; }
  thread Acc& operator+=(const thread Acc& o) { for (int i = 0; i < N; i++) data[i] += o.data[i]; return *this; }
  U sum() const { U s = 0; for (int i = 0; i < N; i++) s += data[i]; return s; }
};
template <typename U, int N> Acc<U, N> operator*(Acc<U, N> a, U s) { for (int i = 0; i < N; i++) a.data[i] *= s; return a; }
}  // namespace detail
struct Max { template <typename U> U operator()(U a, U b) const { return a > b ? a : b; } static constexpr constant float init = -1.0f; };
struct Base { int tag; }; struct Derived : Base { int more; Derived(int t) : Base{t}, more(t + 1) {} };
template <typename Op, typename U> inline U reduce(const device U* p, int n, Op op) { U r = p[0]; for (int i = 1; i < n; ++i) r = op(r, p[i]); return r; }
template <typename... A> inline float add_all(A... a) { return (float(a) + ... + 0.0f); }
template <int N> inline float power(float v) { if constexpr (N == 0) { return 1.0f; } else { return v * power<N - 1>(v); } }
template <typename U> struct Traits { typedef U type; enum { bits = sizeof(U) * 8 }; };
template <> struct Traits<half> { typedef float type; enum { bits = 16 }; };
union Bits { float f; uint u; };
inline void two(thread real& a, thread real* b) { a += 1; *b += a; }
[[clang::always_inline]] inline int collatz(int n) { int c = 0; while (n != 1) { n = (n & 1) ? 3 * n + 1 : n >> 1; c++; } return c; }
inline float poly(float v, constant float* c, int n) { float r = 0; for (int i = n - 1; i >= 0; --i) r = r * v + c[i]; return r; }
inline float sum4(float4 v) { return v.x + v.y + v.z + v.w; }
static inline __attribute__((always_inline)) uint hash(uint v) { v ^= v >> 16; v *= 0x7feb352dU; v ^= v >> 15; return v; }
constant bool FLAG = true;
template <typename U> [[gnu::always_inline]] METAL_FUNC U ident(U v) { return v; }
";
    all_true(
        header,
        &[
            "SIZES[2] == 4 && TABLE[1][0] == 3 && LUT[1] == 1.5f && WEIGHTS[1].w == 4 && K == 3u",
            "float(HALVES[1]) == -0.5f && WIDTH * HEIGHT == 512 && FLAG",
            "uint(Mode::Mul) == 4 && Mode::Add != Mode::Mul",
            "detail::Acc<float>(2).sum() == 4 && detail::Acc<half, 3>(half(1)).sum() == 3.0h",
            "(detail::Acc<float, 4>(1.5f) * 2.0f)[3] == 3.0f && detail::Acc<int>::size == 2",
            "reduce(x, 10, Max()) == 9 && Max::init == -1 && Max{}(2, 3) == 3",
            "Derived(4).tag == 4 && Derived(4).more == 5",
            "add_all(1, 2.5f, 3u, half(1)) == 7.5f && add_all() == 0",
            "power<3>(2.0f) == 8.0f && power<0>(2.0f) == 1.0f",
            "Traits<half>::bits == 16 && sizeof(Traits<half>::type) == 4 && Traits<int>::bits == 32",
            "Bits{1.0f}.u == 0x3f800000u && Couple{1, 2}.b == 2",
            "collatz(6) == 8 && poly(2.0f, LUT, 3) == 13.5f && sum4(WEIGHTS[1]) == 10",
            "[&](float v) { real a = v, c = 1; two(a, &c); return c; }(2.0f) == 4.0f",
            "[](int n) -> int { return n * n; }(5) == 25 && ident<float>(2) == 2",
            "hash(1u) == hash(1u) && hash(1u) != hash(2u)",
            "Vec(1, 2, 3, 4).w == 4 && metal::float4(1).x == 1 && vec<half, 2>(1).x == 1",
            "decltype(1.0h)(2) == 2.0h && sizeof(Vec) == 16 && is_same_v<decltype(x[0]), const device float&>",
        ],
    );
}

#[test]
fn vectors_and_matrices() {
    all_true(
        "inline float4 mk(float v) { float4 r; r.x = v; r.yz = float2(v + 1); r.w = r.y; return r; }
struct Ray { float3 o; float3 d; };
inline float3 at(Ray r, float t) { return r.o + t * r.d; }
",
        &[
            "all(float4(1, float2(2, 3), 4) == float4(1, 2, 3, 4)) && all(float4(float3(1, 2, 3), 4).xyz == float3(1, 2, 3))",
            "all(float4(1, 2, 3, 4).wzyx == float4(4, 3, 2, 1)) && all(float2(1, 2).xxyy == float4(1, 1, 2, 2))",
            "float4(1, 2, 3, 4).rgba.b == 3 && float3(1, 2, 3).bgr.x == 3 && all(uint3(1u, 2u, 3u).zx == uint2(3u, 1u))",
            "all(mk(1) == float4(1, 2, 2, 2)) && mk(3).zw.y == 4",
            "[]() { float4 v = 0; v.xz = float2(1, 2); v.yw += 3; v.w *= 2; v[0] -= 5; return all(v == float4(-4, 3, 2, 6)); }()",
            "[]() { int3 v = int3(1, 2, 3); v.xy = v.yx; v <<= 1; v++; return all(v == int3(5, 3, 7)); }()",
            "[]() { float v[4] = {1, 2, 3, 4}; thread float4& r = *(thread float4*)v; r.w = 9; return v[3] == 9; }()",
            "all((int2(5, -5) >> 1) == int2(2, -3)) && all((uint2(1u) << uint2(3u, 4u)) == uint2(8u, 16u)) && all(~int2(0) == int2(-1))",
            "all(float3(int3(1, 2, 3)) * 0.5f == float3(0.5f, 1, 1.5f)) && all(int2(float2(1.7f, -1.7f)) == int2(1, -1))",
            "all(uchar4(250) + uchar4(10) == uchar4(4)) && all(short2(-1) * short(3) == short2(-3)) && char3(-1).y == -1",
            "all(at(Ray{float3(1), float3(0, 1, 2)}, 2) == float3(1, 3, 5))",
            "all(bool2(true, false) || bool2(false)) == false && any(bool3(int3(0, 1, 0)))",
            "all(-half2(1, 2) == half2(-1, -2)) && all(half4(float4(1.5f)) == half4(1.5h)) && all(abs(float2(-1, 2)) == float2(1, 2))",
            "(float2x2(1, 2, 3, 4) * float2(1, 1)).x == 4 && (float2(1, 1) * float2x2(1, 2, 3, 4)).x == 3",
            "float4x4(2.0f)[3][3] == 2 && float4x4(2.0f)[0][3] == 0 && determinant(float3x3(2.0f)) == 8",
            "transpose(float2x3(float3(1, 2, 3), float3(4, 5, 6)))[2].y == 6 && (float2x2(2) * float2x2(3))[0].x == 6",
            "[]() { float4x4 m = float4x4(1); m[2] = float4(7); m[1][2] += 3; return m[2].w + m[1].z; }() == 10",
            "(float4x4(1) * float4(1, 2, 3, 4)).w == 4 && (half3x3(1) * half3(2)).x == 2.0h && (2 * float2x2(1))[0][0] == 2",
            "max(float2(1, 5), float2(3)).y == 5 && min(half4(2), half4(1)).x == 1.0h && fmin(float3(1), 0.5f).z == 0.5f",
            "exp(float4(0)).w == 1 && metal::sqrt(float2(4)).x == 2 && rsqrt(float3(4)).y == 0.5f && tanh(half2(0)).x == 0",
            "all(select(int2(1), int2(2), int2(3) < int2(4, 2)) == int2(2, 1)) && all(float2(1, 2) == float2{1, 2})",
            "[]() { metal::array<float, 3> a = {1, 2, 3}; float s = 0; for (auto v : a) s += v; return s; }() == 6",
            "[]() { float4 m[2] = {}; m[1].y = 2; return m[0].x + m[1].g; }() == 2",
        ],
    );
}

#[test]
fn statements() {
    let header = "
#define SQUARE(v) ((v) * (v))
#define DEFINE_OP(name, op) \\
  template <typename U> inline U name(U a, U b) { return a op b; }
DEFINE_OP(op_add, +) DEFINE_OP(op_mul, *)
#define FOR(i, n) for (uint i = 0; i < (n); ++i)
#define CAT(a, b) a##b
#define STORE(i, ...) out[i] = add3(__VA_ARGS__)
#define SWAP(a, b) do { auto _t = (a); (a) = (b); (b) = _t; } while (0)
#ifndef UNROLL
#define UNROLL _Pragma(\"clang loop unroll(full)\")
#endif
#if defined(__METAL_VERSION__) && __METAL_VERSION__ >= 300
#define NEW 1
#else
#define NEW 0
#endif
inline float add3(float a, float b, float c) { return a + b + c; }
inline int classify(int v) {
  switch (v) {
    case 0: return 10;
    case 1: case 2: { int w = v * 2; return w; }
    case 'a': return 97;
    default: break;
  }
  return -1;
}
kernel void unused_other(device float* p [[buffer(0)]]);
";
    let body = "
uint CAT(id, x) = thread_position_in_grid.x;
float acc = 0;
#pragma unroll
for (int i = 0; i < 4; ++i) acc += SQUARE(i);
#pragma unroll(2)
for (int i = 3; i >= 0; i--) { if (i == 2) continue; acc += i; }
UNROLL for (int i = 0; i != 2; ++i) acc += 1;
[[unroll]] for (int i = 0; i < 2; ++i) acc += 1;
FOR(k, 3) { FOR(j, 2) acc += 0.5f; }
int n = 5; do n--; while (n > 2);
do { n += 3; } while (n < 10);
while (true) { if (n-- < 5) break; }
int w = 0; while (w < 3) w++;
for (;;) { w++; if (w > 9) break; }
for (int i = 0, j = 10; i < j; i++, j--) w += 1;
w += 6;
float a = 1, c = 2; SWAP(a, c);
float tmp[2][3] = {{1, 2, 3}, {4, 5, 6}};
thread float* row = tmp[1];
thread float (*rows)[3] = tmp;
int state = 3;
if (uint q = u[3]; q == 3) state += 10;
if (const int z = 1) state += z;
const auto fold = [&](auto f, float v) -> float { return f(v, acc); };
bool ok = !(acc < 0) and not (acc > 1000), bad = acc < 0 or false;
uint bits = 0xFFu & ~0x0Fu | 1u << 9 ^ 0x3u;
float t = idx > 0 ? 1.0 : n == 0 ? 2.0 : state ? 3 : 4;
out[0] = acc; out[1] = n; out[2] = w; out[3] = a * 10 + c; out[4] = row[2] + rows[0][1]; out[5] = state;
out[6] = op_add(1.0f, 2.0f) + op_mul(2, 3); STORE(7, 1.0, 2.0f, 3);
out[8] = classify(0) + classify(2) + classify('a') + classify(50); out[9] = ok + 2 * bad; out[10] = bits;
out[11] = fold([](float p, float q) { return p * 2 + 0 * q; }, 4); out[12] = t + NEW;
{ threadgroup float inner[4]; inner[0] = 6; threadgroup_barrier(mem_flags::mem_threadgroup); out[13] = inner[0]; }
out[14] = (float)(int)2.75f + int{3} + float(true) + (u[1] == 1u ? h[2] : x[3]);
out[15] = static_cast<int>(x[3]) % 2 + (n, 4) + sizeof(tmp) / sizeof(tmp[0]);
return;";
    let got = Probe::new(body).header(header).run::<f32>(16);
    // n: 5 -> 2 -> 5 -> 8 -> 11 -> 3; w: 3 -> 10 -> 15 -> 21.
    let want = [
        14.0 + 4.0 + 4.0 + 3.0,
        3.0,
        21.0,
        21.0,
        8.0,
        14.0,
        9.0,
        6.0,
        10.0 + 4.0 + 97.0 - 1.0,
        1.0,
        (0xF0 | 1 << 9 ^ 3) as f32,
        8.0,
        4.0,
        6.0,
        2.0 + 3.0 + 1.0 + 2.0,
        1.0 + 4.0 + 2.0,
    ];
    assert_eq!(got, want);
}

#[test]
fn pointers_and_references() {
    let header = "
struct Params { float scale; uint n; };
template <typename U> inline float load(const device U* p, uint i) { return static_cast<float>(p[i]); }
template <typename U> inline float load(const threadgroup U* p, uint i) { return static_cast<float>(p[i]); }
template <typename U> inline float load(const thread U* p, uint i) { return static_cast<float>(p[i]); }
template <typename U> inline float load(constant U* p, uint i) { return static_cast<float>(p[i]); }
template <typename Ptr> inline float generic(Ptr p) { return p[0] + p[1]; }
template <typename U, int N> inline U dot_n(const thread U (&a)[N], const device U* b) { U s = 0; for (int i = 0; i < N; ++i) s += a[i] * b[i]; return s; }
struct View { const device float* data; constant const int* shape; int n;
  const device float& operator()(int i, int j) const { return data[i * n + j]; } };
inline device float* advance(device float* p, size_t n) { return p + n; }
inline void store(device float* o, const thread Params& p, threadgroup float* s [[maybe_unused]]) { *o = p.scale * p.n; }
constant float CONSTS[2] = {10, 20};
using DevPtr = device float*;
typedef const device float* CDev;
";
    let body = "
threadgroup float s[2]; float l[3] = {1, 2, 3};
s[0] = 5; s[1] = 6;
device float* p = out; const device auto* q = x + 4; CDev cq = &x[7]; DevPtr dp = out + 1;
*p++ = load(x, 3) + load(s, 1) + load(l, 2) + load(CONSTS, 1);
*dp = generic(x + 1) + generic(s) + generic(l) + generic(CONSTS); p = dp + 1;
p[0] = dot_n(l, x + 1); *(p + 1) = q[-1] + cq[0] + *(q + 1);
View v{x, x_shape, 8}; *advance(out, 4) = v(2, 3) + v.shape[0];
Params params = {2.5f, 4}; store(&out[5], params, s);
const device half2* hv = (const device half2*)h; out[6] = float(hv[1].x) + float(hv[1].y);
out[7] = p - out; const thread float& r = l[1]; out[8] = r; thread auto& w = l[2]; w = 8; out[9] = l[2];
device uint* ui = (device uint*)(&out[10]); *ui = as_type<uint>(1.5f);
const device uint8_t* by = reinterpret_cast<const device uint8_t*>(u); out[11] = by[4] + by[8];
out[12] = (p == dp + 1 && q != nullptr) ? 1 : 0;
out[13] = ((const device uint16_t*)h)[1] == 0x3c00 ? 1 : 0;
size_t base = (size_t)2 * 3; out[14] = x[base]; uint16_t us = 65535; us += 2; int8_t sb = int8_t(200); out[15] = us + sb;";
    let got = Probe::new(body).header(header).run::<f32>(16);
    let want = [
        3.0 + 6.0 + 3.0 + 20.0,
        3.0 + 11.0 + 3.0 + 30.0,
        1.0 + 4.0 + 9.0,
        3.0 + 7.0 + 5.0,
        19.0 + 4096.0,
        10.0,
        5.0,
        2.0,
        2.0,
        8.0,
        1.5,
        3.0,
        1.0,
        1.0,
        6.0,
        1.0 - 56.0,
    ];
    assert_eq!(got, want);
}
