//! Reading at positions. How index arrays out of range are treated: see [`crate::ops`].

use super::{IntoInts, done};
use crate::array::refs;
use crate::bridge::ops::index::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoAxes, Result};

impl Array {
    /// From each axis the elements from `start` up to, and without, `stop`, every `stride`th.
    /// Negative positions count from the end, positions outside are cut, a negative stride
    /// goes backwards. [`index`](Array::index) says the same more shortly.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((2, 3))?;
    /// // Of the rows all, of the columns every second.
    /// assert_eq!(x.slice([0, 0], [2, 3], [1, 2])?.to_vec::<i32>()?, [0, 2, 3, 5]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one of each for every axis; [`Error::Argument`] for
    /// a stride of 0.
    #[track_caller]
    pub fn slice(
        &self,
        start: impl IntoInts,
        stop: impl IntoInts,
        strides: impl IntoInts,
    ) -> Result<Array> {
        let strides = self.strides_for(strides)?;
        let (start, stop) = (start.into_ints(), stop.into_ints());
        self.one_each("start", &start)?;
        self.one_each("stop", &stop)?;
        done(ffi::slice(self.raw(), &start, &stop, &strides, current()))
    }

    /// A slice of the given `sizes` that starts, along `axes`, where the integers in `start`
    /// say: positions that only the evaluation knows.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(10)?;
    /// let start = Array::from_iter([4])?;
    /// assert_eq!(x.slice_at(&start, 0, 3)?.to_vec::<i32>()?, [4, 5, 6]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] or [`Error::Shape`] when numbers of axes, starts and sizes do not
    /// fit. Starts out of range as in [the module's notes](crate::ops).
    #[track_caller]
    pub fn slice_at(
        &self,
        start: &Array,
        axes: impl IntoInts,
        sizes: impl IntoInts,
    ) -> Result<Array> {
        let (axes, sizes) = (axes.into_ints(), sizes.into_ints());
        self.sizes_within("sizes", &sizes)?;
        self.starts_for(start, &axes)?;
        done(ffi::slice_dynamic(
            self.raw(),
            start.raw(),
            &axes,
            &sizes,
            current(),
        ))
    }

    /// The slices along `axis` that `indices` name: the axis becomes the indices' shape.
    /// Negative ones count from the end; `..` takes from the flattened array.
    ///
    /// ```
    /// use zmlx::{Array, Error};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::arange(6)?.reshape((3, 2))?;
    /// let rows = Array::from_slice(&[2, 0, -1], 3)?;
    /// assert_eq!(x.take(&rows, 0)?.to_vec::<i32>()?, [4, 5, 0, 1, 4, 5]);
    /// let wrong = Array::from_slice(&[3], 1)?;
    /// assert!(matches!(x.take(&wrong, 0), Err(Error::Argument { .. } | Error::Shape { .. })));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the indices are integers. Indices out of range as in
    /// [the module's notes](crate::ops).
    #[track_caller]
    pub fn take(&self, indices: &Array, axis: impl IntoAxes) -> Result<Array> {
        let axes = axis.into_axes();
        let axis = super::one_axis(&axes)?;
        done(ffi::take(self.raw(), indices.raw(), axis, current()))
    }

    /// One element for each index, along `axis`: `y[i, j] = x[i, indices[i, j]]` for the last
    /// axis of two. The other axes broadcast.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[3, 1, 2, 7, 9, 8], (2, 3))?;
    /// let order = x.argsort(-1)?;
    /// assert_eq!(x.take_along_axis(&order, -1)?.to_vec::<i32>()?, [1, 2, 3, 7, 8, 9]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`take`](Array::take), and [`Error::Shape`] unless both have as many dimensions.
    #[track_caller]
    pub fn take_along_axis(&self, indices: &Array, axis: i32) -> Result<Array> {
        done(ffi::take_along_axis(
            self.raw(),
            indices.raw(),
            axis,
            current(),
        ))
    }

