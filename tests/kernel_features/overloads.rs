//! Overloads that differ in address spaces: the space of the argument chooses.

use zmlx::Error;
use zmlx::engine::{EngineError, LowerError};

use super::Probe;

/// The value of each expression, in both modes.
#[track_caller]
fn values(header: &str, setup: &str, expressions: &[(&str, f32)]) {
    let lines = expressions.iter().enumerate();
    let stores: Vec<String> = lines
        .map(|(i, (text, _))| format!("out[{i}] = {text};"))
        .collect();
    let body = format!("{setup}\n{}", stores.join("\n"));
    let got = Probe::new(&body)
        .header(header)
        .run_both::<f32>(expressions.len());
    for ((text, want), got) in expressions.iter().zip(got) {
        assert_eq!(got, *want, "{text}");
    }
}

#[test]
fn pointers() {
    values(
        "constant float table[4] = {9, 8, 7, 6};
         inline float which(const device float* p) { return 10 + p[0]; }
         inline float which(const threadgroup float* p) { return 20 + p[0]; }
         inline float which(const thread float* p) { return 30 + p[0]; }
         inline float which(constant float* p) { return 40 + p[0]; }
         namespace a { inline float f(device const float* p) { return 1; } inline float f(thread float* p) { return 2; } }
         namespace b { inline float f(thread float* p) { return 3; } inline float f(const device float* p) { return 4; } }
         template <typename T> float twice(const device T* p) { return 2 * which(p); }
         template <typename T> float twice(const threadgroup T* p) { return 2 * which(p); }
         template <typename T> float twice(const thread T* p) { return 2 * which(p); }
         template <typename P> float any(P p) { return which(p + 1); }",
        "threadgroup float s[4]; threadgroup float one; float t[4] = {1, 2, 3, 4}, v = 5;
         s[0] = 6; s[1] = 7; one = 8; auto q = x + 2; thread float* r = t + 1; float keep[2] = {0, 0};",
        &[
            ("which(x + 3)", 13.0),
            ("which(s)", 26.0),
            ("which(t)", 31.0),
            ("which(table)", 49.0),
            ("which(&x[4])", 14.0),
            ("which(&s[1])", 27.0),
            ("which(&one)", 28.0),
            ("which(&v)", 35.0),
            ("which(&table[1])", 48.0),
            ("which(q)", 12.0),
            ("which(r)", 32.0),
            ("which((const device float*)u)", 10.0),
            ("a::f(x)", 1.0),
            ("a::f(keep)", 2.0),
            ("b::f(keep)", 3.0),
            ("b::f(x)", 4.0),
            ("twice(x + 1)", 22.0),
            ("twice(s)", 52.0),
            ("twice(t)", 62.0),
            ("any(s)", 27.0),
            ("any(x)", 11.0),
            ("sizeof(s)", 16.0),
        ],
    );
}

#[test]
fn types_and_constness() {
    values(
        "struct Q { float v; float more[2]; };
         inline int kind(const device Q* q) { return 1; }
         inline float kind(threadgroup Q* q) { return 2.5; }
         inline half kind(const thread Q& q) { return 3; }
         template <typename T> float width(device T* p) { return sizeof(T); }
         inline float width(thread float* p) { return 100; }
         template <typename T> struct Space;
         template <typename T> struct Space<const device T*> { enum { value = 1 }; };
         template <typename T> struct Space<const threadgroup T*> { enum { value = 2 }; };
         template <typename T> struct Space<const thread T*> { enum { value = 3 }; };
         inline float writes(device float* p) { return 7; }
         inline float writes(const thread float* p) { return 8; }
         struct Load {
           float get(const device float* p) const { return p[1]; }
           float get(const threadgroup float* p) const { return 50 + p[1]; }
           float get(const thread float* p) const { return 70 + p[1]; }
         };
         inline float first(const device float* p) { return p[0]; }
         inline float first(const thread float* p) { return 60 + p[0]; }",
        "threadgroup Q s[2]; Q t = {1, {2, 3}}; float f[2] = {0, 4}; threadgroup float g[2]; g[1] = 6;
         const device Q* d = (const device Q*)x; Load load;",
        &[
            ("kind(d)", 1.0),
            ("kind(&d[1])", 1.0),
            ("kind(s)", 2.5),
            ("kind(s + 1)", 2.5),
            ("kind(t)", 3.0),
            ("width(out)", 4.0),
            ("width(f)", 100.0),
            ("Space<const device float*>::value", 1.0),
            ("Space<const threadgroup float*>::value", 2.0),
            ("Space<const thread float*>::value", 3.0),
            ("writes(f)", 8.0),
            ("load.get(x)", 1.0),
            ("load.get(g)", 56.0),
            ("load.get(f)", 74.0),
            ("first(&d->v)", 0.0),
            ("first(&d->more[1])", 2.0),
            ("first(d->more)", 1.0),
            ("first(t.more)", 62.0),
        ],
    );
}

