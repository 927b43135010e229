//! Sorting, selecting and searching. Sorts are stable; NaN comes last.

use super::macros::along;
use super::{done, done_list};
use crate::array::maybe;
use crate::bridge::ops::sort::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

along! {
    /// Values in ascending order along one axis; `..` for the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[3, 1, 2, 0], (2, 2))?;
    /// assert_eq!(x.sort(-1)?.to_vec::<i32>()?, [1, 3, 0, 2]);
    /// assert_eq!(x.sort(..)?.to_vec::<i32>()?, [0, 1, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    sort();
    /// Indices that sort along one axis (uint32); `..` for the flattened array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([3, 1, 2])?;
    /// assert_eq!(x.argsort(-1)?.to_vec::<u32>()?, [1, 2, 0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    argsort();
    /// Reordered along one axis (`..`: flattened) such that element `kth` (negative: from
    /// the end) is where a sort would put it, smaller ones before, others after it.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([5, 1, 4, 2, 3])?.partition(2, 0)?;
    /// assert_eq!(x.index(2)?.item::<i32>()?, 3);
    /// assert!(x.index(..2)?.max(..)?.item::<i32>()? < 3);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a `kth` element.
    partition(kth);
    /// Indices of such a [`partition`](Array::partition) (uint32).
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([5, 1, 4, 2, 3])?;
    /// let order = x.argpartition(2, 0)?;
    /// assert_eq!(order.index(2)?.item::<u32>()?, 4); // where the 3 is
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    argpartition(kth);
    /// The `k` largest values along one axis (`..`: flattened), in no particular order.
    ///
    /// ```
    /// use zmlx::Array;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[3, 9, 1, 7], 4)?;
    /// assert_eq!(x.topk(2, -1)?.sort(-1)?.to_vec::<i32>()?, [7, 9]);
    /// assert!(x.topk(5, -1).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless `k` lies between 0 and the axis' length.
    topk(k);
}

impl Array {
    /// For each of `values`, where to insert it in this sorted one-dimensional array to keep
    /// the order (uint32): before equal elements, or with `right` after them.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1, 3, 3, 5])?;
    /// let values = Array::from_iter([0, 3, 9])?;
    /// assert_eq!(x.searchsorted(&values, false)?.to_vec::<u32>()?, [0, 1, 4]);
    /// assert_eq!(x.searchsorted(&values, true)?.to_vec::<u32>()?, [0, 3, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless this array has one dimension.
    #[track_caller]
    pub fn searchsorted(&self, values: &Array, right: bool) -> Result<Array> {
        done(ffi::searchsorted(
            self.raw(),
            values.raw(),
            right,
            current(),
        ))
    }

    /// The first `size` of the sorted different values of the flattened array. If there are
    /// fewer, the rest is `fill`, or without it the smallest value: a lazy result needs
    /// a shape before its values are known.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([3, 1, 3, 2])?;
    /// assert_eq!(x.unique(3, None)?.to_vec::<i32>()?, [1, 2, 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for a negative size, or an empty array with nothing to fill from.
    #[track_caller]
    pub fn unique(&self, size: i32, fill: Option<&Array>) -> Result<Array> {
        let want = UniqueParts::default();
        Ok(self.unique_with(size, want, fill)?.values)
    }

    /// [`unique`](Array::unique) with what else is wanted of it.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, ops};
    /// let x = Array::from_iter([3, 1, 3, 2])?;
    /// let want = ops::UniqueParts { counts: true, ..Default::default() };
    /// let found = x.unique_with(3, want, None)?;
    /// assert_eq!(found.values.to_vec::<i32>()?, [1, 2, 3]);
    /// let counts = found.counts.expect("was asked for");
    /// assert_eq!(counts.astype(Dtype::Int32)?.to_vec::<i32>()?, [1, 1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn unique_with(
        &self,
        size: i32,
        want: UniqueParts,
        fill: Option<&Array>,
    ) -> Result<Unique> {
        if size < 0 {
            return Err(Error::argument("size", "a number from 0", size));
        }
        if let Some(fill) = fill {
            crate::array::fit::check_update("fill", fill, self.dtype())?;
        }
        let mut parts = done_list(ffi::unique(
            self.raw(),
            size,
            want.index,
            want.inverse,
            want.counts,
            maybe(fill),
            current(),
        ))?
        .into_iter();
        let mut next = |wanted: bool| if wanted { parts.next() } else { None };
        match next(true) {
            Some(values) => Ok(Unique {
                values,
                index: next(want.index),
                inverse: next(want.inverse),
                counts: next(want.counts),
            }),
            None => Err(Error::argument("size", "values from MLX", "none")),
        }
    }
}

/// What [`Array::unique_with`] returns besides the values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UniqueParts {
    /// Where each value occurs first.
    pub index: bool,
    /// Which of the values each element of the array is.
    pub inverse: bool,
    /// How often each value occurs.
    pub counts: bool,
}

/// The result of [`Array::unique_with`].
#[derive(Clone, Debug)]
pub struct Unique {
    /// Each value once, in order.
    pub values: Array,
    /// Where each occurs first, if that was asked for.
    pub index: Option<Array>,
    /// Which of the values each element is, if that was asked for.
    pub inverse: Option<Array>,
    /// How often each occurs, if that was asked for.
    pub counts: Option<Array>,
}
