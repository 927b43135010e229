//! Factors of matrices.

use super::{REAL, REAL_OR_COMPLEX, Triangle, identities, matrices, real_part, square};
use crate::bridge::linalg::ffi;
use crate::dtype::Dtype;
use crate::ops::{done, done_list, exactly};
use crate::stream::current;
use crate::{Array, Result};

/// `a = q r` with orthonormal columns of `q` and an upper triangular `r`; the signs are LAPACK's.
///
/// `a` is (..., M, N) in float32 or float64, `q` (..., M, K), `r` (..., K, N) with K = min(M, N). On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[3.0f32, 1.0, 4.0, 2.0], (2, 2))?;
/// let (q, r) = with_device(Device::CPU, || linalg::qr(&a))?;
/// assert!(a.subtract(&q.matmul(&r)?)?.abs()?.max(..)?.item::<f32>()? < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless there are two dimensions, [`Error::Dtype`](crate::Error::Dtype) for another dtype.
#[track_caller]
pub fn qr(a: &Array) -> Result<(Array, Array)> {
    let m = matrices("a", a, REAL)?;
    if m.empty() {
        let k = m.rows.min(m.columns);
        return Ok((
            Array::zeros(m.shape(&[m.rows, k]), a.dtype())?,
            Array::zeros(m.shape(&[k, m.columns]), a.dtype())?,
        ));
    }
    let [q, r] = exactly(done_list(ffi::qr(a.raw(), current()))?)?;
    Ok((q, r))
}

/// The singular value decomposition `a = u diag(s) vt`, the values in falling order.
///
/// `a` is (..., M, N) in float32, float64 or complex64; `u` is (..., M, M), `s` (..., min(M, N)) and real, `vt` (..., N, N). On the CPU
/// only. [`singular_values`] gives `s` alone.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[3.0f32, 0.0, 0.0, -2.0], (2, 2))?;
/// let (_, s, _) = with_device(Device::CPU, || linalg::svd(&a))?;
/// assert_eq!(s.to_vec::<f32>()?, [3.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`qr`]; numbers that are not finite, with which the algorithm does not end, are an error of the evaluation.
#[track_caller]
pub fn svd(a: &Array) -> Result<(Array, Array, Array)> {
    let m = matrices("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        let k = m.rows.min(m.columns);
        return Ok((
            identities(&m, m.rows, a.dtype())?,
            Array::zeros(m.shape(&[k]), real_part(a.dtype()))?,
            identities(&m, m.columns, a.dtype())?,
        ));
    }
    let [u, s, vt] = exactly(done_list(ffi::svd(a.raw(), true, current()))?)?;
    Ok((u, s, vt))
}

/// The singular values of `a` in falling order, without vectors; otherwise as [`svd`].
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[3.0f32, 0.0, 0.0, -2.0], (2, 2))?;
/// let s = with_device(Device::CPU, || linalg::singular_values(&a))?;
/// assert_eq!(s.to_vec::<f32>()?, [3.0, 2.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`svd`].
#[track_caller]
pub fn singular_values(a: &Array) -> Result<Array> {
    let m = matrices("a", a, REAL_OR_COMPLEX)?;
    if m.empty() {
        let k = m.rows.min(m.columns);
        return Array::zeros(m.shape(&[k]), real_part(a.dtype()));
    }
    let [s] = exactly(done_list(ffi::svd(a.raw(), false, current()))?)?;
    Ok(s)
}

/// The Cholesky factor of symmetric positive definite matrices: `a = l l^T`, or `a = u^T u` for the upper triangle.
///
/// `a` is (..., N, N) in float32 or float64; of it, one triangle is read. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, linalg::Triangle, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[4.0f32, 2.0, 2.0, 5.0], (2, 2))?;
/// let l = with_device(Device::CPU, || linalg::cholesky(&a, Triangle::Lower))?;
/// assert_eq!(l.to_vec::<f32>()?, [2.0, 0.0, 1.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) unless the matrices are square, [`Error::Dtype`](crate::Error::Dtype) for another dtype. A matrix that is
/// not positive definite has no factor: all its elements are NaN.
#[track_caller]
pub fn cholesky(a: &Array, triangle: Triangle) -> Result<Array> {
    let m = square("a", a, REAL)?;
    if m.empty() {
        return Ok(a.clone());
    }
    let factor = done(ffi::cholesky(a.raw(), triangle.upper(), current()))?;
    // MLX goes on where LAPACK stopped, which leaves an element on the diagonal that is not positive.
    let found = factor
        .diagonal(0, -2, -1)?
        .greater(0.0)?
        .all(crate::keepdims(-1))?;
    let nan = Array::full((), f32::NAN, a.dtype())?;
    crate::ops::where_(&found.expand_dims(-1)?, &factor, &nan)
}

/// `a = (l u)[p]` with partial pivoting: row `i` of `a` is row `p[i]` of the product.
///
/// `a` is (..., M, N) in float32 or float64; `p` (..., M) in uint32, `l` (..., M, K) with ones on the diagonal, `u` (..., K, N), K = min(M, N).
/// On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
///
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[1.0f32, 2.0, 4.0, 4.0], (2, 2))?;
/// let (p, l, u) = with_device(Device::CPU, || linalg::lu(&a))?;
/// assert_eq!(p.to_vec::<u32>()?, [1, 0]);
/// assert_eq!(l.to_vec::<f32>()?, [1.0, 0.0, 0.25, 1.0]);
/// assert_eq!(u.to_vec::<f32>()?, [4.0, 4.0, 0.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`qr`].
#[track_caller]
pub fn lu(a: &Array) -> Result<(Array, Array, Array)> {
    let m = matrices("a", a, REAL)?;
    if m.empty() {
        let k = m.rows.min(m.columns);
        let order = Array::arange(m.rows)?.astype(Dtype::Uint32)?;
        return Ok((
            order.broadcast_to(m.shape(&[m.rows]))?,
            Array::zeros(m.shape(&[m.rows, k]), a.dtype())?,
            Array::zeros(m.shape(&[k, m.columns]), a.dtype())?,
        ));
    }
    let [p, l, u] = exactly(done_list(ffi::lu(a.raw(), current()))?)?;
    // MLX adds ones of float32 to the diagonal of `l`.
    Ok((p, l.astype(a.dtype())?, u))
}

/// [`lu`] in LAPACK's compact form: both factors in one array of `a`'s shape, without the ones of `l`, and pivots.
///
/// Pivots are (..., min(M, N)) in uint32: step `i` swapped the rows `i` and `pivots[i]`, counted from 0. On the CPU only.
///
/// ```
/// use zmlx::{Array, Device, linalg, with_device};
/// let a = Array::from_slice(&[1.0f32, 2.0, 4.0, 4.0], (2, 2))?;
/// let (lu, pivots) = with_device(Device::CPU, || linalg::lu_factor(&a))?;
/// assert_eq!(lu.to_vec::<f32>()?, [4.0, 4.0, 0.25, 1.0]);
/// assert_eq!(pivots.to_vec::<u32>()?, [1, 1]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`qr`].
#[track_caller]
pub fn lu_factor(a: &Array) -> Result<(Array, Array)> {
    let m = matrices("a", a, REAL)?;
    if m.empty() {
        let k = m.rows.min(m.columns);
        return Ok((a.clone(), Array::zeros(m.shape(&[k]), Dtype::Uint32)?));
    }
    let [factors, pivots] = exactly(done_list(ffi::lu_factor(a.raw(), current()))?)?;
    Ok((factors, pivots))
}
