//! Gated activations, residual normalizations and dropout.

mod random;

pub(super) use random::{Mask, RANDOM, dropped, random_bits};
pub use random::{RmsNormDropout, dropout, rms_norm_dropout};

use super::family::family;

family! { TABLE of "transformer":

/// `silu(a) b`, where `a` is the first and `b` the second half of the last axis (N. Shazeer, "GLU Variants Improve
/// Transformer", 2020); 0 where `a` is minus infinity and `b` finite. The gradient is one array of both halves.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 20.0, 5.0, 3.0], 4)?;
/// let y = kernels::transformer::swiglu(&x)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 60.0]);
/// # Ok(())
/// # }
/// ```
fn swiglu(x: DoubleRows) {
    formula: "silu(first(x)) * second(x)",
    program: "kk_silu(first(x)) * second(x)",
}

/// `gelu(a) b` by the hyperbolic tangent, where `a` is the first and `b` the second half of the last axis (N. Shazeer, "GLU
/// Variants Improve Transformer", 2020); 0 where `a` is minus infinity and `b` finite.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 20.0, 5.0, 3.0], 4)?;
/// let y = kernels::transformer::geglu(&x)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 60.0]);
/// # Ok(())
/// # }
/// ```
fn geglu(x: DoubleRows) {
    formula: "a = first(x); a * (1 + tanh(sqrt(2 / pi) * (a + 0.044715 * a^3))) / 2 * second(x)",
    program: "kk_gelu_tanh(first(x)) * second(x)",
}

/// [`swiglu`] of two arrays: of a linear layer's gate and of its values.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let gate = Array::from_slice(&[0.0f32, 20.0], 2)?;
/// let up = Array::from_slice(&[5.0f32, 3.0], 2)?;
/// let y = kernels::transformer::swiglu2(&gate, &up)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 60.0]);
/// # Ok(())
/// # }
/// ```
fn swiglu2(gate: Rows, up: Rows) {
    formula: "silu(gate) * up",
    program: "kk_silu(gate) * up",
}

/// [`geglu`] of two arrays: of a linear layer's gate and of its values.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let gate = Array::from_slice(&[0.0f32, 20.0], 2)?;
/// let up = Array::from_slice(&[5.0f32, 3.0], 2)?;
/// let y = kernels::transformer::geglu2(&gate, &up)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 60.0]);
/// # Ok(())
/// # }
/// ```
fn geglu2(gate: Rows, up: Rows) {
    formula: "gate * (1 + tanh(sqrt(2 / pi) * (gate + 0.044715 * gate^3))) / 2 * up",
    program: "kk_gelu_tanh(gate) * up",
}

/// [`swiglu`] of the sum of `x` and a bias, whose halves belong to the halves of `x`. The gradient of `bias` is summed
/// over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 20.0, 5.0, 3.0], (1, 4))?;
/// let bias = Array::from_slice(&[0.0f32, 10.0, 1.0, 1.0], 4)?;
/// let y = kernels::transformer::bias_swiglu(&x, &bias)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 120.0]);
/// # Ok(())
/// # }
/// ```
fn bias_swiglu(x: DoubleRows, bias: DoubleWeight) {
    formula: "silu(first(x + bias)) * second(x + bias)",
    program: "kk_silu(first(x) + first(bias)) * (second(x) + second(bias))",
}

/// [`geglu`] of the sum of `x` and a bias, whose halves belong to the halves of `x`. The gradient of `bias` is summed
/// over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 20.0, 5.0, 3.0], (1, 4))?;
/// let bias = Array::from_slice(&[0.0f32, 10.0, 1.0, 1.0], 4)?;
/// let y = kernels::transformer::bias_geglu(&x, &bias)?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 120.0]);
/// # Ok(())
/// # }
/// ```
fn bias_geglu(x: DoubleRows, bias: DoubleWeight) {
    // The logistic function in place of (1 + tanh) / 2: the derivatives of the reference keep their digits far out.
    formula: "a = first(x + bias); a / (1 + exp(-2 * sqrt(2 / pi) * (a + 0.044715 * a^3))) * second(x + bias)",
    program: "kk_gelu_tanh(first(x) + first(bias)) * (second(x) + second(bias))",
    // As of `bias_gelu_tanh`: the second derivative has the square of 1 + 0.134 a^2.
    roundings: |_| 32.0,
}

/// The normalized sum of `x` and `residual` (B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019), and the sum
/// itself, which the next layer adds to. Statistics and result are those of the sum in float32, before the second
/// result is rounded to its dtype. Gradients flow through both results; that of `weight` is summed over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let residual = Array::from_slice(&[2.0f32, 2.0], 2)?;
/// let weight = Array::from_slice(&[1.0f32, 10.0], 2)?;
/// let [normed, updated] =
///     kernels::transformer::rmsnorm_residual(&x, &residual, &weight).eps(0.0).call()?;
/// let rms = 12.5f32.sqrt();
/// assert!((normed.to_vec::<f32>()?[1] - 40.0 / rms).abs() < 1e-5);
/// assert_eq!(updated.to_vec::<f32>()?, [3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
fn rmsnorm_residual(x: Rows, residual: Rows, weight: Weight) -> RmsNormResidual(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "v = x + residual; v / sqrt(mean(v^2) + eps) * weight, v",
    program: "v = x + residual; v * rsqrt(mean(v * v) + eps) * weight, v",
    outputs: 2,
    mlx: |p| {
        let sum = (&p[0] + &p[1])?;
        Ok(vec![crate::fast::rms_norm(&sum, &p[2], 0.0625)?, sum])
    },
}

/// The normalized sum of `x1` and `x2` (B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019), which is formed in
/// float32. [`rmsnorm_residual`] gives the sum, too.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x1 = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let x2 = Array::from_slice(&[2.0f32, 2.0], 2)?;
/// let weight = Array::from_slice(&[1.0f32, 10.0], 2)?;
/// let y = kernels::transformer::fused_add_rmsnorm(&x1, &x2, &weight).eps(0.0).call()?;
/// assert!((y.to_vec::<f32>()?[1] - 40.0 / 12.5f32.sqrt()).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
fn fused_add_rmsnorm(x1: Rows, x2: Rows, weight: Weight) -> FusedAddRmsNorm(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "v = x1 + x2; v / sqrt(mean(v^2) + eps) * weight",
    program: "v = x1 + x2; v * rsqrt(mean(v * v) + eps) * weight",
    mlx: |p| Ok(vec![crate::fast::rms_norm(&(&p[0] + &p[1])?, &p[2], 0.0625)?]),
}

/// The normalized sum of `x` and `residual` (J. Ba and others, "Layer Normalization", 2016), and the sum itself, which the next layer
/// adds to. The mean goes away before anything is squared, and so does what its rounding leaves, so rows far from 0 keep
/// their digits and a row of equal numbers gives `beta`. Gradients flow through both results; those of `gamma` and `beta` are
/// summed over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let residual = Array::from_slice(&[2.0f32, 3.0], 2)?;
/// let (gamma, beta) = (Array::from_slice(&[1.0f32, 2.0], 2)?, Array::from_slice(&[0.0f32, 9.0], 2)?);
/// let [normed, updated] =
///     kernels::transformer::layernorm_residual(&x, &residual, &gamma, &beta).eps(0.0).call()?;
/// assert_eq!(normed.to_vec::<f32>()?, [-1.0, 11.0]);
/// assert_eq!(updated.to_vec::<f32>()?, [3.0, 5.0]);
/// # Ok(())
/// # }
/// ```
fn layernorm_residual(x: Rows, residual: Rows, gamma: Weight, beta: Weight) -> LayerNormResidual(
    /// What is added to the variance (default 1e-5).
    eps = 1e-5, tested 0.0625,
) {
    formula: "v = x + residual; (v - mean(v)) / sqrt(var(v) + eps) * gamma + beta, v",
    program: "
        v = x + residual;
        d = v - mean(v);
        rest = mean(d);
        (d - rest) * rsqrt(max(mean(d * d) - rest * rest, 0.0f) + eps) * gamma + beta, v
    ",
    outputs: 2,
    mlx: |p| {
        let sum = (&p[0] + &p[1])?;
        Ok(vec![crate::fast::layer_norm(&sum, &p[2], &p[3], 0.0625)?, sum])
    },
}

/// The normalized sum of `x1` and `x2` (J. Ba and others, "Layer Normalization", 2016), which is formed in float32.
/// [`layernorm_residual`] gives the sum, too.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x1 = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let x2 = Array::from_slice(&[2.0f32, 3.0], 2)?;
/// let (gamma, beta) = (Array::from_slice(&[1.0f32, 2.0], 2)?, Array::from_slice(&[0.0f32, 9.0], 2)?);
/// let y = kernels::transformer::fused_add_layernorm(&x1, &x2, &gamma, &beta).eps(0.0).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 11.0]);
/// # Ok(())
/// # }
/// ```
fn fused_add_layernorm(x1: Rows, x2: Rows, gamma: Weight, beta: Weight) -> FusedAddLayerNorm(
    /// What is added to the variance (default 1e-5).
    eps = 1e-5, tested 0.0625,
) {
    formula: "v = x1 + x2; (v - mean(v)) / sqrt(var(v) + eps) * gamma + beta",
    program: "
        v = x1 + x2;
        d = v - mean(v);
        rest = mean(d);
        (d - rest) * rsqrt(max(mean(d * d) - rest * rest, 0.0f) + eps) * gamma + beta
    ",
    mlx: |p| Ok(vec![crate::fast::layer_norm(&(&p[0] + &p[1])?, &p[2], &p[3], 0.0625)?]),
}

}
