//! Arrays of values that the program has.

use super::{Array, shape};
use crate::bridge::array::ffi;
use crate::bridge::element::{self, Element};
use crate::error::Lift;
use crate::{Dtype, Error, IntoShape, Result};

impl Array {
    /// A new array with the values of `data` in row-major order.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(x.index((1, 0))?.item::<i32>()?, 3);
    /// assert!(Array::from_slice(&[1, 2, 3], (2, 2)).is_err());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the shape does not hold exactly `data.len()` elements.
    #[track_caller]
    pub fn from_slice<T: Element>(data: &[T], shape: impl IntoShape) -> Result<Self> {
        let shape = shape.into_shape()?;
        let want = shape::element_count(&shape)?;
        if want != data.len() {
            return Err(Error::shape(format!(
                "`data`: expected {want} elements for shape {shape:?}, got {}",
                data.len()
            )));
        }
        ffi::from_bytes(element::bytes_of(data), &shape, T::DTYPE)
            .lift()
            .map(Array::wrap)
    }

    /// A new array of any dtype from raw bytes: dense, row-major, native endian. Of bools each byte but 0
    /// is true.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_bytes(&[1, 0, 2, 0], 2, Dtype::Uint8);
    /// assert!(x.is_err()); // four bytes are four elements
    /// let x = Array::from_bytes(&1.5f32.to_ne_bytes(), (), Dtype::Float32)?;
    /// assert_eq!(x.item::<f32>()?, 1.5);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when there are not exactly as many bytes as the shape and dtype need.
    #[track_caller]
    pub fn from_bytes(bytes: &[u8], shape: impl IntoShape, dtype: Dtype) -> Result<Self> {
        let shape = shape.into_shape()?;
        let want = shape::element_count(&shape)? * dtype.size();
        if want != bytes.len() {
            return Err(Error::shape(format!(
                "`bytes`: expected {want} for {dtype} of shape {shape:?}, got {}",
                bytes.len()
            )));
        }
        ffi::from_bytes(bytes, &shape, dtype)
            .lift()
            .map(Array::wrap)
    }

    /// A one-dimensional array of what the iterator yields.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter((1..4).map(|i| i * i))?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 4, 9]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    #[expect(
        clippy::should_implement_trait,
        reason = "fallible, unlike FromIterator"
    )]
    pub fn from_iter<T: Element>(values: impl IntoIterator<Item = T>) -> Result<Self> {
        let data: Vec<T> = values.into_iter().collect();
        let len = data.len();
        Array::from_slice(&data, (len,))
    }

    /// A zero-dimensional array.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// assert_eq!(Array::scalar(2.0f64)?.dtype(), Dtype::Float64);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn scalar<T: Element>(value: T) -> Result<Self> {
        Array::from_slice(&[value], ())
    }

    /// A scalar on a thread that has given MLX up. `None` when there is no memory for it.
    pub(super) fn plain<T: Element>(value: &T) -> Option<Self> {
        let raw = ffi::plain(element::bytes_of(std::slice::from_ref(value)), T::DTYPE);
        (!raw.is_null()).then(|| Array::wrap(raw))
    }

    /// An array without elements.
    #[track_caller]
    pub(crate) fn empty(shape: &[i32], dtype: Dtype) -> Result<Self> {
        ffi::from_bytes(&[], shape, dtype).lift().map(Array::wrap)
    }
}
