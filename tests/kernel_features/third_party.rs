//! What third-party kernels write beside the obvious.

use half::{bf16, f16};
use num_complex::Complex32;
use rstest::rstest;
use zmlx::prelude::*;
use zmlx::{Element, MetalKernel};

use super::{Probe, all_true};

/// Every element type as input, template argument and output.
#[track_caller]
fn round_trip<E: Element + PartialEq + std::fmt::Debug>(
    values: &[E],
    expression: &str,
    want: &[E],
) {
    let kernel = MetalKernel::new("typed", ["a"], ["out"])
        .source(format!(
            "uint i = thread_position_in_grid.x; E v = a[i]; threadgroup E s[4]; s[i] = v;\n\
             threadgroup_barrier(mem_flags::mem_threadgroup); v = s[i];\n\
             device E* o = out + i; *o = static_cast<E>({expression});"
        ))
        .build()
        .unwrap();
    let a = Array::from_slice(values, values.len()).unwrap();
    let [y] = kernel
        .launch(&[&a])
        .template("E", E::DTYPE)
        .threadgroup(values.len())
        .run()
        .unwrap();
    assert_eq!(y.to_vec::<E>().unwrap(), want, "{:?}", E::DTYPE);
}

#[test]
fn every_element_type() {
    round_trip(&[true, false, true], "!v", &[false, true, false]);
    round_trip(&[1u8, 200], "v + 100", &[101, 44]);
    round_trip(&[1i8, -100], "v * 2", &[2, 56]);
    round_trip(&[1u16, 65535], "v << 1", &[2, 65534]);
    round_trip(&[-5i16, 7], "-v / 2", &[2, -3]);
    round_trip(&[7u32, u32::MAX], "v % 4", &[3, 3]);
    round_trip(&[-9i32, 9], "v >> 1", &[-5, 4]);
    round_trip(&[1u64 << 40, 3], "v + v", &[1 << 41, 6]);
    round_trip(&[-1i64 << 40, 3], "metal::abs(v)", &[1 << 40, 3]);
    let half = |v: &[f32]| v.iter().map(|&x| f16::from_f32(x)).collect::<Vec<_>>();
    round_trip(&half(&[1.5, -2.0]), "v * v + E(1)", &half(&[3.25, 5.0]));
    let brain = |v: &[f32]| v.iter().map(|&x| bf16::from_f32(x)).collect::<Vec<_>>();
    round_trip(
        &brain(&[1.5, -2.0]),
        "v * E(0.5) - 1",
        &brain(&[-0.25, -2.0]),
    );
    round_trip(&[1.5f32, -2.0], "v < 0 ? -v : v", &[1.5, 2.0]);
    let z = Complex32::new(1.0, 2.0);
    round_trip(&[z], "v * v + E(1, 0)", &[z * z + 1.0]);
}

#[rstest]
fn every_math_function(
    #[values(
        "",
        "fast::",
        "precise::",
        "metal::",
        "metal::fast::",
        "metal::precise::"
    )]
    space: &str,
) {
    let unary = "exp exp2 exp10 log log2 log10 sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh \
                 sinpi cospi tanpi sqrt rsqrt fabs floor ceil trunc rint round fract saturate sign abs";
    let binary = "pow powr atan2 fmod fmax fmin copysign fdim max min step";
    let mut body = String::from("float acc = 0;\n");
    for ty in ["float", "half", "bfloat", "float2", "float4", "half4"] {
        let scalar = if ty.ends_with(['2', '4']) { ".x" } else { "" };
        for name in unary.split_whitespace() {
            body += &format!(
                "{{ {ty} v = {ty}(0.5f); acc += float({space}{name}(v){scalar}) * 0; }}\n"
            );
        }
        for name in binary.split_whitespace() {
            body += &format!(
                "{{ {ty} v = {ty}(0.5f); acc += float({space}{name}(v, {ty}(2.0f)){scalar}) * 0; }}\n"
            );
        }
        body += &format!(
            "{{ {ty} v = {ty}(0.5f), c; c = {space}fma(v, v, v); c = {space}clamp(v, v, v); c = {space}mix(v, v, v); acc += float(c{scalar}) * 0; }}\n"
        );
        body += &format!(
            "{{ {ty} v = {ty}(0.5f), c; v = {space}sincos(v, c); acc += 0 * float(v{scalar}); v = {space}modf(v, c); v = {space}fmedian3(v, c, {space}fmax3(v, v, c)); }}\n"
        );
    }
    body = body.replace(
        &format!("{space}acosh(v)"),
        &format!("{space}acosh(v + v + v)"),
    );
    body += "out[0] = acc;";
    let got = Probe::new(&body).run::<f32>(1)[0];
    assert!(got == 0.0 || got.is_nan());
}

