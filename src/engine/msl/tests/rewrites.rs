//! One table for each rewrite: MSL on the left, what comes out on the right.

use super::{body, lowered};

#[test]
fn address_spaces() {
    for (msl, cpp) in [
        ("threadgroup float s[8];", "SHARED float s[8];"),
        (
            "threadgroup float a[8], b[TG * 2];",
            "SHARED float a[8], b[TG * 2];",
        ),
        (
            "threadgroup metal::array<vec<float, 4>, 8> s;",
            "SHARED metal::array<vec<float, 4>, 8> s;",
        ),
        (
            "alignas(16) threadgroup half4 s[2][4];",
            "alignas(16) SHARED half4 s[2][4];",
        ),
        (
            "threadgroup alignas(16) half4 s[2];",
            "SHARED alignas(16) half4 s[2];",
        ),
        (
            "threadgroup struct { int i; } s;",
            "SHARED struct { int i; } s;",
        ),
        (
            "threadgroup struct S { int i; } s[2];",
            "SHARED struct S { int i; } s[2];",
        ),
        (
            "threadgroup /* here */ float\n  s[8];",
            "SHARED /* here */ float s[8];",
        ),
        ("threadgroup atomic_uint n;", "SHARED atomic_uint n;"),
        ("threadgroup float* p = s;", "float* p = s;"),
        ("threadgroup float *p, *q;", "float *p, *q;"),
        (
            "threadgroup vec<float, 4>& v = w[0];",
            "vec<float, 4>& v = w[0];",
        ),
        (
            "const threadgroup T* p = (const threadgroup T*)s;",
            "const T* p = (const T*)s;",
        ),
        (
            "f(reinterpret_cast<threadgroup float4*>(s));",
            "f(reinterpret_cast< float4*>(s));",
        ),
        (
            "auto f = [](threadgroup float x[4]) { threadgroup int s[2]; };",
            "auto f = []( float x[4]) { SHARED int s[2]; };",
        ),
        (
            "using P = threadgroup float*; typedef threadgroup float* Q;",
            "using P = float*; typedef float* Q;",
        ),
        (
            "device float4* p = (device float4*)out;",
            "float4* p = ( float4*)out;",
        ),
        ("thread float& r = x;", "float& r = x;"),
        ("const constant int* n = m;", "const int* n = m;"),
        ("constant float& f = g;", "const float& f = g;"),
        (
            "constexpr constant float t[2] = {1, 2};",
            "constexpr static float t[2] = {1, 2};",
        ),
        (
            "a.device = b->thread + c::constant;",
            "a.device = b->thread + c::constant;",
        ),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
}

#[test]
fn constants_of_the_program() {
    let text = lowered(
        "constant uint N = 4;\nconstant float T[2] = {1.0, 2.0};\n",
        "",
    )
    .text;
    assert!(
        text.contains("static const uint N = 4;\nstatic const float T[2] = {1.0f, 2.0f};\n"),
        "{text}"
    );
}

#[test]
fn spaces_behind_macros() {
    let text = lowered(
        "#define TG threadgroup\n#define DECL(T, n) threadgroup T n[8]\n",
        "TG float s[4]; TG float* p = s;",
    )
    .text;
    assert!(text.contains("SHARED float s[4];"), "{text}");
    assert!(
        text.contains("  float* p = s;") || text.contains(" float* p = s;"),
        "{text}"
    );
    assert!(text.contains("#define DECL(T, n) SHARED T n[8]"), "{text}");
}

#[test]
fn swizzles() {
    for (msl, cpp) in [
        ("a = v.xyz;", "a = v.template zmlx_get<0,1,2>();"),
        ("v.zx = a;", "v.template zmlx_set<2,0>() = a;"),
        ("v . xy += a;", "v . template zmlx_set<0,1>() += a;"),
        ("v.xy >>= 1;", "v.template zmlx_set<0,1>() >>= 1;"),
        (
            "b = v.xy >= w.rg;",
            "b = v.template zmlx_get<0,1>() >= w.template zmlx_get<0,1>();",
        ),
        ("b = v.xy == w;", "b = v.template zmlx_get<0,1>() == w;"),
        (
            "p->xyzw = float4(0).wzyx;",
            "p->template zmlx_set<0,1,2,3>() = float4(0).template zmlx_get<3,2,1,0>();",
        ),
        (
            "a = v.x + v.g + q.xg + q.size;",
            "a = v.x + v.g + q.xg + q.size;",
        ),
        ("o.xx();", "o.xx();"),
        (
            "struct S { float xy; int rg[2]; }; S s; s.xy = s.rg[0]; v.yx = a;",
            "struct S { float xy; int rg[2]; }; S s; s.xy = s.rg[0]; v.template zmlx_set<1,0>() = a;",
        ),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
}

#[test]
fn attributes_and_literals() {
    for (msl, cpp) in [
        (
            "[[unroll]] for (int i = 0; i < 4; ++i) {}",
            "for (int i = 0; i < 4; ++i) {}",
        ),
        ("a[b[0]] = c[d[1]];", "a[b[0]] = c[d[1]];"),
        ("x[[maybe_unused]]y;", "x y;"),
        (
            "\"1.0 .xy [[a]] threadgroup\"; // 1.0 v.xy\n",
            "\"1.0 .xy [[a]] threadgroup\"; // 1.0 v.xy",
        ),
        (
            "float requires = 1.0h;",
            "float zmlx_kw_requires = half(1.0f);",
        ),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
}

#[test]
fn macro_bodies() {
    let text = lowered("#define F(v, p) \\\n  ((v).xy * 1.5 \\\n + *(threadgroup float*)(p)) \n#include <metal_stdlib>\n#include \"x.h\"\n#if 1.0\n#endif\n", "").text;
    assert!(
        text.contains(
            "#define F(v, p) \\\n  ((v).template zmlx_get<0,1>() * 1.5f \\\n + *(  float*)(p))"
        ),
        "{text}"
    );
    assert!(
        !text.contains("metal_stdlib")
            && text.contains("#include \"x.h\"")
            && text.contains("#if 1.0")
    );
}

#[test]
fn loops() {
    for (msl, cpp) in [
        (
            "for (uint i = t; i < n; i += TG) f();",
            "for (uint i = t; i < n; i += STEP(TG)) f();",
        ),
        (
            "for (int i = 0; i < n; i += 4) f();",
            "for (int i = 0; i < n; i += 4) f();",
        ),
        (
            "for (int i = 0; i < n; i += 0) f();",
            "GUARD for (int i = 0; TICK && (i < n); i += 0) f();",
        ),
        (
            "for (int i = 1; i < n; i <<= 1) f();",
            "for (int i = 1; i < n; i <<= 1) f();",
        ),
        (
            "for (int i = k; i < n; i *= 2) f();",
            "GUARD for (int i = k; TICK && (i < n); i *= 2) f();",
        ),
        (
            "for (int i = n; i > 0; i /= 1) f();",
            "GUARD for (int i = n; TICK && (i > 0); i /= 1) f();",
        ),
        (
            "for (int i = 0; i < n; ++i) if (a) i -= 1;",
            "GUARD for (int i = 0; TICK && (i < n); ++i) if (a) i -= 1;",
        ),
        ("do f(); while (a);", "GUARD do f(); while (TICK && (a));"),
        (
            "do if (a) f(); else g(); while (b);",
            "GUARD do if (a) f(); else g(); while (TICK && (b));",
        ),
        (
            "for (uint s = TG / 2; s > 0; s >>= 1) f();",
            "for (uint s = TG / 2; s > 0; s >>= 1) f();",
        ),
        (
            "for (uint i = n; i >= 0; --i) f();",
            "GUARD for (uint i = n; TICK && (i >= 0); --i) f();",
        ),
        ("for (;;) f();", "GUARD for (;TICK;) f();"),
        ("for (auto x : xs) f();", "for (auto x : xs) f();"),
        ("while (true) f();", "GUARD while (TICK && (true)) f();"),
        (
            "do { while (a) b(); } while (c);",
            "GUARD do { GUARD while (TICK && (a)) b(); } while (TICK && (c));",
        ),
        ("do { f(); } while (0);", "do { f(); } while (0);"),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
}

#[test]
fn divisions() {
    for (msl, cpp) in [
        ("x = a / b * c;", "x = a / !BY / b * c;"),
        ("x = a / 2 + b % 3u;", "x = a / 2 + b % 3u;"),
        ("x = a / 0x10 / .5 / 1e3;", "x = a / 0x10 / .5f / 1e3f;"),
        (
            "x = a / 0 % 0u / 0x0 / 0b0 / -1;",
            "x = a / !BY / 0 / !BY % 0u / !BY / 0x0 / !BY / 0b0 / !BY / -1;",
        ),
        (
            "x = a % -p->n[i].k++ + 1;",
            "x = a / !BY % -p->n[i].k++ + 1;",
        ),
        (
            "x = a / (b + c) / float(d);",
            "x = a / !BY / (b + c) / !BY / float(d);",
        ),
        ("x /= b + 1, y %= 2;", "x /= BY |= b + 1, y %= 2;"),
        ("x %= 0;", "x %= BY |= 0;"),
        ("x = c ? a /= b : d;", "x = c ? ALT(a /= BY |= b) : ALT(d);"),
        (
            "v /= c ? a : f<1, 2>(b);",
            "v /= BY |= c ? ALT(a) : ALT(f<1, 2>(b));",
        ),
        ("v /= {1, 2};", "v /= {1, 2};"),
        ("F(/, a %, b);", "F(/ !BY /, a / !BY %, b);"),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
}

/// The word between dividend and divisor stands behind an operator that the text does not define.
#[test]
fn divisions_beside_operators_of_the_program() {
    for (header, division) in [
        ("T operator/(T a, U b);\n", "a * !BY / b"),
        (
            "T operator/(T a, U b); T operator*(T a, U b);\n",
            "a % !BY / b",
        ),
        (
            "T operator/(T a, U b); T operator*(T a, U b); T operator%(T a, U b);\n",
            "a / !BY / b",
        ),
    ] {
        let text = lowered(header, "x = a / b;").text;
        assert!(text.contains(division) && text.contains(header), "{text}");
    }
}

#[test]
fn divisions_in_macros() {
    for (msl, cpp) in [
        ("#define D(a, b) a / b", "#define D(a, b) a / !BY / b"),
        ("#define DIV /", "#define DIV / !BY /"),
        ("#define BY_B % b", "#define BY_B / !BY % b"),
        (
            "#define C(a, b) (a / b##1)",
            "#define C(a, b) (a / !BY / b##1)",
        ),
        ("#define S(a) #a a ## / b", "#define S(a) #a a ## / b"),
        // In a condition the word counts as 1.
        (
            "#define R(a) (4 / a)\n#if R(2) == 2\n#endif",
            "#define R(a) (4 / !BY / a)\n#if R(2) == 2\n#endif",
        ),
        // Operators whose names a macro makes stay as they are.
        (
            "#define OP(o) T operator o(T b) { return v o b.v; }\nstruct T { OP(/) };",
            "struct T { OP(/) };",
        ),
        (
            "#define OPS(o, p) void f() { a o##= p; }\n#define TWO(o) OPS(o, b)\nTWO(%)",
            "TWO(%)",
        ),
        ("#define DIV /\nT operator DIV(T a);", "#define DIV /\nT"),
    ] {
        let text = lowered(&format!("{msl}\n"), "").text;
        assert!(text.contains(cpp), "{text}");
    }
    // A remainder is no factor of 1, so a macro that is computed with keeps its text.
    let text = lowered(
        "T operator/(T a, U b); T operator*(T a, U b);\n#define H(a) (a / b)\n#define G H(4)\n#if G == 2\n#endif\n",
        "",
    )
    .text;
    assert!(text.contains("#define H(a) (a / b)\n"), "{text}");
}

#[test]
fn conditional_expressions() {
    for (msl, cpp) in [
        ("x = c ? a : b;", "x = c ? ALT(a) : ALT(b);"),
        (
            "x = c ? 1.0 : b.xy;",
            "x = c ? 1.0f : ALT(b.template zmlx_get<0,1>());",
        ),
        (
            "f(c ? a[i ? 0 : 1] : -1, d);",
            "f(c ? ALT(a[i ? 0 : 1]) : ALT(-1), d);",
        ),
        (
            "x = a ? b ? c : d : e ? f : g;",
            "x = a ? ALT(b ? ALT(c) : ALT(d)) : ALT(e ? ALT(f) : ALT(g));",
        ),
        (
            "x = c ? 0 : metal::max<T, 2>(a, b) + 1, y = 2;",
            "x = c ? 0 : ALT(metal::max<T, 2>(a, b) + 1), y = 2;",
        ),
        (
            "while (c ? a : b) {}",
            "GUARD while (TICK && (c ? ALT(a) : ALT(b))) {}",
        ),
        (
            "switch (x) { case 1: y = c ? a : b; default: break; }",
            "switch (x) { case 1: y = c ? ALT(a) : ALT(b); default: break; }",
        ),
        ("c ? (void)0 : throw x;", "c ? (void)0 : throw x;"),
        ("?;", "?;"),
    ] {
        assert_eq!(body(msl), cpp, "{msl}");
    }
    let text = lowered(
        "#define M(a, b) ((a) > (b) ? (a) : (b))\n#define H c ? x :\n#define E c ? x : y\n",
        "",
    )
    .text;
    for line in [
        "((a) > (b) ? ALT((a)) : ALT((b)))",
        "H c ? ALT(x) :\n",
        "E c ? ALT(x) : ALT(y)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn overloads_on_address_spaces_are_one() {
    let text = lowered(
        "template <typename T> T get(const device T* p) { return p[0]; }\n\
         template <typename T> T get(const threadgroup T* p) { return p[1]; }\n\
         template <typename T> T get(constant T* p) { return p[2]; }\n\
         template <typename T> T get(device T* p) { return p[3]; }\n\
         namespace n { struct S { float f(device float* p) { return 4; } float f(thread float* p) { return 5; } }; }\n",
        "",
    )
    .text;
    let kept: Vec<&str> = ["p[0]", "p[1]", "p[2]", "p[3]", "return 4", "return 5"]
        .into_iter()
        .filter(|w| text.contains(w))
        .collect();
    assert_eq!(kept, ["p[0]", "p[3]", "return 4"], "{text}");
}
