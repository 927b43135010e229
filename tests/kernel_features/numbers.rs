//! What the small types round to, and integers that a CPU could stumble over.

use half::{bf16, f16};

use super::{Probe, all_true};

#[test]
fn half_arithmetic_rounds_each_operation() {
    all_true(
        "inline half twice(half v) { return v + v; }\n",
        &[
            "isinf(half(65504.0f) * half(2))",
            "isinf(HALF_MAX * 2) && isinf(twice(HALF_MAX)) && !isinf(float(HALF_MAX) * 2)",
            "float((half(2048) + half(1)) + half(1)) == 2048.0f",
            "float(half(2048) + half(1) + 1.0f) == 2049.0f",
            "float(half(1) / half(3)) != 1.0f / 3.0f",
            "float(half(1) / half(3)) == float(half(1.0f / 3.0f))",
            "half(60000) + half(60000) - half(60000) == INFINITY",
            "float(-half(0.5f)) == -0.5f && -1.5h == half(-1.5) && float(-h[3]) == -3.0f",
            "float(h[2] * 3) == 6.0f && float(3 - h[2]) == 1.0f && float(h[2] / 4u) == 0.5f",
            "max(half(2), 1.0f) == 2.0f && sizeof(max(half(2), 1.0f)) == 4 && sizeof(max(half(2), half(1))) == 2",
            "(h[1] < 1.5f) && (h[2] > 1) && (h[3] == 3.0h) && (2 <= h[2])",
            "float(half(0x1p-24f)) == 0x1p-24f && float(half(0x1p-26f)) == 0.0f",
            "int(half(2.75f)) == 2 && uint(h[7]) == 7u && (bool)h[1] && !bool(h[0])",
            "float(half(1e-5)) > 0.9e-5f && float(half(4097)) == 4096.0f",
            "float(exp(half(12))) == INFINITY && float(sqrt(half(2))) == float(half(sqrt(2.0f)))",
            "float(b[255] + b[255]) == 510.0f && float(bfloat(256) + bfloat(1)) == 256.0f",
            "float((bfloat(256) + bfloat(1)) + bfloat(1)) == 256.0f && float(bfloat(257)) == 256.0f",
            "float(bfloat(259)) == 260.0f && float(bfloat(1) / bfloat(3)) == 0.333984375f",
            "float(b[3] * 2) == 6.0f && float(b[3] * 0.5f) == 1.5f && sizeof(b[3] * 0.5f) == 4",
            "float(static_cast<bfloat16_t>(1.00390625f)) == 1.0f && float(bfloat16_t(1.01171875f)) == 1.015625f",
            "all(float4(half4(1, 2, 3, 4) * 2) == float4(2, 4, 6, 8)) && isinf((half2(60000) + half2(60000)).x)",
            "float((half4(1) + half4(2)).w) == 3.0f && all(half3(1.5f) == half3(1.5h, 1.5h, 1.5h))",
            "u[5] > 4 ? (u[3] == 3 ? true : false) : (u[2] == 2 ? false : true)",
            "(u[1] ? h[1] : 2.0f) == 1.0f && (u[0] ? h[1] : 2) == 2.0h && (u[1] ? 0 : h[1]) == 0",
        ],
    );
}

#[test]
fn sums_in_half_and_bfloat_keep_no_hidden_precision() {
    let body =
        "TYPE s = 0; for (uint i = 0; i < 64; ++i) { s += TYPE(0.1f) * TYPE(1.5f); } out[0] = s;";
    let got = Probe::new(&body.replace("TYPE", "half")).run::<f16>(1)[0];
    let step = f16::from_f32(f16::from_f32(0.1).to_f32() * 1.5);
    let want = (0..64).fold(f16::ZERO, |s, _| f16::from_f32(s.to_f32() + step.to_f32()));
    assert_eq!(got, want);
    let got = Probe::new(&body.replace("TYPE", "bfloat")).run::<bf16>(1)[0];
    let step = bf16::from_f32(bf16::from_f32(0.1).to_f32() * 1.5);
    let want = (0..64).fold(bf16::ZERO, |s, _| {
        bf16::from_f32(s.to_f32() + step.to_f32())
    });
    assert_eq!(got, want);
}

