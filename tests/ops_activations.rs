//! Activations as methods, beside their formulas in float64, with gradients, at the ends, and beside the kernels of
//! the same names.

mod support;

use rstest::rstest;
use support::ops::{here, refused};
use support::*;
use zmlx::kernels::activations as kernels;
use zmlx::prelude::*;
use zmlx::{Result, with_device};

type Method = fn(&Array) -> Result<Array>;
type Formula = fn(f64) -> f64;

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The error function, by a series of terms of one sign, so that none are cancelled.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..300 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    sum * (-x * x).exp() * 2.0 / std::f64::consts::PI.sqrt()
}

const SELU: (f64, f64) = (1.050_700_987_355_480_5, 1.673_263_242_354_377_2);

/// Each with its formula.
const ALL: &[(&str, Method, Formula)] = &[
    ("relu", Array::relu, |x| x.max(0.0)),
    ("relu6", Array::relu6, |x| x.clamp(0.0, 6.0)),
    ("silu", Array::silu, |x| x * logistic(x)),
    ("gelu", Array::gelu, |x| {
        x * (1.0 + erf(x / 2f64.sqrt())) / 2.0
    }),
    ("gelu_tanh", Array::gelu_tanh, |x| {
        let root = (2.0 / std::f64::consts::PI).sqrt();
        x * (1.0 + (root * (x + 0.044_715 * x.powi(3))).tanh()) / 2.0
    }),
    ("quick_gelu", Array::quick_gelu, |x| x * logistic(1.702 * x)),
    ("softplus", Array::softplus, softplus),
    ("log_sigmoid", Array::log_sigmoid, |x| -softplus(-x)),
    ("mish", Array::mish, |x| x * softplus(x).tanh()),
    ("selu", Array::selu, |x| {
        SELU.0 * if x > 0.0 { x } else { SELU.1 * x.exp_m1() }
    }),
    ("hard_swish", Array::hard_swish, |x| {
        x * (x + 3.0).clamp(0.0, 6.0) / 6.0
    }),
    ("hard_sigmoid", Array::hard_sigmoid, |x| {
        (x / 6.0 + 0.5).clamp(0.0, 1.0)
    }),
    ("softsign", Array::softsign, |x| x / (1.0 + x.abs())),
    ("leaky_relu", |x| x.leaky_relu(0.25), |x| x.max(0.25 * x)),
    (
        "leaky_relu, steep",
        |x| x.leaky_relu(2.0),
        |x| x.min(2.0 * x),
    ),
    (
        "elu",
        |x| x.elu(0.75),
        |x| {
            if x > 0.0 { x } else { 0.75 * x.exp_m1() }
        },
    ),
    (
        "celu",
        |x| x.celu(1.5),
        |x| {
            if x > 0.0 { x } else { 1.5 * (x / 1.5).exp_m1() }
        },
    ),
];

/// float64 with its own accuracy; float16 and bfloat16 are rounded at each of up to eight operations.
#[rstest]
#[case(F64, 1e-13)]
#[case(F32, 2e-6)]
#[case(F16, 4e-3)]
#[case(BF16, 3e-2)]
fn formulas(#[case] dtype: Dtype, #[case] tolerance: f64) {
    here(move || {
        let mut rng = Rng::new();
        let mut data: Vec<f64> = (0..500).map(|_| rng.real(-8.0, 8.0)).collect();
        data.extend([-6.0, -3.0, -1e-3, -0.0, 0.0, 1e-3, 3.0, 6.0, -60.0, 60.0]);
        let x = arr(&data).astype(dtype).unwrap();
        let values = x.astype(F64).unwrap().to_vec::<f64>().unwrap();
        for (name, method, formula) in ALL {
            let y = method(&x).unwrap();
            assert_eq!((y.shape(), y.dtype()), (x.shape(), dtype), "{name}");
            let y = y.astype(F64).unwrap().to_vec::<f64>().unwrap();
            for (&x, &y) in values.iter().zip(&y) {
                let want = formula(x);
                let off = (y - want).abs();
                // Cancelled terms leave an error of the size of x.
                let most = tolerance * (want.abs() + x.abs().min(8.0)).max(0.01);
                assert!(off <= most, "{name}({x}) = {y}, not {want}");
            }
        }
    });
}

/// Limits at the infinities and huge numbers; NaN stays NaN.
#[rstest]
fn ends(#[values(F32, F16, BF16, F64)] dtype: Dtype) {
    here(move || {
        let most = dtype.float_info().unwrap().max;
        let data = [f64::NEG_INFINITY, -most, most, f64::INFINITY, f64::NAN];
        let x = with_device(Device::CPU, || arr(&data).astype(dtype)).unwrap();
        for (name, method, _) in ALL {
            let y = method(&x).unwrap().astype(F64).unwrap();
            let y = y.to_vec::<f64>().unwrap();
            let (low, high) = match *name {
                "relu6" => (0.0, 6.0),
                "hard_sigmoid" => (0.0, 1.0),
                "softsign" => (-1.0, 1.0),
                "log_sigmoid" => (f64::NEG_INFINITY, 0.0),
                "selu" => (-SELU.0 * SELU.1, f64::INFINITY),
                "elu" => (-0.75, f64::INFINITY),
                "celu" => (-1.5, f64::INFINITY),
                n if n.starts_with("leaky") => (f64::NEG_INFINITY, f64::INFINITY),
                _ => (0.0, f64::INFINITY),
            };
            let near = |got: f64, want: f64| got == want || (got - want).abs() <= 1e-2 * want.abs();
            assert!(near(y[0], low) && near(y[3], high), "{name}: {y:?}");
            if low.is_finite() {
                assert!(near(y[1], low), "{name}: {y:?}");
            }
            if high.is_finite() {
                assert!(near(y[2], high), "{name}: {y:?}");
            }
            assert!(
                !y[1].is_nan() && !y[2].is_nan() && y[4].is_nan(),
                "{name}: {y:?}"
            );
        }
    });
}

