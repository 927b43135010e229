//! Shape and layout.

use super::done;
use super::macros::unary;
use crate::bridge::ops::shape::ffi;
use crate::stream::current;
use crate::{Array, IntoAxes, Result};

unary! {
    /// The same values with row-major storage; no copy where they have it already.
    contiguous;
}

impl Array {
    /// The same elements in another shape; one dimension may be -1, which MLX infers.
    #[track_caller]
    pub fn reshape(&self, dims: impl AsRef<[i32]>) -> Result<Array> {
        done(ffi::reshape(self.raw(), dims.as_ref(), current()))
    }

    /// Permuted dimensions; `..` reverses them.
    #[track_caller]
    pub fn transpose(&self, axes: impl IntoAxes) -> Result<Array> {
        let axes = match axes.into_axes().axes {
            Some(axes) => axes,
            None => (0..self.ndim() as i32).rev().collect(),
        };
        done(ffi::transpose(self.raw(), &axes, current()))
    }
}

// TEMPORARY-STRIDED
impl Array {
    /// x
    #[track_caller]
    pub fn as_strided(
        &self,
        shape: impl crate::IntoShape,
        strides: &[i64],
        offset: usize,
    ) -> Result<Array> {
        let dims = shape.into_shape()?;
        done(ffi::as_strided(
            self.raw(),
            &dims,
            strides,
            offset,
            current(),
        ))
    }
}
