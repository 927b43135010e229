//! The standard library: integers, packing, common and relational functions, limits, traits.

use super::{all_true, close_to, expressions};

#[test]
fn integer_functions() {
    all_true(
        "",
        &[
            "popcount(0xF0F0u) == 8",
            "all(popcount(uint4(0u, 1u, 3u, 0xffffffffu)) == uint4(0u, 1u, 2u, 32u))",
            "popcount(uchar(255)) == 8",
            "popcount(ulong(0xffffffffffffffffUL)) == 64",
            "clz(1u) == 31 && clz(0u) == 32 && clz(ushort(1)) == 15 && clz(uchar(0)) == 8",
            "ctz(8u) == 3 && ctz(0u) == 32 && ctz(ulong(1) << 40) == 40",
            "mulhi(0x80000000u, 6u) == 3u && mulhi(-1, 1) == -1",
            "all(mulhi(uint2(0xffffffffu), uint2(2u, 3u)) == uint2(1u, 2u))",
            "extract_bits(0xABCDu, 4, 8) == 0xBCu && extract_bits(0xF0, 4, 4) == -1",
            "insert_bits(0u, 0xFFu, 8, 4) == 0xF00u && insert_bits(-1, 0, 0, 31) == int(0x80000000)",
            "rotate(0x80000001u, 4u) == 0x18u && rotate(ushort(0x8001), ushort(1)) == 3",
            "reverse_bits(1u) == 0x80000000u && reverse_bits(uchar(3)) == 0xC0",
            "absdiff(3u, 10u) == 7u && absdiff(-2147483647 - 1, 2147483647) == 0xffffffffu",
            "addsat(uchar(250), uchar(10)) == 255 && addsat(char(100), char(100)) == 127",
            "addsat(int2(2147483647, 1), int2(1, 1)).x == 2147483647",
            "subsat(3u, 10u) == 0u && subsat(short(-32768), short(1)) == -32768",
            "hadd(7u, 4u) == 5u && rhadd(7u, 4u) == 6u && hadd(0xffffffffu, 0xffffffffu) == 0xffffffffu",
            "mul24(1000, -3) == -3000 && mad24(2u, 3u, 4u) == 10u && madhi(0x80000000u, 4u, 1u) == 3u",
            "madsat(short(1000), short(1000), short(1)) == 32767",
            "abs(-5) == 5 && abs(long(-5000000000)) == 5000000000",
            "max(3u, 4u) == 4u && min(-3, 4) == -3 && clamp(7, 0, 5) == 5",
            "max3(1, 5, 3) == 5 && min3(4u, 2u, 3u) == 2u && median3(9, 1, 5) == 5",
            "metal::max3(1.0f, 5.0f, 3.0f) == 5.0f && metal::median3(9.0f, 1.0f, 5.0f) == 5.0f",
            "all(max(int3(1, 5, 2), int3(3, 3, 3)) == int3(3, 5, 3))",
            "all(clamp(uint2(1u, 9u), 2u, 5u) == uint2(2u, 5u))",
            "(0xffffffffffffffffUL >> 63) == 1UL && (long(-1) >> 10) == -1",
            "ulong(4294967295u) * 4294967295u == 18446744065119617025UL",
            "uint(-1) == 0xffffffffu && uchar(300) == 44 && int(-7) / 2 == -3 && -7 % 3 == -1",
            "(1u << 31) >> 31 == 1u && int(1u << 31) >> 31 == -1",
        ],
    );
}

