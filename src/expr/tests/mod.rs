//! Expressions against central differences, and against themselves.

mod build;
mod derivatives;
mod errors;
mod formula;
mod language;
mod numbers;
mod random;
mod share;
mod size;

#[path = "../../../tests/common/rng.rs"]
mod rng;

pub(super) use rng::Rng;

use super::Expr;

pub(super) fn parse(text: &str) -> Expr {
    Expr::parse(text, &["x", "y", "z", "a", "b", "uint n"]).unwrap_or_else(|e| panic!("{e}"))
}

/// The value with these variables `x0`, `x1`, ...
pub(super) fn at(e: &Expr, point: &[f64]) -> f64 {
    let values = |name: &str| {
        let i: usize = name.strip_prefix('x')?.parse().ok()?;
        point.get(i).copied()
    };
    e.evaluate(&values).unwrap_or_else(|e| panic!("{e}"))
}

/// The derivative by a variable from differences of fourth order, or none where step
/// widths disagree: near a jump or a kink, or where the function is too steep.
pub(super) fn difference(e: &Expr, point: &[f64], i: usize) -> Option<f64> {
    let estimate = |h: f64| {
        let shifted = |d: f64| {
            let mut p = point.to_vec();
            p[i] += d;
            at(e, &p)
        };
        (8.0 * (shifted(h) - shifted(-h)) - (shifted(2.0 * h) - shifted(-2.0 * h))) / (12.0 * h)
    };
    let [wide, middle, narrow] = [1e-3, 4e-4, 2e-5].map(estimate);
    let apart = (wide - middle).abs().max((middle - narrow).abs());
    (apart < 1e-7 * (1.0 + middle.abs())).then_some(middle)
}

/// Compares derivative and differences; whether there was something to compare.
#[track_caller]
pub(super) fn check_derivative(e: &Expr, d: &Expr, point: &[f64], i: usize) -> bool {
    let Some(want) = difference(e, point, i) else {
        return false;
    };
    let got = at(d, point);
    assert!(
        (got - want).abs() <= 1e-6 * (1.0 + want.abs()),
        "{e} by x{i} at {point:?}: {got} against {want} by differences; {d}"
    );
    true
}
