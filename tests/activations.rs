//! Derived gradients of the catalog's twenty activations against central differences in float64.
//!
//! `cargo test --test activations -- --nocapture` prints the largest relative error of each.

mod common;

use common::{Rng, on_worker};
use zmlx::expr::Expr;
use zmlx::prelude::*;
use zmlx::{Result, grad};

/// Name, expression, and where it has no derivative.
const ACTIVATIONS: &[(&str, &str, &[f64])] = &[
    ("exp", "exp(x)", &[]),
    ("log", "log(x)", &[]),
    ("tanh", "tanh(x)", &[]),
    ("sigmoid", "kk_sigmoid(x)", &[]),
    ("relu", "kk_relu(x)", &[0.0]),
    ("silu", "kk_silu(x)", &[]),
    ("gelu_tanh", "kk_gelu_tanh(x)", &[]),
    ("softplus", "kk_softplus(x)", &[]),
    ("mish", "kk_mish(x)", &[]),
    ("elu", "kk_elu(x, 1.0f)", &[0.0]),
    (
        "gelu_erf",
        "0.5f * x * (1.0f + kk_erf(x * 0.70710678118f))",
        &[],
    ),
    ("relu2", "x > 0 ? x * x : 0.0f", &[0.0]),
    (
        "hard_swish",
        "x * clamp(x + 3.0f, 0.0f, 6.0f) / 6.0f",
        &[-3.0, 3.0],
    ),
    ("leaky_relu", "x > 0 ? x : 0.01f * x", &[0.0]),
    (
        "selu",
        "1.0507009873554805f * (x > 0 ? x : 1.6732632423543772f * kk_expm1(x))",
        &[0.0],
    ),
    (
        "celu",
        "max(x, 0.0f) + min(1.5f * kk_expm1(x / 1.5f), 0.0f)",
        &[0.0],
    ),
    ("softsign", "x / (1.0f + abs(x))", &[0.0]),
    ("logsigmoid", "-kk_softplus(-x)", &[]),
    (
        "hard_sigmoid",
        "clamp(x / 6.0f + 0.5f, 0.0f, 1.0f)",
        &[-3.0, 3.0],
    ),
    ("quick_gelu", "x * kk_sigmoid(1.702f * x)", &[]),
];

/// Relative to the larger of the gradient and this: near its zeros only the absolute error means something.
const FLOOR: f64 = 1e-2;

/// The largest relative error that is accepted: kk_erf and kk_log1p have a few units in the last place, and terms
/// cancel.
const TOLERANCE: f64 = 3e-5;

#[test]
fn derived_gradients() {
    on_worker(|| {
        assert_eq!(ACTIVATIONS.len(), 20);
        let mut rng = Rng::new();
        println!("{:<14} {:>12} {:>10}", "activation", "rel. error", "at");
        let mut worst = 0.0f64;
        for &(name, text, corners) in ACTIVATIONS {
            let (error, at) = largest_error(&mut rng, name, text, corners).unwrap();
            println!("{name:<14} {error:>12.2e} {at:>10.4}");
            worst = worst.max(error);
        }
        assert!(worst <= TOLERANCE, "{worst:e}");
    });
}

fn largest_error(rng: &mut Rng, name: &str, text: &str, corners: &[f64]) -> Result<(f64, f64)> {
    const STEP: f64 = 1e-4;
    let mut points = Vec::new();
    while points.len() < 4000 {
        let x = match name {
            "log" => rng.uniform() as f32 * 10.0 + 0.01,
            _ => rng.normal() * 3.0,
        };
        if corners
            .iter()
            .all(|c| (f64::from(x) - c).abs() > 4.0 * STEP)
        {
            points.push(x);
        }
    }
    let x = Array::from_slice(&points, points.len())?;
    let op = elementwise::unary(name, text)?;
    let gradient = grad(|x| op.call(x)?.sum(..))(&x)?.to_vec::<f32>()?;
    let f = Expr::parse(text, &["x"])?;
    let value = |x: f64| f.evaluate(&|_| Some(x));
    let (mut error, mut at) = (0.0, 0.0);
    for (&x, &g) in points.iter().zip(&gradient) {
        let x = f64::from(x);
        // Fourth order: its error is below 1e-12 of the fifth derivative.
        let near = value(x + STEP)? - value(x - STEP)?;
        let far = value(x + 2.0 * STEP)? - value(x - 2.0 * STEP)?;
        let slope = (8.0 * near - far) / (12.0 * STEP);
        let off = (f64::from(g) - slope).abs() / slope.abs().max(FLOOR);
        if off > error {
            (error, at) = (off, x);
        }
    }
    Ok((error, at))
}
