//! What a user reads.

use crate::Error;
use crate::expr::{Expr, IntoExpr};

#[track_caller]
fn message(text: &str, variables: &[&str]) -> String {
    match Expr::parse(text, variables) {
        Err(Error::Expression { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shows_the_place() {
    assert_eq!(
        message("x * kk_sigmoid(y)", &["x"]),
        "expression `x * kk_sigmoid(y)`: undeclared variable `y` (declared: x)
    x * kk_sigmoid(y)
                   ^"
    );
    assert_eq!(
        message("x +", &["x"]),
        "expression `x +`: expected a value, got the end
    x +
       ^"
    );
    assert_eq!(
        message("x *\n  (x + $)", &["x"]),
        "expression `x *   (x + $)`: unexpected character `$`
      (x + $)
           ^"
    );
    assert_eq!(
        message("pow(x)", &["x"]),
        "expression `pow(x)`: `pow` takes 2 argument(s), got 1
    pow(x)
    ^"
    );
    assert_eq!(
        message("é + x", &["x"]),
        "expression `é + x`: unexpected character `é`
    é + x
    ^"
    );
}

#[test]
fn says_what_is_wrong() {
    for (text, want) in [
        ("", "expected a value, got the end"),
        ("x x", "expected an operator or the end, got `x`"),
        ("(x", "expected `)`, got the end"),
        ("x ? 1", "expected `:`, got the end"),
        ("max(x, )", "expected a value, got `)`"),
        ("x = 1", "expected an operator or the end, got `=`"),
        ("x += 1", "expected a value, got `=`"),
        ("x; y", "unexpected character `;`"),
        ("1.2.3", "`1.2.3` is not a number"),
        ("1x", "`1x` is not a number"),
        ("1f", "`1f` is not a number"),
        ("0x", "`0x` is not a number"),
        ("exp(x).y", "only a variable has elements and members"),
        ("x.1", "expected an operator or the end, got `.1`"),
        ("v", "undeclared variable `v` (declared: x)"),
        ("std::x", "undeclared variable `std::x`"),
        ("float(x, x)", "`float` takes 1 argument(s), got 2"),
    ] {
        let got = message(text, &["x"]);
        assert!(got.contains(want), "{text:?}: {got}");
    }
    assert!(message("x", &[]).contains("(declared: none)"));
}

#[test]
fn limits() {
    let deep = |n: usize| format!("{}x{}", "(".repeat(n), ")".repeat(n));
    assert!(Expr::parse(&deep(150), &["x"]).is_ok());
    assert!(message(&deep(100_000 / 4), &["x"]).contains("nested deeper than 200 levels"));
    assert!(message(&"-".repeat(5000), &["x"]).contains("expected a value"));
    assert!(message(&"!".repeat(5000), &["x"]).contains("nested deeper"));
    assert!(message(&"x?x:".repeat(5000), &["x"]).contains("nested deeper"));
    assert!(message(&"x+".repeat(40_000), &["x"]).contains("too long"));
    // Long without being nested.
    let sum = vec!["x"; 20_000].join("+");
    let e = Expr::parse(&sum, &["x"]).unwrap();
    assert_eq!(e.evaluate(&|_| Some(0.5)).unwrap(), 10_000.0);
    assert_eq!(
        e.derivative("x").unwrap().evaluate(&|_| None).unwrap(),
        20_000.0
    );
    assert_eq!(e.to_msl().len(), 4 * 20_000 - 3);
}

/// The caret of a long text stands below its column.
#[test]
fn long_lines_are_cut() {
    let text = format!("{}q", "x + ".repeat(200));
    let got = message(&text, &["x"]);
    let lines: Vec<&str> = got.lines().collect();
    let column = lines[2].find('^').unwrap();
    assert_eq!(lines[1].chars().nth(column), Some('q'));
    assert!(lines.iter().all(|l| l.len() < 200));
}

#[test]
fn derivatives_that_are_not_known() {
    for (text, want) in [
        (
            "foo(x)",
            "the function `foo` has no known derivative by `x`; give the derivative explicitly",
        ),
        ("as_type<float>(x)", "`as_type<float>` has no known"),
        ("x & 1", "`&` has no known"),
        ("x % 2", "`%` has no known"),
        ("x[0]", "an element has no known"),
        ("x.r", "the member `r` has no known"),
    ] {
        let e = Expr::parse(text, &["x"]).unwrap();
        let got = e.derivative("x").unwrap_err().to_string();
        assert!(got.contains(want), "{text}: {got}");
        assert!(got.contains("errors.rs"), "the caller's place: {got}");
        // Another variable is none of its business.
        assert_eq!(e.derivative("y").unwrap().to_msl(), "0.0f");
    }
}

#[test]
fn the_place_is_the_callers() {
    let line = line!() + 1;
    let error = Expr::parse("q", &[]).unwrap_err().to_string();
    assert!(error.contains(&format!("errors.rs:{line}:")), "{error}");
    let line = line!() + 1;
    let error = IntoExpr::<1, _>::into_expr("q", ["x"]).unwrap_err();
    assert!(
        error.to_string().contains(&format!("errors.rs:{line}:")),
        "{error}"
    );
    let error = Expr::parse("x", &["x"])
        .unwrap()
        .evaluate(&|_| None)
        .unwrap_err();
    assert!(error.to_string().contains("no value for `x`"), "{error}");
}
