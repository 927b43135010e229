//! The checked mode: kernels without a fault give the same as ever, and any text is taken.

mod common;

use common::checked::{N, numbers, run};
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, vmap};

const CORRECT: &[(&str, &str, &str)] = &[
    ("plain", "", "out[i] = x[i] * small[i % 4];"),
    (
        "division",
        "enum Some { None }; struct Count { int v; operator int() const { return v; } };
        #define DIV /\n",
        "int z = int(x[0]) - 1, k = int(i); k %= Count{z + 7}; k /= z;
         out[i] = int(i) / Some(z) + 7 % Count{z} + k DIV z + 5 / 0 + (int4(k) / z).y + k % 0;",
    ),
    (
        "barriers",
        "inline void fold(threadgroup float* t, uint l) {
            for (uint s = 16; s > 0; s >>= 1) {
                if (l < s) t[l] += t[l + s];
                threadgroup_barrier(mem_flags::mem_threadgroup);
            }
        }",
        "threadgroup float t[32]; t[l] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup);
         fold(t, l); out[i] = t[0];",
    ),
    (
        "simd",
        "",
        "out[i] = simd_sum(x[i]) + simd_shuffle_xor(x[i], 1);",
    ),
    (
        "two_dimensions",
        "struct Pair { float a; float2 b[2]; };",
        "threadgroup float t[4][8]; threadgroup Pair p[32];
         t[l / 8][l % 8] = x[i]; p[l].a = x[i]; p[l].b[1] = float2(x[i], 2);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = t[3 - l / 8][l % 8] + p[31 - l].a + p[l].b[1].y;",
    ),
    (
        "vectors",
        "",
        "const device float4* v = (const device float4*)x;
         const device float2* w = reinterpret_cast<const device float2*>(&x[0]);
         out[i] = v[i / 4][i % 4] + w[i / 2].y + dot(v[0], v[15]);",
    ),
    (
        "atomics",
        "",
        "threadgroup atomic_uint n; threadgroup atomic_int m[2];
         if (l == 0) { atomic_store_explicit(&n, 0u, memory_order_relaxed);
            atomic_store_explicit(&m[1], 0, memory_order_relaxed); }
         threadgroup_barrier(mem_flags::mem_threadgroup);
         atomic_fetch_add_explicit(&n, 2u, memory_order_relaxed);
         atomic_fetch_max_explicit(&m[1], int(l), memory_order_relaxed);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = float(atomic_load_explicit(&n, memory_order_relaxed)
            + uint(atomic_load_explicit(&m[1], memory_order_relaxed)));",
    ),
    (
        "templates_and_spaces",
        "template <typename T> T head(device const T* p) { return p[0]; }
         template <typename T> T head(threadgroup const T* p) { return p[0]; }
         template <typename T> T head(constant T* p) { return p[0]; }
         template <typename T> void put(thread T* to, T v) { *to = v; }
         template <typename T> void put(device T& to, T v) { to = v; }
         template <typename T> void put(thread T& to, T v) { to = v; }
         constant float table[2][2] = {{1, 2}, {3, 4}};
         #define AT(p, k) (*(device float*)(&p[k]))
         struct View { device float* p; uint n; float get(uint k) const { return p[k % n]; } };",
        "threadgroup float t[32]; t[l] = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup);
         float v[3]; put(&v[1], head(x)); put(&v[2], 3.0f); put(v[0], head(t));
         device float *a = out + i, *b = &out[i];
         auto c = a; put(*c, v[0] + v[1] + v[2] + head(small) + table[1][0]);
         View view{out, 64}; view.p = b; *b += AT(out, i) + (a == b ? 1.0f : 0.0f) + float(b - out);
         *a++ += table[0][1]; device float* none = nullptr; if (none || !a) out[i] = 0;
         simdgroup_barrier(mem_flags::mem_none); (void)view.n;",
    ),
    (
        "arrays",
        "typedef device float* Row;
         template <typename P> struct element {};
         template <typename T> struct element<device T*> { typedef T type; };
         template <typename T> struct element<threadgroup T*> { typedef T type; };
         float at(threadgroup float rows[][8], uint r, uint c) { return rows[r][c]; }
         float sum(threadgroup float (&rows)[4][8]) {
             float s = 0; for (int r = 0; r < 4; ++r) for (int c = 0; c < 8; ++c) s += rows[r][c];
             return s; }
         float first(const threadgroup float *a, const device float *b) { return *a + *b; }
         device float* behind(device float* p, uint n) { return p + n; }
         typedef struct { float a[2]; int n; } Cell;
         void bump(threadgroup Cell* c) { c->a[1] += 1; (*c).n = c->n + 1; }
         void fill(threadgroup float* p, int n) { for (int k = 0; k < n; ++k) *(p + k) = k; }
         constant constexpr uint8_t codes[4] = {1, 2, 3, 4};
         static constant int big = 3;",
        "threadgroup float t[4][8], u[8]; threadgroup Cell cells[2]; threadgroup Cell one;
         if (l == 0) { for (int r = 0; r < 4; ++r) fill(t[r], 8); fill(&u[0], 8); fill(one.a, 2);
            cells[1].a[1] = 2; cells[1].n = 0; bump(&cells[1]); bump(cells + 1); }
         threadgroup_barrier(mem_flags::mem_threadgroup);
         threadgroup float (*rows)[8] = t; threadgroup float *a = t[1], *b = &t[2][1];
         Row row = behind(out, i); element<device float*>::type e = 0;
         for (const device float *p = x, *q = x + 3; p < q; ++p) e += *p;
         *row = at(t, 1, 2) + sum(t) + first(a, x) + rows[3][7] + *b + u[l % 8] + cells[1].a[1]
            + cells[1].n + codes[i % 4] + big + e + one.a[1];
         device const uint* bits = (device const uint*)&((const device float2*)x)[i / 2];
         *row += as_type<float>(bits[0]); const device float& r = *(x + 1); *row += r;
         ulong address = (ulong)row; if (address == 0 || sizeof(e) != 4) out[i] = 0;",
    ),
    (
        "loader",
        "template <typename T, short BC> struct Loader {
           const device T* src; threadgroup T* dst; const int ld; const short row;
           struct Vec { T v[4]; };
           METAL_FUNC Loader(const device T* src_, const int ld_, threadgroup T* dst_, ushort lane)
             : src(src_ + (lane / 2) * ld_ + (lane % 2) * 4), dst(dst_ + lane * 4), ld(ld_), row(lane) {}
           METAL_FUNC void load() const {
             if (row < 16) *((threadgroup Vec*)(&dst[0])) = *((const device Vec*)(&src[0])); }
           METAL_FUNC void next() { src += BC; this->dst += 0; }
         };
         template <typename T> struct Frag {
           typedef metal::vec<T, 2> frag;
           template <typename P> METAL_FUNC static constexpr void load(thread frag& d, P src, int n) {
             for (short j = 0; j < 2; ++j) d[j] = static_cast<T>(src[n * j]); }
           METAL_FUNC static void store(const thread frag& s, device T* dst) { dst[0] = s[0]; dst[1] = s[1]; }
         };
         auto twice(float v) -> float { return 2 * v; }
         struct Params { int n; float k[3]; };
         METAL_FUNC float third(const constant Params* p) { return p->k[2] + (*p).n; }
         #define FIELD(p, f) p->f
