//! Activations far out, at infinity and at NaN, where a textbook formula overflows; and their other names.

use zmlx::kernels::{activations, catalog};
use zmlx::prelude::*;
use zmlx::{Error, Result};

use crate::common::on_worker;
use crate::tolerance::numbers;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Name, values at -1e4 and 1e4, slopes there, values at both infinities. Options are those of the table:
/// slope 0.25, alpha 0.75 for elu and 1.5 for celu.
type Row = (&'static str, [f64; 2], [f64; 2], [f64; 2]);

const FAR: &[Row] = &[
    ("gelu_tanh", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("gelu", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("quick_gelu", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("exp", [0.0, INF], [0.0, INF], [0.0, INF]),
    ("log", [NAN, 9.210_340_37], [-1e-4, 1e-4], [NAN, INF]),
    ("tanh", [-1.0, 1.0], [0.0, 0.0], [-1.0, 1.0]),
    ("sigmoid", [0.0, 1.0], [0.0, 0.0], [0.0, 1.0]),
    ("logsigmoid", [-1e4, 0.0], [1.0, 0.0], [-INF, 0.0]),
    ("hard_sigmoid", [0.0, 1.0], [0.0, 0.0], [0.0, 1.0]),
    ("relu", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("relu2", [0.0, 1e8], [0.0, 2e4], [0.0, INF]),
    ("leaky_relu", [-2500.0, 1e4], [0.25, 1.0], [-INF, INF]),
    ("silu", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("hardswish", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("softplus", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("mish", [0.0, 1e4], [0.0, 1.0], [0.0, INF]),
    ("elu", [-0.75, 1e4], [0.0, 1.0], [-0.75, INF]),
    ("celu", [-1.5, 1e4], [0.0, 1.0], [-1.5, INF]),
    (
        "selu",
        [-1.758_099_34, 1.050_700_99e4],
        [0.0, 1.050_700_99],
        [-1.758_099_34, INF],
    ),
    (
        "softsign",
        [-0.999_900_01, 0.999_900_01],
        [1e-8, 1e-8],
        [-1.0, 1.0],
    ),
];

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64]) {
    let pairs = got.iter().zip(want);
    let good = |g: f64, w: f64| {
        g == w || (g.is_nan() && w.is_nan()) || (g - w).abs() <= 1e-6 * w.abs().max(1.0)
    };
    assert!(
        got.len() == want.len() && { pairs }.all(|(g, w)| good(*g, *w)),
        "{what}: {got:?}, expected {want:?}"
    );
}

#[test]
fn far_out() {
    on_worker(|| -> Result<()> {
        let all = || catalog().filter(|e| e.name.starts_with("activations::"));
        assert_eq!(all().count(), FAR.len());
        for entry in all() {
            let (_, name) = entry.name.split_once("::").unwrap();
            let row = FAR.iter().find(|r| r.0 == name);
            let (_, values, slopes, limits) = row.expect(name);
            let f = |x: &Array| Ok((entry.call)(std::slice::from_ref(x))?.remove(0));
            let x = Array::from_slice(&[-1e4f32, 1e4], 2)?;
            close(name, &numbers(&f(&x)?)?, values);
            let slope = |x: &Array| grad(|x| f(x)?.sum(..))(x);
            close(&format!("{name}, slope"), &numbers(&slope(&x)?)?, slopes);
            let second = numbers(&grad(|x| slope(x)?.sum(..))(&x)?)?;
            // Of exp it is infinite where the value is.
            let finite = second.iter().all(|v| v.is_finite() || name == "exp");
            assert!(finite, "{name}, second derivative: {second:?}");

            let ends = Array::from_slice(&[-3e38f32, -2e19, 2e19, 3e38], 4)?;
            let second = numbers(&grad(|x| slope(x)?.sum(..))(&ends)?)?;
            // Of exp it is infinite where the value is, and 1 / x^2 is no number of float32.
            let finite = second.iter().all(|v| v.is_finite() || name == "exp");
            assert!(finite, "{name}, second derivative far out: {second:?}");
            if ["gelu_tanh", "gelu", "silu", "mish"].contains(&name) {
                let ends = Array::from_slice(&[-f32::INFINITY, f32::INFINITY], 2)?;
                close(
                    &format!("{name}, slope at infinity"),
                    &numbers(&slope(&ends)?)?,
                    slopes,
                );
            }

            let odd = Array::from_slice(&[-f32::INFINITY, f32::INFINITY, f32::NAN], 3)?;
            let want = [limits[0], limits[1], NAN];
            close(
                &format!("{name} of odd numbers"),
                &numbers(&f(&odd)?)?,
                &want,
            );
        }
        Ok(())
    })
    .unwrap();
}

/// The original has a second name for a function with a derivative.
#[test]
fn other_names() {
    use activations::*;
    on_worker(|| -> Result<()> {
        type F = fn(&Array) -> Result<Array>;
        let pairs: [(F, F); 8] = [
            (exp, exp_grad),
            (tanh, tanh_grad),
            (sigmoid, sigmoid_grad),
            (relu, relu_grad),
            (silu, silu_grad),
            (gelu_tanh, gelu_tanh_grad),
            (softplus, softplus_grad),
            (mish, mish_grad),
        ];
        let x = random::normal(100)?;
        for (one, other) in pairs {
            assert_eq!(numbers(&one(&x)?)?, numbers(&other(&x)?)?);
        }
        let y = elu_grad(&x).alpha(0.5).call()?;
        assert_eq!(numbers(&elu(&x).alpha(0.5).call()?)?, numbers(&y)?);
        assert_ne!(numbers(&elu(&x).call()?)?, numbers(&y)?);
        Ok(())
    })
    .unwrap();
}

/// Defaults are what the documentation says.
#[test]
fn options() {
    use activations::{celu, elu, leaky_relu};
    on_worker(|| -> Result<()> {
        let x = Array::from(-1.0f32);
        let below = f64::exp(-1.0) - 1.0;
        close("elu", &numbers(&elu(&x).call()?)?, &[below]);
        close("celu", &numbers(&celu(&x).call()?)?, &[below]);
        close("leaky_relu", &numbers(&leaky_relu(&x).call()?)?, &[-0.01]);
        // Neither compiles anything: the number is data.
        let y = leaky_relu(&x).slope(-2.0).call()?;
        close("leaky_relu", &numbers(&y)?, &[2.0]);
        let error = elu(&Array::from(1i32)).call().unwrap_err();
        assert!(matches!(error, Error::Dtype { .. }), "{error}");
        let error = celu(&x).alpha(0.0).call().unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        assert!(error.to_string().contains("`alpha`"), "{error}");
        Ok(())
    })
    .unwrap();
}
