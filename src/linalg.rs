//! Linear algebra. MLX computes most of it on the CPU only: see [`with_device`](crate::with_device).

use crate::bridge::linalg::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Error, Result};

/// Inverses of the matrices in the last two dimensions.
///
/// # Errors
/// [`Error::Dtype`] or [`Error::Shape`] unless it is a stack of square matrices of
/// float32 or float64. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn inv(a: &Array) -> Result<Array> {
    match *a.shape() {
        [.., rows, columns] if rows == columns => {}
        _ => {
            return Err(Error::shape(format!(
                "`a`: expected square matrices, of shape [..., n, n], got {:?}",
                a.shape()
            )));
        }
    }
    if a.size() == 0 {
        // MLX divides by the number of elements. What it checks of the dtype is checked with one.
        let one = Array::zeros((1, 1), a.dtype())?;
        return done(ffi::inv(one.raw(), current())).map(|_| a.clone());
    }
    done(ffi::inv(a.raw(), current()))
}
