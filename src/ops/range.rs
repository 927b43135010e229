//! Evenly spaced numbers: [`Array::arange`] and [`Array::linspace`].

use std::ops::{Range, RangeInclusive};

use super::{between, done};
use crate::array::fit::Number;
use crate::bridge::ops::create::ffi;
use crate::stream::current;
use crate::{Array, Device, Dtype, Element, Error, Result, with_device};

/// Whole numbers up to here are exact in float32 and float64.
const EXACT32: f64 = 16_777_216.0;
const EXACT64: i128 = 1 << 53;

impl Array {
    /// Evenly spaced numbers from a start (0) up to, and without, a stop: `5`, `2..5`, or
    /// `(start, stop, step)`. Integers give int32 or int64, floats float32.
    ///
    /// ```
    /// use zmlx::Array;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::arange(3)?.to_vec::<i32>()?, [0, 1, 2]);
    /// assert_eq!(Array::arange((6, 0, -2))?.to_vec::<i32>()?, [6, 4, 2]);
    /// assert_eq!(Array::arange(1.0..2.5)?.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a step of zero, numbers that are not finite, or more than 2147483647 of them.
    #[track_caller]
    pub fn arange(range: impl Arange) -> Result<Array> {
        if let Some((start, stop, step, dtype)) = range.whole() {
            return whole_range(start.into(), stop.into(), step.into(), dtype);
        }
        let (start, stop, step, dtype) = range.parts();
        for (name, v) in [("start", start), ("stop", stop), ("step", step)] {
            if !v.is_finite() {
                return Err(Error::argument(name, "a finite number", v));
            }
        }
        if step == 0.0 {
            return Err(Error::argument("step", "a number other than 0", step));
        }
        let count = ((stop - start) / step).ceil();
        if count <= 0.0 {
            return Array::zeros(0, dtype);
        }
        if count > f64::from(i32::MAX) {
            return Err(too_many(count));
        }
        let exact = |v: f64| v.fract() == 0.0 && v.abs() <= EXACT32;
        let adds_exactly = exact(start) && exact(step) && exact(start + step * count);
        if current().gpu || dtype != Dtype::Float32 || adds_exactly {
            return done(ffi::arange(start, stop, step, dtype, current()));
        }
        // MLX's CPU adds the step again and again, and the error with it.
        let n = with_device(Device::CPU, || Array::arange(count as i32))?;
        let spread = n.astype(Dtype::Float64)?.multiply(Array::scalar(step)?)?;
        spread.add(Array::scalar(start)?)?.astype(dtype)
    }

    /// `n` evenly spaced numbers: `0.0..=1.0` with the end, `0.0..1.0` without it. Integers
    /// lose their fraction.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::linspace(0.0..=1.0, 3, F32)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// assert_eq!(Array::linspace(0.0..1.0, 4, F32)?.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative `n`, ends that are not finite, or that an integer `dtype` does not reach.
    #[track_caller]
    pub fn linspace(span: impl Span, n: i32, dtype: Dtype) -> Result<Array> {
        let (start, stop, endpoint) = span.span();
        between("n", n, 0..=i32::MAX)?;
        if dtype.is_integral() && dtype != Dtype::Bool {
            Number::Real(start).check("start", dtype, true)?;
            Number::Real(stop).check("stop", dtype, true)?;
            return whole_span(start, stop, n, endpoint, dtype);
        }
        for (name, v) in [("start", start), ("stop", stop)] {
            if !v.is_finite() {
                return Err(Error::argument(name, "a finite number", v));
            }
        }
        let beyond = [start, stop].iter().any(|v| !(*v as f32).is_finite());
        if (f64::from(n) > EXACT32 || beyond) && dtype != Dtype::Float64 {
            // The numbers of the points, or their ends, are no numbers of float32.
            return with_device(Device::CPU, || {
                Array::linspace(SpanOf(start, stop, endpoint), n, Dtype::Float64)?.astype(dtype)
            });
        }
        done(ffi::linspace(start, stop, n, endpoint, dtype, current()))
    }
}

#[track_caller]
fn too_many(count: impl std::fmt::Display) -> Error {
    Error::argument("range", "2147483647 numbers at most", count)
}

