//! Copies of an array with other values at some positions. How index arrays out of range
//! are treated: see [`crate::ops`].

use super::{IntoInts, done, index::joint};
use crate::array::fit::check_update;
use crate::array::refs;
use crate::bridge::ops::index::ffi;
use crate::stream::current;
use crate::{Array, Error, Operand, Result};

macro_rules! slice_updates {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            /// Positions as in [`slice`](Array::slice); the update broadcasts to the slice.
            ///
            /// # Errors
            /// As [`slice`](Array::slice), and [`Error::Shape`] when the update does not broadcast,
            /// [`Error::Argument`] or [`Error::Dtype`] for a number or a type that the array does not hold.
            #[track_caller]
            pub fn $name(
                &self,
                update: impl Operand,
                start: impl IntoInts,
                stop: impl IntoInts,
                strides: impl IntoInts,
            ) -> Result<Array> {
                let update = update.operand(self.dtype())?;
                check_update("update", &update, self.dtype())?;
                let strides = self.strides_for(strides)?;
                let (start, stop) = (start.into_ints(), stop.into_ints());
                self.one_each("start", &start)?;
                self.one_each("stop", &stop)?;
                done(ffi::$name(self.raw(), update.raw(), &start, &stop, &strides, current()))
            }
        )*}
    };
}

slice_updates! {
    /// This array with `update` in place of a slice.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.slice_update(9, 1, 3, 1)?.to_vec::<i32>()?, [0, 9, 9, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    slice_update;
    /// This array with `update` added to a slice.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.slice_update_add(10, 1, 3, 1)?.to_vec::<i32>()?, [0, 11, 12, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    slice_update_add;
    /// This array with a slice multiplied by `update`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.slice_update_prod(10, 1, 3, 1)?.to_vec::<i32>()?, [0, 10, 20, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    slice_update_prod;
    /// This array with the larger of slice and `update`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.slice_update_max(2, 0, 5, 1)?.to_vec::<i32>()?, [2, 2, 2, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    slice_update_max;
    /// This array with the smaller of slice and `update`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// assert_eq!(x.slice_update_min(2, 0, 5, 1)?.to_vec::<i32>()?, [0, 1, 2, 2, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    slice_update_min;
}

impl Array {
    /// This array with rows `from` of `rows`, (T, ..), in place of its own rows `to`, which have as many elements and are counted from its
    /// beginning; of several for one place the last one stays. On a CPU stream, and outside of transformations.
    #[track_caller]
    pub(crate) fn write_rows(&self, rows: &Array, from: &[i32], to: &[i64]) -> Result<Array> {
        done(ffi::write_rows(self.raw(), rows.raw(), from, to, current()))
    }
}

macro_rules! scatters {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            /// `indices[k]` holds positions on axis `axes[k]`, positions on other axes are 0; the
            /// shape of `updates` is the indices' common shape, then the shape of a block.
            ///
            /// # Errors
            /// [`Error::Shape`] or [`Error::Argument`] when arrays and axes do not fit each
            /// other, [`Error::Dtype`] unless the indices are integers, or for complex updates of another
            /// array. Indices out of range as in [the module's notes](crate::ops).
            #[track_caller]
            pub fn $name<A: AsRef<Array>>(
                &self,
                indices: impl AsRef<[A]>,
                updates: &Array,
                axes: impl IntoInts,
            ) -> Result<Array> {
                let axes = axes.into_ints();
                check_update("updates", updates, self.dtype())?;
                self.axes_for(indices.as_ref().len(), &axes)?;
                let joint = joint(indices.as_ref())?;
                let indices = joint.as_deref().map_or_else(|| refs(indices.as_ref()), refs);
                done(ffi::$name(
                    self.raw(),
                    &indices,
                    updates.raw(),
                    &axes,
                    current(),
                ))
            }
        )*}
    };
}