#[test]
fn packing() {
    all_true(
        "",
        &[
            "pack_float_to_unorm4x8(float4(0, 1, 0.5, 2)) == 0xff80ff00u",
            "pack_float_to_snorm4x8(float4(-1, 1, 0, -2)) == 0x81007f81u",
            "pack_float_to_unorm2x16(float2(1, 0)) == 0xffffu && pack_float_to_snorm2x16(float2(1, -1)) == 0x80017fffu",
            "pack_half_to_unorm4x8(half4(0.0h, 1.0h, 1.0h, 0.0h)) == 0x00ffff00u",
            "all(unpack_unorm4x8_to_float(0xff0000ffu) == float4(1, 0, 0, 1))",
            "all(unpack_snorm4x8_to_float(0x7f008180u) == float4(-1, -1, 0, 1))",
            "all(unpack_unorm2x16_to_float(0xffff0000u) == float2(0, 1))",
            "all(unpack_unorm4x8_to_half(0xff0000ffu) == half4(1, 0, 0, 1))",
            "as_type<uint>(1.0f) == 0x3f800000u && as_type<float>(0x40000000u) == 2.0f",
            "as_type<ushort>(1.0h) == 0x3c00 && as_type<half>(ushort(0x4000)) == 2.0h",
            "as_type<uint>(half2(1.0h, 2.0h)) == 0x40003c00u && as_type<half2>(0x40003c00u).y == 2.0h",
            "all(as_type<uchar4>(0x04030201u) == uchar4(1, 2, 3, 4)) && as_type<uint>(uchar4(1, 2, 3, 4)) == 0x04030201u",
            "as_type<ulong>(uint2(1u, 2u)) == 0x200000001UL && as_type<uint2>(ulong(0x200000001)).y == 2u",
            "as_type<int>(-0.0f) == int(0x80000000) && as_type<ushort>(bfloat(1.0f)) == 0x3f80",
            "all(as_type<ushort2>(0x00020001u) == ushort2(1, 2)) && as_type<char>(uchar(255)) == -1",
        ],
    );
}

#[test]
fn common_functions() {
    let nan = f64::NAN;
    close_to(
        "",
        &[
            ("mix(2.0f, 4.0f, 0.25f)", 2.5),
            ("mix(float4(0.0f), float4(8.0f), float4(0.5f)).w", 4.0),
            ("mix(float3(0), float3(1, 2, 3), 0.5f).z", 1.5),
            ("clamp(1.5f, 0.0f, 1.0f)", 1.0),
            ("clamp(float3(-1, 0.5, 9), 0.0f, 1.0f).x", 0.0),
            ("saturate(-3.0f) + metal::saturate(3.0f)", 1.0),
            ("smoothstep(0.0f, 2.0f, 0.5f)", 0.15625),
            ("step(1.0f, 0.5f) + step(0.5f, 1.0f)", 1.0),
            ("step(float2(1.0f), float2(0.5f, 2.0f)).y", 1.0),
            ("sign(-2.5f) + sign(0.0f)", -1.0),
            ("select(1.0f, 2.0f, true)", 2.0),
            (
                "select(float2(1, 2), float2(3, 4), bool2(true, false)).y",
                2.0,
            ),
            (
                "select(float4(1), float4(2), float4(3) > float4(1, 4, 1, 4)).z",
                2.0,
            ),
            ("fma(2.0f, 3.0f, 1.0f)", 7.0),
            ("float(fma(half(2), half(3), half(1)))", 7.0),
            ("fma(float2(2), float2(3), float2(1)).x", 7.0),
            ("metal::precise::exp(1.0f) - metal::fast::exp(1.0f)", 0.0),
            ("fract(-1.25f)", 0.75),
            (
                "rint(2.5f) + round(2.5f) + trunc(-2.5f) + floor(-2.5f) + ceil(-2.5f)",
                -2.0,
            ),
            ("fmod(-5.5f, 2.0f)", -1.5),
            ("copysign(3.0f, -0.0f)", -3.0),
            ("ldexp(1.5f, 4)", 24.0),
            ("fmax(NAN, 1.0f) + fmin(1.0f, NAN)", 2.0),
            ("max(1.0f, 2.0h)", 2.0),
            ("dot(float3(1, 2, 3), float3(4, 5, 6))", 32.0),
            (
                "length(float2(3, 4)) + distance(float2(1, 1), float2(4, 5))",
                10.0,
            ),
            ("length_squared(float4(1))", 4.0),
            ("normalize(float3(0, 0, 5)).z", 1.0),
            ("cross(float3(1, 0, 0), float3(0, 1, 0)).z", 1.0),
            ("float(dot(half2(1, 2), half2(3, 4)))", 11.0),
            (
                "exp10(2.0f) + exp2(3.0f) + log2(8.0f) + log10(1000.0f)",
                114.0,
            ),
            ("powr(2.0f, 3.0f) + pow(-2.0f, 3.0f)", 0.0),
            ("rsqrt(0.25f) + sqrt(4.0f)", 4.0),
            ("atan2(1.0f, 1.0f)", std::f64::consts::FRAC_PI_4),
            ("sinh(1.0f) + cosh(1.0f)", std::f64::consts::E),
            ("asinh(0.0f) + acosh(1.0f) + atanh(0.0f)", 0.0),
            ("sinpi(0.5f) + cospi(1.0f) + tanpi(0.25f)", 1.0),
            ("fdim(5.0f, 3.0f) + fdim(3.0f, 5.0f)", 2.0),
            ("NAN", nan),
            ("-INFINITY", f64::NEG_INFINITY),
            ("HUGE_VALF", f64::INFINITY),
            ("M_PI_F / 3.14159265358979323846f", 1.0),
            ("0x1.8p1f + 0x1p-1 + 1e-3 + 1.e2 + .5f", 104.001),
            ("1e-5h > 0 ? 1.0 : 0.0", 1.0),
            ("float('A') + float('\\n')", 75.0),
            ("abs(-1.5f) + fabs(-1.5f) + metal::abs(-2.0f)", 5.0),
            (
                "fmedian3(1.0f, 9.0f, 4.0f) + fmax3(1.0f, 2.0f, 3.0f) + fmin3(1.0f, 2.0f, 3.0f)",
                8.0,
            ),
            ("float(ilogb(8.0f))", 3.0),
            ("powr(float2(2.0f), float2(3.0f)).x", 8.0),
            ("pow(float3(2.0f), 2.0f).y", 4.0),
            (
                "degrees(M_PI_F) + radians(180.0f)",
                180.0 + std::f64::consts::PI,
            ),
            ("reflect(float2(1, -1), float2(0, 1)).y", 1.0),
            (
                "float(precise::divide(1.0f, 4.0f)) + fast::divide(1.0f, 4.0f)",
                0.5,
            ),
        ],
        1e-6,
    );
}

