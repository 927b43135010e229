//! Tests of the lowering that need no compiler.

use proptest::prelude::*;

use super::*;

/// A target whose words are easy to recognize.
struct Marks;

impl Target for Marks {
    fn prologue(&self, mode: Mode) -> String {
        format!("// {mode:?}")
    }
    fn threadgroup_variable(&self) -> &'static str {
        "SHARED"
    }
    fn kernel_function(&self) -> &'static str {
        "KERNEL "
    }
    fn buffer_qualifier(&self) -> &'static str {
        ""
    }
    fn alternative(&self) -> Option<&'static str> {
        Some("ALT")
    }
    fn entry(&self, facts: &Facts<'_>) -> String {
        format!("{:?} {:?}", facts.types, facts.signature.template_args)
    }
    fn loop_guard(&self) -> Option<LoopGuard> {
        Some(LoopGuard {
            prefix: "GUARD ",
            tick: "TICK",
        })
    }
}

fn kernel(header: &str, body: &str) -> String {
    format!(
        "{header}[[kernel]] void k(\n  const device float* inp [[buffer(0)]],\n  \
         device float* out [[buffer(1)]],\n  uint3 thread_position_in_grid \
         [[thread_position_in_grid]]) {{\n{body}\n}}\n"
    )
}

fn lowered(header: &str, body: &str) -> Lowered {
    lower(&kernel(header, body), false, &Marks).unwrap()
}

/// The lowered body, blanks squeezed.
fn body(msl: &str) -> String {
    let text = lowered("", msl).text;
    let start = text.find("#line 1 \"<source>\"\n").unwrap() + 19;
    let end = text.rfind("}\n#line 1 \"<entry>\"").unwrap();
    text[start..end]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

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
fn modes() {
    for (header, body, mode) in [
        ("", "out[0] = 1;", Mode::Plain),
        (
            "#define R(x) simd_sum(x)\n",
            "out[0] = 1; // simd_sum threadgroup",
            Mode::Plain,
        ),
        ("#define R(x) simd_sum(x)\n", "out[0] = R(x);", Mode::Sync),
        ("", "threadgroup float s[2];", Mode::Sync),
        ("", "threadgroup_barrier(mem_flags::mem_none);", Mode::Sync),
        ("", "simdgroup_float8x8 m;", Mode::Sync),
    ] {
        assert_eq!(lowered(header, body).mode, mode, "{header}{body}");
    }
    let single = lower(&kernel("", "threadgroup float s[2];"), true, &Marks).unwrap();
    assert_eq!(single.mode, Mode::Single);
}

#[test]
fn loops() {
    for (msl, cpp) in [
        (
            "for (uint i = t; i < n; i += TG) f();",
            "for (uint i = t; i < n; i += TG) f();",
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

#[test]
fn templates_and_references() {
    let text = "template <typename T, int N, bool B>\n[[kernel]] void k(\n  const constant int32_t& n [[buffer(0)]],\n  \
        device atomic<float>* out [[buffer(1)]],\n  uint thread_index_in_simdgroup [[thread_index_in_simdgroup]]) {\n\n}\n\n\
        template [[host_name(\"k\")]] [[kernel]] decltype(k<metal::vec<float, 4>, 3, 1>) k<metal::vec<float, 4>, 3, 1>;\n";
    let lowered = lower(text, false, &Marks).unwrap();
    assert_eq!((lowered.buffers, lowered.mode), (2, Mode::Plain));
    let entry = r#"["const int32_t", "atomic<float>", "uint"] Some("metal::vec<float, 4>, 3, 1")"#;
    assert!(lowered.text.ends_with(entry), "{}", lowered.text);
    assert!(!lowered.text.contains("host_name"));
}

#[test]
fn refusals() {
    let k = "k".to_owned();
    for (text, error) in [
        ("", LowerError::NoKernel),
        ("void k() {}", LowerError::NoKernel),
        (
            "kernel void k(device float* x [[buffer(0)]]",
            LowerError::Incomplete {
                kernel: k.clone(),
                what: "parameter list",
            },
        ),
        (
            "kernel void k();",
            LowerError::Incomplete {
                kernel: k.clone(),
                what: "body",
            },
        ),
        (
            "template <int N> kernel void k() {}",
            LowerError::NotInstantiated { kernel: k.clone() },
        ),
        (
            "kernel void k(texture2d<float> t [[texture(0)]]) {}",
            LowerError::Parameter {
                kernel: k.clone(),
                parameter: "texture2d<float> t [[texture(0)]]".into(),
            },
        ),
    ] {
        assert_eq!(lower(text, false, &Marks).unwrap_err(), error, "{text}");
    }
}

#[test]
fn places_lead_back() {
    let lowered = lowered(
        "// one\r\nfloat f(device float* p) { return 1.0; }\n",
        "\n  threadgroup float4 s[2]; a.xyz = nope;\n",
    );
    let find = |word: &str| {
        let at = lowered.text.find(word).unwrap();
        let mark = lowered.text[..at].rfind("#line 1 ").unwrap();
        let file = lowered.text[mark + 9..].split('"').next().unwrap();
        let start = mark + lowered.text[mark..].find('\n').unwrap() + 1;
        let line = lowered.text[start..at].matches('\n').count() + 1;
        let column = at - lowered.text[..at].rfind('\n').unwrap();
        lowered
            .map
            .locate(&lowered.text, file, line, column)
            .unwrap()
    };
    let place = find("nope");
    assert_eq!(
        (place.region, place.line, place.column),
        (Region::Source, 2, 36)
    );
    assert_eq!(&place.text[35..], "nope;");
    let place = find("return");
    assert_eq!((place.region, place.line), (Region::Header, 2));
    let place = find("thread_position_in_grid");
    assert_eq!((place.region, place.line), (Region::Signature, 4));
}

/// Pieces that steer random text into every branch of the passes.
const PIECES: [&str; 64] = [
    "[[kernel]] ",
    "kernel ",
    "void ",
    "k",
    "(",
    ")",
    "{",
    "}",
    "[[",
    "]]",
    "[",
    "]",
    "<",
    ">",
    ";",
    ",",
    "template ",
    "[[host_name(\"k\")]] ",
    "decltype",
    "device ",
    "threadgroup ",
    "constant ",
    "thread ",
    "const ",
    "static ",
    "constexpr ",
    "float",
    "uint3 ",
    "*",
    "&",
    "::",
    ".",
    "->",
    "xyz",
    "xy ",
    "=",
    "+=",
    ">>=",
    "1.0",
    "1e",
    "0x1p",
    "5h",
    ".5",
    "while ",
    "for ",
    "do ",
    "struct ",
    "namespace ",
    "#define ",
    "#include <metal_",
    "\\\n",
    "\n",
    "\r\n",
    "//",
    "/*",
    "*/",
    "\"",
    "'",
    " ",
    "simd_sum",
    "[[buffer(0)]]",
    "[[thread_position_in_grid]]",
    "é",
    "operator",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("ZMLX_FUZZ_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000)
    ))]

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = lower(&text, false, &Marks);
        let _ = lower(&kernel(&text, &text), true, &Marks);
    }

    #[test]
    fn any_mixture_is_survived(pieces in proptest::collection::vec(proptest::sample::select(PIECES.as_slice()), 0..60)) {
        let text = pieces.concat();
        let _ = lower(&text, false, &Marks);
        if let Ok(lowered) = lower(&kernel("", &text), false, &Marks) {
            for (line, column) in [(1, 1), (3, 9), (0, 0), (99, 99)] {
                let _ = lowered.map.locate(&lowered.text, "<source>", line, column);
            }
        }
    }
}
