//! Shape and layout.

use std::ops::{Bound, RangeBounds};

use super::axes::{axis, distinct, reduced};
use super::macros::{along, unary};
use super::{IntoInts, done};
use crate::array::fit::Number;
use crate::bridge::ops::shape::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoAxes, IntoShape, Result};

unary! {
    /// The last two axes exchanged.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.matrix_transpose()?.to_vec::<i32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] with fewer than two dimensions.
    matrix_transpose;
    /// With one dimension at least.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::from(7).atleast_1d()?.shape(), [1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    atleast_1d;
    /// With two dimensions at least: a vector becomes one row.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(3)?.atleast_2d()?.shape(), [1, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    atleast_2d;
    /// With three dimensions at least: a vector becomes (1, n, 1), a matrix (n, m, 1).
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(3)?.atleast_3d()?.shape(), [1, 3, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    atleast_3d;
}

along! {
    /// Each element `n` times in a row along one axis; `..` for the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2])?;
    /// assert_eq!(x.repeat(2, 0)?.to_vec::<i32>()?, [1, 1, 2, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative `n`, [`Error::Shape`] for a result too long.
    repeat(n);
}

impl Array {
    /// The same elements in another shape; one dimension may be -1, which MLX infers.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::arange(6)?;
    /// assert_eq!(x.reshape((2, -1))?.shape(), [2, 3]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn reshape(&self, shape: impl IntoShape) -> Result<Array> {
        done(ffi::reshape(self.raw(), &shape.into_dims()?, current()))
    }

    /// One axis split into `shape`, of which one dimension may be -1.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(6)?.unflatten(0, (2, -1))?.shape(), [2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn unflatten(&self, axis: i32, shape: impl IntoShape) -> Result<Array> {
        let dims = shape.into_dims()?;
        if dims.contains(&-1) && dims.contains(&0) {
            return Err(Error::shape(format!(
                "[unflatten] cannot infer a dimension beside one of 0 in {dims:?}"
            )));
        }
        done(ffi::unflatten(self.raw(), axis, &dims, current()))
    }

    /// Several neighbouring axes as one: `..` for all, `1..` from the second on, `0..=-2` up
    /// to the last but one.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(24)?.reshape((2, 3, 4))?;
    /// assert_eq!(x.flatten(..)?.shape(), [24]);
    /// assert_eq!(x.flatten(1..)?.shape(), [2, 12]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn flatten(&self, axes: impl RangeBounds<i32>) -> Result<Array> {
        let first = match axes.start_bound() {
            Bound::Included(&a) => Some(a),
            Bound::Excluded(&a) => a.checked_add(1),
            Bound::Unbounded => Some(0),
        };
        let last = match axes.end_bound() {
            Bound::Included(&a) => Some(a),
            Bound::Excluded(&a) if a != 0 => a.checked_sub(1),
            Bound::Excluded(_) => None,
            Bound::Unbounded => Some(-1),
        };
        let (Some(first), Some(last)) = (first, last) else {
            return Err(Error::argument("axes", "a range of axes", "an empty one"));
        };
        let ndim = self.ndim().max(1);
        let (from, to) = (axis("axes", first, ndim)?, axis("axes", last, ndim)?);
        if from > to {
            return Err(Error::argument(
                "axes",
                format_args!("a range of axes of {ndim} dimensions"),
                format_args!("an empty one, from {first} to {last}"),
            ));
        }
        done(ffi::flatten(self.raw(), from, to, current()))
    }

    /// Without the given axes of length 1; `..` for all of them.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(3)?.reshape((1, 3, 1))?;
    /// assert_eq!(x.squeeze(0)?.shape(), [3, 1]);
    /// assert_eq!(x.squeeze(..)?.shape(), [3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn squeeze(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = axes.into_axes();
        let axes = match axes.list() {
            Some(list) => distinct("axes", list, self.ndim())?,
            None => {
                let all = self.shape().iter().enumerate();
                all.filter(|(_, d)| **d == 1)
                    .map(|(i, _)| i as i32)
                    .collect()
            }
        };
        done(ffi::squeeze(self.raw(), &axes, current()))
    }

    /// With new axes of length 1, numbered as in the result.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(3)?.expand_dims([0, -1])?.shape(), [1, 3, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn expand_dims(&self, axes: impl IntoAxes) -> Result<Array> {
        match axes.into_axes().list() {
            Some(axes) => {
                let axes = distinct("axes", axes, self.ndim() + axes.len())?;
                done(ffi::expand_dims(self.raw(), &axes, current()))
            }
            None => Err(Error::argument("axes", "the new axes", "`..`")),
        }
    }

    /// Permuted dimensions; `..` reverses them.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((2, 3))?;
    /// assert_eq!(x.transpose(..)?.to_vec::<i32>()?, [0, 3, 1, 4, 2, 5]);
    /// assert_eq!(x.expand_dims(0)?.transpose([1, 0, 2])?.shape(), [2, 1, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn transpose(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = axes.into_axes();
        let axes = match axes.list() {
            Some(list) => {
                self.one_each("axes", list)?;
                distinct("axes", list, self.ndim())?
            }
            None => (0..self.ndim() as i32).rev().collect(),
        };
        done(ffi::transpose(self.raw(), &axes, current()))
    }

    /// Two axes exchanged.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(24)?.reshape((2, 3, 4))?;
    /// assert_eq!(x.swapaxes(0, -1)?.shape(), [4, 3, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn swapaxes(&self, i: i32, j: i32) -> Result<Array> {
        done(ffi::swapaxes(self.raw(), i, j, current()))
    }

    /// One axis moved to another place, the others in their order.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(24)?.reshape((2, 3, 4))?;
    /// assert_eq!(x.moveaxis(0, -1)?.shape(), [3, 4, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn moveaxis(&self, from: i32, to: i32) -> Result<Array> {
        done(ffi::moveaxis(self.raw(), from, to, current()))
    }

    /// Reversed along the given axes; `..` for all.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.flip(-1)?.to_vec::<i32>()?, [2, 1, 4, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn flip(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = reduced(&axes.into_axes(), self.ndim())?;
        done(ffi::flip(self.raw(), &axes, current()))
    }

    /// Repeated to `shape` by the rules of broadcasting; no copy.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2])?;
    /// assert_eq!(x.broadcast_to((2, 2))?.to_vec::<i32>()?, [1, 2, 1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl IntoShape) -> Result<Array> {
        done(ffi::broadcast_to(
            self.raw(),
            &shape.into_shape()?,
            current(),
        ))
    }

    /// Copies of the array side by side, so many for each axis.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 2])?;
    /// assert_eq!(x.tile((2, 2))?.to_vec::<i32>()?, [1, 2, 1, 2, 1, 2, 1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn tile(&self, reps: impl IntoShape) -> Result<Array> {
        done(ffi::tile(self.raw(), &reps.into_shape()?, current()))
    }

    /// Elements shifted along axes, those that leave coming in again on the other side; one
    /// shift for each axis, or one for all. `..` shifts the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.roll(2, 0)?.to_vec::<i32>()?, [3, 4, 0, 1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn roll(&self, shift: impl IntoInts, axes: impl IntoAxes) -> Result<Array> {
        let mut shift = shift.into_ints();
        let axes = axes.into_axes();
        let axes = axes.list().unwrap_or_default();
        if shift.len() == 1 && axes.len() > 1 {
            shift = vec![shift[0]; axes.len()];
        }
        if shift.len() != axes.len().max(1) {
            return Err(Error::argument(
                "shift",
                "one number, or one for each axis",
                format_args!("{shift:?}"),
            ));
        }
        done(ffi::roll(self.raw(), &shift, axes, current()))
    }

    /// How many elements the given axes have together, or with `inverted` one divided by
    /// that, as a scalar that follows the shape in functions compiled for any shape.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((2, 3, 4), Dtype::Float32)?;
    /// assert_eq!(x.number_of_elements([0, 2], false, Dtype::Int32)?.item::<i32>()?, 8);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such axis; [`Error::Dtype`] for integers divided by.
    #[track_caller]
    pub fn number_of_elements(
        &self,
        axes: impl IntoAxes,
        inverted: bool,
        dtype: Dtype,
    ) -> Result<Array> {
        let axes = axes.into_axes().resolve(self.ndim());
        for &axis in &axes {
            self.dim(axis)?;
        }
        if !inverted && dtype.is_integral() && dtype != Dtype::Bool {
            let lengths = axes.iter().map(|&i| self.dim(i).map(i128::from));
            let count = lengths.product::<Result<i128>>()?;
            Number::Whole(count).check("dtype", dtype, false)?;
        }
        if inverted && dtype.is_integral() {
            return Err(Error::dtype(format!(
                "`dtype`: expected a type of floats for one divided by a number, got {dtype}"
            )));
        }
        done(ffi::number_of_elements(
            self.raw(),
            &axes,
            inverted,
            dtype,
            current(),
        ))
    }
}
