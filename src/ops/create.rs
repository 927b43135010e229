//! New arrays: constants, ranges, windows.

use std::ops::{Range, RangeInclusive};

use super::macros::unary;
use super::{between, done};
use crate::bridge::ops::create::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Element, IntoShape, Operand, Result};

impl Array {
    /// Zeros of the given shape.
    #[track_caller]
    pub fn zeros(shape: impl IntoShape, dtype: Dtype) -> Result<Array> {
        done(ffi::zeros(&shape.into_shape()?, dtype, current()))
    }

    /// Ones of the given shape.
    #[track_caller]
    pub fn ones(shape: impl IntoShape, dtype: Dtype) -> Result<Array> {
        done(ffi::ones(&shape.into_shape()?, dtype, current()))
    }

    /// An array filled with `value`, which may itself be an array that broadcasts to `shape`.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::full((2, 2), 7, F32)?.to_vec::<f32>()?, [7.0; 4]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn full(shape: impl IntoShape, value: impl Into<Array>, dtype: Dtype) -> Result<Array> {
        let value = value.into();
        done(ffi::full(
            &shape.into_shape()?,
            value.raw(),
            dtype,
            current(),
        ))
    }

    /// An `n` by `m` matrix of zeros with ones on its `k`th diagonal (above the main one
    /// for positive `k`).
    #[track_caller]
    pub fn eye(n: i32, m: i32, k: i32, dtype: Dtype) -> Result<Array> {
        between("n", n, 0..=i32::MAX)?;
        between("m", m, 0..=i32::MAX)?;
        done(ffi::eye(n, m, k.clamp(-n, m), dtype, current()))
    }

    /// The `n` by `n` identity matrix.
    #[track_caller]
    pub fn identity(n: i32, dtype: Dtype) -> Result<Array> {
        Array::eye(n, n, 0, dtype)
    }

    /// An `n` by `m` matrix with ones on and below its `k`th diagonal, zeros above.
    #[track_caller]
    pub fn tri(n: i32, m: i32, k: i32, dtype: Dtype) -> Result<Array> {
        between("n", n, 0..=i32::MAX)?;
        between("m", m, 0..=i32::MAX)?;
        done(ffi::tri(n, m, k.clamp(-n, m), dtype, current()))
    }

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
    /// [`Error::Argument`](crate::Error::Argument) or [`Error::Shape`](crate::Error::Shape)
    /// for a step of zero, bounds that are not finite, or more than 2147483647 numbers.
    #[track_caller]
    pub fn arange(range: impl Arange) -> Result<Array> {
        let (start, stop, step, dtype) = range.parts();
        if (stop - start) / step <= 0.0 {
            return Array::zeros(0, dtype); // MLX casts the count to an int before it looks.
        }
        done(ffi::arange(start, stop, step, dtype, current()))
    }

    /// `n` evenly spaced numbers: `0.0..=1.0` with the end, `0.0..1.0` without it.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// assert_eq!(Array::linspace(0.0..=1.0, 3, F32)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// assert_eq!(Array::linspace(0.0..1.0, 4, F32)?.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn linspace(span: impl Span, n: i32, dtype: Dtype) -> Result<Array> {
        let (start, stop, endpoint) = span.span();
        done(ffi::linspace(start, stop, n, endpoint, dtype, current()))
    }

    /// `value` in the shape and type of this array.
    #[track_caller]
    pub fn full_like(&self, value: impl Operand) -> Result<Array> {
        let value = value.operand(self)?;
        done(ffi::full_like(self.raw(), value.raw(), current()))
    }
}

unary! {
    /// Zeros in the shape and type of this array.
    zeros_like;
    /// Ones in the shape and type of this array.
    ones_like;
}

/// Window functions of `n` points (float32): empty for `n < 1`, one for `n = 1`.
macro_rules! windows {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name(n: i32) -> Result<Array> {
            done(ffi::$name(n, current()))
        }
    )*};
}

windows! {
    /// Hann window, `0.5 - 0.5 cos(2 pi i / (n - 1))` for i from 0 to n - 1 (float32).
    hanning;
    /// Hamming window, `0.54 - 0.46 cos(2 pi i / (n - 1))` (float32).
    hamming;
    /// Bartlett (triangular) window, `1 - |2 i / (n - 1) - 1|` (float32).
    bartlett;
    /// Blackman window, `0.42 - 0.5 cos(2 pi i / (n - 1)) + 0.08 cos(4 pi i / (n - 1))` (float32).
    blackman;
}

/// The numbers of [`Array::arange`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no numbers for `arange`",
    note = "a stop, a range, or start, stop and step, of i32, i64 or f32: `5`, `2..8`, `(0.0, 1.0, 0.25)`"
)]
pub trait Arange {
    /// Start, stop, step and the type of the numbers.
    fn parts(self) -> (f64, f64, f64, Dtype);
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
    ($($ty:ty),*) => {$(
        impl Arange for $ty {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (0.0, self as f64, 1.0, <$ty>::DTYPE)
            }
        }
        impl Arange for Range<$ty> {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (self.start as f64, self.end as f64, 1.0, <$ty>::DTYPE)
            }
        }
        impl Arange for ($ty, $ty, $ty) {
            fn parts(self) -> (f64, f64, f64, Dtype) {
                (self.0 as f64, self.1 as f64, self.2 as f64, <$ty>::DTYPE)
            }
        }
    )*};
}
aranges!(i32, i64, f32);

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
