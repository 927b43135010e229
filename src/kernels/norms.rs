//! Normalization over the last axis.

use super::family::family;

family! { TABLE of "norms":

/// Root mean square normalization over the last axis (B. Zhang and R. Sennrich, "Root Mean Square Layer
/// Normalization", 2019). The gradient of `weight` is summed over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[3.0f32, 4.0], 2)?;
/// let weight = Array::from_slice(&[1.0f32, 10.0], 2)?;
/// let y = kernels::norms::rmsnorm(&x, &weight).eps(0.0).call()?.to_vec::<f32>()?;
/// let rms = 12.5f32.sqrt();
/// assert!((y[0] - 3.0 / rms).abs() < 1e-6 && (y[1] - 40.0 / rms).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
fn rmsnorm(x: Rows, weight: Weight) -> RmsNorm(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "x / sqrt(mean(x^2) + eps) * weight",
    program: "x * rsqrt(mean(x * x) + eps) * weight",
    mlx: |p| Ok(vec![crate::fast::rms_norm(&p[0], &p[1], 0.0625)?]),
}

}