/// A compiler for GPUs once stored the number in place of the lower byte of its bits.
#[test]
fn bytes_of_rounded_numbers() {
    let body = "const uint i = thread_position_in_grid.x;\n\
         const ushort bits = as_type<ushort>(TYPE(x[i] * 0.37f));\n\
         out[2 * i] = uchar(bits & 255u);\nout[2 * i + 1] = uchar(bits >> 8);";
    let of = |name| Probe::new(&body.replace("TYPE", name)).over(256, 32);
    let numbers = || (0..256).map(|i| i as f32 * 0.37);
    let want: Vec<u8> = numbers()
        .flat_map(|v| f16::from_f32(v).to_le_bytes())
        .collect();
    assert_eq!(of("half").run::<u8>(512), want);
    let want: Vec<u8> = numbers()
        .flat_map(|v| bf16::from_f32(v).to_le_bytes())
        .collect();
    assert_eq!(of("bfloat").run::<u8>(512), want);
}

#[test]
fn sixty_four_bits() {
    all_true(
        "constant uint64_t FNV = 14695981039346656037UL;\n\
         inline uint64_t mix64(uint64_t z) { z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9UL; return z ^ (z >> 31); }\n",
        &[
            "FNV * 1099511628211UL == 12638153115695167455UL - 0UL || FNV != 0",
            "mix64(1UL) == ((1UL * 0xBF58476D1CE4E5B9UL) ^ ((1UL * 0xBF58476D1CE4E5B9UL) >> 31))",
            "int64_t(u[5]) - int64_t(6) == -1 && long(u[5]) * -5000000000L == -25000000000L",
            "uint(0x123456789abcdefUL >> 32) == 0x1234567u && (1UL << 63) != 0",
            "size_t(u[3]) * size_t(0x100000000) == 0x300000000UL && ptrdiff_t(-1) < 0",
            "int64_t(0x1p40f) == 1099511627776L && float(1UL << 40) == 0x1p40f",
            "ulong2(1UL, 2UL).y + long4(-1).x == 1",
        ],
    );
}

/// A GPU gives an arbitrary value; the process goes on, and elements with a divisor are right.
#[test]
fn integer_division_by_zero_is_survived() {
    let header = "
#define CEIL_DIV(a, b) (((a) + (b) - 1) / (b))
template <int N> inline int share(int v) { return v / N + v % N; }
struct Pair { int a, b; int ratio() const { return a / b; } };
";
    let body = "
uint i = thread_position_in_grid.x;
int d = int(u[i % 5]) - 1, m = -2147483647 - 1;
uint e = u[i % 5];
long l = d; short s = short(d); uchar c = uchar(e);
int q = 100 / d + 100 % d;
q += m / d; q += m % d;
q += int(100u / e) + int(100u % e) + int(100L / l) + 100 % s + 100 / c;
q += CEIL_DIV(100, d);
q += share<7>(int(i));
int t = 1000; t /= d; t %= d; q += t;
uint3 v = uint3(100u) / uint3(e, 1u, 2u) + uint3(100u) % uint3(e);
int2 w = int2(m, 9); w /= d; w %= int2(d, d);
q += int(v.x + v.y) + w.x + w.y;
Pair p{100, d}; q += p.ratio();
q += int(float(100) / float(e)) > 50 ? 1 : 0;
q += 100 / int(-e) + 100 / (int)d + 64 / sizeof(T) / 2;
q += (100 / (d) ) * 2;
out[i] = q;";
    let got = Probe::new(body).header(header).over(64, 8).run::<i32>(64);
    for (i, &got) in got.iter().enumerate() {
        let (d, e) = ((i % 5) as i32 - 1, (i % 5) as u32);
        if d == 0 || e == 0 {
            continue;
        }
        let m = i32::MIN;
        let mut want = 100 / d + 100 % d;
        want = want
            .wrapping_add(m.wrapping_div(d))
            .wrapping_add(m.wrapping_rem(d));
        want = want.wrapping_add((100 / e + 100 % e) as i32 + 100 / d + 100 % d + 100 / e as i32);
        want = want.wrapping_add((100 + d - 1) / d);
        want = want.wrapping_add(i as i32 / 7 + i as i32 % 7);
        want = want.wrapping_add(1000 / d % d);
        want = want.wrapping_add((100 / e + 100 % e + 100 + 100 % e) as i32);
        want = want.wrapping_add(m.wrapping_div(d).wrapping_rem(d) + 9 / d % d + 100 / d);
        want += i32::from(100.0 / e as f32 >= 51.0);
        want = want.wrapping_add(100 / -(e as i32) + 100 / d + 8 + 100 / d * 2);
        assert_eq!(got, want, "element {i}");
    }
}

