//! Where the elements of an array lie.

use super::done;
use super::macros::unary;
use crate::bridge::ops::shape::ffi;
use crate::stream::current;
use crate::{Array, Error, IntoShape, Result};

unary! {
    /// The same values in new storage.
    copy: [1, 2] => i32 [1, 2];
}

impl Array {
    /// The same values with row-major storage; no copy where they have it already.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::arange(6)?.reshape((2, 3))?.transpose(..)?.contiguous()?;
    /// x.eval()?;
    /// assert!(x.is_row_contiguous());
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn contiguous(&self) -> Result<Array> {
        done(ffi::contiguous(self.raw(), false, current()))
    }

    /// The same values with storage without gaps, row-major or column-major; no copy where they have either
    /// already. MLX calls it `allow_col_major`: what matrix products and copies take as it is.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let turned = zmlx::Array::arange(6)?.reshape((2, 3))?.transpose(..)?;
    /// let (kept, copied) = (turned.contiguous_either()?, turned.contiguous()?);
    /// zmlx::eval([&turned, &kept, &copied])?;
    /// assert_eq!((kept.strides(), copied.strides()), (&[1, 3][..], &[2, 1][..]));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn contiguous_either(&self) -> Result<Array> {
        done(ffi::contiguous(self.raw(), true, current()))
    }

    /// A view of the row-major elements: element `i` is number `offset + sum(i[k] * strides[k])`.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::arange(5)?;
    /// let windows = x.as_strided((3, 3), &[1, 1], 0)?;
    /// assert_eq!(windows.to_vec::<i32>()?, [0, 1, 2, 1, 2, 3, 2, 3, 4]);
    /// assert!(x.as_strided((3, 4), &[1, 1], 0).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] when an element would lie outside the array (MLX would read there),
    /// or the numbers of dimensions and strides differ.
    #[track_caller]
    pub fn as_strided(
        &self,
        shape: impl IntoShape,
        strides: &[i64],
        offset: usize,
    ) -> Result<Array> {
        let dims = shape.into_shape()?;
        if dims.len() != strides.len() {
            return Err(Error::shape(format!(
                "`strides`: expected one for each dimension of {dims:?}, got {strides:?}"
            )));
        }
        let (mut low, mut high) = (offset as i128, offset as i128);
        for (&d, &stride) in dims.iter().zip(strides) {
            let reach = i128::from(d - 1) * i128::from(stride);
            *(if reach < 0 { &mut low } else { &mut high }) += reach;
        }
        let empty = dims.contains(&0);
        let size = self.size() as i128;
        if (!empty && (low < 0 || high >= size)) || offset as i128 > size {
            return Err(Error::shape(format!(
                "`strides`: {dims:?} with strides {strides:?} from {offset} reaches outside \
                 an array of {size} elements"
            )));
        }
        done(ffi::as_strided(
            self.raw(),
            &dims,
            strides,
            offset,
            current(),
        ))
    }
}
