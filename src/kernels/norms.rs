//! Normalization over the last axis.
//!
//! A mean is found in two steps: the rounded mean is taken off, and then the mean of what is left. So the deviations have
//! all their digits where the mean is far above the spread, and the derivatives see the second step only, as a shift does not
//! change the result.

use super::arguments::{check_float, check_shape, number, rows_of};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::family::family;
use super::generated::Generated;
use super::transformer::{self, Mask};
use crate::rowwise::{Pass, map_reduce};
use crate::{Array, Error, Result};

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


/// The gradient of [`rmsnorm()`] with respect to its rows, from the cotangent of its result.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::norms};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[3.0f32, 4.0], 2)?;
/// let weight = Array::ones(2, Dtype::Float32)?;
/// // The result does not depend on the length of the row, so the gradient along the row is 0.
/// let dx = norms::rmsnorm_grad(&x, &weight, &x).eps(0.0).call()?;
/// assert!(dx.abs()?.max(..)?.item::<f32>()? < 1e-6);
/// # Ok(())
/// # }
/// ```
fn rmsnorm_grad(x: Rows, weight: Weight, cotan: Rows) -> RmsNormGrad(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "s = mean(x^2) + eps; cotan * weight / sqrt(s) - x * mean(cotan * weight * x) / s^1.5",
    program: "
        r = rsqrt(mean(x * x) + eps);
        n = x * r;
        g = cotan * weight;
        r * (g - n * mean(g * n))",
}

/// [`rmsnorm()`] without a weight.
///
/// ```
/// use zmlx::{Array, kernels::norms};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[3.0f32, 4.0], 2)?;
/// let y = norms::rms_norm_no_weight(&x).eps(0.0).call()?.to_vec::<f32>()?;
/// assert!((y[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn rms_norm_no_weight(x: Rows) -> RmsNormNoWeight(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "x / sqrt(mean(x^2) + eps)",
    program: "x * rsqrt(mean(x * x) + eps)",
}

/// [`layernorm()`] without weight and bias.
///
/// ```
/// use zmlx::{Array, kernels::norms};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[9_999.0f32, 10_001.0], 2)?;
/// let y = norms::layer_norm_no_weight(&x).eps(0.0).call()?.to_vec::<f32>()?;
/// assert_eq!(y, [-1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
fn layer_norm_no_weight(x: Rows) -> LayerNormNoWeight(
    /// What is added to the variance (default 1e-5).
    eps = 1e-5, tested 0.0625,
) {
    formula: "(x - mean(x)) / sqrt(var(x) + eps)",
    program: "
        d = x - kk_stop(mean(x));
        rest = mean(d);
        spread = mean(d * d) - rest * rest;
        (d - rest) * rsqrt((spread < 0 ? 0.0f : spread) + eps)",
}

/// Layer normalization over the last axis (J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer Normalization", 2016). Deviations
/// from the mean are squared, so that a mean far above the spread does no harm; a row of equal numbers gives
/// `beta`. The gradients of `gamma` and `beta` are summed over all rows in float32.
///
/// ```
/// use zmlx::{Array, kernels::norms};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[9_999.0f32, 10_001.0, 3.0, 3.0], (2, 2))?;
/// let gamma = Array::from_slice(&[2.0f32, 2.0], 2)?;
/// let beta = Array::from_slice(&[1.0f32, 5.0], 2)?;
/// let y = norms::layernorm(&x, &gamma, &beta).eps(0.0).call()?;
/// assert_eq!(y.index(0)?.to_vec::<f32>()?, [-1.0, 7.0]);
/// let y = norms::layernorm(&x, &gamma, &beta).call()?;
/// assert_eq!(y.index(1)?.to_vec::<f32>()?, [1.0, 5.0]);
/// # Ok(())
/// # }
/// ```
fn layernorm(x: Rows, gamma: Weight, beta: Weight) -> LayerNorm(
    /// What is added to the variance (default 1e-5).
    eps = 1e-5, tested 0.0625,
) {
    formula: "(x - mean(x)) / sqrt(var(x) + eps) * gamma + beta",
    program: "
        d = x - kk_stop(mean(x));
        rest = mean(d);
        spread = mean(d * d) - rest * rest;
        (d - rest) * rsqrt((spread < 0 ? 0.0f : spread) + eps) * gamma + beta",
    mlx: |p| Ok(vec![crate::fast::layer_norm(&p[0], Some(&p[1]), Some(&p[2]), 0.0625)?]),
}

/// [`rmsnorm()`] of `x + residual`, which is added in float32 and not rounded. `transformer::fused_add_rmsnorm` is the
/// same in the original.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::norms};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 4.0], 2)?;
/// let residual = Array::from_slice(&[2.0f32, 0.0], 2)?;
/// let weight = Array::ones(2, Dtype::Float32)?;
/// let y = norms::residual_rmsnorm(&x, &residual, &weight).eps(0.0).call()?.to_vec::<f32>()?;
/// assert!((y[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn residual_rmsnorm(x: Rows, residual: Rows, weight: Weight) -> ResidualRmsNorm(
    /// What is added to the mean of squares (default 1e-6).
    eps = 1e-6, tested 0.0625,
) {
    formula: "s = x + residual; s / sqrt(mean(s^2) + eps) * weight",
    program: "s = x + residual; s * rsqrt(mean(s * s) + eps) * weight",
}

}

