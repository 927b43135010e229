//! Linear algebra: `mlx/linalg.h`.
//!
//! Matrices lie in the last two dimensions, shape (..., M, N); all leading dimensions are a batch. Factors, inverses and eigenvalues exist for
//! float32 and float64 (those of singular values and eigenvalues also for complex64) and on the CPU only, so where the default device
//! is a GPU they need [`with_device`](crate::with_device). Norms, [`cross`] and determinants of up to three rows run anywhere.
//!
//! A singular matrix is an error of the evaluation of its inverse, not of the call.
//!
//! MLX has no derivatives of these operations, but for norms, [`cross`], and products of their parts: asking is a typed error.
//!
//! ```
//! use zmlx::{Array, Device, linalg, with_device};
//!
//! # fn main() -> zmlx::Result<()> {
//! let a = Array::from_slice(&[2.0f32, 1.0, 1.0, 3.0], (2, 2))?;
//! let b = Array::from_slice(&[3.0f32, 5.0], 2)?;
//! let x = with_device(Device::CPU, || linalg::solve(&a, &b))?;
//! let [u, v] = [0, 1].map(|i| x.index(i).and_then(|e| e.item::<f32>()).unwrap());
//! assert!((u - 0.8).abs() < 1e-6 && (v - 1.4).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```

mod eigen;
mod factor;
mod norm;
mod products;
mod solve;

pub use self::eigen::{eig, eigh, eigvals, eigvalsh};
pub use self::factor::{cholesky, lu, lu_factor, qr, singular_values, svd};
pub use self::norm::{Norm, NormOrder, norm};
pub use self::products::{cross, det, slogdet};
pub use self::solve::{cholesky_inv, inv, pinv, solve, solve_triangular, tri_inv};

use crate::dtype::Dtype;
use crate::{Array, Error, Result};

/// Which half of a matrix is meant; both include the diagonal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Triangle {
    /// Below the diagonal.
    #[default]
    Lower,
    /// Above the diagonal.
    Upper,
}

impl Triangle {
    fn upper(self) -> bool {
        self == Triangle::Upper
    }
}

/// A stack of matrices, checked.
struct Matrices<'a> {
    batch: &'a [i32],
    rows: i32,
    columns: i32,
}

impl Matrices<'_> {
    fn empty(&self) -> bool {
        self.rows == 0 || self.columns == 0 || self.batch.contains(&0)
    }

    /// The batch's dimensions, and these.
    fn shape(&self, last: &[i32]) -> Vec<i32> {
        [self.batch, last].concat()
    }
}

/// `a` as (..., M, N) of one of these dtypes.
#[track_caller]
fn matrices<'a>(argument: &str, a: &'a Array, dtypes: &[Dtype]) -> Result<Matrices<'a>> {
    let [batch @ .., rows, columns] = a.shape() else {
        return Err(Error::shape(format!(
            "`{argument}`: expected matrices, of shape (..., m, n), got {:?}",
            a.shape()
        )));
    };
    of_dtype(argument, a, dtypes)?;
    Ok(Matrices {
        batch,
        rows: *rows,
        columns: *columns,
    })
}

/// `a` as (..., N, N) of one of these dtypes.
#[track_caller]
fn square<'a>(argument: &str, a: &'a Array, dtypes: &[Dtype]) -> Result<Matrices<'a>> {
    match *a.shape() {
        [.., rows, columns] if rows == columns => matrices(argument, a, dtypes),
        _ => Err(Error::shape(format!(
            "`{argument}`: expected square matrices, of shape (..., n, n), got {:?}",
            a.shape()
        ))),
    }
}

#[track_caller]
fn of_dtype(argument: &str, a: &Array, dtypes: &[Dtype]) -> Result<()> {
    if dtypes.contains(&a.dtype()) {
        return Ok(());
    }
    let names: Vec<_> = dtypes.iter().map(ToString::to_string).collect();
    Err(Error::dtype(format!(
        "`{argument}`: expected {}, got {}",
        names.join(" or "),
        a.dtype()
    )))
}

const REAL: &[Dtype] = &[Dtype::Float32, Dtype::Float64];
const REAL_OR_COMPLEX: &[Dtype] = &[Dtype::Float32, Dtype::Float64, Dtype::Complex64];

/// The dtype of singular values, and of eigenvalues of Hermitian matrices.
fn real_part(dtype: Dtype) -> Dtype {
    match dtype {
        Dtype::Complex64 => Dtype::Float32,
        other => other,
    }
}

/// Identities, shape (batch..., n, n).
#[track_caller]
fn identities(m: &Matrices, n: i32, dtype: Dtype) -> Result<Array> {
    Array::eye(n, n, 0, dtype)?.broadcast_to(m.shape(&[n, n]))
}
