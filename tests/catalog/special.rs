//! Infinities and NaN.

use zmlx::kernels::{Kind, softmax};
use zmlx::prelude::*;
use zmlx::{Result, ops};

use crate::cases::Case;
use crate::common::on_worker;
use crate::reference::{composite, exactly, wide};
use crate::report::each;
use crate::tolerance::{Tolerance, numbers};

/// One odd number in the first of three rows: the other rows stay what they are, NaN gives
/// NaN wherever it does in the composite, and where the composite has a finite number, so has the
/// kernel. A composite that makes NaN of infinities is no model, so what a kernel promises there is
/// tested by name.
#[test]
fn one_odd_number() {
    each(|report, entry, dtype| {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (i, input) in entry.inputs.iter().enumerate() {
                if !matches!(input.kind, Kind::Rows | Kind::DoubleRows) {
                    continue;
                }
                let Some(case) = Case::new(entry, dtype, &[3], 100, report.seed) else {
                    continue;
                };
                let mut inputs = case.inputs()?;
                let plain = (entry.call)(&inputs)?;
                inputs[i] = with_first(&inputs[i], odd)?;
                let got = (entry.call)(&inputs)?;
                let want = exactly(|| composite(&case, got.len())(&wide(&inputs)?))?;
                let tail = |all: &[Array]| -> Result<Vec<Array>> {
                    all.iter().map(|a| a.index(1..)).collect()
                };
                let what = format!("{odd} in `{}`,", input.name);
                let others = format!("{what} other rows");
                report.compare(
                    &case,
                    &others,
                    Tolerance::pair,
                    &tail(&got)?,
                    &tail(&plain)?,
                );
                for (got, want) in got.iter().zip(&want) {
                    let outcome = row(&got.index(0)?, &want.index(0)?, odd, &case);
                    report.check(&case, &what, outcome);
                }
            }
        }
        Ok(())
    });
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
    Tolerance::kernel(case.entry, got.dtype()).compare(got, &known)
}

#[test]
fn softmax_of_minus_infinity_is_zero() {
    on_worker(|| -> Result<()> {
        for width in [1, 5, 100] {
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
