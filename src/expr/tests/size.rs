//! Derivatives of derivatives stay small, deep expressions are no problem.

use super::parse;
use crate::expr::functions::rows;
use crate::expr::{Expr, share};

fn sizes(text: &str) -> Vec<usize> {
    let mut e = parse(text);
    let mut sizes = vec![e.node_count()];
    for _ in 0..3 {
        e = e.derivative("x").unwrap();
        sizes.push(e.node_count());
    }
    sizes
}

#[test]
fn third_derivatives() {
    println!("{} functions", rows().count());
    for (text, most) in [
        ("x * tanh(kk_softplus(x))", 40),
        // Slopes are bounded at both infinities, which takes two choices for each derivative.
        ("kk_mish(x)", 60),
        // And 1 - s is a sigmoid of its own.
        ("kk_gelu_tanh(x)", 110),
        ("kk_gelu(x)", 50),
        ("kk_silu(x)", 40),
    ] {
        let sizes = sizes(text);
        println!("{text}: {sizes:?} nodes");
        assert!(sizes[3] <= most, "{text}: {sizes:?}");
    }
}

/// As text this would fill the memory of any machine.
#[test]
fn shared_parts_do_not_explode() {
    let mut e = Expr::var("x");
    for _ in 0..200 {
        e = (&e * &e).tanh() + &e;
    }
    let d = e.derivative("x").unwrap();
    assert!(d.node_count() < 200 * 12, "{}", d.node_count());
    assert!(d.simplify().node_count() < 200 * 12);
    assert!(format!("{d:?}").len() < 400);
    let shared = share(&[e.clone(), d], "t");
    let length: usize = shared.bindings.iter().map(|b| b.1.to_msl().len()).sum();
    assert!(length < 200_000, "{length}");
    assert_eq!(e.evaluate(&|_| Some(0.0)).unwrap(), 0.0);
}

#[test]
fn deep_expressions() {
    let mut e = Expr::var("x");
    for _ in 0..20_000 {
        e = (e + 1).sin();
    }
    let d = e.derivative("x").unwrap();
    assert!(d.evaluate(&|_| Some(0.5)).unwrap().is_finite());
    assert!(e.to_msl().len() > 200_000);
    assert_eq!(e.substitute("x", &Expr::var("y")).variables().len(), 1);
    assert!(!share(&[e.clone(), d], "t").results.is_empty());
    drop(e);
}
