//! Infinities and NaN.

use zmlx::kernels::loss::softmax_cross_entropy;
use zmlx::kernels::{Kind, norms, softmax, transformer};
use zmlx::prelude::*;
use zmlx::{Result, ops};

use crate::cases::{Case, DTYPES, WIDE};
use crate::common::on_worker;
use crate::reference::{composite, exactly, wide};
use crate::report::{Report, deep_in};
use crate::tolerance::{Tolerance, numbers};

/// One odd number in the first of three rows: the other rows stay what they are, NaN gives
/// NaN wherever it does in the composite, and where the composite has a finite number, so has the
/// kernel. A composite that makes NaN of infinities is no model, so what a kernel promises there is
/// tested by name.
#[test]
fn one_odd_number() {
    deep_in(&DTYPES, &[F32], |report, entry, dtype| {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (i, input) in entry.inputs.iter().enumerate() {
                if !matches!(input.kind, Kind::Rows | Kind::Numbers | Kind::DoubleRows) {
                    continue;
                }
                for width in [100, WIDE] {
                    if let Some(case) = Case::new(entry, dtype, &[3], width, report.seed) {
                        one_in(report, &case, odd, i)?;
                    }
                }
            }
        }
        Ok(())
    });
}

fn one_in(report: &mut Report, case: &Case, odd: f32, i: usize) -> Result<()> {
    let call = case.entry.call;
    let mut inputs = case.inputs()?;
    let plain = call(&inputs)?;
    inputs[i] = with_first(&inputs[i], odd)?;
    let got = call(&inputs)?;
    let want = exactly(|| composite(case, got.len())(&wide(&inputs)?))?;
    let tail = |all: &[Array]| -> Result<Vec<Array>> { all.iter().map(|a| a.index(1..)).collect() };
    let what = format!("{odd} in `{}`,", case.entry.inputs[i].name);
    let others = format!("{what} other rows");
    report.compare(case, &others, &tail(&got)?, &tail(&plain)?);
    for (got, want) in got.iter().zip(&want) {
        let want = exactly(|| want.index(0))?;
        let outcome = row(&got.index(0)?, &want, odd, case);
        report.check(case, &what, outcome);
    }
    Ok(())
}

/// The array with another first element.
fn with_first(a: &Array, value: f32) -> Result<Array> {
    let flat = a.reshape(-1)?;
    let first = Array::full(1, value, a.dtype())?;
    ops::concatenate(&[first, flat.index(1..)?], 0)?.reshape(a.shape())
}

fn row(got: &Array, want: &Array, odd: f32, case: &Case) -> Result<Option<String>> {
    if odd.is_nan() {
        let pairs = numbers(got)?.into_iter().zip(numbers(want)?);
        let mut missing = pairs
            .enumerate()
            .filter(|(_, (g, w))| w.is_nan() && !g.is_nan());
        return Ok(missing
            .next()
            .map(|(i, (g, _))| format!("element {i} is {g}, not NaN")));
    }
    let (got64, want64) = (numbers(got)?, numbers(want)?);
    let mut finite = got64.iter().zip(&want64).enumerate();
    let lost = finite.find(|(_, (g, w))| w.is_infinite() && g.is_finite());
    if let Some((i, (g, w))) = lost {
        return Ok(Some(format!("element {i} is {g}, expected {w}")));
    }
    // Where the composite has no finite number, the kernel's own stands for it.
    let known = exactly(|| ops::where_(&want.isfinite()?, want, &got.astype(F64)?))?;
    Tolerance::kernel(case, got.dtype()).compare(got, &known)
}

#[test]
fn softmax_of_minus_infinity_is_zero() {
    on_worker(|| -> Result<()> {
        for width in [1, 5, 100, WIDE] {
            let x = Array::full((2, width), f32::NEG_INFINITY, F32)?;
            let y = softmax::softmax_lastdim(&x)?;
            assert_eq!(numbers(&y)?, vec![0.0; 2 * width as usize]);
            let dx = grad(|x| softmax::softmax_lastdim(x)?.sum(..))(&x)?;
            assert_eq!(numbers(&dx)?, vec![0.0; 2 * width as usize]);
        }
        Ok(())
    })
    .unwrap();
}

/// The largest difference from what is expected, where infinities and NaN agree.
#[track_caller]
fn values(y: &Array, want: &[f64]) {
    let got = numbers(y).unwrap();
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        let good = g == w || (g - w).abs() < 1e-5 || (g.is_nan() && w.is_nan());
        assert!(good, "{got:?}, expected {want:?}");
    }
}

const INF: f32 = f32::INFINITY;