/// [`transformer::dropout`] of [`layernorm()`], in one kernel and without rounding in
/// between.
///
/// `x`: (..., D); `gamma`, `beta`: (D,); float32, float16 or bfloat16 each. The result has the dtype of `x`. Which elements are
/// dropped depends on `seed`, `p` and the element's number in row-major order only, so that the gradient and every engine
/// drop the same ones. The original's seed is 0 unless given; as layers must not share one, it has no default here.
/// Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::{norms, transformer}};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], 4)?;
/// let (gamma, beta) = (Array::ones(4, Dtype::Float32)?, Array::zeros(4, Dtype::Float32)?);
/// let y = norms::layer_norm_dropout(&x, &gamma, &beta, 0.5, 7).call()?;
/// let want = transformer::dropout(&norms::layernorm(&x, &gamma, &beta).call()?, 0.5, 7)?;
/// assert!(y.allclose(&want, (1e-6, 1e-6))?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
pub fn layer_norm_dropout<'a>(
    x: &'a Array,
    gamma: &'a Array,
    beta: &'a Array,
    p: f32,
    seed: u64,
) -> LayerNormDropout<'a> {
    LayerNormDropout {
        x,
        gamma,
        beta,
        p,
        seed,
        eps: 1e-5,
    }
}

/// A call of [`layer_norm_dropout`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct LayerNormDropout<'a> {
    x: &'a Array,
    gamma: &'a Array,
    beta: &'a Array,
    p: f32,
    seed: u64,
    eps: f32,
}

impl LayerNormDropout<'_> {
    /// What is added to the variance (default 1e-5).
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `0 <= p < 1`, [`Error::Shape`] for another shape, [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check_float("x", self.x)?;
        let (_, width) = rows_of("x", self.x)?;
        for (name, a) in [("gamma", self.gamma), ("beta", self.beta)] {
            check_float(name, a)?;
            check_shape(name, a, &[width as i32])?;
        }
        if !(0.0..1.0).contains(&self.p) {
            return Err(Error::argument("p", "a probability below 1", self.p));
        }
        let mask = Mask::new(self.p, self.seed)?;
        let [a, b, below] = mask.words;
        let (a, b, below) = (number(a)?, number(b)?, number(below)?);
        let (factor, eps) = (number(mask.factor)?, number(self.eps)?);
        let inputs = [self.x, self.gamma, self.beta, &a, &b, &below, &factor, &eps];
        DROPPED.op()?.call1(&inputs)
    }
}

static DROPPED: Generated = Generated::new(|| {
    let sum = |update| Pass {
        init: "0.0f",
        update,
        reduce: "a + b",
    };
    let made = map_reduce("layer_norm_dropout")
        .inputs(["x", "gamma", "beta"])
        .index_of_elements("word_a")
        .index_of_elements("word_b")
        .index_of_elements("below")
        .parameter("factor")
        .parameter("eps")
        .pass(sum("acc + x"))
        .pass(sum("acc + (x - kk_stop(s1 / D))"))
        .pass(sum("acc + (x - kk_stop(s1 / D)) * (x - kk_stop(s1 / D))"))
        .write(
            "kk_random_bits(word_a, word_b, elem) < uint(below) ? 0.0f : factor * (beta + gamma
             * (x - kk_stop(s1 / D) - s2 / D) * rsqrt(eps + (s3 / D - s2 / D * (s2 / D) < 0
             ? 0.0f : s3 / D - s2 / D * (s2 / D))))",
        )
        .build()?;
    Ok(made.op)
});

/// The choices of tests and benchmarks.
const CHOSEN: (f32, u64, f32) = (0.25, 23, 0.0625);

pub(super) static RANDOM: &[Entry] = &[Entry {
    name: "norms::layer_norm_dropout",
    formula: "y / (1 - p) or, with probability p, 0; y = (x - mean(x)) / sqrt(var(x) + eps) * gamma + beta",
    file: "",
    inputs: &[
        input("x", Kind::Rows),
        input("gamma", Kind::Weight),
        input("beta", Kind::Weight),
    ],
    call: |a| {
        let (p, seed, eps) = CHOSEN;
        let call = layer_norm_dropout(&a[0], &a[1], &a[2], p, seed);
        Ok(vec![call.eps(eps).call()?])
    },
    composite: |a| {
        let (p, seed, eps) = CHOSEN;
        let y = layernorm::KERNEL.reference(a, &[f64::from(eps)])?.remove(0);
        // What is dropped is 0, a NaN too.
        Ok(vec![transformer::dropped(Mask::new(p, seed)?, &y)?])
    },
    mlx: None,
    bytes: |rows, width, size| (2 * rows + 2) * width * size,
    roundings: few_roundings,
}];
