//! Steps of recurrent and of looped models, and of their training.

use super::family::family;

family! { TABLE of "vlsp":

/// A step of a gated recurrent state: `h` and its normalized state behind SiLU, weighted by `gate` and by the
/// number `alpha`. SiLU is 0 at minus infinity.
///
/// `alpha` is an array of one number, so it has a gradient, as all inputs have: those of `w_norm` and `alpha` are summed over all
/// rows in float32.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let h = Array::from_slice(&[3.0f32, 4.0], (1, 2))?;
/// let w_norm = Array::from_slice(&[0.0f32, 100.0], 2)?;
/// let gate = Array::full((1, 2), 2.0f32, Dtype::Float32)?;
/// let alpha = Array::from(0.5f32);
/// let step = kernels::vlsp::fused_recurrent_step(&h, &w_norm, &gate, &alpha);
/// let y = step.eps(0.0).call()?.to_vec::<f32>()?;
/// assert!(y[0] == 3.0 && (y[1] - (4.0 + 400.0 / 12.5f32.sqrt())).abs() < 1e-4);
/// # Ok(())
/// # }
/// ```
fn fused_recurrent_step(h: Rows, w_norm: Weight, gate: Rows, alpha: Scalar) -> FusedRecurrentStep(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "h + alpha * silu(h / sqrt(mean(h^2) + eps) * w_norm) * gate",
    program: "h + alpha * kk_silu(h * rsqrt(mean(h * h) + eps) * w_norm) * gate",
    // The gradient of `alpha` is one sum over all elements, whose parts may be much larger than the sum: n parts that are rounded a
    // few times each are off by about the root of n roundings.
    roundings: |width| 16.0 + (width as f64).sqrt(),
}

/// A depth between 0 and `k_max` by the logistic function. It is a smooth function with its true derivative, no
/// straight-through estimator: rounding to a whole number of steps is left to the caller.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let y = kernels::vlsp::depth_gate_sigmoid(&Array::from(0.0f32)).k_max(6.0).call()?;
/// assert_eq!(y.item::<f32>()?, 3.0);
/// # Ok(())
/// # }
/// ```
fn depth_gate_sigmoid(x: Rows) -> DepthGateSigmoid(
    /// The largest depth (default 8). Above 0 and finite.
    k_max = 8.0, tested 3.0 where "a finite number above 0" |k_max| k_max > 0.0 && k_max.is_finite(),
) {
    formula: "k_max / (1 + exp(-x))",
    program: "k_max * kk_sigmoid(x)",
}

/// Advantages of a group's answers: their rewards without the mean, over the standard deviation (Z. Shao and others,
/// "DeepSeekMath", 2024). `eps` is added to the variance and not to the standard deviation. A group is a row, so rewards of one axis
/// are one group; the result has the shape of the rewards. The mean goes away before anything is squared, and so does
/// what its rounding leaves: rewards far from 0 keep their digits, and a group of equal rewards gives 0.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let rewards = Array::from_slice(&[1.0f32, 0.0, 1.0, 0.0, 3.4, 3.4, 3.4, 3.4], (2, 4))?;
/// let y = kernels::vlsp::grpo_advantage_norm(&rewards).eps(0.0625).call()?.to_vec::<f32>()?;
/// assert!((y[0] - 0.5 / 0.3125f32.sqrt()).abs() < 1e-6 && y[4..] == [0.0; 4]);
/// # Ok(())
/// # }
/// ```
fn grpo_advantage_norm(rewards: Rows) -> GrpoAdvantageNorm(
    /// What is added to the variance (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "(rewards - mean(rewards)) / sqrt(var(rewards) + eps)",
    program: "
        d = rewards - mean(rewards);
        rest = mean(d);
        (d - rest) * rsqrt(max(mean(d * d) - rest * rest, 0.0f) + eps)
    ",
}

/// A gated activation and a residual: SiLU of `gate` times `up`, plus `residual`. SiLU is 0 at minus infinity.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let gate = Array::from_slice(&[0.0f32, 20.0], 2)?;
/// let up = Array::from_slice(&[5.0f32, 3.0], 2)?;
/// let residual = Array::from_slice(&[1.0f32, 2.0], 2)?;
/// let y = kernels::vlsp::silu_mul_residual(&gate, &up, &residual)?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 62.0]);
/// # Ok(())
/// # }
/// ```
fn silu_mul_residual(gate: Rows, up: Rows, residual: Rows) {
    formula: "silu(gate) * up + residual",
    program: "kk_silu(gate) * up + residual",
}

}
