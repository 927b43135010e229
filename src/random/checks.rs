//! What is asked of shapes, dtypes and logits.

use crate::array::element_count;
use crate::{Array, Dtype, Error, IntoShape, Result};

/// MLX draws no more than 32 bits for a number.
#[track_caller]
pub(super) fn single(name: &str, dtype: Dtype) -> Result<()> {
    match dtype {
        Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32 => Ok(()),
        _ => Err(Error::dtype(format!(
            "[{name}] `dtype`: expected float16, bfloat16 or float32, got {dtype}"
        ))),
    }
}

/// A shape whose elements MLX can count and, with four bytes each, address.
#[track_caller]
pub(super) fn checked(shape: impl IntoShape) -> Result<Vec<i32>> {
    let shape = shape.into_shape()?;
    element_count(&shape)?;
    Ok(shape)
}

pub(super) const FINITE: &str = "a finite number";
pub(super) const FROM_0: &str = "a number from 0";

/// The shape of logits without the axis along which is chosen.
#[track_caller]
pub(super) fn without(logits: &Array, axis: i32) -> Result<Vec<i32>> {
    logits.dim(axis)?;
    let mut rows = logits.shape().to_vec();
    rows.remove(axis.rem_euclid(logits.ndim() as i32) as usize);
    Ok(rows)
}

/// Checks that there is something to choose from. The shape of the choices where there are none, which
/// MLX has no argmax for.
#[track_caller]
pub(super) fn choices(logits: &Array, axis: i32) -> Result<Option<Vec<i32>>> {
    if logits.dtype() == Dtype::Complex64 {
        return Err(Error::dtype(
            "`logits`: expected real numbers, got complex64".into(),
        ));
    }
    match logits.dim(axis)? {
        0 => Err(Error::shape(format!(
            "`logits`: expected something to choose from, got shape {:?}",
            logits.shape()
        ))),
        _ if logits.size() == 0 => without(logits, axis).map(Some),
        _ => Ok(None),
    }
}
