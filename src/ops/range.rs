//! Evenly spaced numbers: [`Array::arange`] and [`Array::linspace`].

use std::ops::{Range, RangeInclusive};

use half::{bf16, f16};

use super::{between, done};
use crate::array::fit::Number;
use crate::bridge::ops::create::ffi;
use crate::stream::current;
use crate::{Array, Device, Dtype, Error, Result, with_device};

/// Whole numbers up to here are exact in float32 and float64.
const EXACT32: f64 = 16_777_216.0;
const EXACT64: i128 = 1 << 53;

impl Array {
    /// Evenly spaced numbers from a start (0) up to, and without, a stop: `5`, `2..5`, or
    /// `(start, stop, step)`. Integers and half-precision floats give their own dtype, isize and usize int64, other
    /// floats float32 (also f64, whose dtype [`arange_as`](Array::arange_as) gives).
    ///
    /// ```
    /// use zmlx::Array;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::arange(3)?.to_vec::<i32>()?, [0, 1, 2]);
    /// assert_eq!(Array::arange((6, 0, -2))?.to_vec::<i32>()?, [6, 4, 2]);
    /// assert_eq!(Array::arange(1.0..2.5)?.to_vec::<f32>()?, [1.0, 2.0]);
    /// assert_eq!(Array::arange(250u8..255)?.to_vec::<u8>()?, [250, 251, 252, 253, 254]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a step of zero, numbers that are not finite, or more than 2147483647 of them.
    #[track_caller]
    pub fn arange(range: impl Arange) -> Result<Array> {
        let (steps, dtype) = range.steps();
        spaced(steps, dtype)
    }

    /// The numbers of [`arange`](Array::arange) in this dtype, each rounded once. Integers lose their fraction.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::arange_as(2046..2050, F16)?.to_vec::<half::f16>()?[3].to_f32(), 2048.0);
    /// assert_eq!(Array::arange_as((0.0, 0.3, 0.1), F64)?.to_vec::<f64>()?, [0.0, 0.1, 0.2]);
    /// assert!(Array::arange_as(0..300, U8).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`arange`](Array::arange), and [`Error::Argument`] for numbers that the dtype does not reach.
    #[track_caller]
    pub fn arange_as(range: impl Arange, dtype: Dtype) -> Result<Array> {
        spaced(range.steps().0, dtype)
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

#[track_caller]
fn spaced(steps: Steps, dtype: Dtype) -> Result<Array> {
    match steps {
        Steps::Whole { start, stop, step } => whole_range(start, stop, step, dtype),
        Steps::Real { start, stop, step } => real_range(start, stop, step, dtype),
    }
}

/// Floats, or integers without the fraction of such.
#[track_caller]
fn real_range(start: f64, stop: f64, step: f64, dtype: Dtype) -> Result<Array> {
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
    for (name, v) in [("start", start), ("stop", start + step * (count - 1.0))] {
        Number::Real(v).check(name, dtype, true)?;
    }
    let most = match dtype {
        Dtype::Float32 => EXACT32,
        Dtype::Float64 => EXACT64 as f64,
        _ => 0.0, // what MLX adds up has another type
    };
    let exact = |v: f64| v.fract() == 0.0 && v.abs() <= most;
    if exact(start) && exact(step) && exact(start + step * count) {
        return done(ffi::arange(start, stop, step, dtype, current()));
    }
    if current().gpu && dtype != Dtype::Float64 {
        // There is no float64, and each number is computed on its own.
        let single = done(ffi::arange(start, stop, step, Dtype::Float32, current()))?;
        return single.astype(dtype);
    }
    // MLX's CPU adds the step again and again, and the error with it.
    let n = done(ffi::arange(0.0, count, 1.0, Dtype::Float64, current()))?;
    let all = n.multiply(Array::scalar(step)?)?;
    all.add(Array::scalar(start)?)?.astype(dtype)
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
    for (name, v) in [("start", start), ("stop", last)] {
        Number::Whole(v).check(name, dtype, false)?;
    }
    // Where a sum of steps may be rounded, the numbers are made as integers first.
    let made = match dtype {
        d if d.is_integral() && d != Dtype::Bool => d,
        Dtype::Float64 => dtype,
        Dtype::Float32
            if [start, step, last]
                .iter()
                .all(|v| v.abs() < EXACT32 as i128) =>
        {
            dtype
        }
        _ if start.max(last) > i128::from(i64::MAX) => Dtype::Uint64,
        _ => Dtype::Int64,
    };
    let all = if [start, step, last + step].iter().all(|v| v.abs() < EXACT64) {
        // MLX's numbers go through float64 and are counted by adding the step.
        let (start, step) = (start as f64, step as f64);
        let stop = start + step * f64::from(n);
        done(ffi::arange(start, stop, step, made, current()))?
    } else {
        // Unsigned arithmetic wraps to the right bits.
        let counted = done(ffi::arange(0.0, n.into(), 1.0, Dtype::Uint64, current()))?;
        let steps = counted.multiply(Array::scalar(step as u64)?)?;
        let bits = steps.add(Array::scalar(start as u64)?)?;
        match start.max(last) > i128::from(i64::MAX) {
            true => bits,
            false => bits.view(Dtype::Int64)?,
        }
    };
    match all.dtype() == dtype {
        true => Ok(all),
        false => all.astype(dtype),
    }
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

/// Start, stop and step of [`Array::arange`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steps {
    /// Of integers; any that i64 or u64 hold.
    Whole {
        /// The first number.
        start: i128,
        /// Where they end, itself left out.
        stop: i128,
        /// From one to the next; not 0.
        step: i128,
    },
    /// Of floats.
    Real {
        /// The first number.
        start: f64,
        /// Where they end, itself left out.
        stop: f64,
        /// From one to the next; not 0.
        step: f64,
    },
}

/// The numbers of [`Array::arange`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no numbers for `arange`",
    note = "a stop, a range, or start, stop and step, of integers or floats: `5`, `2..8`, `(0.0, 1.0, 0.25)`"
)]
pub trait Arange {
    /// What is counted, and the dtype of the numbers.
    fn steps(self) -> (Steps, Dtype);
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
    ($kind:ident, $wide:ty, $zero:expr, $one:expr, |$n:ident| $to:expr; $($ty:ty => $dtype:ident),*) => {$(
        impl Arange for $ty {
            fn steps(self) -> (Steps, Dtype) {
                let to = |$n: $ty| -> $wide { $to };
                let (start, stop, step) = ($zero, to(self), $one);
                (Steps::$kind { start, stop, step }, Dtype::$dtype)
            }
        }
        impl Arange for Range<$ty> {
            fn steps(self) -> (Steps, Dtype) {
                let to = |$n: $ty| -> $wide { $to };
                let (start, stop, step) = (to(self.start), to(self.end), $one);
                (Steps::$kind { start, stop, step }, Dtype::$dtype)
            }
        }
        impl Arange for ($ty, $ty, $ty) {
            fn steps(self) -> (Steps, Dtype) {
                let to = |$n: $ty| -> $wide { $to };
                let (start, stop, step) = (to(self.0), to(self.1), to(self.2));
                (Steps::$kind { start, stop, step }, Dtype::$dtype)
            }
        }
    )*};
}
aranges!(Whole, i128, 0, 1, |n| n as i128;
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64, usize => Int64,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64, isize => Int64);
aranges!(Real, f64, 0.0, 1.0, |n| n as f64; f32 => Float32, f64 => Float32);
aranges!(Real, f64, 0.0, 1.0, |n| n.to_f64(); f16 => Float16, bf16 => Bfloat16);

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
