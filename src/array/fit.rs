//! Whether a dtype holds a number. One that it does not hold would wrap around silently.

use std::fmt;

use half::{bf16, f16};
use num_complex::Complex32;

use crate::{Array, Dtype, Element, Error, Result};

/// A number of any dtype, as it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i128),
    Real(f64),
    Complex(Complex32),
}

impl Number {
    /// The one element of an array, where it is there to read without computing.
    pub(crate) fn known(array: &Array) -> Option<Number> {
        match array.size() {
            1 => values(array)?.pop(),
            _ => None,
        }
    }

    /// The number in float64, or its real part.
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Whole(n) => n as f64,
            Number::Real(v) => v,
            Number::Complex(c) => f64::from(c.re),
        }
    }

    /// Whether `dtype` holds the number, up to the rounding of floating-point types and, where
    /// `cut`, a fraction that integers leave out. A bool holds what every number is, zero or not.
    pub(crate) fn fits(self, dtype: Dtype, cut: bool) -> bool {
        match (self, reach(dtype)) {
            (Number::Complex(c), _) if dtype != Dtype::Complex64 => c.im == 0.0,
            (Number::Whole(n), Some((low, high))) => {
                dtype == Dtype::Bool || (low..=high).contains(&n)
            }
            (Number::Real(v), Some((low, high))) => {
                let whole = v.trunc();
                // 2^53 and more are whole, so the comparison with bounds as f64 is exact but at the top.
                dtype == Dtype::Bool && !v.is_nan()
                    || whole >= low as f64 && whole < (high + 1) as f64 && (cut || whole == v)
            }
            (Number::Whole(n), None) => (n as f64).abs() <= largest(dtype),
            (Number::Real(v), None) => !v.is_finite() || v.abs() <= largest(dtype),
            (Number::Complex(_), _) => true,
        }
    }

    /// An error that names number and dtype unless the number [`fits`](Number::fits).
    #[track_caller]
    pub(crate) fn check(self, argument: &str, dtype: Dtype, cut: bool) -> Result<()> {
        if self.fits(dtype, cut) {
            return Ok(());
        }
        let expected = match reach(dtype) {
            Some((low, high)) => format!("a number of {dtype}, from {low} to {high}"),
            None => format!("a number of {dtype}"),
        };
        Err(Error::argument(argument, expected, self))
    }
}

/// More numbers than this are not looked at before an evaluation.
const FEW: usize = 4096;

/// The elements of an array, where they are few and there to read without computing.
pub(crate) fn values(array: &Array) -> Option<Vec<Number>> {
    if array.size() > FEW || array.is_tracer() || !array.is_ready().ok()? {
        return None;
    }
    fn all<T: Element>(a: &Array, number: impl Fn(T) -> Number) -> Option<Vec<Number>> {
        Some(a.as_slice::<T>().ok()?.iter().map(|v| number(*v)).collect())
    }
    fn whole<T: Element + Into<i128>>(a: &Array) -> Option<Vec<Number>> {
        all(a, |v: T| Number::Whole(v.into()))
    }
    fn real<T: Element + Into<f64>>(a: &Array) -> Option<Vec<Number>> {
        all(a, |v: T| Number::Real(v.into()))
    }
    match array.dtype() {
        Dtype::Bool => whole::<bool>(array),
        Dtype::Uint8 => whole::<u8>(array),
        Dtype::Uint16 => whole::<u16>(array),
        Dtype::Uint32 => whole::<u32>(array),
        Dtype::Uint64 => whole::<u64>(array),
        Dtype::Int8 => whole::<i8>(array),
        Dtype::Int16 => whole::<i16>(array),
        Dtype::Int32 => whole::<i32>(array),
        Dtype::Int64 => whole::<i64>(array),
        Dtype::Float16 => real::<f16>(array),
        Dtype::Float32 => real::<f32>(array),
        Dtype::Float64 => real::<f64>(array),
        Dtype::Bfloat16 => real::<bf16>(array),
        Dtype::Complex64 => all(array, Number::Complex),
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(n) => n.fmt(f),
            Number::Real(v) => write!(f, "{v:?}"),
            Number::Complex(c) => c.fmt(f),
        }
    }
}

/// Least and largest number of an integer type.
pub(crate) fn reach(dtype: Dtype) -> Option<(i128, i128)> {
    let bits = 8 * dtype.size() as u32;
    match dtype {
        Dtype::Bool => Some((0, 1)),
        Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64 => {
            Some((0, (1i128 << bits) - 1))
        }
        Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64 => {
            Some((-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1))
        }
        _ => None,
    }
}

/// Above it, numbers round to infinity.
fn largest(dtype: Dtype) -> f64 {
    match dtype {
        // The largest number and half a step.
        Dtype::Float16 => 65519.99,
        Dtype::Bfloat16 => f64::from(bf16::MAX) * (1.0 + 0.49 / 255.0),
        Dtype::Float64 => f64::MAX,
        _ => f64::from(f32::MAX) * (1.0 + 0.49 / 16_777_216.0),
    }
}

/// New values for some elements of an array: what its dtype does not hold must not be cut
/// on the way. Values that only the evaluation knows are converted as by
/// [`astype`](Array::astype).
#[track_caller]
pub(crate) fn check_update(argument: &str, value: &Array, dtype: Dtype) -> Result<()> {
    if value.dtype() == dtype {
        return Ok(());
    }
    if value.dtype() == Dtype::Complex64 {
        return Err(Error::dtype(format!(
            "`{argument}`: expected real numbers for an array of {dtype}, got complex64"
        )));
    }
    if !dtype.is_integral() {
        return Ok(());
    }
    for n in values(value).unwrap_or_default() {
        n.check(argument, dtype, false)?;
    }
    Ok(())
}
