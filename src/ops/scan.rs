//! Cumulative operations along an axis.

use super::done;
use super::macros::scan;
use crate::bridge::ops::reduce::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

/// How a cumulative operation runs: `-1` or `..` (the flattened array) where the defaults
/// do, otherwise `Scan::along(-1).reverse()`, `Scan::flat().exclusive()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// `None`: the flattened array.
    pub axis: Option<i32>,
    /// From the last element to the first.
    pub reverse: bool,
    /// Each result leaves its own element out, so the first is the neutral one.
    pub exclusive: bool,
    /// What the elements are converted to before. `None`: their own dtype, for a sum of bools int32.
    pub dtype: Option<Dtype>,
}

impl Scan {
    /// Along one axis.
    pub fn along(axis: i32) -> Self {
        Scan {
            axis: Some(axis),
            ..Scan::default()
        }
    }

    /// Over the flattened array.
    ///
    /// ```
    /// use zmlx::{Array, ops};
    /// let x = Array::arange(4)?.reshape((2, 2))?;
    /// assert_eq!(x.cumsum(ops::Scan::flat())?.to_vec::<i32>()?, [0, 1, 3, 6]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn flat() -> Self {
        Scan::default()
    }

    /// From the last element to the first.
    pub fn reverse(self) -> Self {
        Scan {
            reverse: true,
            ..self
        }
    }

    /// Without each element itself.
    pub fn exclusive(self) -> Self {
        Scan {
            exclusive: true,
            ..self
        }
    }

    /// In this dtype, to which the elements are converted before.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops::Scan};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[200u8, 100], 2)?;
    /// assert_eq!(x.cumsum(0)?.to_vec::<u8>()?, [200, 44]);
    /// assert_eq!(x.cumsum(Scan::along(0).of_type(Dtype::Int32))?.to_vec::<i32>()?, [200, 300]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn of_type(self, dtype: Dtype) -> Self {
        Scan {
            dtype: Some(dtype),
            ..self
        }
    }
}

impl From<i32> for Scan {
    fn from(axis: i32) -> Self {
        Scan::along(axis)
    }
}

impl From<std::ops::RangeFull> for Scan {
    fn from(_: std::ops::RangeFull) -> Self {
        Scan::flat()
    }
}

scan! {
    /// Running sum, `y[i] = x[0] + ... + x[i]`. Bool is summed as int32.
    ///
    /// ```
    /// use zmlx::{Array, ops::Scan};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1, 2, 3], 3)?;
    /// assert_eq!(x.cumsum(0)?.to_vec::<i32>()?, [1, 3, 6]);
    /// assert_eq!(x.cumsum(Scan::along(0).exclusive())?.to_vec::<i32>()?, [0, 1, 3]);
    /// assert_eq!(x.cumsum(Scan::along(0).reverse())?.to_vec::<i32>()?, [6, 5, 3]);
    /// # Ok(())
    /// # }
    /// ```
    cumsum;
    /// Running product.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::from_iter([2, 3, 4])?.cumprod(0)?.to_vec::<i32>()?, [2, 6, 24]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    cumprod;
    /// Running maximum.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::from_iter([2, 1, 4])?.cummax(0)?.to_vec::<i32>()?, [2, 2, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    cummax;
    /// Running minimum.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::from_iter([2, 1, 4])?.cummin(0)?.to_vec::<i32>()?, [2, 1, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    cummin;
    /// Running `log(sum(e^x))`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let y = Array::from_iter([0.0f32, 0.0])?.logcumsumexp(0)?.to_vec::<f32>()?;
    /// assert!(y[0] == 0.0 && (y[1] - 2f32.ln()).abs() < 1e-6);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    logcumsumexp;
}

impl Array {
    /// The `n`th difference between neighbours along `axis`, which gets shorter by `n`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 4, 9, 16])?;
    /// assert_eq!(x.diff(1, 0)?.to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, 0)?.to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative `n`, [`Error::Shape`] for a bad axis.
    #[track_caller]
    pub fn diff(&self, n: i32, axis: i32) -> Result<Array> {
        if n < 0 {
            return Err(Error::argument("n", "a number from 0", n));
        }
        // More differences than elements leave none; MLX would go on for every one of them.
        let n = n.min(self.dim(axis)?);
        done(ffi::diff(self.raw(), n, axis, current()))
    }
}
