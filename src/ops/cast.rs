//! The same numbers in another representation, and marks on the graph.

use super::done;
use super::macros::unary;
use crate::bridge::ops::cast::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

unary! {
    /// Real part (float32); a real array as it is.
    ///
    /// ```
    /// use num_complex::Complex32;
    /// # use zmlx::Array;
    /// let z = Array::from_iter([Complex32::new(3.0, -4.0)])?;
    /// assert_eq!(z.real()?.to_vec::<f32>()?, [3.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    real;
    /// Imaginary part (float32); zeros for a real array.
    ///
    /// ```
    /// use num_complex::Complex32;
    /// # use zmlx::Array;
    /// let z = Array::from_iter([Complex32::new(3.0, -4.0)])?;
    /// assert_eq!(z.imag()?.to_vec::<f32>()?, [-4.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    imag;
    /// Complex conjugate; a real array as it is.
    ///
    /// ```
    /// use num_complex::Complex32;
    /// # use zmlx::Array;
    /// let z = Array::from_iter([Complex32::new(3.0, -4.0)])?;
    /// assert_eq!(z.conjugate()?.to_vec::<Complex32>()?, [Complex32::new(3.0, 4.0)]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    conjugate;
    /// The same values, through which no gradient flows.
    stop_gradient: [1.0f32, 2.0] => f32 [1.0, 2.0];
    /// Floating-point values as 8-bit floats (E4M3), stored as uint8.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_iter([1.0f32, 300.0])?;
    /// let packed = x.to_fp8()?;
    /// assert_eq!(packed.dtype(), Dtype::Uint8);
    /// assert_eq!(packed.from_fp8(Dtype::Float32)?.to_vec::<f32>()?, [1.0, 288.0]); // rounded to 4 bits
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the array has a floating-point type.
    to_fp8;
}

impl Array {
    /// The values converted to `dtype`. Floats lose their fraction on the way to integers;
    /// values that do not fit depend on the device.
    ///
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let x = Array::from_iter([1.9f32, -1.9])?;
    /// assert_eq!(x.astype(Dtype::Int32)?.to_vec::<i32>()?, [1, -1]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
    /// ```
    /// use zmlx::{Array, Dtype};
    /// let bits = Array::from_iter([0x38u8, 0xb8])?;
    /// assert_eq!(bits.from_fp8(Dtype::Float32)?.to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the array is uint8 and `dtype` a floating-point type.
    #[track_caller]
    pub fn from_fp8(&self, dtype: Dtype) -> Result<Array> {
        done(ffi::from_fp8(self.raw(), dtype, current()))
    }
}
