//! Linear algebra. MLX computes most of it on the CPU only: see [`with_device`](crate::with_device).

use crate::bridge::linalg::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Error, Result};

/// Inverses of the matrices in the last two dimensions.
///
/// # Errors
/// Not a stack of square float matrices. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn inv(a: &Array) -> Result<Array> {
    if let [.., rows, columns] = *a.shape()
        && rows == columns
    {
        return done(ffi::inv(a.raw(), current()));
    }
    Err(Error::shape(format!(
        "`a`: expected square matrices, of shape [..., n, n], got {:?}",
        a.shape()
    )))
}
