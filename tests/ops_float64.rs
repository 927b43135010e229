//! float64 is computed in float64: values, and derivatives of the first and second order. On the CPU, as it is not elsewhere.

mod support;

use support::ops::*;
use support::*;
use zmlx::Result;
use zmlx::prelude::*;

type Unary = fn(&Array) -> Result<Array>;

/// A function of arrays and its closed form.
type Row = (&'static str, Unary, fn(f64) -> f64);

/// Functions that are as exact in float64 as the type, with their references.
const DOUBLE: &[Row] = &[
    ("exp", Array::exp, f64::exp),
    ("expm1", Array::expm1, f64::exp_m1),
    ("log", |x| x.abs()?.log(), |x| x.abs().ln()),
    ("log2", |x| x.abs()?.log2(), |x| x.abs().log2()),
    ("log10", |x| x.abs()?.log10(), |x| x.abs().log10()),
    ("log1p", |x| x.abs()?.log1p(), |x| x.abs().ln_1p()),
    ("sin", Array::sin, f64::sin),
    ("cos", Array::cos, f64::cos),
    ("tan", Array::tan, f64::tan),
    ("arctan", Array::arctan, f64::atan),
    ("sinh", Array::sinh, f64::sinh),
    ("cosh", Array::cosh, f64::cosh),
    ("tanh", Array::tanh, f64::tanh),
    ("arcsinh", Array::arcsinh, f64::asinh),
    ("sqrt", |x| x.abs()?.sqrt(), |x| x.abs().sqrt()),
    ("rsqrt", |x| x.abs()?.rsqrt(), |x| 1.0 / x.abs().sqrt()),
    ("degrees", Array::degrees, f64::to_degrees),
    ("radians", Array::radians, f64::to_radians),
    ("sigmoid", Array::sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
    (
        "power",
        |x| x.abs()?.power(&Array::scalar(1.7f64)?),
        |x| x.abs().powf(1.7),
    ),
    (
        "logaddexp",
        |x| x.logaddexp(&Array::scalar(0.5f64)?),
        |x| (x.exp() + 0.5f64.exp()).ln(),
    ),
    ("erfinv", |x| x.tanh()?.erfinv()?.erf(), f64::tanh),
    ("square", Array::square, |x| x * x),
    ("reciprocal", Array::reciprocal, |x| 1.0 / x),
];

/// And those that are not: MLX computes them in float32. See the notes on operations.
const SINGLE: &[Row] = &[("logcumsumexp", |x| x.logcumsumexp(-1), |x| x)];

#[test]
fn float64_is_computed_in_float64() {
    here(|| {
        let mut rng = Rng::new();
        let x: Vec<f64> = (0..41).map(|_| rng.real(-3.0, 3.0)).collect();
        let a = arr(&x);
        // As it lies, and strided.
        let strided = Array::from_slice(&[x.clone(), x.clone()].concat(), (2, 41)).unwrap();
        let strided = strided.transpose(..).unwrap().index((.., 1)).unwrap();
        for (name, f, want) in DOUBLE {
            for a in [&a, &strided] {
                let y = f(a).unwrap();
                assert_eq!((y.dtype(), y.shape()), (F64, a.shape()), "{name}");
                for (x, y) in x.iter().zip(y.to_vec::<f64>().unwrap()) {
                    let want = want(*x);
                    let error = (y - want).abs() / want.abs().max(1.0);
                    assert!(error < 1e-14, "{name}({x}): {y} against {want}");
                }
            }
        }
        // What the documentation lists is off, else it belongs above.
        for (name, f, want) in SINGLE {
            let one: Vec<f64> = x.iter().flat_map(|&v| [v, v]).collect();
            let y = f(&Array::from_slice(&one, (41, 2)).unwrap())
                .unwrap()
                .to_vec::<f64>()
                .unwrap();
            let off = (0..41).map(|i| (y[2 * i + 1] - want(x[i]) - 2f64.ln()).abs());
            assert!(off.fold(0.0, f64::max) < 1e-6, "{name}");
        }
        let e = |v: f64| {
            Array::scalar(v)
                .unwrap()
                .exp()
                .unwrap()
                .item::<f64>()
                .unwrap()
        };
        assert_eq!((e(700.0), e(-740.0)), (700f64.exp(), (-740f64).exp()));
        let erf = Array::scalar(0.5f64)
            .unwrap()
            .erf()
            .unwrap()
            .item::<f64>()
            .unwrap();
        assert!((erf - 0.520_499_877_813_046_5).abs() < 1e-15);
        let inverse = Array::scalar(0.999_999_999_999_9f64)
            .unwrap()
            .erfinv()
            .unwrap();
        let back = inverse.erf().unwrap().item::<f64>().unwrap();
        assert!((back - 0.999_999_999_999_9).abs() < 1e-16 * 4.0, "{back}");
        let inf = f64::INFINITY;
        let edges = arr(&[inf, -inf, 0.0, f64::NAN])
            .logaddexp(arr(&[inf, -inf, -inf, 0.0]))
            .unwrap();
        let edges = edges.to_vec::<f64>().unwrap();
        assert!(edges[0] == inf && edges[1] == -inf && edges[2] == 0.0 && edges[3].is_nan());
    });
}

#[test]
fn softmax_of_float64() {
    here(|| {
        let x = [0.1f64, 1.7, -2.3];
        let total: f64 = x.iter().map(|v| v.exp()).sum();
        let a = arr(&x);
        for (i, y) in a
            .softmax(-1)
            .unwrap()
            .to_vec::<f64>()
            .unwrap()
            .into_iter()
            .enumerate()
        {
            assert!((y - x[i].exp() / total).abs() < 1e-15);
        }
        let y = a.logsumexp(0).unwrap().item::<f64>().unwrap();
        assert!((y - total.ln()).abs() < 1e-15);
    });
}

#[test]
fn derivatives_of_float64() {
    here(|| {
        let pi = std::f64::consts::PI;
        let table: [Row; 7] = [
            ("exp", Array::exp, f64::exp),
            ("expm1", Array::expm1, f64::exp),
            ("sin", Array::sin, f64::cos),
            ("cos", Array::cos, |x| -x.sin()),
            ("tan", Array::tan, |x| 1.0 / x.cos().powi(2)),
            ("sigmoid", Array::sigmoid, |x| {
                let y = 1.0 / (1.0 + (-x).exp());
                y * (1.0 - y)
            }),
            (
                "logaddexp",
                |x| x.logaddexp(&Array::scalar(0.3f64)?),
                |x| 1.0 / (1.0 + (0.3 - x).exp()),
            ),
        ];
        for (name, f, want) in table {
            for x in [0.3f64, -1.2, 1.1] {
                let g = zmlx::grad(move |x: &Array| f(x));
                let got = g(&Array::scalar(x).unwrap())
                    .unwrap()
                    .item::<f64>()
                    .unwrap();
                assert!((got - want(x)).abs() < 1e-14, "{name}'({x}): {got}");
            }
        }
        let g = zmlx::grad(|x: &Array| x.erfinv()?.erf()?.multiply(x));
        let got = g(&Array::scalar(0.4f64).unwrap())
            .unwrap()
            .item::<f64>()
            .unwrap();
        assert!((got - 0.8).abs() < 1e-13, "{got} {pi}");
    });
}