#[test]
fn casts() {
    values(
        "#define DEVICE device
         struct P { float a, b; };
         inline float at(const device P& p) { return 100 + p.b; }
         inline float at(const threadgroup P& p) { return 200 + p.b; }
         inline float at(const thread P& p) { return 300 + p.b; }
         struct Q { float v, w; float get() const device { return 10 + v; } float get() const thread { return 20 + v; } };",
        "threadgroup float s[4]; s[2] = 5; s[3] = 6; float t[2] = {7, 8};",
        &[
            ("at(*(const device P*)x)", 101.0),
            ("at(*(const DEVICE P*)(x + 4))", 105.0),
            ("at(((const device P*)x)[1])", 103.0),
            ("at(*((const device P*)x + 2))", 105.0),
            ("at(*reinterpret_cast<const device P*>(x + 2))", 103.0),
            ("at(reinterpret_cast<const device P*>(x)[3])", 107.0),
            ("at(*(const threadgroup P*)&s[2])", 206.0),
            ("at(((threadgroup P*)s)[1])", 206.0),
            ("at(*(thread P*)t)", 308.0),
            ("((const device Q*)x)[1].get()", 12.0),
            ("((const device Q*)x)->get()", 10.0),
            ("(*(const device Q*)(x + 3)).get()", 13.0),
            ("((thread Q*)t)->get()", 27.0),
        ],
    );
}

#[test]
fn references() {
    values(
        "constant float two = 2;
         struct P { float a, b; };
         inline float at(const device float& v) { return 100 + v; }
         inline float at(const threadgroup float& v) { return 200 + v; }
         inline float at(const thread float& v) { return 300 + v; }
         inline float at(constant float& v) { return 400 + v; }
         template <typename T> void add(device T& v, T by) { v += by; }
         template <typename T> void add(threadgroup T& v, T by) { v += 2 * by; }
         template <typename T> void add(thread T& v, T by) { v += 3 * by; }
         inline float outer(const device float& w) { return at(w); }
         inline float part(const device P& p) { return at(p.b); }",
        "threadgroup float s[2], one; s[1] = 1; one = 3; float t[2] = {5, 6}, v = 7;
         const device P* d = (const device P*)x; add(s[1], 10.0f); add(t[0], 10.0f); add(one, 1.0f); add(v, 1.0f);
         const device float& r = x[9]; auto& z = s[1]; const device float* p = x + 4;",
        &[
            ("at(x[3])", 103.0),
            ("at(s[1])", 221.0),
            ("at(t[0])", 335.0),
            ("at(two)", 402.0),
            ("at(one)", 205.0),
            ("at(v)", 310.0),
            ("at(*p)", 104.0),
            ("at(p[1])", 105.0),
            ("at(d[1].b)", 103.0),
            ("at(d->b)", 101.0),
            ("at(r)", 109.0),
            ("at(z)", 221.0),
            ("at(1.5f)", 301.5),
            ("outer(x[2])", 102.0),
            ("part(d[3])", 107.0),
        ],
    );
}

#[test]
fn objects() {
    values(
        "struct S {
           float v;
           float get() const device { return 100 + v; }
           float get() const threadgroup;
           float get() const thread { return 300 + v; }
           float plus(float x) const device { return v + x; }
           float plus(float x) const thread { return v - x; }
         };
         inline float S::get() const threadgroup { return 200 + v; }
         struct Other { float v; float get() const { return v; } };",
        "threadgroup S s[2]; threadgroup S one; S t = {3}; s[1].v = 4; one.v = 5; Other other = {9};
         const device S* d = (const device S*)x; const device S& r = d[6]; thread S& w = t;",
        &[
            ("d[2].get()", 102.0),
            ("d->get()", 100.0),
            ("(d + 1)->get()", 101.0),
            ("s[1].get()", 204.0),
            ("one.get()", 205.0),
            ("t.get()", 303.0),
            ("w.get()", 303.0),
            ("r.get()", 106.0),
            ("other.get()", 9.0),
            ("d[2].plus(1)", 3.0),
            ("t.plus(1)", 2.0),
        ],
    );
}

