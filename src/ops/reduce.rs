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
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.prod(-1)?.to_vec::<i32>()?, [2, 12]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    prod;
    /// Mean over `axes`; integers give float32.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 5], (2, 2))?;
    /// assert_eq!(x.mean(-1)?.to_vec::<f32>()?, [1.5, 4.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    mean;
    /// Median over `axes`, the mean of the middle two for an even count; NaN if one value is.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([9.0f32, 1.0, 2.0, 4.0])?;
    /// assert_eq!(x.median(..)?.item::<f32>()?, 3.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) over axes without elements.
    median;
    /// Largest value over `axes`; NaN if one is.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 9, 3, 4], (2, 2))?;
    /// assert_eq!(x.max(0)?.to_vec::<i32>()?, [3, 9]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) over an axis without elements.
    max;
    /// Smallest value over `axes`; NaN if one is.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 9, 3, 4], (2, 2))?;
    /// assert_eq!(x.min(0)?.to_vec::<i32>()?, [1, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) over an axis without elements.
    min;
    /// Whether all values over `axes` are true or non-zero (bool).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 0, 3, 4], (2, 2))?;
    /// assert_eq!(x.all(-1)?.to_vec::<bool>()?, [false, true]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    all;
    /// Whether one value over `axes` is true or non-zero (bool).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 0, 0, 0], (2, 2))?;
    /// assert_eq!(x.any(-1)?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    any;
    /// `log(sum(e^x))` over `axes`, without overflow; minus infinity over axes without elements.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1000.0f32, 1000.0])?;
    /// assert!((x.logsumexp(..)?.item::<f32>()? - 1000.6931).abs() < 1e-3);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    logsumexp;
    /// How many values over `axes` are not zero.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_slice(&[1, 0, 3, 4], (2, 2))?;
    /// assert_eq!(x.count_nonzero(-1)?.astype(Dtype::Int32)?.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    count_nonzero;
}

along! { keepdims
    /// Index of the first largest value along one axis (uint32); `..` for the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 9, 3, 4], (2, 2))?;
    /// assert_eq!(x.argmax(-1)?.to_vec::<u32>()?, [1, 1]);
    /// assert_eq!(x.argmax(..)?.item::<u32>()?, 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array without elements.
    argmax;
    /// Index of the first smallest value along one axis (uint32); `..` for the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 9, 3, 4], (2, 2))?;
    /// assert_eq!(x.argmin(0)?.to_vec::<u32>()?, [0, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for an array without elements.
    argmin;
}

impl Array {
    /// Variance over `axes`: mean squared distance from the mean, with `n - ddof` as divisor.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 3.0])?;
    /// assert_eq!(x.var(.., 0)?.item::<f32>()?, 1.0);
    /// assert_eq!(x.var(.., 1)?.item::<f32>()?, 2.0); // of a sample
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0f32, 5.0])?;
    /// assert_eq!(x.std(.., 0)?.item::<f32>()?, 2.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 9, 3, 4], (2, 2))?;
    /// let (least, most) = x.minmax(-1)?;
    /// assert_eq!(least.to_vec::<i32>()?, [1, 3]);
    /// assert_eq!(most.to_vec::<i32>()?, [9, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[0.0f32, 0.0, 1000.0, 0.0], (2, 2))?;
    /// assert_eq!(x.softmax(-1)?.to_vec::<f32>()?, [0.5, 0.5, 1.0, 0.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn softmax(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = reduced(&axes.into_axes(), self.ndim())?;
        done(ffi::softmax(self.raw(), &axes, false, current()))
    }

    /// [`softmax`](Array::softmax) computed in float32 whatever the type; the result has
    /// the array's type.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((1, 4), Dtype::Float16)?;
    /// let y = x.softmax_precise(-1)?;
    /// assert_eq!(y.dtype(), Dtype::Float16);
    /// assert_eq!(y.astype(Dtype::Float32)?.to_vec::<f32>()?, [0.25; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn softmax_precise(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = reduced(&axes.into_axes(), self.ndim())?;
        done(ffi::softmax(self.raw(), &axes, true, current()))
    }
}