#[test]
fn every_grid_attribute() {
    let body = "
uint sum = thread_index_in_quadgroup + quadgroup_index_in_threadgroup * 10 + quadgroups_per_threadgroup * 1000;
sum += thread_execution_width + threads_per_simdgroup + simdgroup_index_in_threadgroup + simdgroups_per_threadgroup;
sum += grid_origin.x + grid_size.x + threads_per_grid.x + dispatch_threads_per_threadgroup.x + threadgroups_per_grid.x;
sum += dispatch_quadgroups_per_threadgroup + dispatch_simdgroups_per_threadgroup + thread_index_in_threadgroup;
out[thread_position_in_grid.x] = sum;";
    let got = Probe::new(body).over(128, 64).run::<u32>(128);
    for (i, got) in got.into_iter().enumerate() {
        let (t, quads, simds) = (i % 64, 16, 2);
        let want = t % 4
            + t / 4 * 10
            + quads * 1000
            + 32
            + 32
            + t / 32
            + simds
            + 128
            + 128
            + 64
            + 2
            + quads
            + simds
            + t;
        assert_eq!(got as usize, want, "thread {i}");
    }
}

#[test]
fn names_that_the_library_might_claim() {
    let header = "
#define M_PI 3.14159265358979f
#define SIMD_SIZE 32
#define half_t half
#define FLT_BIG 3.4028235e38
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define INLINE static inline __attribute__((always_inline))
constant constexpr int WARP = 32;
constexpr int PLAIN = 4;
const constant uint32_t SEEDS[] = {0x9E3779B9u, 0x85EBCA6B, 0xC2B2AE35u};
typedef struct { float4 lo, hi; } float8;
struct pair { float first; float second; };
struct complex { float re, im; complex operator*(complex o) const { return {re * o.re - im * o.im, re * o.im + im * o.re}; } };
struct alignas(8) sum_t { float v = 0; void add(float x) { v += x; } };
inline float erf(float x) { return x; }
inline float lerp(float a, float b, float t) { return a + t * (b - a); }
inline float sigmoid(float x) { return 1 / (1 + exp(-x)); }
inline float j0(float x) { return x * 2; }
inline float gamma(float x) { return x; }
inline float logistic(float x) { return x / x; }
template <typename T> T square(T v) { return v * v; }
template <typename T, typename U> U convert(T v) { return static_cast<U>(v); }
template <> inline int convert<float, int>(float v) { return int(v) + 100; }
template <typename T> struct is_half { static constant constexpr bool value = false; };
template <> struct is_half<half> { static constant constexpr bool value = true; };
template <int D, typename F> inline float unrolled(F f) { float s = 0; for (int d = 0; d < D; ++d) s += f(d); return s; }
INLINE uint rotl(uint v, int r) { return (v << r) | (v >> (32 - r)); }
INLINE uint4 philox(uint4 c, uint2 k) { uint hi = mulhi(0xD2511F53u, c.x); return uint4(hi ^ c.y ^ k.x, c.x * 0xD2511F53u, c.z, c.w); }
INLINE float uniform(uint s) { return as_type<float>((s >> 9) | 0x3f800000u) - 1.0f; }
";
    all_true(
        header,
        &[
            "float8{float4(1), float4(2)}.hi.w == 2 && pair{1, 2}.second == 2 && (complex{0, 1} * complex{0, 1}).re == -1",
            "erf(2.0f) == 2 && j0(1.0f) == 2 && gamma(3) == 3 && lerp(0, 4, 0.5) == 2 && logistic(3) == 1",
            "square(3.0h) == 9.0h && convert<float, int>(1.5f) == 101 && convert<int, float>(3) == 3.0f",
            "is_half<half>::value && !is_half<float>::value && WARP * PLAIN == 128 && SIMD_SIZE / 2 == 16",
            "unrolled<4>([&](int d) { return x[d]; }) == 6 && MIN(3, 2) == 2 && M_PI > 3.1415f",
            "rotl(0x80000001u, 4) == 0x18u && uniform(0u) == 0 && philox(uint4(1, 2, 3, 4), uint2(5, 6)).z == 3",
            "SEEDS[1] == 0x85EBCA6Bu && half_t(2) == 2.0h && FLT_BIG > 3e38f",
            "0b1010 == 10 && 1'000 == 1000 && 0xFFul == 255 && 1e5 == 100000.0f && 1.0F == 1.f && 2.5H == 2.5h",
            "-1.0f / 0.0f == -INFINITY && isnan(0.0f / 0.0f) && isinf(1 / x[0])",
            "[]() { sum_t s; s.add(2); s.add(3); return s.v; }() == 5",
            "[]() { unsigned a = 3; unsigned char c = 255; signed char d = -1; c++; return a + c + d; }() == 2u",
            "[](float v) { using F4 = vec<float, 4>; typedef half2 H2; F4 f(v); H2 g = H2(1, 2); return f.x + g.y; }(1) == 3",
            "[]() { half v = 1.0; v = v * 0.5; v += 0.25; v *= 2.0f; return float(v); }() == 1.5f",
            "[]() { bfloat v = bfloat(1.0); v = v + bfloat(2); v -= bfloat(1); v /= 4; return float(v); }() == 0.5f",
            "(u[1] ? float4(1) : float4(0)).y == 1 && *(u[0] ? x + 1 : x + 2) == 2 && (u[1] ? x[3] : x[4]) == 3",
            "[](bool c) { float a = 1, b = 2; (c ? a : b) += 5; return a; }(true) == 6",
            "[](bool c) { half a = 1, b = 2; half m = c ? a : b; m = c ? half(0) : m; m = m > 0 ? m : 0; return float(m); }(false) == 2",
            "(u[1] ? pair{1, 2} : pair{3, 4}).first == 1 && (u[1] == 1 ? b[1] : b[2]) == bfloat(1)",
            "[]() { uchar a = 200; ushort w = a << 4; char c = -8; return (w == 3200) && (c >> 1) == -4 && uchar(~a) == 55; }()",
            "[]() { short4 v = short4(1, 2, 3, 4); char2 c = char2(v.xy); return c.y + v.wz.x; }() == 6",
            "metal::precise::sqrt(4.0f) + metal::fast::rsqrt(0.25f) + ::metal::max(1.0f, 2.0f) == 6",
            "memory_order::memory_order_relaxed == metal::memory_order_relaxed",
            "[](uint p) { return ((p & 0xF) * 2 + (p >> 4 & 0xF)) % 7; }(0x35u) == 6u",
            "int8_t(0x8F) >> 4 == -8 && (int8_t)(uint8_t)0x80 == -128 && (int(0xF) << 28) >> 28 == -1",
            "all(uint3(1, 2, 3) >= uint3(1, 1, 1)) && !any(int2(1) > 2) && (bool)uint2(1, 0).x",
            "uintptr_t(1) == 1 && size_t(-1) > 0 && sizeof(ptrdiff_t) == 8",
        ],
    );
}

