//! Products with quantized matrices.

mod call;
mod encode;
mod launch;
mod product;
mod text;
mod unpack;
mod weight;

pub use call::{Activations, QuantizedMatmul};
pub use weight::{QuantFormat, QuantizedWeight};

use crate::Array;

/// `x w^T` with a quantized matrix, and what follows it in the same kernel.
///
/// `x`: (..., K), float32, float16 or bfloat16; `w`: (N, K), see [`QuantizedWeight`]. The result is (..., N) of the dtype of `x`. Sums are
/// float32. In order: `x w^T`, plus [`bias`](QuantizedMatmul::bias), then [`silu`](QuantizedMatmul::silu) or
/// [`swiglu`](QuantizedMatmul::swiglu), plus [`residual`](QuantizedMatmul::residual).
///
/// Differentiable any number of times in `x`, the bias and the residual; asking for a derivative by the matrix is an
/// [`Error::Argument`](crate::Error::Argument).
///
/// On a GPU the elements of the matrix are rounded to the dtype of `x` where `x` has many rows, as MLX's own product does.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::quant::{QuantizedWeight, quantized_matmul}, ops::Quantization};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::ones((4, 64), Dtype::Float32)?;
/// let w = QuantizedWeight::new(&w.quantize(Quantization::affine(64, 4))?)?;
/// let x = Array::ones((2, 64), Dtype::Float32)?;
/// let bias = Array::full(4, -64.0, Dtype::Float32)?;
/// assert_eq!(quantized_matmul(&x, &w).call()?.to_vec::<f32>()?, [64.0; 8]);
/// let residual = Array::full((2, 4), -64.0, Dtype::Float32)?;
/// let y = quantized_matmul(&x, &w).bias(&bias).residual(&residual).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-64.0; 8]);
/// # Ok(())
/// # }
/// ```
pub fn quantized_matmul<'a>(x: &'a Array, w: &'a QuantizedWeight) -> QuantizedMatmul<'a> {
    QuantizedMatmul::new(x, w)
}

/// Rows of `x` by the transposes of matrices that `experts` picks out of a stack, as mixtures of experts need them.
///
/// `x`: (..., K), float32, float16 or bfloat16; `w`: (E, N, K), see [`QuantizedWeight`]; `experts`: integers of any dtype, the number of the
/// matrix for each row: either of the shape (...) of the rows, then the result is (..., N); or (..., S), then each row is multiplied by S matrices
/// and the result is (..., S, N). A number that is no matrix's gives zeros. Each matrix is read once for 8 neighbouring rows that
/// use it, so rows should be [grouped](crate::kernels::moe::moe_dispatch) by expert where they are many.
///
/// Options, dtypes and derivatives are those of [`quantized_matmul`].
///
/// ```
/// use zmlx::{Array, Dtype, kernels::quant::{QuantizedWeight, gather_quantized_matmul}, ops::Quantization};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::from_slice(&[1.0f32, 2.0, 3.0], (3, 1, 1))?.broadcast_to((3, 2, 32))?;
/// let w = QuantizedWeight::new(&w.quantize(Quantization::affine(32, 8))?)?;
/// let x = Array::ones((2, 32), Dtype::Float32)?;
/// let experts = Array::from_slice(&[2u32, 0, 1, 9], (2, 2))?;
/// let y = gather_quantized_matmul(&x, &w, &experts).call()?;
/// assert_eq!(y.shape(), [2, 2, 2]);
/// assert_eq!(y.to_vec::<f32>()?, [96.0, 96.0, 32.0, 32.0, 64.0, 64.0, 0.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub fn gather_quantized_matmul<'a>(
    x: &'a Array,
    w: &'a QuantizedWeight,
    experts: &'a Array,
) -> QuantizedMatmul<'a> {
    QuantizedMatmul::picked(x, w, experts)
}
