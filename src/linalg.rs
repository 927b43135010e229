//! Linear algebra. MLX computes most of it on the CPU only: see [`with_device`](crate::with_device).

use crate::bridge::linalg::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Result};

/// Inverses of the matrices in the last two dimensions.
///
/// # Errors
/// [`Error::Dtype`](crate::Error::Dtype) or [`Error::Shape`](crate::Error::Shape) unless it is a stack of square matrices of
/// float32 or float64. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn inv(a: &Array) -> Result<Array> {
    if a.size() == 0 && a.ndim() >= 2 {
        // MLX divides by the number of elements. What it checks is checked with a matrix that has some.
        let (n, m) = (a.dim(-2)?, a.dim(-1)?);
        done(ffi::inv(
            Array::zeros((n.max(1), m.max(1)), a.dtype())?.raw(),
            current(),
        ))?;
        return Ok(a.clone());
    }
    done(ffi::inv(a.raw(), current()))
}
