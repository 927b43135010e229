//! Random expressions: derivatives, simplification.

use super::{Rng, at, check_derivative, parse};
use crate::expr::Expr;
use crate::expr::build::{binary, call, choose};
use crate::expr::functions::rows;
use crate::expr::node::{Binary, postorder};

/// A tree over `x0`, `x1` and `x2`.
fn tree(rng: &mut Rng, depth: usize) -> Expr {
    if depth == 0 || rng.below(8) == 0 {
        return match rng.below(6) {
            0 => Expr::constant(f64::from(rng.below(5) as u32) * 0.5 - 1.0),
            1 => Expr::constant(rng.between(-2.0, 2.0)),
            i => Expr::var(&format!("x{}", i % 3)),
        };
    }
    let mut part = || tree(rng, depth - 1);
    let (a, b, c) = (part(), part(), part());
    match rng.below(14) {
        0 | 1 => a + b,
        2 => a - b,
        3 | 4 => a * b,
        5 => a / b,
        6 => -a,
        7 => choose(binary(Binary::Lt, a.clone(), b.clone()), b, c),
        8 => a.pow(f64::from(rng.below(4) as u32)),
        _ => {
            // Not those that see the sign of a zero, which simplification may change, and not the one whose
            // derivative is left out.
            let others = ["signbit", "copysign", "atan2", "kk_stop"];
            let all: Vec<_> = rows().filter(|f| !others.contains(&f.name)).collect();
            let f = all[rng.below(all.len())];
            let args = match f.name {
                "select" => vec![a, b, c.gt(0)],
                "kk_when" => vec![c.gt(0), a],
                // Elsewhere 0 times no number is in the derivative.
                "clamp" => vec![a, b.clone(), b + 1.0],
                // Steps closer than differences again.
                "fmod" => vec![a, b.abs() + 0.5],
                "smoothstep" => vec![a.clone(), a + 1.0, c],
                "pow" | "powr" => vec![a.abs() + 0.25, b],
                _ => [a, b, c][..f.arity].to_vec(),
            };
            call(f.name, args)
        }
    }
}

fn point(rng: &mut Rng) -> [f64; 3] {
    std::array::from_fn(|_| rng.between(-2.0, 2.0))
}

#[test]
fn derivatives_of_random_trees() {
    let mut rng = Rng::new();
    let (mut compared, mut second) = (0, 0);
    for _ in 0..1500 {
        let e = tree(&mut rng, 4);
        let i = rng.below(3);
        let d = e.derivative(&format!("x{i}")).unwrap();
        let point = point(&mut rng);
        // Not at the edge of a domain, where a slope is infinite (and 0 times that no number),
        // nor outside of it, nor where steps are closer than differences.
        let inside = |e: &Expr| postorder([e]).iter().all(|p| at(p, &point).abs() < 30.0);
        if !inside(&e) || !inside(&d) {
            continue;
        }
        compared += usize::from(check_derivative(&e, &d, &point, i));
        let j = rng.below(3);
        let dd = d.derivative(&format!("x{j}")).unwrap();
        if inside(&dd) {
            second += usize::from(check_derivative(&d, &dd, &point, j));
        }
    }
    println!("{compared} derivatives and {second} second ones of 1500 trees compared");
    assert!(compared > 500 && second > 500);
}

/// Equal but for rounding, or both no numbers.
fn same(a: f64, b: f64) -> bool {
    a == b || a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-9 * (1.0 + a.abs())
}

#[test]
fn simplification_keeps_values() {
    let mut rng = Rng::new();
    let mut numbers = 0;
    for _ in 0..3000 {
        let e = tree(&mut rng, 4);
        let simple = e.simplify();
        assert!(
            simple.node_count() <= e.node_count() + 5,
            "{e:?} became {simple:?}"
        );
        assert_eq!(simple.simplify(), simple, "{e:?}");
        let point = point(&mut rng);
        let (want, got) = (at(&e, &point), at(&simple, &point));
        numbers += usize::from(want.is_finite());
        // The sign of a zero may change, and with it that of 1/0.
        if postorder([&e]).iter().any(|p| at(p, &point).is_infinite()) {
            continue;
        }
        // Steps and poles turn rounding into any difference.
        let nudged = point.map(|v| v * (1.0 + 1e-13));
        if same(want, at(&e, &nudged)) {
            assert!(
                same(want, got),
                "{e:?} at {point:?}: {want}, {got}: {simple:?}"
            );
        }
    }
    assert!(numbers > 1000);
}

#[test]
fn simple_forms() {
    for (text, want) in [
        ("x * 1", "x"),
        ("1.0f * x", "x"),
        ("0 + x", "x"),
        ("x - 0.0f", "x"),
        ("x / 1.0f", "x"),
        ("-(-x)", "x"),
        ("x - -y", "x + y"),
        ("x + -y", "x - y"),
        ("-x + y", "y - x"),
        ("-(x - y)", "y - x"),
        ("-x * -y", "x * y"),
        ("2.0f * (3.0f * x)", "6.0f * x"),
        ("x * 2.0f * y * 3.0f", "6.0f * (x * y)"),
        ("x * 2.0f / 4.0f", "0.5f * x"),
        ("x + x", "2.0f * x"),
        ("3.0f * x - x", "2.0f * x"),
        ("x - x", "x - x"),
        ("1.0f / y * x", "x / y"),
        ("2.0f * (1.0f / y)", "2.0f / y"),
        ("pow(x, 2)", "x * x"),
        ("pow(x, 1.0f)", "x"),
        ("1.5f + 2", "3.5f"),
        ("2 + 3", "5"),
        ("1 / 2", "1 / 2"),
        ("0 * x", "0 * x"),
        ("x > 0 ? y : y", "y"),
        ("x > 0 ? x > 0 ? y : z : a", "x > 0 ? y : a"),
        // Integers stay what they are.
        ("1.0f * n / 2", "1.0f * n / 2"),
        ("n + 0.0f", "n + 0.0f"),
        ("1 / n * x", "1 / n * x"),
        // Nothing that a 32-bit float cannot hold.
        ("1e30f * (1e30f * x)", "1e30f * (1e30f * x)"),
        ("INFINITY * 0.0f", "0.0f * INFINITY"),
        ("0.5h * x", "0.5h * x"),
    ] {
        let got = parse(text).simplify().to_msl();
        assert_eq!(got, want, "{text}");
    }
}
