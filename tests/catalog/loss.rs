//! The options of the cross entropy, against MLX's operations in float64.

use zmlx::kernels::loss::{
    CrossEntropy, Reduction, softmax_cross_entropy, softmax_cross_entropy_grad,
};
use zmlx::prelude::*;
use zmlx::{Result, ops, vjp};

use crate::common::{Rng, exactly, on_worker};
use crate::tolerance::numbers;

/// What a call asks for.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    ignored: Option<i64>,
    smoothing: f32,
    z_loss: f32,
    cap: Option<f32>,
    weighted: bool,
    reduction: Reduction,
}

impl Asked {
    fn call(self, x: &Array, targets: &Array, weight: &Array) -> Result<Array> {
        let mut call: CrossEntropy = softmax_cross_entropy(x, targets)
            .label_smoothing(self.smoothing)
            .z_loss(self.z_loss)
            .reduction(self.reduction);
        if let Some(i) = self.ignored {
            call = call.ignore_index(i);
        }
        if let Some(cap) = self.cap {
            call = call.soft_cap(cap);
        }
        if self.weighted {
            call = call.weight(weight);
        }
        call.call()
    }

    /// From the logarithms of the probabilities, as books have it.
    fn reference(self, x: &Array, targets: &Array, weight: &Array) -> Result<Array> {
        let n = |v: f64| Array::scalar(v);
        let x = match self.cap {
            Some(c) => x.divide(&n(c.into())?)?.tanh()?.multiply(&n(c.into())?)?,
            None => x.clone(),
        };
        let weight = match self.weighted {
            true => weight.clone(),
            false => weight.ones_like()?,
        };
        let counts = match self.ignored {
            Some(i) => targets.not_equal(Array::scalar(i)?)?,
            None => targets.equal(targets)?,
        };
        let zero = Array::scalar(0i64)?;
        let place = ops::where_(&counts, targets, &zero)?.expand_dims(-1)?;
        let total = x.logsumexp(zmlx::keepdims(-1))?;
        let all = weight.multiply(&(&total - &x)?)?;
        let own = all.take_along_axis(&place, -1)?.squeeze(-1)?;
        let s = f64::from(self.smoothing);
        let own = own.multiply(&n(1.0 - s)?)?;
        let mixed = own.add(&all.mean(-1)?.multiply(&n(s)?)?)?;
        let square = total
            .squeeze(-1)?
            .square()?
            .multiply(&n(self.z_loss.into())?)?;
        let rows = ops::where_(&counts, &mixed.add(&square)?, &n(0.0)?)?;
        let of_target = weight.broadcast_to(x.shape())?;
        let of_target = of_target.take_along_axis(&place, -1)?.squeeze(-1)?;
        let counted = ops::where_(&counts, &of_target, &n(0.0)?)?.sum(..)?;
        match self.reduction {
            Reduction::None => Ok(rows),
            Reduction::Sum => rows.sum(..),
            Reduction::Mean => rows.sum(..)?.divide(&counted),
        }
    }
}

fn close(got: &Array, want: &Array, tolerance: f64, what: &str) -> Result<()> {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let (got, want) = (numbers(got)?, numbers(want)?);
    let most = want.iter().fold(1e-3, |m: f64, w| m.max(w.abs()));
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        let off = (g - w).abs();
        assert!(
            off <= tolerance * most,
            "{what}: element {i} is {g}, expected {w}"
        );
    }
    Ok(())
}

const ROWS: i32 = 6;
const WIDTH: i32 = 70;

