//! What whole `.metal` files write around and beside a kernel.

use zmlx::Error;
use zmlx::engine::{EngineError, LowerError};
use zmlx::prelude::*;

use super::Probe;

#[test]
fn half_literals_in_conditionals() {
    let body = "half v = h[0] - 0.5h; bfloat w = bfloat(b[2]); int i = 3; float f = 1.5f; half2 p = half2(1.0h, 2.0h);
        bool t = true, n = false; half x1 = v > 0.0h ? v : 0.0h; half y1 = 3.0h; (t ? v : y1) = 4.0h; thread half& z = n ? v : y1; z = 6.0h;
        out[0] = x1; out[1] = t ? 2h : v; out[2] = n ? w : 0.5bf; out[3] = t ? (n ? v : 2.5h) : 1.0h;
        out[4] = t ? 1.0h : f; out[5] = n ? f : .5H; out[6] = t ? 3.0h : i; out[7] = n ? i : 1.0e1h;
        out[8] = (t ? p : half2(0.0h)).y; out[9] = n ? 1.0h : t ? 0.25h : f; out[10] = v; out[11] = y1;
        out[12] = t ? 0x1.8p1h : 0.0h; half q = n ? 1 : 7.0h; out[13] = q; out[14] = sizeof(t ? 1.0h : i); out[15] = t ? -0.5h : v;
        out[16] = h[t ? 2 : 1];";
    let got = Probe::new(body).run_both::<f32>(17);
    let want = [
        0.0, 2.0, 0.5, 2.5, 1.0, 0.5, 3.0, 10.0, 2.0, 0.25, 4.0, 6.0, 3.0, 7.0, 2.0, -0.5, 2.0,
    ];
    assert_eq!(got, want);
}

#[test]
fn conditionals_among_template_arguments() {
    let header = "template <int N> struct S { float v[N]; enum { n = N }; };
        template <int N, int M> struct D { enum { n = N * 100 + M }; };
        template <bool t, int A, int B> using R = S<t ? A : B>;
        template <bool t, int A = t ? 5 : 6> struct Def { enum { n = A }; };
        template <int N> int value() { return N; }
        template <typename... P> int count() { return S<sizeof...(P) == 0 ? 1 : sizeof...(P)>::n; }
        template <int a, int b> using Max = S<(a > b) ? a : b>;
        template <int a, int b, int c> using Nest = D<a ? b ? 1 : 2 : 3, (c ? 4 : 5)>;
        template <bool t> inline float pick(float a, float b) { return value<t ? 1 : 2>() > 1 ? b : a; }
        template <typename T> struct Wide { enum { n = sizeof(T) }; };
        #define CHOOSE(t, a, b) S<t ? a : b>::n\n";
    let expressions: [(&str, f32); 13] = [
        ("R<true, 2, 3>::n", 2.0),
        ("sizeof(R<false, 2, 3>) / 4", 3.0),
        ("Def<true>::n * 10 + Def<false>::n", 56.0),
        ("value<T(1) > T(0) ? 7 : 8>()", 7.0),
        ("count<int, float, half>() + count<>()", 4.0),
        ("Max<4, 3>::n", 4.0),
        ("Nest<1, 0, 1>::n", 204.0),
        ("pick<false>(1.5f, 2.5f)", 2.5),
        ("CHOOSE(false, 1, 9)", 9.0),
        ("vec<float, true ? 2 : 4>(3.0f).y", 3.0),
        ("array<S<true ? 1 : 2>, 4>().size()", 4.0),
        ("i < 1 ? 2.5h : h[0] > 3", 2.5),
        ("Wide<decltype(true ? 1.0h : 2.0h)>::n", 2.0),
    ];
    let lines = expressions.iter().enumerate();
    let body: String = lines
        .map(|(i, (text, _))| format!("out[{i}] = {text};\n"))
        .collect();
    let body = format!(
        "int i = 0;\n{}",
        body.replace("T(1) > T(0)", "(T(1) > T(0))")
    );
    let got = Probe::new(&body)
        .header(header)
        .run_both::<f32>(expressions.len());
    for ((text, want), got) in expressions.iter().zip(got) {
        assert_eq!(got, *want, "{text}");
    }
}