#[test]
fn relational_functions() {
    all_true(
        "",
        &[
            "isnan(NAN) && !isnan(1.0f) && isinf(-INFINITY) && isfinite(1.0f) && !isfinite(INFINITY)",
            "isnan(half(NAN)) && isinf(half(70000.0f)) && isnormal(1.0f) && signbit(-0.0f)",
            "any(isnan(float3(1, NAN, 1))) && !all(isnan(float3(1, NAN, 1)))",
            "all(float2(1, 2) < float2(2, 3)) && any(int2(1, 2) == int2(1, 3)) && !any(bool2(false))",
            "all(!bool3(false, false, false)) && all(uint3(1, 2, 3) != uint3(0))",
            "isunordered(NAN, 1.0f) && isordered(1.0f, 2.0f)",
            "metal::isnan(NAN) && metal::any(metal::isinf(float2(INFINITY, 0)))",
            "all((float4(1, 2, 3, 4) > 2.0f) == bool4(false, false, true, true))",
        ],
    );
}

#[test]
fn limits_and_traits() {
    let header = "
template <typename A, typename B> constexpr bool same() { return metal::is_same_v<A, B>; }
template <typename U> metal::enable_if_t<metal::is_floating_point_v<U>, int> kind(U) { return 1; }
template <typename U> metal::enable_if_t<metal::is_integral_v<U>, int> kind(U) { return 2; }
template <typename U> using acc_t = metal::conditional_t<metal::is_same_v<U, half>, float, U>;
template <typename U> struct name { static constant constexpr int value = 0; };
template <> struct name<half> { static constant constexpr int value = 16; };
template <> struct name<float> { static constant constexpr int value = 32; };
template <typename U, typename = void> struct has_real : metal::false_type {};
template <typename U> struct has_real<U, decltype((void)U().real)> : metal::true_type {};
";
    all_true(
        header,
        &[
            "same<acc_t<half>, float>() && same<acc_t<int>, int>()",
            "kind(1.0f) == 1 && kind(1) == 2 && kind(half(1)) == 1 && kind(ushort(1)) == 2",
            "name<half>::value == 16 && name<float>::value == 32 && name<T>::value == 32",
            "metal::numeric_limits<float>::max() == FLT_MAX && numeric_limits<int>::min() == INT_MIN",
            "float(metal::numeric_limits<half>::max()) == 65504.0f && metal::numeric_limits<float>::lowest() == -FLT_MAX",
            "metal::isinf(metal::numeric_limits<float>::infinity()) && metal::isnan(metal::numeric_limits<float>::quiet_NaN())",
            "metal::numeric_limits<uint>::max() == 0xffffffffu && metal::numeric_limits<uchar>::max() == 255",
            "metal::numeric_limits<float>::epsilon() == 0x1p-23f && metal::numeric_limits<ulong>::digits == 64",
            "metal::numeric_limits<int64_t>::max() == 9223372036854775807L",
            "Limits<float>::max == INFINITY && Limits<int>::finite_min == INT_MIN",
            "is_signed_v<int> && is_unsigned_v<uint> && metal::is_integral<int>::value && is_arithmetic_v<half>",
            "sizeof(half) == 2 && sizeof(long) == 8 && sizeof(size_t) == 8 && sizeof(float3) == 16 && sizeof(packed_float3) == 12",
            "sizeof(bool) == 1 && sizeof(char) == 1 && sizeof(uint2) == 8 && sizeof(half4) == 8 && sizeof(float4x4) == 64",
            "has_real<complex64_t>::value && !has_real<float>::value",
            "ceildiv(10, 4) == 3 && same<decltype(1.0h + 1), half>() && same<decltype(1.0h * 1.0f), float>()",
            "same<decltype(float2(1) * 2), float2>() && same<metal::make_unsigned_t<int>, uint>()",
            "same<decltype(float3().xy), float2>() && same<metal::remove_cv_t<const int>, int>()",
        ],
    );
}

