//! Reductions over axes, and softmax.

use super::axes::reduced;
use super::macros::{along, reduction};
use super::{done, done_list};
use crate::bridge::ops::reduce::ffi;
use crate::stream::current;
use crate::{Array, IntoAxes, Result};

reduction! {
    /// Sum over `axes`: `..` for all, a number, several, or [`keepdims`](crate::keepdims) of those.
    /// Small integers and bool are summed as int32.
    ///
    /// ```
    /// use zmlx::{Array, keepdims};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1, 2, 3, 4, 5, 6], (2, 3))?;
    /// assert_eq!(x.sum(..)?.item::<i32>()?, 21);
    /// assert_eq!(x.sum(-1)?.to_vec::<i32>()?, [6, 15]);
    /// assert_eq!(x.sum(keepdims(0))?.shape(), [1, 3]);
    /// # Ok(())
    /// # }
    /// ```
    sum;
    /// Product over `axes`.
    prod;
    /// Mean over `axes`; integers give float32.
    mean;
    /// Median over `axes`, the mean of the middle two for an even count; NaN if one value is.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) over axes without elements.
    median;
    /// Largest value over `axes`; NaN if one is.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) over an axis without elements.
    max;
    /// Smallest value over `axes`; NaN if one is.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) over an axis without elements.
    min;
    /// Whether all values over `axes` are true or non-zero (bool).
    all;
    /// Whether one value over `axes` is true or non-zero (bool).
    any;
    /// `log(sum(e^x))` over `axes`, without overflow; minus infinity over axes without elements.
    logsumexp;
    /// How many values over `axes` are not zero.
    count_nonzero;
}

along! { keepdims
    /// Index of the first largest value along one axis (uint32); `..` for the flattened array.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array without elements.
    argmax;
    /// Index of the first smallest value along one axis (uint32); `..` for the flattened array.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array without elements.
    argmin;
}

impl Array {
    /// Variance over `axes`: mean squared distance from the mean, with `n - ddof` as divisor.
    #[track_caller]
    pub fn var(&self, axes: impl IntoAxes, ddof: i32) -> Result<Array> {
        let axes = axes.into_axes();
        done(ffi::var(
            self.raw(),
            &reduced(&axes, self.ndim())?,
            axes.keeps_dims(),
            ddof,
            current(),
        ))
    }

    /// Standard deviation over `axes`, the root of [`var`](Array::var).
    #[track_caller]
    pub fn std(&self, axes: impl IntoAxes, ddof: i32) -> Result<Array> {
        let axes = axes.into_axes();
        done(ffi::std(
            self.raw(),
            &reduced(&axes, self.ndim())?,
            axes.keeps_dims(),
            ddof,
            current(),
        ))
    }

    /// Smallest and largest value over `axes`, in one pass where the device can.
    #[track_caller]
    pub fn minmax(&self, axes: impl IntoAxes) -> Result<(Array, Array)> {
        let axes = axes.into_axes();
        let both = done_list(ffi::minmax(
            self.raw(),
            &reduced(&axes, self.ndim())?,
            axes.keeps_dims(),
            current(),
        ))?;
        let [least, most] = super::join::exactly(both)?;
        Ok((least, most))
    }

    /// `e^x / sum(e^x)` over `axes`, without overflow. Float16 and bfloat16 are summed in
    /// their own type: see [`softmax_precise`](Array::softmax_precise).
    #[track_caller]
    pub fn softmax(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = reduced(&axes.into_axes(), self.ndim())?;
        done(ffi::softmax(self.raw(), &axes, false, current()))
    }

    /// [`softmax`](Array::softmax) computed in float32 whatever the type; the result has
    /// the array's type.
    #[track_caller]
    pub fn softmax_precise(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = reduced(&axes.into_axes(), self.ndim())?;
        done(ffi::softmax(self.raw(), &axes, true, current()))
    }
}
