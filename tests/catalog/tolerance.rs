//! How far a result may be from the exact one.

use zmlx::prelude::*;
use zmlx::{Result, with_device};

use crate::cases::Case;

/// Of an exact value r among values whose largest is m, a result may be away by
/// `relative * |r| + largest * m + step`.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    relative: f64,
    largest: f64,
    step: f64,
    /// What counts as the largest value, if no exact value is larger.
    floor: f64,
}

/// The rounding of an operation in float32.
const F32_UNIT: f64 = 1.0 / (1u64 << 24) as f64;

impl Tolerance {
    /// A kernel: arithmetic in float32, where errors are relative to the largest value, then one
    /// rounding to the output's dtype.
    pub fn kernel(case: &Case, dtype: Dtype) -> Self {
        let (relative, step) = match dtype {
            Dtype::Float16 => (1.05 / 2048.0, 2f64.powi(-24)),
            Dtype::Bfloat16 => (1.05 / 256.0, f64::from(f32::MIN_POSITIVE)),
            _ => (8.0 * F32_UNIT, f64::from(f32::MIN_POSITIVE)),
        };
        Tolerance {
            relative,
            largest: (case.entry.roundings)(case.width as usize) * F32_UNIT,
            step,
            floor: 0.0,
        }
    }

    /// Two results of the same kernel, which may round in different directions.
    pub fn pair(case: &Case, dtype: Dtype) -> Self {
        let one = Self::kernel(case, dtype);
        Tolerance {
            relative: 2.0 * one.relative,
            ..one
        }
    }

    /// Second derivatives: sums of products of what [`kernel`](Self::kernel) describes.
    pub fn second(case: &Case, dtype: Dtype) -> Self {
        let one = Self::kernel(case, dtype);
        Tolerance {
            largest: 4.0 * one.largest,
            ..one
        }
    }

    /// For a result of so many elements whose terms are of the size of these arrays: where it is a
    /// sum over rows or along them, it may come out much smaller than its terms.
    pub fn of_terms(self, case: &Case, size: usize, terms: &[Array]) -> Result<Self> {
        let rows: i32 = case.leading.iter().product();
        let summed = size < (rows * case.width) as usize;
        let floor = if summed { largest(terms)? } else { self.floor };
        Ok(Tolerance { floor, ..self })
    }

    /// For a derivative by these cotangents or tangents: in rows of one or two elements that of a
    /// normalization is a difference of nearly equal numbers.
    pub fn of_factors(self, case: &Case, factors: &[Array]) -> Result<Self> {
        if case.width > 2 {
            return Ok(self);
        }
        Ok(Tolerance {
            largest: 16.0 * self.largest,
            floor: largest(factors)?,
            ..self
        })
    }

    /// The first element that is too far off, in words.
    pub fn compare(self, got: &Array, want: &Array) -> Result<Option<String>> {
        if got.shape() != want.shape() {
            let (got, want) = (got.shape(), want.shape());
            return Ok(Some(format!("shape {got:?}, expected {want:?}")));
        }
        let (got, want) = (numbers(got)?, numbers(want)?);
        let finite = want.iter().filter(|w| w.is_finite());
        let most = finite.fold(self.floor, |most, w| most.max(w.abs()));
        let good = |g: f64, w: f64| {
            if w.is_finite() {
                // Written so that a NaN is not good.
                (g - w).abs() <= self.relative * w.abs() + self.largest * most + self.step
            } else {
                g == w || (g.is_nan() && w.is_nan())
            }
        };
        let mut bad = got.iter().zip(&want).enumerate();
        let mut bad = bad.by_ref().filter(|(_, (g, w))| !good(**g, **w));
        Ok(bad.next().map(|(i, (g, w))| {
            let more = bad.count();
            format!("element {i}: {g:e}, expected {w:e} (largest {most:e}; {more} more)")
        }))
    }
}

/// The values as float64.
pub fn numbers(a: &Array) -> Result<Vec<f64>> {
    with_device(Device::CPU, || a.astype(F64)?.to_vec())
}

/// The largest finite magnitude of the floats.
fn largest(arrays: &[Array]) -> Result<f64> {
    let mut largest = 0.0f64;
    for a in arrays.iter().filter(|a| a.dtype().is_floating()) {
        let finite = numbers(a)?.into_iter().filter(|v| v.is_finite());
        largest = finite.fold(largest, |most, v| most.max(v.abs()));
    }
    Ok(largest)
}
