//! Inverses and systems of equations.

use super::{REAL, Triangle, matrices, of_dtype, square};
use crate::bridge::linalg::ffi;
use crate::ops::{broadcast_shapes, done, promote_types};
use crate::stream::current;
use crate::{Array, Error, Result};

/// Inverses of the matrices in the last two dimensions, in float32 or float64. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[2.0f32, 0.0, 0.0, 4.0], (2, 2))?;
/// let inverse = with_device(Device::CPU, || linalg::inv(&a))?;
/// assert_eq!(inverse.to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.25]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Dtype`] or [`Error::Shape`] unless it is a stack of square matrices of
/// float32 or float64. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn inv(a: &Array) -> Result<Array> {
    if square("a", a, REAL)?.empty() {
        return Ok(a.clone());
    }
    done(ffi::inv(a.raw(), current()))
}

/// Inverses of triangular matrices: of each, the other half counts as zero. Otherwise as [`inv`].
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[2.0f32, 0.0, 2.0, 4.0], (2, 2))?;
/// let inverse = with_device(Device::CPU, || linalg::tri_inv(&a, linalg::Triangle::Lower))?;
/// assert_eq!(inverse.to_vec::<f32>()?, [0.5, 0.0, -0.25, 0.25]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`inv`].
#[track_caller]
pub fn tri_inv(a: &Array, triangle: Triangle) -> Result<Array> {
    if square("a", a, REAL)?.empty() {
        return Ok(a.clone());
    }
    done(ffi::tri_inv(a.raw(), triangle.upper(), current()))
}

/// The inverse of a matrix from its [`cholesky`](super::cholesky) factor `l`: of `l l^T`, or of `u^T u` for the upper triangle. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let l = Array::from_slice(&[2.0f32, 0.0, 0.0, 1.0], (2, 2))?; // of the diagonal 4 and 1
/// let inverse = with_device(Device::CPU, || linalg::cholesky_inv(&l, linalg::Triangle::Lower))?;
/// assert_eq!(inverse.to_vec::<f32>()?, [0.25, 0.0, 0.0, 1.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`inv`].
#[track_caller]
pub fn cholesky_inv(l: &Array, triangle: Triangle) -> Result<Array> {
    if square("l", l, REAL)?.empty() {
        return Ok(l.clone());
    }
    done(ffi::cholesky_inv(l.raw(), triangle.upper(), current()))
}

/// The Moore-Penrose inverse by singular values, (..., N, M) for (..., M, N) in float32 or float64. On the CPU only.
///
/// Singular values below `10 max(M, N) eps` times the largest count as zero, eps being the dtype's.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[2.0f32, 0.0, 0.0, 0.0], (2, 2))?;
/// let inverse = with_device(Device::CPU, || linalg::pinv(&a))?;
/// assert!((inverse.index((0, 0))?.item::<f32>()? - 0.5).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] unless there are two dimensions, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn pinv(a: &Array) -> Result<Array> {
    let m = matrices("a", a, REAL)?;
    if m.empty() {
        return Array::zeros(m.shape(&[m.columns, m.rows]), a.dtype());
    }
    done(ffi::pinv(a.raw(), current()))
}

/// The solution `x` of `a x = b`, by [`lu`](super::lu).
///
/// `a` is (..., N, N); `b` is (N,), one vector for all matrices, or (..., N, K); batches broadcast, and so do dtypes of
/// float32 and float64. On the CPU only. See [the module](super) for an example.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[2.0f32, 0.0, 0.0, 4.0], (2, 2))?;
/// let b = Array::from_iter([2.0f32, 8.0])?;
/// let x = with_device(Device::CPU, || linalg::solve(&a, &b))?;
/// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for shapes that do not fit, [`Error::Dtype`] for another dtype. A singular matrix is an error of the evaluation.
#[track_caller]
pub fn solve(a: &Array, b: &Array) -> Result<Array> {
    system(a, b, |a, b| done(ffi::solve(a.raw(), b.raw(), current())))
}

/// The solution of `a x = b` where `a` is triangular; the other half of it counts as zero. Otherwise as [`solve`].
///
/// ```
/// use zmlx::{Array, Device, linalg, linalg::Triangle, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[2.0f32, 0.0, 1.0, 4.0], (2, 2))?;
/// let b = Array::from_slice(&[2.0f32, 9.0], 2)?;
/// let x = with_device(Device::CPU, || linalg::solve_triangular(&a, &b, Triangle::Lower))?;
/// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`solve`].
#[track_caller]
pub fn solve_triangular(a: &Array, b: &Array, triangle: Triangle) -> Result<Array> {
    system(a, b, |a, b| {
        done(ffi::solve_triangular(
            a.raw(),
            b.raw(),
            triangle.upper(),
            current(),
        ))
    })
}

/// Brings both sides to one dtype and one batch, and solves.
#[track_caller]
fn system(a: &Array, b: &Array, solve: impl Fn(&Array, &Array) -> Result<Array>) -> Result<Array> {
    let m = square("a", a, REAL)?;
    of_dtype("b", b, REAL)?;
    let n = m.rows;
    let vector = b.ndim() == 1;
    let fits = match *b.shape() {
        [rows] | [.., rows, _] => rows == n,
        [] => false,
    };
    if !fits {
        return Err(Error::shape(format!(
            "`b`: expected shape ({n},) or (..., {n}, k) for matrices of {:?}, got {:?}",
            a.shape(),
            b.shape()
        )));
    }
    let columns = if vector {
        b.expand_dims(-1)?
    } else {
        b.clone()
    };
    let (batch, width) = (columns.shape(), columns.dim(-1)?);
    let Ok(batch) = broadcast_shapes([m.batch, &batch[..batch.len() - 2]]) else {
        return Err(Error::shape(format!(
            "`b`: expected a batch that broadcasts with that of `a`, {:?}, got {:?}",
            a.shape(),
            b.shape()
        )));
    };
    let dtype = promote_types(a.dtype(), b.dtype())?;
    let a = a
        .astype(dtype)?
        .broadcast_to([batch.as_slice(), &[n, n]].concat())?;
    let columns = columns
        .astype(dtype)?
        .broadcast_to([batch.as_slice(), &[n, width]].concat())?;
    let x = match columns.size() {
        0 => columns,
        _ => solve(&a, &columns)?,
    };
    if vector { x.squeeze(-1) } else { Ok(x) }
}
