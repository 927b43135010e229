//! Lists of arrays: joining and splitting.

use super::{done, done_list};
use crate::array::refs;
use crate::bridge::ops::join::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

/// The arrays one after the other along `axis`, in their common type.
///
/// ```
/// use zmlx::{Array, ops};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1, 2], (1, 2))?;
/// let y = Array::from_slice(&[3, 4], (1, 2))?;
/// assert_eq!(ops::concatenate([&x, &y], 0)?.shape(), [2, 2]);
/// assert_eq!(ops::concatenate([&x, &y], 1)?.to_vec::<i32>()?, [1, 2, 3, 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] unless all dimensions but that of `axis` agree; [`Error::Argument`]
/// without arrays.
#[track_caller]
pub fn concatenate<A: AsRef<Array>>(arrays: impl AsRef<[A]>, axis: i32) -> Result<Array> {
    if let Some(first) = arrays.as_ref().first() {
        // MLX looks at no axis of a single array.
        super::axes::axis("axis", axis, first.as_ref().ndim())?;
    }
    done(ffi::concatenate(&refs(arrays.as_ref()), &[axis], current()))
}

/// The flattened arrays one after the other.
///
/// ```
/// use zmlx::{Array, ops};
/// let x = Array::arange(4)?.reshape((2, 2))?;
/// let y = Array::from_iter([9])?;
/// assert_eq!(ops::concatenate_flat([&x, &y])?.to_vec::<i32>()?, [0, 1, 2, 3, 9]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn concatenate_flat<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<Array> {
    done(ffi::concatenate(&refs(arrays.as_ref()), &[], current()))
}

/// Arrays of one shape side by side along a new axis.
///
/// ```
/// use zmlx::{Array, ops};
/// let (x, y) = (Array::from_iter([1, 2])?, Array::from_iter([3, 4])?);
/// assert_eq!(ops::stack([&x, &y], 0)?.to_vec::<i32>()?, [1, 2, 3, 4]);
/// assert_eq!(ops::stack([&x, &y], 1)?.to_vec::<i32>()?, [1, 3, 2, 4]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] unless all have the same shape; [`Error::Argument`] without arrays.
#[track_caller]
pub fn stack<A: AsRef<Array>>(arrays: impl AsRef<[A]>, axis: i32) -> Result<Array> {
    if let Some((first, rest)) = arrays.as_ref().split_first() {
        let first = first.as_ref().shape();
        let mut rest = rest.iter().map(|a| a.as_ref().shape());
        if let Some(i) = rest.position(|shape| shape != first) {
            return Err(Error::shape(format!(
                "`arrays`: expected the shape of the first, {first:?}, for array {}, got {:?}",
                i + 1,
                arrays.as_ref()[i + 1].as_ref().shape()
            )));
        }
    }
    done(ffi::stack(&refs(arrays.as_ref()), axis, current()))
}

/// Coordinates of a grid from one vector for each axis. With `sparse` each result keeps
/// length 1 along the other axes.
///
/// ```
/// use zmlx::{Array, ops};
/// let (x, y) = (Array::from_iter([1, 2, 3])?, Array::from_iter([10, 20])?);
/// let grid = ops::meshgrid([&x, &y], false, ops::Indexing::Xy)?;
/// assert_eq!(grid[0].to_vec::<i32>()?, [1, 2, 3, 1, 2, 3]);
/// assert_eq!(grid[1].to_vec::<i32>()?, [10, 10, 10, 20, 20, 20]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn meshgrid<A: AsRef<Array>>(
    vectors: impl AsRef<[A]>,
    sparse: bool,
    indexing: Indexing,
) -> Result<Vec<Array>> {
    done_list(ffi::meshgrid(
        &refs(vectors.as_ref()),
        sparse,
        indexing == Indexing::Ij,
        current(),
    ))
}

/// Which axes of a [`meshgrid`] the first two vectors run along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Indexing {
    /// The first along the second axis, as x of an image.
    #[default]
    Xy,
    /// The first along the first axis, as rows of a matrix.
    Ij,
}

