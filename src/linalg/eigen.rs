//! Eigenvalues and eigenvectors.

use super::{REAL_OR_COMPLEX, Triangle, identities, real_part, square};
use crate::bridge::linalg::ffi;
use crate::dtype::Dtype;
use crate::ops::{done, done_list, exactly};
use crate::stream::current;
use crate::{Array, Result};

/// Eigenvalues (..., N) and eigenvectors (..., N, N), the columns, of square matrices (..., N, N): `a v = v diag(w)`.
///
/// `a` is float32, float64 or complex64; the results are complex64, also for float64. Values have no particular order. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// // A quarter turn has the eigenvalues i and -i.
/// let a = Array::from_slice(&[0.0f32, -1.0, 1.0, 0.0], (2, 2))?;
/// let (w, _) = with_device(Device::CPU, || linalg::eig(&a))?;
/// assert_eq!(w.abs()?.to_vec::<f32>()?, [1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless the matrices are square, [`Error::Dtype`](crate::Error::Dtype) for another dtype. Where the
/// algorithm does not converge it is an error of the evaluation.
#[track_caller]
pub fn eig(a: &Array) -> Result<(Array, Array)> {
    let m = square("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        let w = Array::zeros(m.shape(&[m.rows]), Dtype::Complex64)?;
        return Ok((w, identities(&m, m.rows, Dtype::Complex64)?));
    }
    let [w, v] = exactly(done_list(ffi::eig(a.raw(), current()))?)?;
    match a.dtype() {
        // MLX gives the conjugates: it takes the left vectors of the transposed matrix.
        Dtype::Complex64 => Ok((w, v.conjugate()?)),
        _ => Ok((w, v)),
    }
}

/// The eigenvalues of [`eig`], without vectors.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[2.0f32, 0.0, 0.0, 3.0], (2, 2))?;
/// let w = with_device(Device::CPU, || linalg::eigvals(&a))?;
/// assert_eq!(w.real()?.sort(-1)?.to_vec::<f32>()?, [2.0, 3.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`eig`].
#[track_caller]
pub fn eigvals(a: &Array) -> Result<Array> {
    let m = square("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        return Array::zeros(m.shape(&[m.rows]), Dtype::Complex64);
    }
    done(ffi::eigvals(a.raw(), current()))
}

/// Eigenvalues (..., N), rising, and orthonormal eigenvectors (..., N, N), the columns, of symmetric or Hermitian matrices, of which
/// one triangle is read.
///
/// `a` is float32, float64 or complex64; values are real, vectors have `a`'s dtype. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, linalg::Triangle, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[2.0f32, 1.0, 1.0, 2.0], (2, 2))?;
/// let (w, v) = with_device(Device::CPU, || linalg::eigh(&a, Triangle::Lower))?;
/// assert!((w.index(1)?.item::<f32>()? - 3.0).abs() < 1e-6);
/// assert!(a.matmul(&v)?.subtract(&v.multiply(&w)?)?.abs()?.max(..)?.item::<f32>()? < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`eig`].
#[track_caller]
pub fn eigh(a: &Array, triangle: Triangle) -> Result<(Array, Array)> {
    let m = square("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        let w = Array::zeros(m.shape(&[m.rows]), real_part(a.dtype()))?;
        return Ok((w, identities(&m, m.rows, a.dtype())?));
    }
    let [w, v] = exactly(done_list(ffi::eigh(a.raw(), triangle.upper(), current()))?)?;
    Ok((w, v))
}

/// The eigenvalues of [`eigh`], without vectors.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[2.0f32, 1.0, 1.0, 2.0], (2, 2))?;
/// let w = with_device(Device::CPU, || linalg::eigvalsh(&a, linalg::Triangle::Upper))?;
/// let want = Array::from_iter([1.0f32, 3.0])?;
/// assert!(w.allclose(&want, (1e-5, 0.0))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`eig`].
#[track_caller]
pub fn eigvalsh(a: &Array, triangle: Triangle) -> Result<Array> {
    let m = square("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        return Array::zeros(m.shape(&[m.rows]), real_part(a.dtype()));
    }
    done(ffi::eigvalsh(a.raw(), triangle.upper(), current()))
}