#[test]
fn complex_numbers() {
    let got = expressions::<f32>(
        "",
        &[
            "(complex64_t{1, 2} * complex64_t{3, 4}).real",
            "(complex64_t{1, 2} * complex64_t{3, 4}).imag",
            "(complex64_t(1, 2) + complex64_t(3, 4)).imag",
            "(complex64_t(4, 2) / complex64_t(1, 1)).real",
            "(-complex64_t(4, 2)).imag",
        ],
    );
    assert_eq!(got, [-5.0, 10.0, 6.0, 3.0, -2.0]);
}

#[test]
fn headers_that_extend_the_library_in_its_own_namespace() {
    // Matrix headers add traits to `metal`, where MSL has no `void_t`, and tell pointers apart by
    // their address space.
    let header = "
namespace metal {
template <typename... U> struct always_void { typedef void type; };
template <typename... U> using void_t = typename always_void<U...>::type;
template <typename U> struct target_of {};
template <typename U> struct target_of<thread U*> { using type = remove_cv_t<U>; };
template <typename U> struct target_of<device U*> { using type = remove_cv_t<U>; };
template <typename U> struct target_of<constant U*> { using type = remove_cv_t<U>; };
template <typename U> struct target_of<threadgroup U*> { using type = remove_cv_t<U>; };
}  // namespace metal
template <typename U, typename = void> struct has_width { static constexpr constant int value = 0; };
template <typename U> struct has_width<U, metal::void_t<decltype(U::width)>> { static constexpr constant int value = U::width; };
struct Wide { static constexpr constant int width = 7; };
";
    let body = "
        constexpr auto seven = 7;
        using plain = metal::remove_addrspace_t<decltype(x[0] + 1.0f)>;
        out[0] = has_width<Wide>::value == seven ? 1.0f : 0.0f;
        out[1] = has_width<float>::value == 0 ? 1.0f : 0.0f;
        out[2] = metal::is_same_v<typename metal::target_of<const device float*>::type, float> ? 1.0f : 0.0f;
        out[3] = metal::is_same_v<plain, float> ? 1.0f : 0.0f;";
    let got = super::Probe::new(body).header(header).run::<f32>(4);
    assert_eq!(got, [1.0; 4]);
}
