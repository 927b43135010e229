//! Linear algebra. MLX computes most of it on the CPU only: see [`with_device`](crate::with_device).

use crate::bridge::linalg::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Result};

/// Inverses of the matrices in the last two dimensions.
///
/// # Errors
/// Not a stack of square float matrices. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn inv(a: &Array) -> Result<Array> {
    done(ffi::inv(a.raw(), current()))
}
