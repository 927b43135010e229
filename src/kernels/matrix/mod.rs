//! Products of matrices, single ones and batches.
//!
//! MLX's own product ([`Array::matmul`]) is at the hardware's limit on a GPU, where this module calls it. Its CPU builds for Linux come
//! with a reference BLAS that multiplies one number at a time; there the tile kernel of `kernels/matrix.metal` does the work.

mod launch;
mod linear;
mod product;

pub use linear::{Activation, Linear};
pub use product::{Product, Way};

use crate::{Array, Result};

/// The matrix product of `a` and `b`, of the last two axes; axes before them are batches and broadcast.
///
/// `a`: (..., M, K); `b`: (..., K, N); float32, float16 or bfloat16 each. The result is (..., M, N), in the dtype of both or, where they
/// differ, float32. Sums are in float32 and rounded once. Differentiable any number of times in both, by the same kernel. Transposed
/// and other strided arrays are read where they lie.
///
/// ```
/// use zmlx::{Array, kernels::matrix};
/// # fn main() -> zmlx::Result<()> {
/// let a = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let y = matrix::matmul(&a, &a.transpose(..)?)?;
/// assert_eq!(y.to_vec::<f32>()?, [5.0, 11.0, 11.0, 25.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) where an array has fewer than two axes or the shapes do not fit each other,
/// [`Error::Dtype`](crate::Error::Dtype) for another dtype.
#[track_caller]
pub fn matmul(a: &Array, b: &Array) -> Result<Array> {
    product(a, b).call()
}

/// [`matmul`] with options: factors that are given as their transposes, and who computes it.
///
/// ```
/// use zmlx::{Array, kernels::matrix::{Way, product}};
/// let a = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let y = product(&a, &a).transposed(false, true).way(Way::Tiles).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn product<'a>(a: &'a Array, b: &'a Array) -> Product<'a> {
    Product::new(a, b)
}

/// `x w^T`, and what follows it, by one kernel where nothing is differentiated: a bias, an activation, a residual.
///
/// `x`: (..., K); `w`: (N, K); float32, float16 or bfloat16 each. The result is (..., N), in the dtype of `x`. Computed in float32 and rounded
/// once where it is one kernel; within a transform, and on a GPU, the steps are operations of their own that round to the dtype
/// between them. Differentiable any number of times in all arrays.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::matrix::{Activation, linear}};
/// # fn main() -> zmlx::Result<()> {
/// let (x, w) = (Array::ones((2, 3), Dtype::Float32)?, Array::ones((4, 3), Dtype::Float32)?);
/// let bias = Array::full(4, -3.0, Dtype::Float32)?;
/// let y = linear(&x, &w).bias(&bias).activation(Activation::Silu).residual(&Array::from(1.0f32)).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0; 8]);
/// # Ok(())
/// # }
/// ```
pub fn linear<'a>(x: &'a Array, w: &'a Array) -> Linear<'a> {
    Linear::new(x, w)
}
