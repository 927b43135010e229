//! One part of an array after another.

use std::iter::FusedIterator;
use std::ops::Range;

use crate::error::Here;
use crate::{Array, Error, Result, Site};

/// The slices of an array along its first axis, in order; made by [`Array::iter`].
#[derive(Clone, Debug)]
pub struct Slices<'a> {
    array: &'a Array,
    /// Those that are left. An array without dimensions gives one error.
    left: Range<i32>,
    at: Site,
}

impl Array {
    /// The slices along the first axis, without that axis. `for row in &x` does the same.
    ///
    /// Each is an array of its own, and an error only where the array has no axis. To make all at once call
    /// [`unstack`](Array::unstack); for numbers call [`to_vec`](Array::to_vec), as a graph of single elements is slow.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::arange(6)?.reshape((3, 2))?;
    /// for (i, row) in x.iter().enumerate() {
    ///     assert_eq!(row?.to_vec::<i32>()?, [2 * i as i32, 2 * i as i32 + 1]);
    /// }
    /// let last = x.iter().next_back().unwrap()?;
    /// assert_eq!(last.shape(), [2]);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn iter(&self) -> Slices<'_> {
        Slices {
            array: self,
            left: 0..self.shape().first().copied().unwrap_or(1),
            at: std::panic::Location::caller(),
        }
    }
}

impl Slices<'_> {
    fn slice(&self, i: i32) -> Result<Array> {
        if self.array.ndim() == 0 {
            let none = "[iter] expected one dimension at least, got shape []";
            return Err(Error::shape(none.into())).said_of(self.at);
        }
        self.array.index(i).said_of(self.at)
    }
}

impl Iterator for Slices<'_> {
    type Item = Result<Array>;

    fn next(&mut self) -> Option<Result<Array>> {
        self.left.next().map(|i| self.slice(i))
    }

    fn nth(&mut self, n: usize) -> Option<Result<Array>> {
        self.left.nth(n).map(|i| self.slice(i))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left.size_hint()
    }
}

impl DoubleEndedIterator for Slices<'_> {
    fn next_back(&mut self) -> Option<Result<Array>> {
        self.left.next_back().map(|i| self.slice(i))
    }
}

impl ExactSizeIterator for Slices<'_> {}

impl FusedIterator for Slices<'_> {}

impl<'a> IntoIterator for &'a Array {
    type Item = Result<Array>;
    type IntoIter = Slices<'a>;

    #[track_caller]
    fn into_iter(self) -> Slices<'a> {
        self.iter()
    }
}
