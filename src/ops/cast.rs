//! The same numbers in another representation, and marks on the graph.

use super::done;
use super::macros::unary;
use crate::bridge::ops::cast::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

unary! {
    /// Real part (float32); a real array as it is.
    real;
    /// Imaginary part (float32); zeros for a real array.
    imag;
    /// Complex conjugate; a real array as it is.
    conjugate;
    /// The same values, through which no gradient flows.
    stop_gradient;
    /// Floating-point values as 8-bit floats (E4M3), stored as uint8.
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the array has a floating-point type.
    to_fp8;
}

impl Array {
    /// The values converted to `dtype`. Floats lose their fraction on the way to integers;
    /// values that do not fit depend on the device.
    #[track_caller]
    pub fn astype(&self, dtype: Dtype) -> Result<Array> {
        done(ffi::astype(self.raw(), dtype, current()))
    }

    /// The same bytes read as `dtype`. With another element size the last axis gets
    /// longer or shorter accordingly. As bool, each byte but 0 is true.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1.0f32, -2.0], 2)?;
    /// assert_eq!(x.view(Dtype::Uint32)?.to_vec::<u32>()?, [0x3f800000, 0xc0000000]);
    /// assert_eq!(x.view(Dtype::Uint8)?.shape(), [8]);
    /// assert!(x.view(Dtype::Complex64)?.shape() == [1]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when the last axis' bytes are no whole number of elements, or a
    /// scalar's size would change.
    #[track_caller]
    pub fn view(&self, dtype: Dtype) -> Result<Array> {
        let ratio = self.dtype().size() / dtype.size();
        if let Some(&last) = self.shape().last()
            && last as i64 * ratio as i64 > i64::from(i32::MAX)
        {
            return Err(Error::shape(format!(
                "[view] the last axis of {:?} would be too long as {dtype}",
                self.shape()
            )));
        }
        done(ffi::view(self.raw(), dtype, current()))
    }

    /// 8-bit floats (E4M3) stored as uint8, as `dtype`.
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the array is uint8 and `dtype` a floating-point type.
    #[track_caller]
    pub fn from_fp8(&self, dtype: Dtype) -> Result<Array> {
        done(ffi::from_fp8(self.raw(), dtype, current()))
    }
}