#[test]
fn softmax_of_infinities() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[-INF, 0.0, -INF, 0.0, f32::NAN, 0.0, -INF, 0.0], (2, 4))?;
        let y = softmax::softmax_lastdim(&x)?;
        let nan = f64::NAN;
        values(&y, &[0.0, 0.5, 0.0, 0.5, nan, nan, nan, nan]);
        // Far apart: nothing overflows.
        let x = Array::from_slice(&[3e38f32, -3e38, -3e38, -3e38], (2, 2))?;
        values(&softmax::softmax_lastdim(&x)?, &[1.0, 0.0, 0.5, 0.5]);
        Ok(())
    })
    .unwrap();
}

/// Targets are data: none reads outside of its row.
#[test]
fn targets_outside_of_the_classes() {
    on_worker(|| -> Result<()> {
        let logits = random::normal((6, 50))?;
        let loss = |targets: &Array, logits: &Array| {
            softmax_cross_entropy(logits, targets)
                .ignore_index(-100)
                .call()
        };
        let good = Array::from_slice(&[0i64; 6], 6)?;
        let odd = Array::from_slice(&[0i64, 50, -1, -100, i64::MIN, i64::MAX], 6)?;
        let nan = f64::NAN;
        let mut want = numbers(&loss(&good, &logits)?)?;
        want[1..].copy_from_slice(&[nan, nan, 0.0, nan, nan]);
        values(&loss(&odd, &logits)?, &want);

        let slope = |targets: &Array| grad(|x| loss(targets, x)?.sum(..))(&logits);
        let (got, good) = (slope(&odd)?, slope(&good)?);
        values(&got.index(0)?, &numbers(&good.index(0)?)?);
        values(&got.index(3)?, &[0.0; 50]);
        for row in [1, 2, 4, 5] {
            values(&got.index(row)?, &[nan; 50]);
        }
        // The same in every type of integers that can hold it.
        for dtype in [
            Dtype::Int8,
            Dtype::Int16,
            Dtype::Int32,
            Dtype::Uint8,
            Dtype::Uint16,
            Dtype::Uint32,
            Dtype::Uint64,
        ] {
            let targets = Array::from_slice(&[0i64, 1, 49, 7, 50, 100], 6)?;
            let want = numbers(&loss(&targets, &logits)?)?;
            values(&loss(&targets.astype(dtype)?, &logits)?, &want);
            let want = numbers(&slope(&targets)?)?;
            values(&slope(&targets.astype(dtype)?)?, &want);
        }
        Ok(())
    })
    .unwrap();
}

/// No number stands for "no target is ignored", and a target that wraps is not the ignored one.
#[test]
fn only_the_ignored_target_is_ignored() {
    on_worker(|| -> Result<()> {
        let nan = f64::NAN;
        let logits = Array::zeros((2, 4), F32)?;
        let third = 4f64.ln();
        let of = |targets: &Array, ignored: Option<i64>| -> Result<(Array, Array)> {
            let loss = |x: &Array| match ignored {
                Some(i) => softmax_cross_entropy(x, targets).ignore_index(i).call(),
                None => softmax_cross_entropy(x, targets).call(),
            };
            let slope = grad(|x| loss(x)?.sum(..))(&logits)?;
            Ok((loss(&logits)?, slope))
        };
        let signed = Array::from_slice(&[i64::MIN, 2], 2)?;
        let unsigned = Array::from_slice(&[u64::MAX, 2], 2)?;
        for (targets, ignored, first) in [
            (&signed, None, nan),
            (&signed, Some(0), nan),
            (&signed, Some(i64::MIN), 0.0),
            (&unsigned, None, nan),
            (&unsigned, Some(-1), nan),
            (&unsigned, Some(i64::MIN), nan),
            (&unsigned, Some(i64::MAX), nan),
        ] {
            let (loss, slope) = of(targets, ignored)?;
            values(&loss, &[first, third]);
            values(&slope.index(0)?, &[first; 4]);
            values(&slope.index(1)?, &[0.25, 0.25, -0.75, 0.25]);
        }
        values(&of(&unsigned, Some(2))?.0, &[nan, 0.0]);
        Ok(())
    })
    .unwrap();
}