#[test]
fn nameless_structures_of_classes() {
    let header = "#define NAMELESS
        typedef struct { union { struct { half d; half m; } NAMELESS; half2 dm; }; uint8_t qs[8]; } block_q;
        struct named { int i; union { struct { bfloat a, b; packed_half4 p; uint n; }; uchar raw[16]; };
                       named() : i(1) {} float both() const { return float(a) + float(b); } };
        typedef struct tagged { struct { half4 v; float2 f[2]; }; } alias;
        template <typename T, int N> struct general { union { struct { T a; half b[N]; }; T both[2]; }; };
        template <int N> struct sized { struct { half a[N]; half2 last; }; };
        struct outer { struct inner { union { struct { half x, y; }; uint bits; }; } one; float after; };
        struct plain { union { struct { float x, y; }; float v[2]; }; };
        inline float sum(const device block_q& b) { return b.d + b.m; }\n";
    let body = "const device block_q* q = (const device block_q*)(h + 8); named n; n.a = 1.5bf; n.b = 2; n.p = packed_half4(half4(1, 2, 3, 4)); n.n = 7;
        alias l; l.v = half4(1, 2, 3, 4); l.f[1] = float2(5, 6); tagged k = l; general<half, 2> g; g.a = 1; g.b[1] = 9;
        sized<4> z; z.a[2] = 4; z.last.y = 8; outer o; o.one.x = 1; o.one.y = 2; o.after = 3; plain p; p.x = 1; p.v[1] = 2;
        union { struct { half lo, hi; }; uint word; } w; w.word = 0x40003c00; struct { union { struct { half2 a; }; uint u; }; } e; e.u = 0x3c004000;
        out[0] = q->d; out[1] = q->m; out[2] = q->dm.y; out[3] = sum(q[1]); out[4] = sizeof(block_q); out[5] = n.both() + n.i; out[6] = n.p.w + n.n;
        out[7] = k.v.w + l.f[1].y; out[8] = g.both[0] + g.b[1]; out[9] = sizeof(sized<4>) + z.a[2] + z.last.y; out[10] = o.one.bits == 0x40003c00 ? 1 : 0;
        out[11] = p.v[0] + p.y; out[12] = w.lo * 10 + w.hi; out[13] = e.a.x * 10 + e.a.y; out[14] = q->qs[1]; block_q copy = *q; copy.d = 5.0h; out[15] = copy.dm.x;";
    let got = Probe::new(body).header(header).run_both::<f32>(16);
    let want = [
        8.0,
        9.0,
        9.0,
        14.0 + 15.0,
        12.0,
        4.5,
        11.0,
        10.0,
        10.0,
        24.0,
        1.0,
        3.0,
        12.0,
        21.0,
        f32::from(0x49u8),
        5.0,
    ];
    assert_eq!(got, want);
}

/// The last line of a text is a line, whatever it holds.
#[test]
fn texts_without_a_last_newline() {
    let x = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
    for header in [
        "#define TWO 2.0f",
        "constant float TWO = 2.0f; // the factor",
        "#define TWO 2.0f\n#if 1\n#endif",
        "#define TWO 2.0f \\",
        "#define TWO 2.0f \\\n",
        "#define TWO 2.0f\n// the factor \\",
        "#define TWO \\\r\n 2.0f",
    ] {
        for source in [
            "out[i] = x[i] * TWO;",
            "out[i] = x[i] * TWO; // twice \\",
            "out[i] = x[i] * TWO;\n#undef TWO",
        ] {
            let kernel = MetalKernel::new("twice", ["x"], ["out"])
                .header(header)
                .source(format!("uint i = thread_position_in_grid.x;\n{source}"))
                .build()
                .unwrap();
            let [y] = kernel.launch(&[&x]).run().unwrap();
            assert_eq!(
                y.to_vec::<f32>().unwrap(),
                [2.0, 4.0],
                "{header:?} {source:?}"
            );
        }
    }
}

