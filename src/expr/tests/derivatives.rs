//! Every row of the table, and rules by hand.

use super::{Rng, check_derivative, parse};
use crate::expr::Expr;
use crate::expr::build::call;
use crate::expr::functions::{Function, rows};

/// Where the arguments may lie; ranges are open.
fn domain(name: &str) -> [(f64, f64); 3] {
    const ALL: (f64, f64) = (-3.0, 3.0);
    const POSITIVE: (f64, f64) = (0.2, 4.0);
    match name {
        "log" | "log2" | "log10" | "sqrt" | "rsqrt" => [POSITIVE, ALL, ALL],
        "pow" | "powr" => [POSITIVE, ALL, ALL],
        "asin" | "acos" | "atanh" => [(-0.9, 0.9), ALL, ALL],
        "acosh" => [(1.2, 4.0), ALL, ALL],
        "kk_log1p" => [(-0.8, 4.0), ALL, ALL],
        "tan" => [(-1.2, 1.2), ALL, ALL],
        "tanpi" => [(-0.4, 0.4), ALL, ALL],
        "smoothstep" => [(-2.0, -0.5), (0.5, 2.0), ALL],
        "clamp" => [ALL, (-2.0, -0.5), (0.5, 2.0)],
        "fmod" => [ALL, (0.5, 2.0), ALL],
        "select" => [ALL, ALL, (-0.5, 1.5)],
        _ => [ALL, ALL, ALL],
    }
}

fn variables(n: usize) -> Vec<Expr> {
    (0..n).map(|i| Expr::var(&format!("x{i}"))).collect()
}

/// The call in question; the condition of `select` is made one.
fn call_of(f: &Function) -> Expr {
    let mut args = variables(f.arity);
    if f.name == "select" {
        args[2] = args[2].gt(0.5);
    }
    call(f.name, args)
}

#[test]
fn each_function_has_the_derivatives_that_differences_show() {
    let mut rng = Rng::new();
    let (mut count, mut compared) = (0, 0);
    // `kk_stop` has none, on purpose.
    for f in rows().filter(|f| f.name != "kk_stop") {
        count += 1;
        let y = call_of(f);
        for i in 0..f.arity {
            let by = format!("x{i}");
            let first = y.derivative(&by).unwrap();
            let mut seen = [0; 2];
            for _ in 0..40 {
                let point: Vec<f64> = domain(f.name)[..f.arity]
                    .iter()
                    .map(|&(low, high)| rng.between(low, high))
                    .collect();
                seen[0] += usize::from(check_derivative(&y, &first, &point, i));
                // By every variable: mixed derivatives, too.
                for j in 0..f.arity {
                    let second = first.derivative(&format!("x{j}")).unwrap();
                    seen[1] += usize::from(check_derivative(&first, &second, &point, j));
                }
            }
            assert!(seen[0] >= 20, "{}: {} points compared", f.name, seen[0]);
            assert!(
                seen[1] >= 20 * f.arity,
                "{}: {} second derivatives compared",
                f.name,
                seen[1]
            );
            compared += seen[0] + seen[1];
        }
    }
    println!("{count} functions, {compared} comparisons");
}

#[test]
fn a_stopped_value_has_no_derivative() {
    let e = parse("x * kk_stop(x)");
    assert_eq!(e.derivative("x").unwrap().simplify(), parse("kk_stop(x)"));
}

#[test]
fn third_derivatives_are_made_of_the_table_again() {
    for f in rows() {
        let mut d = call_of(f);
        for _ in 0..3 {
            d = d.derivative("x0").unwrap();
            for name in d.functions() {
                assert!(
                    rows().any(|r| r.name == name),
                    "{}: `{name}` in a derivative",
                    f.name
                );
            }
        }
    }
}

