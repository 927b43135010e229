//! Common parts.

use super::{Rng, parse};
use crate::expr::node::postorder;
use crate::expr::{Expr, share};

#[test]
fn values_stay() {
    let mut rng = Rng::new();
    for text in [
        "x * kk_sigmoid(x)",
        "kk_gelu_tanh(x)",
        "kk_mish(x * y)",
        "sqrt(x * x + y * y) / (1.0f + x * x)",
        "x > y ? exp(x - y) : exp(y - x) * exp(x - y)",
    ] {
        let f = parse(text);
        let d = f.derivative("x").unwrap();
        let exprs = [f.clone(), d.clone(), d.derivative("x").unwrap(), f];
        let shared = share(&exprs, "t");
        let (x, y) = (rng.between(0.1, 2.0), rng.between(0.1, 2.0));
        let mut known = vec![("x".to_owned(), x), ("y".to_owned(), y)];
        for (name, value) in &shared.bindings {
            // Only names that are there already.
            let value = evaluate(value, &known);
            known.push((name.clone(), value));
        }
        for (e, result) in exprs.iter().zip(&shared.results) {
            assert_eq!(evaluate(result, &known), evaluate(e, &known), "{text}");
        }
        // Nothing is computed twice.
        let all: Vec<&Expr> = shared
            .bindings
            .iter()
            .map(|b| &b.1)
            .chain(&shared.results)
            .collect();
        let order = postorder(all.iter().copied());
        for node in order.iter().filter(|n| !n.0.args.is_empty()) {
            let uses = order
                .iter()
                .flat_map(|n| &n.0.args)
                .filter(|a| *a == node)
                .count();
            let negated = node.to_msl().starts_with('-');
            assert!(uses < 2 || negated, "{text}: {node} used {uses} times");
        }
    }
}

fn evaluate(e: &Expr, known: &[(String, f64)]) -> f64 {
    let values = |name: &str| known.iter().find(|k| k.0 == name).map(|k| k.1);
    e.evaluate(&values).unwrap()
}

#[test]
fn names_do_not_collide() {
    let e = Expr::parse("exp(t0) * exp(t0) + sin(t2) * sin(t2)", &["t0", "t2"]).unwrap();
    let shared = share(&[e], "t");
    let names: Vec<&str> = shared.bindings.iter().map(|b| b.0.as_str()).collect();
    assert_eq!(names, ["t1", "t3"]);
    assert_eq!(shared.results[0].to_msl(), "t1 * t1 + t3 * t3");
}

#[test]
fn a_whole_result_may_be_a_name() {
    let y = parse("exp(x)");
    let shared = share(&[y.clone(), y], "t");
    assert_eq!(shared.bindings.len(), 1);
    assert_eq!(shared.results[0].to_msl(), "t0");
}

/// What a condition protects stays behind it.
#[test]
fn guards_hold() {
    let shared = share(&[parse("x < 3 ? exp(a[n]) + exp(a[n]) : 0")], "t");
    assert!(shared.bindings.is_empty(), "{shared:?}");
    let shared = share(
        &[parse("n != 0 && int(x) / int(n) > int(x) / int(n) + 1")],
        "t",
    );
    assert!(
        shared.bindings.iter().all(|b| !b.1.to_msl().contains('/')),
        "{shared:?}"
    );
    // Without a condition it is computed anyway.
    let shared = share(&[parse("exp(a[n]) + exp(a[n])")], "t");
    assert_eq!(shared.results[0].to_msl(), "t0 + t0");
    let shared = share(&[parse("x < 3 ? exp(y) + exp(y) : 0")], "t");
    assert_eq!(shared.bindings.len(), 1);
}

#[test]
fn deterministic() {
    let text = || {
        let e = parse("kk_mish(x) * kk_gelu(y) / (x + y)");
        let d = e.derivative("x").unwrap().derivative("y").unwrap();
        format!("{:?}", share(&[e, d], "t"))
    };
    let first = text();
    // Other expressions in between, so that nodes are numbered otherwise.
    let _keep = parse("y + x * kk_gelu(y)");
    assert_eq!(text(), first);
}
