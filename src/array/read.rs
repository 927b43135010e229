//! The values of an array for the program.

use std::borrow::Cow;

use super::Array;
use crate::bridge::array::ffi;
use crate::bridge::element::{self, Element};
use crate::error::Lift;
use crate::{Error, Result};

impl Array {
    /// Computes this array now and waits for it.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from(2.0f32).square()?;
    /// x.eval()?;
    /// assert_eq!(x.as_slice::<f32>()?, [4.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn eval(&self) -> Result<()> {
        crate::eval([self])
    }

    /// Borrows the elements without a copy. Does not evaluate.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(3)?;
    /// x.eval()?;
    /// assert_eq!(x.as_slice::<i32>()?, [0, 1, 2]);
    /// assert!(x.as_slice::<f32>().is_err()); // another dtype
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type; [`Error::NotReady`] when the array
    /// is not evaluated or its storage is strided.
    #[track_caller]
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        element::view(self.raw())
    }

    /// The elements in row-major order. **Evaluates** the array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?.transpose(..)?;
    /// assert_eq!(x.to_vec::<i32>()?, [1, 3, 2, 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] when `T` is another type, and whatever the evaluation fails with.
    #[track_caller]
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        copied(self.dense()?.as_slice()?)
    }

    /// The elements as raw bytes: dense, row-major, native endian. **Evaluates** the array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1u8, 2])?;
    /// assert_eq!(x.to_bytes()?, [1, 2]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        copied(element::view_bytes(self.dense()?.raw())?)
    }

    /// This array evaluated, or an evaluated copy where its storage is strided.
    #[track_caller]
    fn dense(&self) -> Result<Cow<'_, Array>> {
        self.eval()?;
        if self.size() == 0 || self.is_row_contiguous() {
            return Ok(Cow::Borrowed(self));
        }
        let copy = self.contiguous()?;
        copy.eval()?;
        Ok(Cow::Owned(copy))
    }

    /// The one element of an array of size 1. **Evaluates** the array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(4)?.sum(..)?.item::<i32>()?, 6);
    /// assert!(Array::arange(4)?.item::<i32>().is_err()); // four elements
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for any other size, else as [`to_vec`](Self::to_vec).
    #[track_caller]
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.size() {
            1 => Ok(self.dense()?.as_slice()?[0]),
            n => Err(Error::shape(format!(
                "`item`: expected an array of one element, got {n} (shape {:?})",
                self.shape()
            ))),
        }
    }

    /// The text MLX prints for the values. **Evaluates** the array.
    ///
    /// ```
    /// # use zmlx::Array;
    /// assert_eq!(Array::arange(3)?.to_text()?, "array([0, 1, 2], dtype=int32)");
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn to_text(&self) -> Result<String> {
        self.eval()?;
        ffi::show(self.raw()).lift()
    }
}

/// A copy, unless there is no memory for it.
#[track_caller]
fn copied<T: Copy>(values: &[T]) -> Result<Vec<T>> {
    let mut copy = Vec::new();
    if copy.try_reserve_exact(values.len()).is_err() {
        return Err(Error::Memory {
            message: format!(
                "out of memory: there is no room for a copy of {} bytes",
                size_of_val(values)
            ),
            at: std::panic::Location::caller(),
        });
    }
    copy.extend_from_slice(values);
    Ok(copy)
}
