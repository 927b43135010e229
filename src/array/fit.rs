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
        if array.size() != 1 || array.is_tracer() || !array.is_ready().ok()? {
            return None;
        }
        fn first<T: Element>(a: &Array) -> Option<T> {
            a.as_slice::<T>().ok()?.first().copied()
        }
        Some(match array.dtype() {
            Dtype::Bool => Number::Whole(first::<bool>(array)?.into()),
            Dtype::Uint8 => Number::Whole(first::<u8>(array)?.into()),
            Dtype::Uint16 => Number::Whole(first::<u16>(array)?.into()),
            Dtype::Uint32 => Number::Whole(first::<u32>(array)?.into()),
            Dtype::Uint64 => Number::Whole(first::<u64>(array)?.into()),
            Dtype::Int8 => Number::Whole(first::<i8>(array)?.into()),
            Dtype::Int16 => Number::Whole(first::<i16>(array)?.into()),
            Dtype::Int32 => Number::Whole(first::<i32>(array)?.into()),
            Dtype::Int64 => Number::Whole(first::<i64>(array)?.into()),
            Dtype::Float16 => Number::Real(first::<f16>(array)?.into()),
            Dtype::Float32 => Number::Real(first::<f32>(array)?.into()),
            Dtype::Float64 => Number::Real(first::<f64>(array)?),
            Dtype::Bfloat16 => Number::Real(first::<bf16>(array)?.into()),
            Dtype::Complex64 => Number::Complex(first::<Complex32>(array)?),
        })
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