fn compared(asked: Asked, dtype: Dtype, tolerance: f64, rng: &mut Rng) -> Result<()> {
    let key = random::key(rng.next())?;
    let x = random::with_key(&key).normal((2, ROWS / 2, WIDTH))?;
    let x = (x * Array::from(4.0f32))?.astype(dtype)?;
    let key = random::key(rng.next())?;
    let weight = random::with_key(&key)
        .uniform(WIDTH)?
        .add(Array::from(0.5f32))?
        .astype(dtype)?;
    let key = random::key(rng.next())?;
    let targets = random::with_key(&key).randint(0, WIDTH, (2, ROWS / 2))?;
    // Two rows that do not count.
    let mut classes = targets.astype(I64)?.to_vec::<i64>()?;
    if let Some(i) = asked.ignored {
        (classes[1], classes[4]) = (i, i);
    }
    let targets = Array::from_slice(&classes, (2, ROWS / 2))?;

    let f = |p: &[Array]| Ok(vec![asked.call(&p[0], &targets, &p[1])?]);
    let inputs = [x, weight];
    let y = f(&inputs)?;
    assert_eq!(y[0].dtype(), dtype);
    let key = random::key(rng.next())?;
    let g = random::with_key(&key).normal(y[0].shape())?.astype(dtype)?;
    let slopes = vjp(f, &inputs, [&g])?.1;
    let second = |p: &[Array]| {
        let slopes = vjp(f, &p[..2], [&p[2]])?.1;
        Ok(vec![slopes[0].square()?.sum(..)?])
    };
    let all = [inputs[0].clone(), inputs[1].clone(), g.clone()];
    let one = Array::ones((), dtype)?;
    let curved = match dtype == F32 {
        true => vjp(second, &all, [&one])?.1,
        false => Vec::new(),
    };

    let wide = |a: &Array| a.astype(F64);
    exactly(|| {
        let inputs = [wide(&inputs[0])?, wide(&inputs[1])?];
        let f = |p: &[Array]| Ok(vec![asked.reference(&p[0], &targets, &p[1])?]);
        close(
            &y[0],
            &f(&inputs)?[0],
            tolerance,
            &format!("{asked:?} {dtype}"),
        )?;
        let g = wide(&g)?;
        let want = vjp(f, &inputs, [&g])?.1;
        let used = if asked.weighted { 2 } else { 1 };
        for i in 0..used {
            let what = format!("{asked:?} {dtype}, gradient {i}");
            close(&slopes[i], &want[i], tolerance, &what)?;
        }
        let second = |p: &[Array]| {
            let slopes = vjp(f, &p[..2], [&p[2]])?.1;
            Ok(vec![slopes[0].square()?.sum(..)?])
        };
        let all = [inputs[0].clone(), inputs[1].clone(), g];
        if !curved.is_empty() {
            let want = vjp(second, &all, [&Array::scalar(1.0f64)?])?.1;
            let what = format!("{asked:?}, second derivative");
            close(&curved[0], &want[0], 4.0 * tolerance, &what)?;
            close(&curved[2], &want[2], 4.0 * tolerance, &what)?;
        }
        Ok(())
    })
}

#[test]
fn options_and_their_gradients() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let none = Asked::default();
        let (mean, sum) = (Reduction::Mean, Reduction::Sum);
        let cases = [
            Asked {
                ignored: Some(-100),
                reduction: mean,
                ..none
            },
            Asked {
                z_loss: 0.01,
                reduction: sum,
                ..none
            },
            Asked {
                smoothing: 0.1,
                ..none
            },
            Asked {
                smoothing: 1.0,
                ignored: Some(3),
                reduction: mean,
                ..none
            },
            Asked {
                cap: Some(5.0),
                z_loss: 0.01,
                ..none
            },
            Asked {
                cap: Some(30.0),
                smoothing: 0.2,
                ignored: Some(-1),
                reduction: mean,
                ..none
            },
            Asked {
                weighted: true,
                ..none
            },
            Asked {
                weighted: true,
                smoothing: 0.1,
                ignored: Some(-100),
                reduction: mean,
                ..none
            },
            Asked {
                weighted: true,
                smoothing: 0.1,
                z_loss: 0.01,
                cap: Some(6.0),
                ignored: Some(0),
                reduction: mean,
            },
        ];
        for asked in cases {
            compared(asked, F32, 4e-6, &mut rng)?;
        }
        for (dtype, tolerance) in [(F16, 1e-3), (BF16, 8e-3)] {
            compared(cases[7], dtype, tolerance, &mut rng)?;
        }
        Ok(())
    })
    .unwrap();
}

/// A label that all but certainly is right: the probability of the others keeps its digits where
/// a gradient from the logarithm of the sum, of which 19 eat five bits, would not.
#[test]
fn gradient_at_a_dominating_label() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[19.3f32, 1.0, 5.0, -2.0], (1, 4))?;
        let targets = Array::from_slice(&[0i32], 1)?;
        let slope = grad(|x| softmax_cross_entropy(x, &targets).call()?.sum(..))(&x)?;
        let one = Array::ones(1, F32)?;
        let direct = softmax_cross_entropy_grad(&x, &targets, &one).call()?;
        let x = numbers(&x)?;
        let powers: Vec<f64> = x.iter().map(|v| (v - x[0]).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for got in [slope, direct] {
            let got = numbers(&got)?;
            for (i, (g, p)) in got.iter().zip(&powers).enumerate().skip(1) {
                assert!((g / (p / sum) - 1.0).abs() < 1e-6, "{i}: {g} {}", p / sum);
            }
            // One rounding of a number near 1.
            let want = powers[0] / sum - 1.0;
            assert!((got[0] - want).abs() < 1.3e-7, "{} {want}", got[0]);
        }
        Ok(())
    })
    .unwrap();
}