    /// Blocks of `slice_sizes`, one for each position that the index arrays name together:
    /// `indices[k]` holds positions on axis `axes[k]`, and positions on other axes are 0.
    /// The result has the indices' common shape, then `slice_sizes`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((3, 2))?;
    /// let rows = Array::from_iter([2, 0])?;
    /// // A block of one row and two columns for each index.
    /// let y = x.gather([&rows], 0, [1, 2])?;
    /// assert_eq!(y.shape(), [2, 1, 2]);
    /// assert_eq!(y.to_vec::<i32>()?, [4, 5, 0, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`take`](Array::take), and when sizes, axes and arrays do not fit each other.
    #[track_caller]
    pub fn gather<A: AsRef<Array>>(
        &self,
        indices: impl AsRef<[A]>,
        axes: impl IntoInts,
        slice_sizes: impl IntoInts,
    ) -> Result<Array> {
        let (axes, sizes) = (axes.into_ints(), slice_sizes.into_ints());
        self.sizes_within("slice_sizes", &sizes)?;
        self.axes_for(indices.as_ref().len(), &axes)?;
        let joint = joint(indices.as_ref())?;
        let indices = joint
            .as_deref()
            .map_or_else(|| refs(indices.as_ref()), refs);
        done(ffi::gather(self.raw(), &indices, &axes, &sizes, current()))
    }

    /// Strides that MLX's arithmetic takes: not 0, and no longer than needed.
    #[track_caller]
    pub(super) fn strides_for(&self, strides: impl IntoInts) -> Result<Vec<i32>> {
        let mut strides = strides.into_ints();
        self.one_each("strides", &strides)?;
        for (stride, &n) in strides.iter_mut().zip(self.shape()) {
            if *stride == 0 {
                return Err(Error::argument("strides", "numbers other than 0", 0));
            }
            *stride = (*stride).clamp(-n.max(1), n.max(1));
        }
        Ok(strides)
    }

    /// Checks where a slice starts, along these axes.
    #[track_caller]
    pub(super) fn starts_for(&self, start: &Array, axes: &[i32]) -> Result<()> {
        if !start.dtype().is_integral() || start.dtype() == Dtype::Bool {
            return Err(Error::dtype(format!(
                "`start`: expected integers, got {}",
                start.dtype()
            )));
        }
        if start.ndim() > 1 || start.size() != axes.len() {
            return Err(Error::shape(format!(
                "`start`: expected {} numbers, one for each of the axes {axes:?}, got shape {:?}",
                axes.len(),
                start.shape()
            )));
        }
        super::axes::distinct("axes", axes, self.ndim()).map(drop)
    }

    /// Checks the axes of index arrays: one each, counted from the first.
    #[track_caller]
    pub(super) fn axes_for(&self, indices: usize, axes: &[i32]) -> Result<()> {
        let ndim = self.ndim() as i32;
        if axes.len() == indices && axes.iter().all(|a| (0..ndim).contains(a)) {
            return Ok(());
        }
        Err(Error::shape(format!(
            "`axes`: expected {indices}, one for each index array, from 0 to below {ndim}, got {axes:?}"
        )))
    }
}

/// Index arrays as int64 where uint64 stands beside a signed type, as MLX would make floats of the two; none where nothing has to change.
/// Numbers that int64 does not hold stay out of range.
#[track_caller]
pub(super) fn joint<A: AsRef<Array>>(indices: &[A]) -> Result<Option<Vec<Array>>> {
    use Dtype::{Int8, Int16, Int32, Int64, Uint64};
    let has = |of: fn(Dtype) -> bool| indices.iter().any(|a| of(a.as_ref().dtype()));
    if !has(|d| d == Uint64) || !has(|d| matches!(d, Int8 | Int16 | Int32 | Int64)) {
        return Ok(None);
    }
    let all = indices.iter().map(|a| match a.as_ref() {
        a if a.dtype() == Uint64 => a.minimum(i64::MAX as u64)?.astype(Int64),
        a if a.dtype().is_integral() => a.astype(Int64),
        other => Ok(other.clone()),
    });
    all.collect::<Result<Vec<_>>>().map(Some)
}
