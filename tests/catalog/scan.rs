//! Running sums of integers, which are exact.

use zmlx::kernels::scan::{cumsum_grad, cumsum_lastdim};
use zmlx::prelude::*;
use zmlx::{Result, grad};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

/// Sums in wrapping arithmetic of 64 bits, cut to so many.
fn sums(x: &[i64], width: usize, reverse: bool, bits: u32) -> Vec<i64> {
    let mut all = Vec::with_capacity(x.len());
    for row in x.chunks(width) {
        let mut sum = 0i64;
        let mut add = |v: &i64| {
            sum = sum.wrapping_add(*v);
            sum << (64 - bits) >> (64 - bits)
        };
        if reverse {
            let mut row: Vec<i64> = row.iter().rev().map(add).collect();
            row.reverse();
            all.extend(row);
        } else {
            all.extend(row.iter().map(&mut add));
        }
    }
    all
}

/// Sums above 2^24, which float32 would round, and those that wrap.
#[test]
fn integers_are_added_exactly() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (dtype, bits) in [
            (Dtype::Int8, 8),
            (Dtype::Int16, 16),
            (Dtype::Int32, 32),
            (Dtype::Int64, 64),
        ] {
            for (rows, width) in [(3usize, 1000usize), (1, 1), (2, 33)] {
                let values = |_| (rng.next() as i64) << (64 - bits) >> (65 - bits);
                let x: Vec<i64> = (0..rows * width).map(values).collect();
                let array = Array::from_slice(&x, (rows, width))?.astype(dtype)?;
                for reverse in [false, true] {
                    let y = match reverse {
                        false => cumsum_lastdim(&array)?,
                        true => cumsum_grad(&array)?,
                    };
                    assert_eq!(y.dtype(), dtype);
                    let got = y.astype(Dtype::Int64)?.to_vec::<i64>()?;
                    assert_eq!(
                        got,
                        sums(&x, width, reverse, bits),
                        "{dtype}, {width}, {reverse}"
                    );
                }
            }
        }
        let x = Array::from_slice(&[16_777_216u32, 1, 1, 4_000_000_000], 4)?;
        let y = cumsum_lastdim(&x)?.to_vec::<u32>()?;
        assert_eq!(y, [16_777_216, 16_777_217, 16_777_218, 4_016_777_218]);
        let empty = Array::zeros((2, 0), Dtype::Int32)?;
        assert_eq!(cumsum_grad(&empty)?.shape(), [2, 0]);
        Ok(())
    })
    .unwrap();
}

/// The gradient of the sums is the sums from the end on, as a function of its own.
#[test]
fn the_gradient_by_name() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let x = Array::from_slice(&rng.normals(600), (6, 100))?;
        let g = Array::from_slice(&rng.normals(600), (6, 100))?;
        let by_grad = grad(|x| (cumsum_lastdim(x)? * &g)?.sum(..))(&x)?;
        assert_eq!(numbers(&by_grad)?, numbers(&cumsum_grad(&g)?)?);
        let by_grad = grad(|x| (cumsum_grad(x)? * &g)?.sum(..))(&x)?;
        assert_eq!(numbers(&by_grad)?, numbers(&cumsum_lastdim(&g)?)?);
        Ok(())
    })
    .unwrap();
}

/// From a NaN on all sums are NaN, and none before it.
#[test]
fn nan_and_what_is_refused() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[1.0f32, f32::NAN, 2.0], 3)?;
        let nan = |y: Array| -> Result<Vec<bool>> {
            Ok(numbers(&y)?.iter().map(|v| v.is_nan()).collect())
        };
        assert_eq!(nan(cumsum_lastdim(&x)?)?, [false, true, true]);
        assert_eq!(nan(cumsum_grad(&x)?)?, [true, true, false]);
        for f in [cumsum_lastdim, cumsum_grad] {
            let error = f(&x.astype(Dtype::Bool)?).unwrap_err();
            assert!(matches!(error, Error::Dtype { .. }), "{error}");
            let error = f(&Array::from(3)).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
        Ok(())
    })
    .unwrap();
}
