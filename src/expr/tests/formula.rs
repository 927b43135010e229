//! Textbook formulas against numbers that are worked out here in f64.

use crate::expr::{Extent, Formula};
use crate::{Array, Device, Dtype, Error, Result, grad, with_device, worker};

const ROWS: [[f64; 4]; 2] = [[0.5, -1.25, 3.0, 2.0], [-0.75, 1.5, 0.25, -2.0]];

fn on_worker(body: impl FnOnce() -> Result<()> + Send + 'static) {
    let pool = worker::shared().expect("threads");
    pool.run(|| with_device(Device::CPU, body)).wait().unwrap();
}

fn rows() -> Result<Array> {
    Array::from_slice(&ROWS.concat(), (2, 4))
}

/// The formula of x, of weights (1, 2, 3, 4), of a label a row (2 and 0) and of eps = 0.5.
fn values(text: &str) -> Result<(Vec<i32>, Vec<f64>)> {
    let arguments = [
        ("x", Extent::Element),
        ("weight", Extent::Element),
        ("label", Extent::Row),
        ("eps", Extent::Number),
    ];
    let arrays = [
        rows()?,
        Array::from_slice(&[1.0f64, 2.0, 3.0, 4.0], 4)?,
        Array::from_slice(&[2i32, 0], 2)?,
    ];
    let y = Formula::parse(text, &arguments)?.evaluate(&arrays, &[0.5])?;
    assert_eq!(y[0].dtype(), Dtype::Float64);
    Ok((y[0].shape().to_vec(), y[0].to_vec()?))
}

/// The largest error that is accepted, relative or below 1: where exponentials are in it, MLX's of float64 have the
/// accuracy of float32.
const EXACT: f64 = 1e-14;
const SINGLE: f64 = 1e-6;

#[track_caller]
fn check(text: &str, tolerance: f64, shape: &[i32], want: &[f64]) {
    let (got_shape, got) = values(text).unwrap();
    assert_eq!((&*got_shape, got.len()), (shape, want.len()), "{text}");
    for (g, w) in got.iter().zip(want) {
        let good = (g - w).abs() <= tolerance * w.abs().max(1.0);
        assert!(good, "{text}: {got:?}, expected {want:?}");
    }
}

fn each(f: impl Fn(f64) -> f64) -> Vec<f64> {
    ROWS.concat().into_iter().map(f).collect()
}

fn of_rows(f: impl Fn(&[f64; 4]) -> f64) -> Vec<f64> {
    ROWS.iter().map(f).collect()
}

#[test]
fn formulas_of_elements() {
    on_worker(|| {
        // Numbers are real and not rounded to 32 bits, and powers bind as in books.
        check("x + 1 / 3", EXACT, &[2, 4], &each(|x| x + 1.0 / 3.0));
        check("-x^2", EXACT, &[2, 4], &each(|x| -x * x));
        check("2^3^2 * x", EXACT, &[2, 4], &each(|x| 512.0 * x));
        check("x * 4^-1", EXACT, &[2, 4], &each(|x| x / 4.0));
        check("x - -x^3", EXACT, &[2, 4], &each(|x| x + x * x * x));
        check(
            "pi * x + 0.1234567890123",
            EXACT,
            &[2, 4],
            &each(|x| std::f64::consts::PI * x + 0.123_456_789_012_3),
        );
        check(
            "x > 0 ? x : eps * x",
            EXACT,
            &[2, 4],
            &each(|x| x.max(0.5 * x)),
        );
        check(
            "max(x, 0) - min(x, 1)",
            EXACT,
            &[2, 4],
            &each(|x| x.max(0.0) - x.min(1.0)),
        );
        check(
            "a = x + 1; b = a * a; b - a",
            EXACT,
            &[2, 4],
            &each(|x| (x + 1.0) * x),
        );
        check(
            "x * sigmoid(x)",
            SINGLE,
            &[2, 4],
            &each(|x| x / (1.0 + (-x).exp())),
        );
        check("softplus(x)", SINGLE, &[2, 4], &each(|x| x.exp().ln_1p()));
        Ok(())
    });
}

#[test]
fn formulas_of_rows() {
    on_worker(|| {
        let sum = |r: &[f64; 4]| r.iter().sum::<f64>();
        check("sum(x)", EXACT, &[2], &of_rows(sum));
        check("mean(x) * D", EXACT, &[2], &of_rows(sum));
        check("max(x) - min(x)", EXACT, &[2], &[4.25, 3.5]);
        check("at(x, label)", EXACT, &[2], &[3.0, -0.75]);
        check("sum(first(x)) - sum(second(x))", EXACT, &[2], &[-5.75, 2.5]);
        let logs = |r: &[f64; 4]| r.iter().map(|x| x.exp()).sum::<f64>().ln();
        check("logsumexp(x)", SINGLE, &[2], &of_rows(logs));
        check("log(sum(exp(x)))", SINGLE, &[2], &of_rows(logs));
        let var = |r: &[f64; 4]| r.iter().map(|x| (x - sum(r) / 4.0).powi(2)).sum::<f64>() / 4.0;
        check("var(x)", EXACT, &[2], &of_rows(var));
        // A row's value meets elements, and weights meet rows.
        let centred = ROWS.iter().flat_map(|r| r.map(|x| x - sum(r) / 4.0));
        let weighted: Vec<f64> = centred
            .enumerate()
            .map(|(i, x)| x * (i % 4 + 1) as f64)
            .collect();
        check("(x - mean(x)) * weight", EXACT, &[2, 4], &weighted);
        Ok(())
    });
}

#[test]
fn formulas_have_mlx_gradients_and_other_dtypes() {
    on_worker(|| {
        let formula = Formula::parse("x^2 / stop(x), sum(x)", &[("x", Extent::Element)])?;
        assert!(formula.extents().eq([Extent::Element, Extent::Row]));
        let slope = grad(|x| formula.evaluate(std::slice::from_ref(x), &[])?[0].sum(..))(&rows()?)?;
        // The divisor counts as a constant.
        assert_eq!(slope.to_vec::<f64>()?, [2.0; 8]);
        for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16] {
            let y = formula.evaluate(&[rows()?.astype(dtype)?], &[])?;
            assert_eq!((y[0].dtype(), y[1].shape()), (dtype, &[2][..]));
        }
        Ok(())
    });
}

#[test]
fn wrong_formulas() {
    on_worker(|| {
        for (text, part) in [
            ("x +", "expected a value"),
            ("y", "undeclared variable `y`"),
            ("sum(x, x)", "takes 1 argument"),
            ("exp(x, x)", "takes 1 argument"),
            ("wonder(x)", "unknown function `wonder`"),
            ("x = 1; x", "has a meaning already"),
            ("1..2", "not a number"),
        ] {
            match Formula::parse(text, &[("x", Extent::Element)]) {
                Err(Error::Expression { message, .. }) => {
                    assert!(message.contains(part), "{text}: {message}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        Ok(())
    });
}