#[test]
fn other_kernels_and_what_makes_them() {
    let header = "constant bool flag [[function_constant(200)]];
        constant int steps [[function_constant(201)]];
        constant bool given = is_function_constant_defined(steps);
        inline float more() { return given ? 100 : 3; }
        template <typename T> [[kernel]] void rep(device T* p [[buffer(0)]], texture2d<float> t [[texture(0)]]) { if (flag) p[0] = t.read(uint2(0)).x; }
        typedef decltype(rep<float>) rep_t;
        template [[host_name(\"rep_f32\")]] [[kernel]] rep_t rep<float>;
        template [[host_name(\"rep_f16\")]] kernel decltype(rep<half>) rep<half>;
        #define instantiate_rep(name, T) template [[host_name(#name)]] [[kernel]] void rep<T>(device T*, texture2d<float>);
        instantiate_rep(rep_i32, int)
        instantiate_rep(rep_u32, uint)
        template [[host_name(\"rep_i16\")]] kernel decltype(rep<short>) rep<short>;
        #define CONSTANT(T, name, n) constant T name [[function_constant(n)]];
        CONSTANT(bool, align, 7) CONSTANT(int, rows, 8)
        kernel void old(device float* p [[buffer(0)]], uint i [[thread_position_in_grid]]) { threadgroup float s[8]; s[0] = 1; p[i] = s[0]; }
        #define KERNEL(name) kernel void name(device float* p [[buffer(0)]]) { p[0] = 1; }
        KERNEL(made)
        kernel void called(thread float* p) { *p += 2; }
        struct MD { float m; float d; MD() = default; MD() threadgroup = default; MD(const thread MD&) = default; };
        struct Sized { float n; Sized() = default; explicit Sized(float x) : n(x) {} };
        inline MD make() { return {3, 4}; }
        #define STRUCT(S) struct S { float v; S() = default; };
        STRUCT(Small)
        template <typename T> constexpr int width() { return vec_elements<T>::value; }\n";
    let body = "MD m = make(); threadgroup MD shared[2]; shared[0] = MD{1, 2}; float v = 1; called(&v); Small small{6}; constexpr int N = 5;
        float a[4] = { [0 ... 3] = 3.0f }, c[4] = {1, [2] = half(2.5h), 7}; int e[2][3] = { [0 ... 1] = { [1] = 4, 5 } }; const float g[N] = { [0 ... N - 1] = 8.0h }; const int z[2][N] = { [0 ... 1] = { [0 ... N - 1] = 8 } };
        constexpr float k[3] = { [2] = 1, [0] = 9 };
        out[0] = m.m; out[1] = shared[0].d; out[2] = v; out[3] = Sized(5).n; out[4] = small.v; out[5] = a[2]; out[6] = c[1] + c[2] + c[3];
        out[7] = e[1][2] * 10 + e[1][1] + e[0][0]; out[8] = (g[4] + z[1][4]) / 2; out[9] = k[0] * 100 + k[1] * 10 + k[2]; out[10] = width<float3>() + width<packed_half4>();
        out[11] = more(); simdgroup_float8x8 f = make_filled_simdgroup_matrix<float, 8>(3.0f); out[12] = f.thread_elements()[1]; simdgroup_matrix<half, 8> q; out[13] = sizeof(q);
        out[14] = make_diagonal_simdgroup_matrix<float, 8>(2.0f).thread_elements()[0];";
    let got = Probe::new(body).header(header).run_both::<f32>(15);
    let want = [
        3.0, 2.0, 3.0, 5.0, 6.0, 3.0, 9.5, 54.0, 8.0, 901.0, 7.0, 3.0, 3.0, 4.0, 2.0,
    ];
    assert_eq!(got, want);
}

#[test]
fn a_function_constant_that_is_read_is_named() {
    for declared in [
        "constant bool unused [[function_constant(0)]]; constant bool flag [[function_constant(1)]];",
        "#define FC(name, n) constant bool name [[function_constant(n)]];\nFC(unused, 0) FC(flag, 1)",
    ] {
        let header = format!("{declared}\ninline bool scale() {{ return flag; }}");
        let probe = Probe::new("out[0] = scale() ? 1 : 0;").header(&header);
        let Err(Error::Kernel { problem, .. }) = probe.try_run::<f32>(1) else {
            panic!("an error");
        };
        assert!(matches!(
            *problem,
            EngineError::Lower { error: LowerError::FunctionConstant { ref constant, .. }, .. } if constant == "flag"
        ));
    }
}
