//! Diagonals of matrices, and what lies above and below them.

use super::done;
use crate::bridge::ops::matrix::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

impl Array {
    /// The `offset`th diagonal of two axes, as a new last axis.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((2, 3))?;
    /// assert_eq!(x.diagonal(0, 0, 1)?.to_vec::<i32>()?, [0, 4]);
    /// assert_eq!(x.diagonal(1, 0, 1)?.to_vec::<i32>()?, [1, 5]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn diagonal(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        self.matrices("diagonal")?;
        super::axes::distinct("axis1, axis2", &[axis1, axis2], self.ndim())?;
        done(ffi::diagonal(
            self.raw(),
            offset.max(-i32::MAX),
            axis1,
            axis2,
            current(),
        ))
    }

    /// The `k`th diagonal of a matrix; from a vector the matrix with that diagonal.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2])?.diag(0)?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 0, 0, 2]);
    /// assert_eq!(x.diag(0)?.to_vec::<i32>()?, [1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for other dimensions, or a matrix too large.
    #[track_caller]
    pub fn diag(&self, k: i32) -> Result<Array> {
        let k = k.max(-i32::MAX);
        if self.ndim() == 1 && self.size() as u64 + u64::from(k.unsigned_abs()) > i32::MAX as u64 {
            return Err(Error::shape(format!(
                "[diag] the matrix with diagonal {k} of {} elements is too large",
                self.size()
            )));
        }
        done(ffi::diag(self.raw(), k, current()))
    }

    /// Sum of the `offset`th diagonal of two axes.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(4)?.reshape((2, 2))?;
    /// assert_eq!(x.trace(0, 0, 1)?.item::<i32>()?, 3);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn trace(&self, offset: i32, axis1: i32, axis2: i32) -> Result<Array> {
        self.matrices("trace")?;
        super::axes::distinct("axis1, axis2", &[axis1, axis2], self.ndim())?;
        done(ffi::trace(
            self.raw(),
            offset.max(-i32::MAX),
            axis1,
            axis2,
            current(),
        ))
    }

    /// [`trace`](Array::trace) of elements converted to this dtype, in which they are summed. (Small integers are
    /// summed as int32 or uint32, as in [`sum`](Array::sum).)
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::full((3, 3), 40_000, F16)?;
    /// assert_eq!(x.trace_as(0, 0, 1, F32)?.item::<f32>()?, 120_000.0); // beyond float16
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`trace`](Array::trace).
    #[track_caller]
    pub fn trace_as(&self, offset: i32, axis1: i32, axis2: i32, dtype: Dtype) -> Result<Array> {
        let diagonal = self.diagonal(offset, axis1, axis2)?;
        diagonal.astype(dtype)?.sum(-1)
    }

    /// Matrices with zeros above their `k`th diagonal.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.tril(0)?.to_vec::<i32>()?, [1, 0, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn tril(&self, k: i32) -> Result<Array> {
        self.matrices("tril")?;
        done(ffi::tril(self.raw(), self.near(k), current()))
    }

    /// Matrices with zeros below their `k`th diagonal.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.triu(0)?.to_vec::<i32>()?, [1, 2, 0, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn triu(&self, k: i32) -> Result<Array> {
        self.matrices("triu")?;
        done(ffi::triu(self.raw(), self.near(k), current()))
    }

    /// A diagonal number that does not overflow: all beyond the corners are the same.
    fn near(&self, k: i32) -> i32 {
        const FAR: i32 = i32::MAX / 2;
        k.clamp(-FAR, FAR)
    }
}