/// Integers, in integers.
#[track_caller]
fn whole_range(start: i128, stop: i128, step: i128, dtype: Dtype) -> Result<Array> {
    if step == 0 {
        return Err(Error::argument("step", "a number other than 0", step));
    }
    let length = stop - start;
    if length == 0 || (length < 0) != (step < 0) {
        return Array::zeros(0, dtype);
    }
    let count = (length.abs() + step.abs() - 1) / step.abs();
    let Ok(n) = i32::try_from(count) else {
        return Err(too_many(count));
    };
    let last = start + step * (count - 1);
    if [start, step, last + step].iter().all(|v| v.abs() < EXACT64) {
        // MLX's numbers go through float64 and are counted by adding the step.
        let (start, step) = (start as f64, step as f64);
        let stop = start + step * f64::from(n);
        return done(ffi::arange(start, stop, step, dtype, current()));
    }
    // Unsigned arithmetic wraps to the right bits.
    let counted = done(ffi::arange(0.0, n.into(), 1.0, Dtype::Uint64, current()))?;
    let steps = counted.multiply(Array::scalar(step as u64)?)?;
    let bits = steps.add(Array::scalar(start as u64)?)?;
    bits.view(Dtype::Int64)?.astype(dtype)
}

/// Integers between two ends. Each is computed with one rounding, so that whole ones stay whole.
#[track_caller]
fn whole_span(start: f64, stop: f64, n: i32, endpoint: bool, dtype: Dtype) -> Result<Array> {
    let parts = f64::from(if endpoint { n - 1 } else { n }.max(1));
    let at = |i: i32| {
        let i = f64::from(i);
        let (a, b) = (start * (parts - i), stop * i);
        if start.fract() == 0.0 && stop.fract() == 0.0 && a.abs().max(b.abs()) >= EXACT64 as f64 {
            // Beyond what float64 multiplies exactly.
            let sum = start as i128 * (parts - i) as i128 + stop as i128 * i as i128;
            return sum / parts as i128;
        }
        ((a + b) / parts) as i128
    };
    if dtype == Dtype::Uint64 {
        let values: Vec<u64> = (0..n).map(|i| at(i) as u64).collect();
        return Array::from_slice(&values, n);
    }
    let values: Vec<i64> = (0..n).map(|i| at(i) as i64).collect();
    Array::from_slice(&values, n)?.astype(dtype)
}

/// The numbers of [`Array::arange`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no numbers for `arange`",
    note = "a stop, a range, or start, stop and step, of i32, i64 or f32: `5`, `2..8`, `(0.0, 1.0, 0.25)`"
)]
pub trait Arange {
    /// Start, stop, step and the type of the numbers.
    fn parts(self) -> (f64, f64, f64, Dtype);

    /// The same as integers, where they are.
    fn whole(&self) -> Option<(i64, i64, i64, Dtype)> {
        None
    }
}

/// The ends of [`Array::linspace`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no ends for `linspace`",
    note = "a range of f64: `0.0..=1.0` with its end, `0.0..1.0` without"
)]
pub trait Span {
    /// Start, stop, and whether the stop belongs to it.
    fn span(self) -> (f64, f64, bool);
}

macro_rules! aranges {
    ($($ty:ty $(as $whole:ty)?),*) => {$(
        impl Arange for $ty {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (0.0, self as f64, 1.0, <$ty>::DTYPE)
            }
            $(fn whole(&self) -> Option<($whole, $whole, $whole, Dtype)> {
                Some((0, <$whole>::from(*self), 1, <$ty>::DTYPE))
            })?
        }
        impl Arange for Range<$ty> {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (self.start as f64, self.end as f64, 1.0, <$ty>::DTYPE)
            }
            $(fn whole(&self) -> Option<($whole, $whole, $whole, Dtype)> {
                Some((self.start.into(), self.end.into(), 1, <$ty>::DTYPE))
            })?
        }
        impl Arange for ($ty, $ty, $ty) {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (self.0 as f64, self.1 as f64, self.2 as f64, <$ty>::DTYPE)
            }
            $(fn whole(&self) -> Option<($whole, $whole, $whole, Dtype)> {
                Some((self.0.into(), self.1.into(), self.2.into(), <$ty>::DTYPE))
            })?
        }
    )*};
}
aranges!(i32 as i64, i64 as i64, f32);

impl Span for RangeInclusive<f64> {
    fn span(self) -> (f64, f64, bool) {
        (*self.start(), *self.end(), true)
    }
}

impl Span for Range<f64> {
    fn span(self) -> (f64, f64, bool) {
        (self.start, self.end, false)
    }
}

struct SpanOf(f64, f64, bool);

impl Span for SpanOf {
    fn span(self) -> (f64, f64, bool) {
        (self.0, self.1, self.2)
    }
}