#[test]
fn blocks_of_quantized_weights() {
    // The shape of most dequantizing kernels: packed words, scales by group, vectors of loads.
    let header = "
template <typename T, int bits, int group_size> struct Dequant {
  static constant constexpr int per_word = 32 / bits;
  static constant constexpr uint mask = (1u << bits) - 1;
  const device uint32_t* words; const device T* scales; const device T* biases;
  inline float at(uint i) const {
    const uint w = words[i / per_word]; const float q = float((w >> ((i % per_word) * bits)) & mask);
    return fma(q, float(scales[i / group_size]), float(biases[i / group_size]));
  }
};
template <typename U, int N, int WIDTH>
inline void load_vector(const device U* src, thread U* dst) {
#pragma clang loop unroll(full)
  for (int i = 0; i < N; i += WIDTH) { *reinterpret_cast<thread vec<U, WIDTH>*>(dst + i) = *reinterpret_cast<const device vec<U, WIDTH>*>(src + i); }
}
";
    let body = "
uint i = thread_position_in_grid.x;
Dequant<half, 4, 8> d{u, h, h + 1};
float v[8]; load_vector<float, 8, 4>(x + 8 * (i / 8), v);
float acc = 0; for (short k = 0; k < 8; ++k) acc += v[k];
const device uchar* q = (const device uchar*)u; uchar lo = q[i] & 0x0F, hi = q[i] >> 4;
out[i] = d.at(i) + acc + lo + hi * 16;";
    let got = Probe::new(body).header(header).over(64, 32).run::<f32>(64);
    for (i, got) in got.into_iter().enumerate() {
        let nibble = ((i / 8) >> (i % 8 * 4)) & 15;
        let group = i / 8;
        let want = nibble * group + group + 1 + (0..8).map(|k| 8 * group + k).sum::<usize>();
        let byte = if i % 4 == 0 { i / 4 } else { 0 };
        assert_eq!(got, (want + byte) as f32, "element {i}");
    }
}

