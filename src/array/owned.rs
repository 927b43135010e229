//! Arrays over memory that Rust has allocated, without a copy.

use super::{Array, IntoShape, element_count};
use crate::bridge::owned;
use crate::{Dtype, Element, Error, Result};

impl Array {
    /// An array over the elements of a vector, in row-major order. With MLX's CPU package nothing is copied.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
    /// assert_eq!(x.sum(0)?.to_vec::<f32>()?, [4.0, 6.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape does not hold exactly `data.len()` elements.
    #[track_caller]
    pub fn from_vec<T: Element>(data: Vec<T>, shape: impl IntoShape) -> Result<Self> {
        Array::from_owned(data, shape)
    }

    /// An array over the elements of any owner: a vector, an `Arc<[T]>`, a `&'static [T]`, the part of a file that is mapped into
    /// memory.
    ///
    /// The array keeps the owner, and so does every view of it. When the last of them is gone, the owner is dropped, on whatever
    /// thread that happens. A panic of its destructor is reported and goes no further. MLX only reads the elements.
    ///
    /// Where the elements lie:
    ///
    /// | MLX's package | |
    /// |---|---|
    /// | CPU | where they were |
    /// | Metal | where they were, if they begin at a page and fill whole pages; otherwise they are copied |
    /// | CUDA, with a GPU | they are copied |
    ///
    /// Of what is copied the owner is dropped before this returns. [`memory::active`](crate::memory::active) does not count elements
    /// that stay where they were.
    ///
    /// ```
    /// use std::sync::Arc;
    /// # fn main() -> zmlx::Result<()> {
    /// let shared: Arc<[i32]> = Arc::new([1, 2, 3, 4, 5, 6]);
    /// let x = zmlx::Array::from_owned(Arc::clone(&shared), (2, 3))?;
    /// assert_eq!(x.as_slice::<i32>()?, &*shared);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape does not hold exactly as many elements as the owner has.
    #[track_caller]
    pub fn from_owned<T, O>(owner: O, shape: impl IntoShape) -> Result<Self>
    where
        T: Element,
        O: AsRef<[T]> + Send + 'static,
    {
        let shape = shape.into_shape()?;
        let (want, got) = (element_count(&shape)?, owner.as_ref().len());
        if want != got {
            return Err(Error::shape(format!(
                "`owner`: expected {want} elements for shape {shape:?}, got {got}"
            )));
        }
        owned::array_of(owner, &shape).map(Array::wrap)
    }

    /// [`from_owned`](Self::from_owned) for elements of any dtype in bytes: dense, row-major, native endian. It is what a
    /// mapped file needs.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// # fn main() -> zmlx::Result<()> {
    /// static BYTES: [u8; 4] = [0, 1, 1, 0];
    /// let x = Array::from_owned_bytes(&BYTES, (2, 2), Dtype::Bool)?;
    /// assert_eq!(x.to_vec::<bool>()?, [false, true, true, false]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not exactly as many bytes as the shape and dtype need; [`Error::Argument`] when they begin at an
    /// address that elements of the dtype cannot have, or a bool is neither 0 nor 1. [`from_bytes`](Self::from_bytes) copies
    /// bytes at any address, and takes any byte as a bool.
    #[track_caller]
    pub fn from_owned_bytes<O>(owner: O, shape: impl IntoShape, dtype: Dtype) -> Result<Self>
    where
        O: AsRef<[u8]> + Send + 'static,
    {
        let shape = shape.into_shape()?;
        let (want, got) = (element_count(&shape)? * dtype.size(), owner.as_ref().len());
        if want != got {
            return Err(Error::shape(format!(
                "`owner`: expected {want} bytes for {dtype} of shape {shape:?}, got {got}"
            )));
        }
        owned::array_of_bytes(owner, &shape, dtype).map(Array::wrap)
    }
}
