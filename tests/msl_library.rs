//! The function library of `kernels/functions.metal` against closed forms in float64: every half
//! and bfloat there is, and random floats over the whole range.

mod common;

use common::{Rng, exactly, on_worker};
use rstest::rstest;
use zmlx::prelude::*;

/// The error function: its Taylor series, and further out the continued fraction of erfc.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    let value = if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..100 {
            term *= -a * a / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let tail = (1..60).rev().fold(a, |f, k| a + f64::from(k) / 2.0 / f);
        1.0 - (-a * a).exp() / tail / std::f64::consts::PI.sqrt()
    };
    value.copysign(x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `x` times something that vanishes faster at minus infinity.
fn gated(x: f64, gate: f64) -> f64 {
    if gate == 0.0 { 0.0 } else { x * gate }
}

#[rstest]
#[case::sigmoid("kk_sigmoid(x)", sigmoid)]
#[case::silu("kk_silu(x)", |x: f64| gated(x, sigmoid(x)))]
#[case::relu("kk_relu(x)", |x: f64| x.max(0.0))]
#[case::gelu_tanh("kk_gelu_tanh(x)", |x: f64| gated(x, sigmoid(1.595_769_121_605_730_7 * (x + 0.044_715 * x * x * x))))]
#[case::gelu("kk_gelu(x)", |x: f64| gated(x, 0.5 + 0.5 * erf(x * std::f64::consts::FRAC_1_SQRT_2)))]
#[case::erf("kk_erf(x)", erf)]
#[case::softplus("kk_softplus(x)", softplus)]
#[case::mish("kk_mish(x)", |x: f64| gated(x, softplus(x).tanh()))]
#[case::elu("kk_elu(x, 1.5f)", |x: f64| if x > 0.0 { x } else { 1.5 * x.exp_m1() })]
#[case::log1p("kk_log1p(x)", f64::ln_1p)]
#[case::expm1("kk_expm1(x)", f64::exp_m1)]
fn functions(
    #[case] text: &'static str,
    #[case] want: fn(f64) -> f64,
    #[values(F32, F16, BF16)] dtype: Dtype,
) {
    on_worker(move || {
        let x = match dtype {
            F32 => floats(),
            _ => all_of_two_bytes(dtype),
        };
        let op = zmlx::elementwise::unary("library", text).unwrap();
        let y = op.compute_dtype(dtype).unwrap().call(&x).unwrap();
        let [x, y] = exactly(|| [x, y].map(|a| a.astype(F64).unwrap().to_vec::<f64>().unwrap()));
        let mut worst = (0.0, 0.0, 0.0);
        for (&x, &y) in x.iter().zip(&y) {
            let want = if x.is_nan() { x } else { want(x) };
            if want.is_nan() {
                assert!(y.is_nan(), "{text} at {x}: {y} for NaN");
                continue;
            }
            // The fast exponential has no denormal numbers, and some functions multiply it by x.
            if dtype != F32 && y == 0.0 && want.abs() < 2f64.powi(-118) {
                continue;
            }
            let (unit, least, largest) = format(dtype);
            if want.abs() > largest {
                assert!(
                    y == want.signum() * f64::INFINITY,
                    "{text} at {x}: {y}, not {want}"
                );
                continue;
            }
            let error = (y - want).abs() / (unit * scale(text, x, want) + least);
            if error.is_nan() || error > worst.0 {
                worst = (error, x, y);
            }
        }
        let (error, at, got) = worst;
        println!("{text} in {dtype}: {error:.2} units at {at}, {got}");
        // Storage types of two bytes lose half a unit, and next to nothing before it.
        let bound = if dtype == F32 { allowed(text) } else { 0.51 };
        assert!(
            error <= bound,
            "{text} in {dtype}: {error} units at {at}: {got}"
        );
    });
}

/// Units in the last place that a function of floats may be off.
fn allowed(text: &str) -> f64 {
    match text {
        "kk_relu(x)" => 0.0,
        _ => 4.0,
    }
}

/// What an error is measured by. The exponential of a rounded `u` is off by `|u|` units: that many
/// more are granted in the tails of GELU by tanh. GELU by erf is a difference of numbers
/// near 1, times x.
fn scale(text: &str, x: f64, want: f64) -> f64 {
    match text {
        "kk_gelu_tanh(x)" if x < 0.0 => want.abs() * (1.0 + want.abs().max(1e-45).ln().abs() / 2.0),
        "kk_gelu(x)" => want.abs().max(x.abs().min(6.0)),
        _ => want.abs(),
    }
}

/// Unit in the last place relative to the value (of its smallest mantissa), smallest normal times that,
/// largest value that rounds to a finite one.
fn format(dtype: Dtype) -> (f64, f64, f64) {
    let two = |e: i32| 2f64.powi(e);
    match dtype {
        F32 => (two(-23), two(-126 - 1), f64::from(f32::MAX)),
        F16 => (two(-10), two(-24), 65519.0),
        _ => (two(-7), two(-126 - 7), 3.3961e38),
    }
}

fn floats() -> Array {
    let mut rng = Rng::new();
    let mut values: Vec<f32> = (0..200_000)
        .map(|_| {
            let size = (rng.uniform() * 40.0 - 30.0).exp2() as f32;
            if rng.next().is_multiple_of(2) {
                size
            } else {
                -size
            }
        })
        .collect();
    values.extend([
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        f32::INFINITY,
        f32::NAN,
        3e38,
        -3e38,
    ]);
    Array::from_slice(&values, values.len()).unwrap()
}

fn all_of_two_bytes(dtype: Dtype) -> Array {
    let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    Array::from_bytes(&bytes, 65536, dtype).unwrap()
}