/// Divisors that are constants or floating stay as they are, wherever they stand.
#[test]
fn division_where_the_grammar_is_hard() {
    all_true(
        "
#define HALF_OF(n) ((n) / 2)
#define RATIO 12 / 4
#if HALF_OF(4) == 2 && RATIO == 3
constant int chosen = 1;
#else
constant int chosen = 0;
#endif
template <int A, int B> struct Div { static constexpr constant int value = A / B; };
template <typename U> inline U over(U a, U b) { return a / b; }
struct Meters { float v; Meters operator/(Meters o) const { return Meters{v / o.v}; } };
inline Meters operator/(Meters a, float b) { return Meters{a.v / b}; }
enum Size { Small = 2, Big = 8 };
",
        &[
            "chosen == 1",
            "Div<12, 4>::value == 3 && Div<12, Div<8, 4>::value>::value == 6",
            "x[6] / x[2] / x[3] == 1.0f && 6 / *(u + 2) == 3 && -6 / -int(u[2]) == 3",
            "over(7, 2) == 3 && over(7.0f, 2.0f) == 3.5f && over<half>(1.0h, 2.0h) == 0.5h",
            "(Meters{6} / Meters{2}).v == 3.0f && (Meters{6} / 2.0f).v == 3.0f",
            "Big / Small == 4 && Big % Small == 0",
            "all(float4(8) / float4(2, 4, 8, 1) == float4(4, 2, 1, 8)) && all(8.0f / float2(2, 4) == float2(4, 2))",
            "all(int4(9) % 4 == int4(1)) && all(uint2(9u, 8u) / 2u == uint2(4u, 4u))",
            "x[6] / (float)u[2] == 3.0f && x[6] / static_cast<float>(u[2]) == 3.0f && 6 / (int)x[2] == 3",
            "x[9] / float3(3, 1, 1).x == 3.0f && float3(9).xy.x / float4(3).wzyx.y == 3.0f",
            "u[7] / u[2] * u[3] == 9u && u[7] % u[4] / u[3] == 1u && 100 / u[7] / u[2] == 7u",
            "12 / (u[1] ? 3 : 4) == 4 && (12 / u[3] < 5 && u[7] > (u[2]))",
            "b[6] / b[2] == bfloat(3) && h[6] / u[2] == 3.0h && u[6] / h[2] == 3.0h",
            "metal::fmod(7.0f, 4.0f) / metal::max(1.0f, 3.0f) == 1.0f && 8 / metal::max(1, 2) == 4",
            "uchar(200) / char(3) == 66 && short(-7) / short(2) == -3 && -7 / 2u == 2147483644u",
            "as_type<int>(7) / int(sizeof(float)) == 1 && 9 / ~(-4) == 3",
            "complex64_t(4, 2) / complex64_t(2, 0) == complex64_t(2, 1)",
            "float2x2(2.0f)[0].x / 2 == 1.0f && (float2x2(4.0f) / 2.0f)[1][1] == 2.0f",
        ],
    );
    let body = "threadgroup float s[TG_SIZE / 4]; uint i = thread_position_in_grid.x;
        if (i < TG_SIZE / 4) s[i] = i; threadgroup_barrier(mem_flags::mem_threadgroup);
        switch (i) { case 16 / 4: out[i] = -1; break; default: out[i] = s[i / 4]; }
        out[i] /= 2; out[i] /= (i % 2 == 0) ? 1 : 2;";
    let got = Probe::new(body)
        .header("constexpr constant int TG_SIZE = 32;\n")
        .over(32, 32)
        .run::<f32>(32);
    let want: Vec<f32> = (0..32)
        .map(|i| if i == 4 { -1.0 } else { (i / 4) as f32 } / 2.0 / if i % 2 == 0 { 1.0 } else { 2.0 })
        .collect();
    assert_eq!(got, want);
}