/// The arrays broadcast against each other.
///
/// ```
/// use zmlx::{Array, ops};
/// let (x, y) = (Array::from_slice(&[1, 2], (2, 1))?, Array::from_iter([10, 20, 30])?);
/// let both = ops::broadcast_arrays([&x, &y])?;
/// assert_eq!(both[0].to_vec::<i32>()?, [1, 1, 1, 2, 2, 2]);
/// assert_eq!(both[1].shape(), [2, 3]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[track_caller]
pub fn broadcast_arrays<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<Vec<Array>> {
    done_list(ffi::broadcast_arrays(&refs(arrays.as_ref()), current()))
}

/// The same `arrays`, computed only after `dependencies` are.
///
/// ```
/// use zmlx::{Array, ops};
/// let x = Array::from_iter([1.0f32, 2.0])?;
/// let first = x.exp()?;
/// let y = &ops::depends([&x], [&first])?[0];
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0]);
/// assert!(first.is_ready()?); // computed although nobody asked for it
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] without arrays.
#[track_caller]
pub fn depends<A: AsRef<Array>, D: AsRef<Array>>(
    arrays: impl AsRef<[A]>,
    dependencies: impl AsRef<[D]>,
) -> Result<Vec<Array>> {
    let arrays = arrays.as_ref();
    if arrays.is_empty() {
        return Err(Error::argument("arrays", "one array at least", "none"));
    }
    crate::stream::enter();
    done_list(ffi::depends(&refs(arrays), &refs(dependencies.as_ref())))
}

/// Arrays that one call gives at most: each is a node of the graph.
const MANY: i32 = 1 << 20;

impl Array {
    /// Parts along `axis`: a number of equal ones, or where to cut (`[2, 5]` gives 0..2, 2..5
    /// and the rest).
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::arange(6)?;
    /// assert_eq!(x.split(3, 0)?.len(), 3);
    /// let cut = x.split([1, 3], 0)?;
    /// assert_eq!(cut[1].to_vec::<i32>()?, [1, 2]);
    /// assert_eq!(cut[2].to_vec::<i32>()?, [3, 4, 5]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] when the axis does not divide evenly.
    #[track_caller]
    pub fn split(&self, sections: impl Sections, axis: i32) -> Result<Vec<Array>> {
        let sections = sections.sections();
        if let Ok(parts) = sections {
            // An axis without elements has any number of equal parts.
            let n = self.dim(axis)?;
            let most = if n == 0 { MANY } else { n.min(MANY) };
            super::between("sections", parts, 1..=most)?;
        }
        done_list(match sections {
            Ok(parts) => ffi::split(self.raw(), parts, axis, current()),
            Err(cuts) => ffi::split_at(self.raw(), &cuts, axis, current()),
        })
    }

    /// The slices along `axis`, which they lose.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let rows = Array::arange(6)?.reshape((2, 3))?.unstack(0)?;
    /// assert_eq!(rows[1].to_vec::<i32>()?, [3, 4, 5]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn unstack(&self, axis: i32) -> Result<Vec<Array>> {
        done_list(ffi::unstack(self.raw(), axis, current()))
    }
}

/// How [`Array::split`] cuts: a number of parts, or positions.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say where to split",
    note = "a number of parts (i32), or an array, slice or vector of positions (i32): `3`, `[2, 5]`"
)]
pub trait Sections {
    /// The number of parts, or else the positions.
    fn sections(self) -> std::result::Result<i32, Vec<i32>>;
}

impl Sections for i32 {
    fn sections(self) -> std::result::Result<i32, Vec<i32>> {
        Ok(self)
    }
}

impl<const N: usize> Sections for [i32; N] {
    fn sections(self) -> std::result::Result<i32, Vec<i32>> {
        Err(self.to_vec())
    }
}

impl Sections for &[i32] {
    fn sections(self) -> std::result::Result<i32, Vec<i32>> {
        Err(self.to_vec())
    }
}

impl Sections for Vec<i32> {
    fn sections(self) -> std::result::Result<i32, Vec<i32>> {
        Err(self)
    }
}

/// The members of a list whose length MLX fixes.
#[track_caller]
pub(crate) fn exactly<const N: usize>(arrays: Vec<Array>) -> Result<[Array; N]> {
    match <[Array; N]>::try_from(arrays) {
        Ok(arrays) => Ok(arrays),
        Err(arrays) => Err(Error::argument(
            "outputs",
            format_args!("{N} from MLX"),
            arrays.len(),
        )),
    }
}
