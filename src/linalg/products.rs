//! Cross products and determinants.

use super::{matrices, square};
use crate::bridge::linalg::ffi;
use crate::dtype::Dtype;
use crate::ops::{axes, done, done_list, exactly};
use crate::stream::current;
use crate::{Array, Error, Result};

/// The cross product of vectors of 2 or 3 elements along `axis`; other dimensions broadcast. The result has 3 elements there: a third element that is
/// not given is 0.
///
/// ```
/// use zmlx::{Array, linalg};
///
/// # fn main() -> zmlx::Result<()> {
/// let (x, y) = (Array::from_slice(&[1, 0, 0], 3)?, Array::from_slice(&[0, 1, 0], 3)?);
/// assert_eq!(linalg::cross(&x, &y, -1)?.to_vec::<i32>()?, [0, 0, 1]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] if the axis is not there, has another length, or is not the same axis of both, counted from the last; or if the other dimensions do not broadcast.
#[track_caller]
pub fn cross(a: &Array, b: &Array, axis: i32) -> Result<Array> {
    let mut from_last = [0; 2];
    for (i, (name, one)) in [("a", a), ("b", b)].into_iter().enumerate() {
        let place = axes::axis("axis", axis, one.ndim())?;
        let n = one.dim(place)?;
        if !(2..=3).contains(&n) {
            return Err(Error::shape(format!(
                "`{name}`: expected 2 or 3 elements along axis {axis}, got shape {:?}",
                one.shape()
            )));
        }
        from_last[i] = place - one.ndim() as i32;
    }
    if from_last[0] != from_last[1] {
        return Err(Error::shape(format!(
            "`axis`: expected one that counts from the last for arrays of different dimensions, {:?} and {:?}, got {axis}",
            a.shape(),
            b.shape()
        )));
    }
    done(ffi::cross(a.raw(), b.raw(), from_last[0], current()))
}

/// Determinants (...) of square matrices (..., N, N). Of no rows it is 1.
///
/// Up to three rows by the formula, on any device; larger ones by [`lu_factor`](super::lu_factor), on the CPU only and in float32 or
/// float64. Integers and bools are computed in float32.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// assert_eq!(with_device(Device::CPU, || linalg::det(&a))?.item::<f32>()?, -2.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] unless the matrices are square, [`Error::Dtype`] for complex64, and for float16 and bfloat16 above three rows.
#[track_caller]
pub fn det(a: &Array) -> Result<Array> {
    let a = real(a)?;
    if a.size() == 0 {
        return Array::ones(batch(&a)?, a.dtype());
    }
    if a.dim(-1)? <= 3 {
        return done(ffi::det(a.raw(), current()));
    }
    // MLX's exponential of float64 has the digits of float32; this one has all.
    let (sign, log) = slogdet(&a)?;
    sign.multiply(&log.exp()?)
}

/// Signs and logarithms of the absolute values of determinants, for those that would overflow; otherwise as [`det`]. A singular matrix has the
/// sign 0 and the logarithm minus infinity.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let (sign, log) = with_device(Device::CPU, || linalg::slogdet(&a))?;
/// assert_eq!(sign.item::<f32>()?, -1.0);
/// assert!((log.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`det`].
#[track_caller]
pub fn slogdet(a: &Array) -> Result<(Array, Array)> {
    let a = real(a)?;
    if a.size() == 0 {
        let (sign, log) = (
            Array::ones(batch(&a)?, a.dtype())?,
            Array::zeros(batch(&a)?, a.dtype())?,
        );
        return Ok((sign, log));
    }
    let [sign, log] = exactly(done_list(ffi::slogdet(a.raw(), current()))?)?;
    Ok((sign, log))
}

const ANY: &[Dtype] = &[
    Dtype::Float32,
    Dtype::Float64,
    Dtype::Float16,
    Dtype::Bfloat16,
];

/// As floats, integers as float32.
#[track_caller]
fn real(a: &Array) -> Result<Array> {
    let a = match a.dtype() {
        Dtype::Complex64 | Dtype::Float16 | Dtype::Bfloat16 | Dtype::Float32 | Dtype::Float64 => {
            a.clone()
        }
        _ => a.astype(Dtype::Float32)?,
    };
    let large = square("a", &a, ANY)?.rows > 3;
    square("a", &a, if large { super::REAL } else { ANY })?;
    Ok(a)
}

fn batch(a: &Array) -> Result<Vec<i32>> {
    Ok(matrices("a", a, ANY)?.batch.to_vec())
}