",
        "threadgroup float tile[64]; Loader<float, 8> loader(x, 8, tile, l);
         loader.load(); loader.next(); threadgroup_barrier(mem_flags::mem_threadgroup);
         simdgroup_float8x8 a, b, c = simdgroup_float8x8(0);
         simdgroup_load(a, tile, 8); simdgroup_load(b, &x[0], 8, ulong2(0), true);
         simdgroup_multiply_accumulate(c, a, b, c);
         thread auto& e = c.thread_elements(); e[0] = twice(e[0]);
         if (i < 32) simdgroup_store(c, out, 8);
         Frag<float>::frag f; Frag<float>::load(f, tile + l, 1); Frag<float>::load(f, out, 1);
         const constant Params* params = (const constant Params*)small;
         threadgroup Params shared[2]; if (l == 0) { shared[1].n = 4; shared[1].k[0] = third(params); }
         threadgroup Params* q = shared; q += 1; threadgroup_barrier(mem_flags::mem_threadgroup);
         if (i >= 32 && i < 34) out[i - 32] += f[0] + FIELD(q, n) + q->k[0];",
    ),
    (
        "past_the_end_unread",
        "",
        "const device float* end = &x[64]; const device float* p = &x[i];
         float s = 0; while (p < end) { s += *p; p += 16; } out[i] = s;",
    ),
];