/// Gradients beside differences of the formulas, and finite at numbers where a part would overflow.
#[test]
fn gradients() {
    here(|| {
        let mut rng = Rng::new();
        // Away from corners.
        let mut data: Vec<f64> = Vec::new();
        while data.len() < 100 {
            let v = rng.real(-8.0, 8.0);
            if [0.0, 3.0, -3.0, 6.0]
                .iter()
                .all(|c: &f64| (v - c).abs() > 1e-3)
            {
                data.push(v);
            }
        }
        let x = arr(&data);
        for (name, method, formula) in ALL {
            let d = grad(|x| method(x)?.sum(..))(&x)
                .unwrap()
                .to_vec::<f64>()
                .unwrap();
            for (&x, &d) in data.iter().zip(&d) {
                const H: f64 = 1e-5;
                let want = (formula(x + H) - formula(x - H)) / (2.0 * H);
                // The differences are good to H squared and 1e-16 / H.
                assert!((d - want).abs() < 1e-7, "{name}'({x}) = {d}, not {want}");
            }
            for dtype in [F32, F16] {
                let far = arr(&[-6e4f32, -400.0, -100.0, 100.0, 400.0, 6e4])
                    .astype(dtype)
                    .unwrap();
                let d = grad(|x| method(x)?.sum(..))(&far).unwrap();
                assert!(
                    f32s(&d).iter().all(|v| v.is_finite()),
                    "{name}: {:?}",
                    f32s(&d)
                );
            }
        }
    });
}

#[test]
fn the_kernels_agree() {
    here(|| {
        let mut rng = Rng::new();
        let x = rng.array(&[300], -9.0, 9.0);
        let same = |name: &str, method: Result<Array>, kernel: Result<Array>| {
            let want: Vec<f64> = f32s(&kernel.unwrap()).iter().map(|&v| v.into()).collect();
            let (got, want) = (f32s(&method.unwrap()), want);
            for (g, w) in got.iter().zip(&want) {
                assert!(
                    (f64::from(*g) - w).abs() <= 1e-5 * (1.0 + w.abs()),
                    "{name}: {g}, not {w}"
                );
            }
        };
        same("gelu", x.gelu(), kernels::gelu(&x));
        same("gelu_tanh", x.gelu_tanh(), kernels::gelu_tanh(&x));
        same("silu", x.silu(), kernels::silu(&x));
        same("mish", x.mish(), kernels::mish(&x));
        same("softplus", x.softplus(), kernels::softplus(&x));
    });
}

#[test]
fn integers_and_rows() {
    here(|| {
        let x = arr(&[-2i32, 0, 7]);
        assert_eq!(x.relu().unwrap().to_vec::<i32>().unwrap(), [0, 0, 7]);
        assert_eq!(x.relu6().unwrap().to_vec::<i32>().unwrap(), [0, 0, 6]);
        let y = x.silu().unwrap();
        assert_eq!(y.dtype(), F32);
        close(
            &f32s(&y),
            &[-2.0 * logistic(-2.0), 0.0, 7.0 * logistic(7.0)],
            1e-6,
        );

        let mut rng = Rng::new();
        let x = rng.array(&[4, 6], -9.0, 9.0);
        let rows: Vec<f64> = f32s(&x).iter().map(|&v| v.into()).collect();
        let want: Vec<f64> = rows
            .chunks(6)
            .flat_map(|r| {
                let sum = r.iter().map(|v| v.exp()).sum::<f64>().ln();
                r.iter().map(move |v| v - sum)
            })
            .collect();
        close(&f32s(&x.log_softmax(-1).unwrap()), &want, 1e-5);
        let want: Vec<f64> = rows
            .chunks(6)
            .flat_map(|r| (0..3).map(|i| r[i] * logistic(r[i + 3])))
            .collect();
        close(&f32s(&x.glu(-1).unwrap()), &want, 1e-5);
        assert_eq!(x.glu(0).unwrap().shape(), [2, 6]);
        refused(x.index((.., ..5)).unwrap().glu(1), &["even", "[4, 5]"]);
        refused(x.glu(2), &["`axis`"]);
        refused(x.celu(0.0), &["`alpha`", "0"]);
        refused(x.celu(f64::NAN), &["`alpha`", "NaN"]);
    });
}