#[test]
fn arrays_and_pointers() {
    values(
        "template <int N, typename T> T sum(thread T (&v)[N]) { T r = 0; for (int i = 0; i < N; ++i) r += v[i]; return r; }
         template <int N, typename T> T sum(threadgroup T* v) { T r = 0; for (int i = 0; i < N; ++i) r += v[i]; return r; }
         template <int N, typename T> T sum(const device T* v) { T r = 0; for (int i = 0; i < N; ++i) r += v[i]; return r; }",
        "threadgroup float s[2][4]; float t[3] = {1, 2, 3}; for (int i = 0; i < 4; ++i) s[1][i] = i + 1;",
        &[("sum<3>(t)", 6.0), ("sum<4>(s[1])", 10.0), ("sum<4>(x)", 6.0)],
    );
}

/// Macros write the overloads: one for each space, all of them at once, or a macro of macros.
#[test]
fn overloads_that_macros_write() {
    values(
        "#define ONE(space, n) inline float one(const space float* p) { return n + p[0]; }
         ONE(device, 10)
         ONE(threadgroup, 20) ONE(thread,
                                  30)
         #define ALL(name) inline float name(const device float* p) { return 1 + p[0]; } \\
                           inline float name(const threadgroup float* p) { return 2 + p[0]; } \\
                           inline float name(const thread float* p) { return 3 + p[0]; }
         ALL(all)
         #define IN(name, space, n) inline float name##_##at(const space float& v) { return n + v; }
         #define EACH(name) IN(name, device, 100) IN(name, threadgroup, 200) IN(name, thread, 300)
         namespace far { EACH(value) }
         struct Reader {
         #define GET(space, n) float get(const space float* p) const { return n * p[0]; }
           GET(device, 4)
           GET(threadgroup, 5)
           GET(thread, 6)
         };
         #define SAME(T) inline T same(T v) { return v; }
         SAME(float) SAME(int)\n",
        "threadgroup float s[2]; s[0] = 5; s[1] = 6; float t[2] = {7, 8}; Reader reader;",
        &[
            ("one(x + 3)", 13.0),
            ("one(s)", 25.0),
            ("one(t)", 37.0),
            ("all(x + 4)", 5.0),
            ("all(s + 1)", 8.0),
            ("all(&t[1])", 11.0),
            ("far::value_at(x[9])", 109.0),
            ("far::value_at(s[1])", 206.0),
            ("far::value_at(t[0])", 307.0),
            ("reader.get(x + 2)", 8.0),
            ("reader.get(s)", 25.0),
            ("reader.get(t)", 42.0),
            ("same(2.5f) + same(2)", 4.5),
        ],
    );
}

/// What does the same stays one function: nothing becomes a class.
#[test]
fn equal_bodies_are_one() {
    values(
        "template <typename T> float head(const device T* p) { const device T* q = p; return q[0]; }
         template <typename U> float head(const threadgroup U* r) { const threadgroup U* q = r; return q[0]; }
         namespace n { inline float last(device float* p) { return 1; } }
         namespace m { inline float last(thread float* p) { return 2; } }",
        "threadgroup float s[2]; s[0] = 4; float t[1] = {0};",
        &[("head(x + 5)", 5.0), ("head(s)", 4.0), ("n::last(out)", 1.0), ("m::last(t)", 2.0)],
    );
}

#[test]
fn operators_that_nothing_tells_apart_are_refused() {
    let probe = Probe::new("S s = {1}; out[0] = s + 1.0f;").header(
        "struct S { float v; float operator+(float x) const thread { return v + x; } \
         float operator+(float x) const device { return v - x; } };",
    );
    let Err(Error::Kernel { problem, .. }) = probe.try_run::<f32>(1) else {
        panic!("an error");
    };
    assert!(matches!(
        *problem,
        EngineError::Lower { error: LowerError::Overloads { ref function, .. }, .. } if function == "operator +"
    ));
}
