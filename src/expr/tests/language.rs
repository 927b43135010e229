//! What is read, and how it is written again.

use proptest::prelude::*;

use super::parse;
use crate::expr::Expr;

/// Text that is written as it was read.
#[test]
fn round_trips() {
    for text in [
        "x",
        "-x",
        "-(-x)",
        "!x",
        "!!x",
        "-~x",
        "x - (y - z)",
        "x - y - z",
        "x + (y + z)",
        "x / (y * z)",
        "x / y * z",
        "(x + y) * z",
        "-(x + y)",
        "-x * y",
        "x * -y",
        "x - -y",
        "x - -0.5f",
        "x & y | z ^ a",
        "x & (y | z)",
        "(x & y) == z",
        "x << 1 + y",
        "(x << 1) + y",
        "x < y == y < z",
        "x < (y == y < z)",
        "x && (y || z)",
        "x && y || z",
        "x ? y : z ? a : b",
        "(x ? y : z) ? a : b",
        "x ? y ? a : b : z",
        "(x ? y : z) + a",
        "x % y",
        "1",
        "1u",
        "0x1F",
        "0.5f",
        "0.5h",
        "1e-08f",
        "1e-12f",
        "3.4e38f",
        "16777216.0f",
        "M_PI_F * x",
        "-INFINITY",
        "true && false",
        "metal::exp(-x)",
        "metal::fast::exp(x)",
        "metal::precise::exp(x)",
        "metal::max(x, metal::min(y, z))",
        "kk_sigmoid(x)",
        "kk_sigmoid<float>(x)",
        "foo()",
        "lib::foo<T, 4>(x, y)",
        "float(x)",
        "T(x) * O(y)",
        "static_cast<float>(x)",
        "static_cast<unsigned int>(x)",
        "as_type<uint>(x)",
        "a[n + 1]",
        "a[n].x",
        "x < y",
        "simd_sum(x)",
    ] {
        let e = parse(text);
        assert_eq!(e.to_msl(), text);
        assert_eq!(parse(&e.to_msl()), e);
    }
}

/// Text with one usual spelling.
#[test]
fn canonical_spellings() {
    for (text, want) in [
        ("((x))", "x"),
        ("+x", "x"),
        ("(x + y) + z", "x + y + z"),
        ("exp(x)", "metal::exp(x)"),
        ("precise::exp(x)", "metal::precise::exp(x)"),
        ("(float)x * y", "float(x) * y"),
        ("(T)(x + y)", "T(x + y)"),
        ("1.0", "1.0f"),
        ("1.F", "1.0f"),
        (".5", "0.5f"),
        ("1e3f", "1000.0f"),
        ("0.1", "0.1f"),
        ("1e-8", "1e-08f"),
        ("0.123456789012345", "0.12345679f"),
        ("1e-81", "0.0f"),
        ("1e81f", "INFINITY"),
        ("x\n  +\ty", "x + y"),
        ("x<y", "x < y"),
        ("x < y > (z)", "x < y > z"),
        ("a [ n ]", "a[n]"),
        ("--x", ""),
    ] {
        match want {
            "" => assert!(Expr::parse(text, &["x"]).is_err(), "{text}"),
            _ => assert_eq!(parse(text).to_msl(), want),
        }
    }
}

#[test]
fn values() {
    let value = |text: &str| {
        let values = |name: &str| match name {
            "x" => Some(3.0),
            "y" => Some(-0.5),
            "a[2]" => Some(7.0),
            "b.x" => Some(11.0),
            _ => None,
        };
        parse(text).evaluate(&values).unwrap()
    };
    assert_eq!(value("1 / 2"), 0.0);
    assert_eq!(value("1 / 2.0"), 0.5);
    assert_eq!(value("x + y * 2"), 2.0);
    assert_eq!(value("(x + y) * 2"), 5.0);
    assert_eq!(value("2 - 3 - 4"), -5.0);
    assert_eq!(value("x > 0 ? y : x"), -0.5);
    assert_eq!(value("int(2.75f) % 2"), 0.0);
    assert_eq!(value("0xFF & 0x0F ^ 1 << 2"), 11.0);
    assert_eq!(value("~0"), -1.0);
    assert_eq!(value("!(x == 3) || y < 0"), 1.0);
    assert_eq!(value("a[2] + b.x"), 18.0);
    assert_eq!(value("select(x, y, x > 5)"), 3.0);
    assert_eq!(value("-x"), -3.0);
    assert_eq!(value("010"), 8.0);
}

#[test]
fn names() {
    let e = parse("x * foo(y) + metal::exp(kk_relu(x)) + a[n]");
    let list = |set: std::collections::BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
    assert_eq!(list(e.variables()), ["a", "n", "x", "y"]);
    assert_eq!(list(e.functions()), ["exp", "foo", "kk_relu"]);
    assert_eq!(parse("-0.5f").as_constant(), Some(-0.5));
    assert_eq!(parse("x").as_constant(), None);
    assert!(parse("exp(1)").is_constant());
}

#[test]
fn float_arguments() {
    let floats = |text: &str| parse(text).with_float_arguments().to_msl();
    assert_eq!(floats("max(x, 0)"), "metal::max(x, 0.0f)");
    assert_eq!(floats("clamp(x, -1, 1)"), "metal::clamp(x, -1.0f, 1.0f)");
    assert_eq!(
        floats("select(x, 0, n > 1)"),
        "metal::select(x, 0.0f, n > 1)"
    );
    assert_eq!(floats("foo(x, 1) + x / 2"), "foo(x, 1) + x / 2");
}

fn accepts(text: &str) {
    if let Ok(e) = Expr::parse(text, &["x", "y"]) {
        // What was read is written so that it reads the same.
        let written = e.to_msl();
        match Expr::parse(&written, &["x", "y"]) {
            Ok(again) => assert_eq!(again, e, "{text:?} as {written:?}"),
            Err(error) => panic!("{text:?} as {written:?}: {error}"),
        }
        let _ = e.simplify().to_msl();
        let _ = e.derivative("x").map(|d| d.to_msl());
        let _ = e.evaluate(&|_| Some(0.5));
    }
}

/// Pieces that make valid text likely.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "x", "y", "+", "-", "*", "/", "%", "(", ")", "[", "]", "?", ":", ",", "<", ">", "==", "&&",
        "!", "~", "exp(", "max(", "pow(", "kk_elu(", "float(", "(float)", "as_type<", "uint", ">(",
        "1", "0", "2.0f", "0.0f", "-1.0f", "1e-8", ".x", " ", "::", "metal::", "INFINITY", "0x",
        "T(", "<<", "|", "select(", "foo(",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        accepts(&text);
    }

    #[test]
    fn arbitrary_tokens_never_panic(text in pieces()) {
        accepts(&text);
    }
}
