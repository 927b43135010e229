//! The lazy n-dimensional array.

mod at;
mod convert;
pub(crate) mod fit;
mod index;
mod make;
mod numbers;
mod owned;
mod plan;
mod print;
mod read;
mod shape;

use std::marker::PhantomData;

use cxx::{CxxVector, UniquePtr};
use smallvec::SmallVec;

pub use self::at::At;
pub use self::convert::Operand;
pub(crate) use self::convert::exact;
pub use self::index::{Ellipsis, IndexItem, IntoIndex, IntoIndexItem, NewAxis, step};
pub use self::shape::{Axes, IntoAxes, IntoShape, keepdims};
pub(crate) use self::shape::{Few, element_count};
use crate::bridge::ArrayRef;
use crate::bridge::array::ffi;
use crate::error::Lift;
use crate::{Dtype, Error, Result};

pub use crate::bridge::element::Element;

/// An n-dimensional array of MLX: a node of a lazy graph, cheap to clone.
///
/// An operation only records what is to be computed. [`eval`](crate::eval()) and
/// the methods that say so compute it. A clone is another handle to the same node.
///
/// Arrays belong to the thread that made them (they are neither `Send` nor
/// `Sync`): MLX mutates graph nodes behind shared handles. To give values to
/// other threads use [`Frozen`](crate::Frozen).
///
/// ```
/// use zmlx::{Array, Dtype};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let y = x.square()?;
/// assert_eq!(y.shape(), [2, 2]);
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 4.0, 9.0, 16.0]);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// fn needs_send<T: Send>(_: T) {}
/// needs_send(zmlx::Array::from(1.0f32)); // an array cannot leave its thread
/// ```
pub struct Array {
    // `UniquePtr` of an opaque C++ type is neither Send nor Sync already. This comes first,
    // so that the compiler names it where an array is to leave its thread.
    here: PhantomData<dyn Arrays_stay_on_their_thread__send_a_Frozen_or_use_a_Worker>,
    raw: UniquePtr<ffi::Array>,
}

/// What the compiler names where an array is given to another thread.
#[allow(non_camel_case_types, reason = "it is read as a sentence")]
trait Arrays_stay_on_their_thread__send_a_Frozen_or_use_a_Worker:
    Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe
{
}

impl Array {
    pub(crate) fn wrap(raw: UniquePtr<ffi::Array>) -> Self {
        Array {
            here: PhantomData,
            raw,
        }
    }

    /// The C++ handle. Never null: bridge functions return an array or an error.
    pub(crate) fn raw(&self) -> &ffi::Array {
        &self.raw
    }

    /// The C++ handle itself.
    pub(crate) fn into_raw(self) -> UniquePtr<ffi::Array> {
        self.raw
    }

    pub(crate) fn as_ref_arg(&self) -> ArrayRef<'_> {
        ArrayRef::new(self.raw())
    }

    /// Length of each dimension.
    pub fn shape(&self) -> &[i32] {
        ffi::dims(self.raw())
    }

    /// Distance between neighbours along each dimension, in elements.
    ///
    /// Before evaluation these are the strides of a row-major array.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((2, 3), Dtype::Float32)?;
    /// assert_eq!(x.strides(), [3, 1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn strides(&self) -> &[i64] {
        ffi::steps(self.raw())
    }

    /// Number of dimensions.
    pub fn ndim(&self) -> usize {
        self.shape().len()
    }

    /// Number of elements.
    pub fn size(&self) -> usize {
        ffi::size(self.raw())
    }

    /// Bytes of all elements.
    pub fn nbytes(&self) -> usize {
        self.size() * self.dtype().size()
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        ffi::dtype(self.raw())
    }

    /// Length of one dimension; negative counts from the last.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::zeros((2, 3), Dtype::Float32)?;
    /// assert_eq!((x.dim(0)?, x.dim(-1)?), (2, 3));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when there is no such dimension.
    #[track_caller]
    pub fn dim(&self, axis: i32) -> Result<i32> {
        let n = self.ndim() as i32;
        let at = if axis < 0 { axis + n } else { axis };
        match usize::try_from(at).ok().and_then(|i| self.shape().get(i)) {
            Some(&d) => Ok(d),
            None => Err(Error::shape(format!(
                "`axis`: expected one of {n} dimensions, got {axis}"
            ))),
        }
    }

    /// A number that identifies the graph node as long as it lives.
    pub fn id(&self) -> usize {
        ffi::id(self.raw())
    }

    /// True when the values are computed and can be read without waiting.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from(1.0f32).exp()?;
    /// assert!(!x.is_ready()?);
    /// x.eval()?;
    /// assert!(x.is_ready()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn is_ready(&self) -> Result<bool> {
        ffi::ready(self.raw()).lift()
    }

    /// True when the array is evaluated and its elements lie in row-major order without gaps.
    pub fn is_row_contiguous(&self) -> bool {
        ffi::is_row_contiguous(self.raw())
    }

    /// True inside a function transformation, for arrays it traces.
    pub fn is_tracer(&self) -> bool {
        ffi::is_tracer(self.raw())
    }

    /// True when both are views of one buffer. Needs both evaluated.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(4)?;
    /// let y = x.reshape((2, 2))?;
    /// y.eval()?;
    /// assert!(x.shares_data_with(&y));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn shares_data_with(&self, other: &Array) -> bool {
        ffi::same_data(self.raw(), other.raw())
    }
}

impl Clone for Array {
    /// Another handle to the same graph node; no data is copied.
    fn clone(&self) -> Self {
        Array::wrap(ffi::share(self.raw()))
    }
}

impl AsRef<Array> for Array {
    fn as_ref(&self) -> &Array {
        self
    }
}

/// Handles for a list argument.
pub(crate) fn refs<A: AsRef<Array>>(arrays: &[A]) -> SmallVec<[ArrayRef<'_>; 4]> {
    arrays.iter().map(|a| a.as_ref().as_ref_arg()).collect()
}

/// The handle of an optional argument.
pub(crate) fn maybe(array: Option<&Array>) -> ArrayRef<'_> {
    array.map_or(ArrayRef::NONE, Array::as_ref_arg)
}

/// A C++ list as Rust handles.
#[track_caller]
pub(crate) fn unpack(list: &CxxVector<ffi::Array>) -> Result<Vec<Array>> {
    Ok(list.iter().map(|a| Array::wrap(ffi::share(a))).collect())
}

/// Rust handles as a C++ list.
#[track_caller]
pub(crate) fn pack(arrays: &[Array]) -> Result<UniquePtr<CxxVector<ffi::Array>>> {
    let mut list = ffi::new_list().lift()?;
    for a in arrays {
        ffi::push(list.pin_mut(), a.raw()).lift()?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::Array;

    static_assertions::assert_not_impl_any!(Array: Send, Sync);
}