#[test]
fn correct_kernels_give_the_same() {
    for (name, header, source) in CORRECT {
        let source = format!(
            "uint i = thread_position_in_grid.x, l = thread_position_in_threadgroup.x;
            {source}"
        );
        let plain = MetalKernel::new(name, ["x", "small"], ["out"])
            .header(*header)
            .source(source)
            .build()
            .unwrap();
        let checked = plain.checked();
        let want = run(&plain).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = run(&checked).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(got, want, "{name}");
        let report = checked.checked_report().unwrap();
        assert_eq!(report.violations, 0, "{name}");
        assert!(report.unwritten.is_empty(), "{name}: {report:?}");
        assert!(plain.checked_report().is_none());
    }
}

/// Threadgroups of one thread have code of their own.
#[test]
fn groups_of_one_thread() {
    let kernel = MetalKernel::new("single", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x; threadgroup float t[2];
             t[0] = x[i]; t[1] = 1; threadgroup_barrier(mem_flags::mem_threadgroup);
             out[i] = t[i == 9 ? 2 : 0] + simd_sum(t[1]);",
        )
        .build()
        .unwrap()
        .checked_robust();
    let [y] = kernel.launch(&[&numbers(N)]).threadgroup(1).run().unwrap();
    let got = y.to_vec::<f32>().unwrap();
    assert_eq!(got[8..11], [10.0, 1.0, 12.0]);
    let report = kernel.checked_report().unwrap();
    let first = report.first.unwrap();
    assert_eq!((report.violations, first.thread), (1, [9, 0, 0]), "{first}");
}

#[test]
fn strided_inputs_and_vmap() {
    let kernel = MetalKernel::new("loc", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x;
             out[i] = 2 * x[elem_to_loc(i, x_shape, x_strides, x_ndim)];",
        )
        .ensure_row_contiguous(false)
        .build()
        .unwrap()
        .checked();
    let x = numbers(N).reshape([4, 4, 4]).unwrap();
    let t = x.transpose([2, 0, 1]).unwrap();
    let one = |a: &[Array]| -> Result<Vec<Array>> {
        let [y] = kernel.launch(&[&a[0]]).grid(a[0].size()).run()?;
        Ok(vec![y])
    };
    let direct = one(std::slice::from_ref(&t)).unwrap();
    let mapped = vmap(one).call(std::slice::from_ref(&t)).unwrap();
    let want: Vec<f32> = t.to_vec::<f32>().unwrap().iter().map(|v| 2.0 * v).collect();
    assert_eq!(direct[0].to_vec::<f32>().unwrap(), want);
    assert_eq!(mapped[0].to_vec::<f32>().unwrap(), want);
    assert_eq!(kernel.checked_report().unwrap().launches, 1 + 4);
}

/// The passes of the checked mode take any text without a panic.
#[test]
fn any_text_is_taken() {
    const PIECES: &[&str] = &[
        "device ",
        "constant ",
        "threadgroup ",
        "thread ",
        "const ",
        "float",
        "T",
        "x",
        "*",
        "&",
        "&&",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "<",
        ">",
        ",",
        ";",
        "->",
        ".",
        "::",
        "=",
        "auto ",
        "struct S ",
        "template <typename T> ",
        "#define M(a) ",
        "#if 0\n",
        "#endif\n",
        "\n",
        "return ",
        "reinterpret_cast<",
        "for (",
        "0",
        "std",
        "double ",
        "long ",
        "f(",
        "4",
        "this",
        "operator",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let options = zmlx::engine::host::CompileOptions {
        checked: true,
        ..Default::default()
    };
    for _ in 0..20_000 {
        let mut text =
            |n: usize| -> String { (0..n).map(|_| PIECES[next(PIECES.len())]).collect() };
        let (header, body) = (text(20), text(20));
        let msl =
            format!("{header}\n[[kernel]] void k(device float* x [[buffer(0)]]) {{\n{body}\n}}\n");
        let _ = zmlx::engine::host::lower(&msl, &options);
        let _ = zmlx::engine::host::check(&msl, &options);
    }
}