/// A sum over rows is taken in float32: in float16 it would stop at 2048 times its terms.
#[test]
fn sums_of_many_rows_in_16_bits() {
    on_worker(|| -> Result<()> {
        let x = Array::zeros((6000, 2), F16)?;
        let targets = Array::zeros(6000, I32)?;
        let call = softmax_cross_entropy(&x, &targets);
        let sum = numbers(&call.reduction(Reduction::Sum).call()?)?[0];
        let mean = numbers(&call.reduction(Reduction::Mean).call()?)?[0];
        let one = 2f64.ln();
        assert!((sum / (6000.0 * one) - 1.0).abs() < 6e-4, "{sum}");
        assert!((mean / one - 1.0).abs() < 6e-4, "{mean}");
        Ok(())
    })
    .unwrap();
}

/// Rows that do not count may hold anything, also with all options; a mean over none of them is NaN.
#[test]
fn rows_that_do_not_count() {
    on_worker(|| -> Result<()> {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let x = Array::from_slice(&[nan, inf, -inf, 1.0, 2.0, 3.0], (2, 3))?;
        let weight = Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?;
        let targets = Array::from_slice(&[-100i8, 2], 2)?;
        let none = Asked {
            ignored: Some(-100),
            ..Asked::default()
        };
        let full = Asked {
            smoothing: 0.1,
            z_loss: 0.1,
            cap: Some(4.0),
            weighted: true,
            ..none
        };
        for asked in [none, full] {
            let f = |p: &[Array]| Ok(vec![asked.call(&p[0], &targets, &p[1])?]);
            let p = [x.clone(), weight.clone()];
            let loss = numbers(&f(&p)?[0])?;
            assert!(
                loss[0] == 0.0 && loss[1].is_finite() && loss[1] > 0.0,
                "{loss:?}"
            );
            let slopes = vjp(f, &p, [&Array::ones(2, F32)?])?.1;
            let dx = numbers(&slopes[0])?;
            assert_eq!(dx[..3], [0.0; 3], "{asked:?}");
            assert!(dx[3..].iter().all(|v| v.is_finite() && *v != 0.0), "{dx:?}");
            assert!(numbers(&slopes[1])?.iter().all(|v| v.is_finite()));
            let mean = Asked {
                reduction: Reduction::Mean,
                ..asked
            };
            let skipped = Array::full(2, -100, I32)?;
            let empty = mean.call(&x, &skipped, &weight)?;
            assert!(numbers(&empty)?[0].is_nan());
        }
        // A number that the labels' type does not hold is none of them: 156 as int8 is -100.
        let mean = softmax_cross_entropy(&x.index(1..)?, &Array::from_slice(&[2i8], 1)?)
            .ignore_index(258)
            .reduction(Reduction::Mean)
            .call()?;
        assert!(numbers(&mean)?[0] > 0.0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn options_that_cannot_be() {
    on_worker(|| -> Result<()> {
        let x = Array::zeros((2, 3), F32)?;
        let targets = Array::zeros(2, I32)?;
        let call = || softmax_cross_entropy(&x, &targets);
        let wrong = [-0.1, 1.1, f32::NAN, f32::INFINITY];
        let refused = |outcome: Result<Array>, name: &str| {
            let error = outcome.unwrap_err();
            let named = error.to_string().contains(&format!("`{name}`"));
            assert!(matches!(error, Error::Argument { .. }) && named, "{error}");
        };
        for v in wrong {
            refused(call().label_smoothing(v).call(), "label_smoothing");
        }
        for v in [-0.1, f32::NAN, f32::INFINITY] {
            refused(call().z_loss(v).call(), "z_loss");
        }
        for v in [0.0, -1.0, f32::NAN, f32::INFINITY] {
            refused(call().soft_cap(v).call(), "soft_cap");
        }
        let short = Array::ones(2, F32)?;
        let error = call().weight(&short).call().unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        let whole = Array::ones(3, I32)?;
        let error = call().weight(&whole).call().unwrap_err();
        assert!(matches!(error, Error::Dtype { .. }), "{error}");
        Ok(())
    })
    .unwrap();
}