scatters! {
    /// This array with blocks of `updates` in place; which of several for one position
    /// stays is not defined.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::zeros((3, 2), Dtype::Int32)?;
    /// let rows = Array::from_slice(&[2, 0], 2)?;
    /// let updates = Array::from_slice(&[1, 2, 3, 4], (2, 1, 2))?;
    /// let y = x.scatter([&rows], &updates, 0)?;
    /// assert_eq!(y.to_vec::<i32>()?, [3, 4, 0, 0, 1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    scatter;
    /// This array with blocks of `updates` added.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros(3, Dtype::Int32)?;
    /// let places = Array::from_iter([1, 1])?;
    /// let updates = Array::from_slice(&[10, 5], (2, 1))?;
    /// assert_eq!(x.scatter_add([&places], &updates, 0)?.to_vec::<i32>()?, [0, 15, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    scatter_add;
    /// This array multiplied by blocks of `updates`.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::ones(3, Dtype::Int32)?;
    /// let places = Array::from_iter([1, 1])?;
    /// let updates = Array::from_slice(&[10, 5], (2, 1))?;
    /// assert_eq!(x.scatter_prod([&places], &updates, 0)?.to_vec::<i32>()?, [1, 50, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    scatter_prod;
    /// This array with the larger of its elements and those of `updates`.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros(3, Dtype::Int32)?;
    /// let places = Array::from_iter([1, 1])?;
    /// let updates = Array::from_slice(&[10, 5], (2, 1))?;
    /// assert_eq!(x.scatter_max([&places], &updates, 0)?.to_vec::<i32>()?, [0, 10, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    scatter_max;
    /// This array with the smaller of its elements and those of `updates`.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::full(3, 20, Dtype::Int32)?;
    /// let places = Array::from_iter([1, 1])?;
    /// let updates = Array::from_slice(&[10, 5], (2, 1))?;
    /// assert_eq!(x.scatter_min([&places], &updates, 0)?.to_vec::<i32>()?, [20, 5, 20]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    scatter_min;
}

macro_rules! along_axis {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        impl Array {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(
                &self,
                indices: &Array,
                values: impl Operand,
                axis: i32,
            ) -> Result<Array> {
                let values = values.operand(self.dtype())?;
                check_update("values", &values, self.dtype())?;
                done(ffi::$name(self.raw(), indices.raw(), values.raw(), axis, current()))
            }
        )*}
    };
}

along_axis! {
    /// This array with `values` where `indices` say along `axis`:
    /// `x[i, indices[i, j]] = values[i, j]` for the last axis of two.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((2, 3), Dtype::Int32)?;
    /// let places = Array::from_slice(&[2, 0], (2, 1))?;
    /// assert_eq!(x.put_along_axis(&places, 7, -1)?.to_vec::<i32>()?, [0, 0, 7, 7, 0, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`take_along_axis`](Array::take_along_axis).
    put_along_axis;
    /// As [`put_along_axis`](Array::put_along_axis), adding to what is there.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::ones((1, 3), Dtype::Int32)?;
    /// let places = Array::from_slice(&[2, 2], (1, 2))?;
    /// let values = Array::from_slice(&[10, 20], (1, 2))?;
    /// assert_eq!(x.scatter_add_axis(&places, &values, -1)?.to_vec::<i32>()?, [1, 1, 31]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    scatter_add_axis;
}

impl Array {
    /// This array with `update` in place of a slice that starts, along `axes`, where the
    /// integers in `start` say: positions that only the evaluation knows.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(5)?;
    /// let start = Array::from_iter([3])?;
    /// let update = Array::from_iter([7, 8])?;
    /// assert_eq!(x.slice_update_at(&update, &start, 0)?.to_vec::<i32>()?, [0, 1, 2, 7, 8]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] or [`Error::Shape`] when axes, starts and update do not fit. Starts
    /// out of range as in [the module's notes](crate::ops).
    #[track_caller]
    pub fn slice_update_at(
        &self,
        update: impl Operand,
        start: &Array,
        axes: impl IntoInts,
    ) -> Result<Array> {
        let update = update.operand(self.dtype())?;
        check_update("update", &update, self.dtype())?;
        let axes = axes.into_ints();
        self.starts_for(start, &axes)?;
        done(ffi::slice_update_dynamic(
            self.raw(),
            update.raw(),
            start.raw(),
            &axes,
            current(),
        ))
    }

    /// This array with the elements of `source`, in order, where `mask` is true. The mask has
    /// the shape of the array's leading axes; where it has fewer axes than the array, the source is one of the blocks
    /// that it chooses, or as many as the mask has, and broadcasts to them.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(4)?;
    /// let mask = Array::from_iter([true, false, true, false])?;
    /// let source = Array::from_iter([10, 20])?;
    /// assert_eq!(x.masked_scatter(&mask, &source)?.to_vec::<i32>()?, [10, 1, 20, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the mask is bool, [`Error::Argument`] or [`Error::Shape`] for
    /// shapes that do not fit. When `source` is too short, or empty, the evaluation fails on the CPU; a GPU leaves the
    /// elements as they are that no value is there for.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Array, source: &Array) -> Result<Array> {
        if mask.dtype() != crate::Dtype::Bool {
            return Err(Error::dtype(format!(
                "[masked_scatter] expected a mask of bool, got {}",
                mask.dtype()
            )));
        }
        check_update("source", source, self.dtype())?;
        // MLX takes no mask without dimensions for an array that has some.
        let spread;
        let mask = match mask.ndim() == 0 && self.ndim() > 0 {
            true => {
                spread = mask.broadcast_to(self.shape())?;
                &spread
            }
            false => mask,
        };
        done(ffi::masked_scatter(
            self.raw(),
            mask.raw(),
            source.raw(),
            current(),
        ))
    }
}