#[test]
fn simdgroup_operations_on_every_type() {
    let types = "bool char uchar short ushort int uint long ulong half bfloat float char2 short4 int4 half4 float2 float4 ulong2";
    let mut body = String::from("uint lane = thread_index_in_simdgroup; float acc = 0;\n");
    for ty in types.split_whitespace() {
        let scalar = if ty.ends_with(['2', '4']) { ".y" } else { "" };
        for call in [
            "simd_broadcast(v, 3)",
            "simd_shuffle(v, 2)",
            "simd_shuffle_xor(v, 1)",
            "simd_shuffle_down(v, 1u)",
            "simd_broadcast_first(v)",
            "quad_broadcast(v, 1)",
        ] {
            body += &format!("{{ {ty} v = {ty}(1); acc += float({call}{scalar}); }}\n");
        }
        if ty != "bool" {
            body += &format!(
                "{{ {ty} v = {ty}(1); acc += float(simd_sum(v){scalar}) + float(simd_max(v){scalar}) + float(simd_prefix_inclusive_sum({ty}(0)){scalar}); }}\n"
            );
        }
    }
    body += "out[lane] = acc;";
    let got = Probe::new(&body).over(32, 32).run::<f32>(32);
    assert_eq!(got, [(19 * 6 + 18 * 33) as f32; 32]);
}

#[test]
fn a_tiled_product() {
    let header = "
#define TILE 8
struct Tiles { threadgroup float (*a)[TILE + 1]; threadgroup float (*b)[TILE + 1]; };
inline void load_tile(threadgroup float tile[TILE][TILE + 1], const device float* m, uint2 at, uint n, ushort2 lid) {
  tile[lid.y][lid.x] = (at.x < n && at.y < n) ? m[at.y * n + at.x] : 0;
}
inline float dot_tile(Tiles t, ushort2 lid) { float s = 0; for (ushort k = 0; k < TILE; ++k) s += t.a[lid.y][k] * t.b[k][lid.x]; return s; }
";
    let body = "
const uint n = 12; ushort2 lid = ushort2(thread_position_in_threadgroup.xy); uint2 gid = thread_position_in_grid.xy;
threadgroup float ta[TILE][TILE + 1], tb[TILE][TILE + 1];
float acc = 0;
for (uint k = 0; k < n; k += TILE) {
  load_tile(ta, x, uint2(k + lid.x, gid.y), n, lid);
  load_tile(tb, x, uint2(gid.x, k + lid.y), n, lid);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  acc += dot_tile(Tiles{ta, tb}, lid);
  threadgroup_barrier(mem_flags::mem_threadgroup);
}
if (gid.x >= n || gid.y >= n) return;
out[gid.y * n + gid.x] = acc;";
    let got = Probe::new(body)
        .header(header)
        .over3((16, 16, 1), (8, 8, 1))
        .run::<f32>(144);
    let m = |r: usize, c: usize| (r * 12 + c) as f32;
    for (i, got) in got.into_iter().enumerate() {
        let want: f32 = (0..12).map(|k| m(i / 12, k) * m(k, i % 12)).sum();
        assert_eq!(got, want, "element {i}");
    }
}
