//! The shape and the dtype that several have in common.

use crate::bridge::graph::ffi;
use crate::error::Lift as _;
use crate::{Array, Dtype, Error, IntoShape, Result};

/// The shape to which these shapes broadcast: dimensions are matched from the last, and 1 fits all.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// assert_eq!(zmlx::ops::broadcast_shapes([&[3, 1, 5][..], &[4, 1], &[]])?, [3, 4, 5]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] when two dimensions differ and neither is 1.
#[track_caller]
pub fn broadcast_shapes<S: IntoShape>(shapes: impl IntoIterator<Item = S>) -> Result<Vec<i32>> {
    let mut all: Vec<i32> = Vec::new();
    for shape in shapes {
        let shape = shape.into_shape()?;
        let longest = all.len().max(shape.len());
        all.splice(0..0, std::iter::repeat_n(1, longest - all.len()));
        let first = longest - shape.len();
        for (i, &n) in shape.iter().enumerate() {
            match (all[first + i], n) {
                (m, n) if m == n || n == 1 => {}
                (1, n) => all[first + i] = n,
                _ => {
                    return Err(Error::shape(format!(
                        "`shapes`: expected shapes that broadcast, got {shape:?} beside {all:?}"
                    )));
                }
            }
        }
    }
    Ok(all)
}

/// The dtype of an operation of two arrays of these dtypes.
///
/// ```
/// use zmlx::{Dtype, ops};
/// # fn main() -> zmlx::Result<()> {
/// assert_eq!(ops::promote_types(Dtype::Float16, Dtype::Int32)?, Dtype::Float16);
/// assert_eq!(ops::promote_types(Dtype::Float16, Dtype::Bfloat16)?, Dtype::Float32);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// What MLX says.
#[track_caller]
pub fn promote_types(a: Dtype, b: Dtype) -> Result<Dtype> {
    ffi::promote_types(a, b).lift()
}

/// The dtype of an operation of all these arrays.
///
/// ```
/// use zmlx::{Array, Dtype, ops};
/// let (x, n) = (Array::zeros(2, Dtype::Float16)?, Array::arange(2)?);
/// assert_eq!(ops::result_type([&x, &n])?, Dtype::Float16);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Argument`] without an array.
#[track_caller]
pub fn result_type<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<Dtype> {
    let mut dtypes = arrays.as_ref().iter().map(|a| a.as_ref().dtype());
    let Some(mut all) = dtypes.next() else {
        return Err(Error::argument("arrays", "one array at least", "none"));
    };
    for dtype in dtypes {
        all = promote_types(all, dtype)?;
    }
    Ok(all)
}