/// The logarithm of no sum is minus infinity, as in the composite; other rows do not notice. The same for rows without classes.
#[test]
fn cross_entropy_of_nothing() {
    on_worker(|| -> Result<()> {
        let nan = f64::NAN;
        let x = Array::from_slice(&[-INF, -INF, 0.0, 0.0, 1.0, -INF], (3, 2))?;
        let targets = Array::from_slice(&[0i32, 1, 1], 3)?;
        let loss = |x: &Array| softmax_cross_entropy(x, &targets).call();
        values(&loss(&x)?, &[nan, 2f64.ln(), f64::INFINITY]);
        let slope = grad(|x| loss(x)?.sum(..))(&x)?;
        values(&slope, &[nan, nan, 0.5, -0.5, 1.0, -1.0]);
        // A row that does not count is 0, whatever is in it.
        let odd = Array::from_slice(&[f32::NAN, 1.0, INF, 1.0, -INF, -INF], (3, 2))?;
        let skipped = Array::full(3, -7, I32)?;
        let loss_of = |x: &Array, t: &Array| softmax_cross_entropy(x, t).ignore_index(-7).call();
        values(&loss_of(&odd, &skipped)?, &[0.0; 3]);
        let slope = grad(|x| loss_of(x, &skipped)?.sum(..))(&odd)?;
        values(&slope, &[0.0; 6]);
        let slope = grad(|x| loss_of(x, &targets)?.sum(..))(&odd)?;
        values(&slope, &[nan; 6]);
        let none = Array::zeros((3, 0), F32)?;
        values(&loss(&none)?, &[nan; 3]);
        assert_eq!(grad(|x| loss(x)?.sum(..))(&none)?.shape(), [3, 0]);
        Ok(())
    })
    .unwrap();
}

/// silu is 0 at minus infinity, where its formula would multiply that by 0.
#[test]
fn gates_at_infinity() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[-INF, INF, -1e30, 0.0, 2.0, 3.0, 4.0, 5.0], (1, 8))?;
        for dtype in [F32, BF16] {
            let y = transformer::swiglu(&x.astype(dtype)?)?;
            values(&y, &[0.0, f64::INFINITY, 0.0, 0.0]);
        }
        Ok(())
    })
    .unwrap();
}

/// The squares of a row may overflow half precision, not float32.
#[test]
fn norms_of_large_and_of_no_values() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[60000.0f32, -60000.0, 0.0, 0.0], (2, 2))?;
        let weight = Array::ones(2, F32)?;
        for dtype in [F32, F16] {
            let y = norms::rmsnorm(&x.astype(dtype)?, &weight).call()?;
            let numbers = numbers(&y)?;
            assert!((numbers[0] - 1.0).abs() < 1e-3 && (numbers[1] + 1.0).abs() < 1e-3);
            assert_eq!(numbers[2..], [0.0, 0.0]);
        }
        Ok(())
    })
    .unwrap();
}

/// A large element does not swallow the many small ones beside it. On the CPU: a GPU's threads
/// add up chunks of a long row plainly, which costs a few millionths of the sum.
#[test]
fn sums_beside_a_large_element() {
    on_worker(|| {
        exactly(|| -> Result<()> {
            let n = 300_000;
            let mut row = vec![0f32; n];
            row[7] = 17.0;
            let x = Array::from_slice(&row, (1, n))?;
            let e = 17f64.exp();
            let want = ((e + n as f64 - 1.0) / e).ln();
            let loss = softmax_cross_entropy(&x, &Array::from_slice(&[7i32], 1)?).call()?;
            let got = f64::from(loss.item::<f32>()?);
            assert!((got - want).abs() < 1e-6, "{got} {want}");
            let sum: f64 = numbers(&softmax::softmax_lastdim(&x)?)?.iter().sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");

            let mut row = vec![4e-8f32; n];
            row[0] = 1.0;
            let x = Array::from_slice(&row, (1, n))?;
            let last = numbers(&zmlx::kernels::scan::cumsum_lastdim(&x)?)?[n - 1];
            let want = 1.0 + (n - 1) as f64 * f64::from(4e-8f32);
            assert!((last - want).abs() < 4e-7, "{last} {want}");
            Ok(())
        })
    })
    .unwrap();
}

/// No rows give no values, and a row of nothing the logarithm of 0.
#[test]
fn logsumexp_of_nothing() {
    on_worker(|| -> Result<()> {
        assert_eq!(Array::zeros((0, 4), F32)?.logsumexp(1)?.shape(), [0]);
        assert_eq!(
            Array::zeros((0, 4), F32)?
                .logsumexp(zmlx::keepdims(1))?
                .shape(),
            [0, 1]
        );
        values(
            &Array::zeros((2, 0), F32)?.logsumexp(-1)?,
            &[-f64::INFINITY; 2],
        );
        values(&Array::zeros(0, F32)?.logsumexp(..)?, &[-f64::INFINITY]);
        Ok(())
    })
    .unwrap();
}
