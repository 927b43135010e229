//! Arrays of the crate `ndarray`.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};

use crate::array::IntoShape;
use crate::bridge::ndarray::view;
use crate::{Array, Element, Error, Result};

impl Array {
    /// The elements of an evaluated array for `ndarray`, without a copy, also where they are strided or repeated. Does not
    /// evaluate. Feature `ndarray`.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], (2, 3))?;
    /// let turned = x.transpose(..)?;
    /// turned.eval()?;
    /// assert_eq!(turned.ndarray_view::<f32>()?[[2, 0]], 3.0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type; [`Error::NotReady`] when the array is not evaluated.
    #[track_caller]
    pub fn ndarray_view<T: Element>(&self) -> Result<ArrayViewD<'_, T>> {
        view(self.raw())
    }

    /// A copy of the elements for `ndarray`. **Evaluates** the array. Feature `ndarray`.
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type, and whatever the evaluation fails with.
    #[track_caller]
    pub fn to_ndarray<T: Element>(&self) -> Result<ArrayD<T>> {
        let dims: Vec<usize> = self.shape().iter().map(|&d| d as usize).collect();
        match ArrayD::from_shape_vec(IxDyn(&dims), self.to_vec()?) {
            Ok(array) => Ok(array),
            Err(e) => Err(Error::argument("array", "a shape that `ndarray` takes", e)),
        }
    }
}

/// Elements in the order in which they lie.
struct Elements<A>(A);

impl<S, D> AsRef<[S::Elem]> for Elements<ArrayBase<S, D>>
where
    S: Data,
    D: Dimension,
{
    fn as_ref(&self) -> &[S::Elem] {
        self.0.as_slice_memory_order().unwrap_or_default()
    }
}

/// An array over the elements of an owned one, an `ArcArray` or a view that lives for ever. Nothing is copied where
/// [`Array::from_owned`] copies nothing and the elements lie without gaps, in whatever order. Feature `ndarray`.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// let x = zmlx::Array::try_from(ndarray::array![[1.0f32, 2.0], [3.0, 4.0]])?;
/// assert_eq!(x.sum(0)?.to_vec::<f32>()?, [4.0, 6.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for lengths that MLX cannot count.
impl<S, D> TryFrom<ArrayBase<S, D>> for Array
where
    S: Data + Send + 'static,
    S::Elem: Element,
    D: Dimension + 'static,
    ArrayBase<S, D>: Send,
{
    type Error = Error;

    #[track_caller]
    fn try_from(array: ArrayBase<S, D>) -> Result<Array> {
        if array.as_slice_memory_order().is_none() {
            return Array::try_from(&array);
        }
        let dims = array.shape().into_shape()?;
        if array.is_standard_layout() {
            return Array::from_owned(Elements(array), dims);
        }
        let strides: Vec<i64> = array.strides().iter().map(|&s| s as i64).collect();
        let back = dims.iter().zip(&strides).filter(|(_, s)| **s < 0);
        let first: i64 = back.map(|(&d, s)| i64::from(d - 1) * -s).sum();
        let flat = Array::from_owned(Elements(array), flat_length(&dims)?)?;
        flat.as_strided(dims, &strides, first as usize)
    }
}

#[track_caller]
fn flat_length(dims: &[i32]) -> Result<i32> {
    crate::array::element_count(dims)?
        .into_shape()
        .map(|d| d[0])
}

/// A copy of the elements in row-major order. Feature `ndarray`.
///
/// # Errors
/// [`Error::Shape`] for lengths that MLX cannot count.
impl<S, D> TryFrom<&ArrayBase<S, D>> for Array
where
    S: Data,
    S::Elem: Element,
    D: Dimension,
{
    type Error = Error;

    #[track_caller]
    fn try_from(array: &ArrayBase<S, D>) -> Result<Array> {
        match array.as_slice() {
            Some(elements) => Array::from_slice(elements, array.shape()),
            None => Array::from_vec(array.iter().copied().collect(), array.shape()),
        }
    }
}
