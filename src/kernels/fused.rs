//! Sums and products with an activation, element by element.
//!
//! Two arrays of rows have the same shape; a bias is one row for all. The original makes each function by a factory, for a
//! dtype of the arithmetic and a width; here the arithmetic is float32 and the shapes say the width.

use super::family::family;

family! { TABLE of "fused":

/// The gated linear unit by SiLU (N. Shazeer, "GLU Variants Improve Transformer", 2020): `silu(a) b`.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let (a, b) = (Array::from(1.0f32), Array::from(2.0f32));
/// let y = fused::silu_mul_grad(&a, &b)?.item::<f32>()?;
/// assert!((y - 1.462_117).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn silu_mul_grad(a: Rows, b: Rows) {
    formula: "a / (1 + exp(-a)) * b",
    program: "kk_silu(a) * b",
}

/// The sum of two arrays.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let (a, b) = (Array::from(1.0f32), Array::from(2.0f32));
/// assert_eq!(fused::add(&a, &b)?.item::<f32>()?, 3.0);
/// # Ok(())
/// # }
/// ```
fn add(a: Rows, b: Rows) {
    formula: "a + b",
    program: "a + b",
    mlx: |p| Ok(vec![p[0].add(&p[1])?]),
}

/// The product of two arrays.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let (a, b) = (Array::from(1.5f32), Array::from(2.0f32));
/// assert_eq!(fused::mul(&a, &b)?.item::<f32>()?, 3.0);
/// # Ok(())
/// # }
/// ```
fn mul(a: Rows, b: Rows) {
    formula: "a * b",
    program: "a * b",
    mlx: |p| Ok(vec![p[0].multiply(&p[1])?]),
}

/// Adds one row to each row.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let bias = Array::from_slice(&[10.0f32, 20.0], 2)?;
/// assert_eq!(fused::add_bias(&x, &bias)?.to_vec::<f32>()?, [11.0, 22.0, 13.0, 24.0]);
/// # Ok(())
/// # }
/// ```
fn add_bias(x: Rows, bias: Weight) {
    formula: "x + bias",
    program: "x + bias",
    mlx: |p| Ok(vec![p[0].add(&p[1])?]),
}

/// GELU by the hyperbolic tangent (D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units", 2016) of each row with
/// a bias.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let (x, bias) = (Array::from_slice(&[0.25f32], 1)?, Array::from_slice(&[0.75f32], 1)?);
/// let y = fused::bias_gelu_tanh(&x, &bias)?.item::<f32>()?;
/// assert!((y - 0.841_192).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn bias_gelu_tanh(x: Rows, bias: Weight) {
    // The logistic function in place of (1 + tanh) / 2: the derivatives of the reference keep their digits far out.
    formula: "z = x + bias; z / (1 + exp(-2 * sqrt(2 / pi) * (z + 0.044715 * z^3)))",
    program: "kk_gelu_tanh(x + bias)",
    // The second derivative has the square of 1 + 0.134 z^2, and is summed over rows.
    roundings: |_| 32.0,
}

/// SiLU of each row with a bias.
///
/// ```
/// use zmlx::{Array, kernels::fused};
/// # fn main() -> zmlx::Result<()> {
/// let (x, bias) = (Array::from_slice(&[0.25f32], 1)?, Array::from_slice(&[0.75f32], 1)?);
/// let y = fused::bias_silu(&x, &bias)?.item::<f32>()?;
/// assert!((y - 0.731_058_6).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn bias_silu(x: Rows, bias: Weight) {
    formula: "z = x + bias; z / (1 + exp(-z))",
    program: "kk_silu(x + bias)",
}

}