#[test]
fn written_out() {
    let by_x = |text: &str| parse(text).derivative("x").unwrap().to_msl();
    assert_eq!(by_x("y"), "0.0f");
    assert_eq!(by_x("x"), "1.0f");
    assert_eq!(by_x("x * x"), "2.0f * x");
    assert_eq!(by_x("3 * x"), "3.0f");
    assert_eq!(by_x("1.0f / x"), "-(1.0f / x / x)");
    assert_eq!(by_x("pow(x, 3)"), "3.0f * (x * x)");
    assert_eq!(by_x("sqrt(x)"), "0.5f * metal::rsqrt(x)");
    assert_eq!(by_x("kk_relu(x)"), "x > 0.0f ? 1.0f : 0.0f");
    assert_eq!(by_x("abs(x)"), "metal::sign(x)");
    assert_eq!(by_x("kk_softplus(x)"), "kk_sigmoid(x)");
    assert_eq!(by_x("max(x, y)"), "x >= y ? 1.0f : 0.0f");
    assert_eq!(
        by_x("max(2 * x, exp(x))"),
        "2 * x >= metal::exp(x) ? 2.0f : metal::exp(x)"
    );
    assert_eq!(by_x("x > 0 ? x : a * x"), "x > 0 ? 1.0f : a");
    assert_eq!(by_x("floor(x) * x"), "metal::floor(x)");
    assert_eq!(by_x("float(x) * y"), "y");
    assert_eq!(by_x("T(int(x)) + x"), "1.0f");
    assert_eq!(by_x("(uint(x) & 1u) * x"), "1.0f * (uint(x) & 1u)");
    assert_eq!(by_x("a[n] * x"), "a[n]");
    assert_eq!(by_x("fast::exp(x)"), "metal::fast::exp(x)");
    assert_eq!(by_x("n / 2 * x"), "1.0f * (n / 2)");
    assert_eq!(by_x("foo(y) * x"), "1.0f * foo(y)");
    // Slopes are floats: -n may wrap and 2 / 3 is 0.
    assert_eq!(by_x("2 * x / 3"), "0.6666667f");
    assert_eq!(by_x("y - n * x"), "-1.0f * n");
    assert_eq!(by_x("n * (n * x)"), "n * (1.0f * n)");
    assert_eq!(by_x("n * x / 2"), "1.0f * n / 2");
    assert_eq!(
        by_x("exp(x) / y"),
        "metal::exp(x) / y",
        "no needless square"
    );
}

/// At points where a careless rule gives NaN.
#[test]
fn finite_at_the_edges() {
    let value = |text: &str, by: &str, x: f64, y: f64| {
        let values = move |name: &str| match name {
            "x" => Some(x),
            "y" => Some(y),
            _ => None,
        };
        let d = parse(text).derivative(by).unwrap();
        d.evaluate(&values).unwrap()
    };
    assert_eq!(value("pow(x, 2)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("pow(x, 3)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("pow(x, 1)", "x", 0.0, 0.0), 1.0);
    assert_eq!(value("pow(x, 0)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("pow(x, y)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("pow(x, y)", "x", 0.0, 1.0), 1.0);
    assert_eq!(value("pow(x, y)", "y", 0.0, 2.0), 0.0);
    assert_eq!(value("pow(x, y)", "x", -2.0, 3.0), 12.0);
    assert_eq!(value("kk_softplus(x)", "x", 1000.0, 0.0), 1.0);
    assert_eq!(value("kk_sigmoid(x)", "x", -1000.0, 0.0), 0.0);
    assert_eq!(value("kk_relu(x)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("abs(x)", "x", 0.0, 0.0), 0.0);
    assert_eq!(value("max(x, y)", "x", 2.0, 2.0), 1.0);
    assert_eq!(value("max(x, y)", "y", 2.0, 2.0), 0.0);
    assert_eq!(value("min(x, y)", "x", 2.0, 2.0), 1.0);
    // The branch that is not taken has an infinite slope here.
    assert_eq!(value("x > 0 ? sqrt(x) : 2 * x", "x", 0.0, 0.0), 2.0);
    assert_eq!(value("max(sqrt(x), y)", "y", 0.0, 1.0), 1.0);
    assert_eq!(value("max(y, sqrt(x))", "x", 0.0, 1.0), 0.0);
    assert_eq!(value("kk_elu(x, 1.5f)", "x", 0.0, 1.0), 1.5);
}
