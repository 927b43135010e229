//! Division on the host engine: an integer divided by zero gives itself and leaves no remainder, the least
//! number divided by -1 wraps, whatever the divisor's type is and whoever writes the operator.

use zmlx::prelude::*;
use zmlx::with_device;

use super::all_true;

const TYPES: &str = "
enum Plain { None, One, Five = 5 };
enum class Scoped : uchar { None };
enum Wide : long { Nothing, Nine = 9 };
struct Count { int v; operator int() const { return v; } };
struct Byte { uchar v; operator uchar() { return v; } };
struct Far { long v; operator long() const { return v; } };
struct Safe { int v; int operator/(int d) const { return d == 0 ? -7 : v / d; } operator int() const { return v; } };
struct Meters { float v; Meters operator/(Meters o) const { return Meters{v / o.v}; } };
inline Meters operator/(Meters a, float b) { return Meters{a.v / b}; }
template <typename U> struct Both { U v; template <typename V> Both operator/(V b) const { return Both{U(v / U(b))}; } };
inline float3x3 operator/(float3x3 m, float3 v) { return m; }
template <int A, int B> struct Div { static constexpr constant int value = A / B; };
template <typename U> inline U share(U a, U b) { return a / b; }
struct Ratio { int v; };
";

const MACROS: &str = "
#define DIV /
#define MOD %
#define BARE(a, b) a/b
#define SUM 2 + 3
#define CALL(f, op) inline int f(int a, int b) { return a op b; }
CALL(divided, /)
CALL(rest, %)
#define ASSIGN(op) inline int op##_all(int a, int b) { a /= b; return a; }
ASSIGN(div)
#define OP(o) Ratio operator o(Ratio a, Ratio b) { return Ratio{a.v o b.v}; }
struct Ratio { int v; };
inline OP(+)
inline OP(/)
#define QUARTER(n) ((n) / 4)
#define NESTED QUARTER(8)
#if NESTED == 2 && 9 DIV 3 == 3
constant int chosen = 1;
#else
constant int chosen = 0;
#endif
";

const DIVIDED: &[&str] = &[
    "5 / Plain(z) == 5 && 5 % Plain(z) == 0 && 5l / Wide(z) == 5l && 5 / int(Scoped(z)) == 5",
    "5 / Count{z} == 5 && 5 % Count{z} == 0 && 5 / Byte{uchar(z)} == 5 && 5 % Far{z} == 0 && 5u / Far{z} == 5",
    "Count{9} / z == 9 && Count{9} / Count{z} == 9 && Five / z == 5 && Five / Plain(z) == 5 && Five / One == 5",
    "5 / long(z) == 5 && 5ul / ulong(z) == 5 && 5 / (z != 0) == 5 && 5 / char(z) == 5 && short(5) % short(z) == 0",
    "5 / 0 == 5 && 5 % 0 == 0 && 5u / 0u == 5 && u[5] / 0 == 5 && u[5] % 0x0 == 0 && 5 / (3 - 3) == 5",
    "Div<12, 0>::value == 12 && Div<12, 4>::value == 3 && share<short>(7, z) == 7 && share(7.0f, 2.0f) == 3.5f",
    "least / -1 == least && least % -1 == 0 && least / (z - 1) == least && (least * 1l) / long(z - 1) == 2147483648l",
    "Safe{9} / z == -7 && Safe{9} / 3 == 3 && (Meters{6} / Meters{2}).v == 3 && (Meters{6} / 2).v == 3",
    "(Both<int>{8} / 4).v == 2 && (Both<int>{8} / z).v == 8 && (Both<float>{8} / 4.0f).v == 2",
    "all(int4(9) / z == int4(9)) && all(int4(9) % z == int4(0)) && all(int4(9) / Plain(z) == int4(9))",
    "all(uint2(4u, 0u) / uint2(4u, 0u) == uint2(1u, 0u)) && int3(9, 8, 7).y / z == 8 && all(9 / int2(z, 4) == int2(9, 2))",
    "(float3x3(1.0f) / float3(1))[1].y == 1 && h[6] / u[2] == 3.0h && 6 / h[2] == 3.0h && x[6] / u[4] == 1.5f",
    "metal::divide(7, z) == 7 && [](int v) { const int n = 4; return n / v + v / n; }(8) == 2",
];

const BY_MACROS: &[&str] = &[
    "5 DIV z == 5 && 5 MOD z == 0 && 9 DIV 3 == 3",
    // Operands are what C++ takes them for, not what stands in the macro.
    "BARE(10, 2 + 3) == 8 && BARE(10, z + 3) == 13 && 10 / SUM == 8 && x[8] / SUM == 7.0f",
    "divided(7, z) == 7 && divided(7, 2) == 3 && rest(7, z) == 0 && rest(7, 4) == 3 && div_all(7, z) == 7",
    "(Ratio{8} / Ratio{2}).v == 4 && (Ratio{8} + Ratio{2}).v == 10 && chosen == 1 && QUARTER(z) == 0",
];

/// Each as `int f(int a)`, with what it makes of its argument.
const ASSIGNED: &[(&str, i32, i32)] = &[
    ("a /= z;", 7, 7),
    ("a %= z;", 7, 0),
    ("a /= 0;", 7, 7),
    ("a /= Plain(z);", 7, 7),
    ("a %= Count{z};", 7, 0),
    ("a /= z ? 1 : 2;", 7, 3),
    ("a /= 2.5f;", 10, 4),
    ("a /= z - 1;", i32::MIN, i32::MIN),
    ("short s = short(a); s /= z; s /= short(-3); a = s;", 7, -2),
    (
        "int4 v = a; v.xy /= z; v /= int4(1, 2, 4, 0); v %= 5; a = v.x * 1000 + v.y * 100 + v.z * 10 + v.w;",
        9,
        4424,
    ),
    ("float f = a; f /= Five; f /= u[2]; a = int(f * 10);", 7, 7),
];

#[test]
fn integers_divided_by_zero() {
    // On a GPU the quotient is some number.
    with_device(Device::CPU, || {
        let header = format!("{TYPES}constant int least = -2147483647 - 1;\n");
        let mut texts: Vec<String> = DIVIDED.iter().map(|t| with_zero(t)).collect();
        let functions: String = (ASSIGNED.iter().enumerate())
            .map(|(i, (text, ..))| {
                format!("inline int assign{i}(int a, int z, const device uint* u) {{ {text} return a; }}\n")
            })
            .collect();
        texts.extend(ASSIGNED.iter().enumerate().map(|(i, (_, from, to))| {
            format!("assign{i}(int({from}l), int(u[0]), u) == int({to}l)")
        }));
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        all_true(&format!("{header}{functions}"), &texts);
    });
}

#[test]
fn divisions_that_macros_write() {
    with_device(Device::CPU, || {
        let texts: Vec<String> = BY_MACROS.iter().map(|t| with_zero(t)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        all_true(MACROS, &texts);
    });
}

/// `z` as a zero that no compiler sees.
fn with_zero(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        let before = text[..at].chars().next_back().is_some_and(word);
        let after = text[at + c.len_utf8()..].chars().next().is_some_and(word);
        match c {
            'z' if !before && !after => out.push_str("int(u[0])"),
            _ => out.push(c),
        }
    }
    out
}
