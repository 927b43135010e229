//! Gated activations, residual normalizations and dropout.

use super::catalog::{Entry, Kind, few_roundings, input};
use super::family::family;
use super::recipe::Kernel;
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

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

/// Sets each element to 0 with probability `p` and divides the others by `1 - p` (N. Srivastava
/// and others, "Dropout", 2014).
///
/// `x`: any shape, float32, float16 or bfloat16; the result is like it. Which elements are dropped
/// depends on the seed, `p` and the element's number in row-major order only, so that the gradient and
/// every engine drop the same ones. Layers need seeds of their own, as those of the same seed drop the same elements. Neither
/// the seed nor `p` compiles anything. Differentiable any number of times. A dropped element is 0, even if it was NaN.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::ones((100, 100), Dtype::Float32)?;
/// let y = kernels::transformer::dropout(&x, 0.25, 7)?;
/// let dropped = 10_000 - y.count_nonzero(..)?.item::<i32>()?;
/// assert!((2_200..2_800).contains(&dropped));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] unless `0 <= p < 1`, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn dropout(x: &Array, p: f32, seed: u64) -> Result<Array> {
    let mask = Mask::new(p, seed)?;
    let words = mask.words.map(i64::from);
    let [y] = DROPOUT.call_with(&[x], &[mask.factor], &words, false)?;
    Ok(y)
}

/// Root mean square normalization over the last axis (B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019) with
/// [`dropout`] of its results, in one kernel.
///
/// Computes `x / sqrt(mean(x^2) + eps) * weight` in float32, sets each element to 0 with probability `p`, and divides the
/// others by `1 - p`. `x`: (..., D); `weight`: (D,); float32, float16 or bfloat16 each. The result has the dtype of `x`. The
/// gradients drop the same elements; that of `weight` is summed over all rows in float32. Differentiable any
/// number of times.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::full((100, 100), 3.0f32, Dtype::Float32)?;
/// let weight = Array::ones(100, Dtype::Float32)?;
/// let y = kernels::transformer::rms_norm_dropout(&x, &weight, 0.5, 7).call()?;
/// let y = y.to_vec::<f32>()?;
/// assert!(y.iter().all(|y| *y == 0.0 || (y - 2.0).abs() < 1e-5));
/// # Ok(())
/// # }
/// ```
pub fn rms_norm_dropout<'a>(
    x: &'a Array,
    weight: &'a Array,
    p: f32,
    seed: u64,
) -> RmsNormDropout<'a> {
    RmsNormDropout {
        x,
        weight,
        p,
        seed,
        eps: 1e-6,
    }
}

/// A call of [`rms_norm_dropout`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct RmsNormDropout<'a> {
    x: &'a Array,
    weight: &'a Array,
    p: f32,
    seed: u64,
    eps: f32,
}

impl RmsNormDropout<'_> {
    /// What is added to the mean of squares (default 1e-6).
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
        let mask = Mask::new(self.p, self.seed)?;
        let arrays = [self.x, self.weight];
        let [y] = RMS_NORM_DROPOUT.call_with(
            &arrays,
            &[self.eps, mask.factor],
            &mask.words.map(i64::from),
            false,
        )?;
        Ok(y)
    }
}

/// What decides which elements stay.
#[derive(Clone, Copy)]
pub(super) struct Mask {
    /// Two of the seed, and the number below which random bits drop an element.
    pub(super) words: [u32; 3],
    pub(super) factor: f32,
}

impl Mask {
    #[track_caller]
    pub(super) fn new(p: f32, seed: u64) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            return Err(Error::argument("p", "a probability below 1", p));
        }
        // splitmix64 (S. Vigna): seeds that differ in one bit get unrelated words.
        let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = z ^ (z >> 31);
        // Exact: p has 24 bits, and the product is below 2^32.
        let below = (f64::from(p) * 4_294_967_296.0) as u32;
        Ok(Mask {
            words: [z as u32, (z >> 32) as u32, below],
            factor: (1.0 / (1.0 - f64::from(p))) as f32,
        })
    }
}

/// Names of [`Mask::words`].
const WORDS: &[&str] = &["a", "b", "below"];

/// Both values exist before the choice, so that neighbours need no branch.
static DROPOUT: Kernel = Kernel::new(
    "transformer::dropout",
    &[input("x", Kind::Rows)],
    &["factor"],
    "kk_random_bits(a, b, elem) < uint(below) ? 0.0f : x * factor",
    "x",
)
.with_words(WORDS);

/// The formula is that of the normalization.
static RMS_NORM_DROPOUT: Kernel = Kernel::new(
    "transformer::rms_norm_dropout",
    &[input("x", Kind::Rows), input("weight", Kind::Weight)],
    &["eps", "factor"],
    "y = x * rsqrt(mean(x * x) + eps) * weight;
     kk_random_bits(a, b, elem) < uint(below) ? 0.0f : y * factor",
    "x / sqrt(mean(x^2) + eps) * weight",
)
.with_words(WORDS);

/// Dropout by MLX's operations.
pub(super) fn dropped(mask: Mask, x: &Array) -> Result<Array> {
    let words = |n: u32| Array::scalar(n);
    let mix = |x: Array| -> Result<Array> {
        let x = (&x ^ x.right_shift(words(16)?))?.multiply(words(0x7feb_352d)?)?;
        let x = (&x ^ x.right_shift(words(15)?))?.multiply(words(0x846c_a68b)?)?;
        &x ^ x.right_shift(words(16)?)
    };
    let [a, b, below] = mask.words;
    let index = Array::arange(x.size() as i32)?.astype(Dtype::Uint32)?;
    let first = mix(index.add(words(a)?)?)?;
    let drawn = mix(first.bitwise_xor(words(b)?)?)?;
    let kept = drawn.greater_equal(words(below)?)?.reshape(x.shape())?;
    let factor = Array::from(mask.factor).astype(x.dtype())?;
    where_(&kept, &x.multiply(&factor)?, &x.zeros_like()?)
}

/// The functions whose results are random.
pub(super) static RANDOM: &[Entry] = &[
    Entry {
        name: "transformer::dropout",
        formula: "x / (1 - p) or, with probability p, 0",
        file: "terms.metal",
        inputs: &[input("x", Kind::Rows)],
        call: |p| Ok(vec![dropout(&p[0], 0.1, 17)?]),
        composite: |p| Ok(vec![dropped(Mask::new(0.1, 17)?, &p[0])?]),
        mlx: Some(|p| {
            let keep = crate::random::bernoulli(0.9, p[0].shape())?.astype(p[0].dtype())?;
            Ok(vec![((&p[0] * &keep)? * (1.0 / 0.9))?])
        }),
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings: few_roundings,
    },
    Entry {
        name: "transformer::rms_norm_dropout",
        formula: "x / sqrt(mean(x^2) + eps) * weight / (1 - p) or, with probability p, 0",
        file: "",
        inputs: &[input("x", Kind::Rows), input("weight", Kind::Weight)],
        call: |p| {
            let y = rms_norm_dropout(&p[0], &p[1], 0.25, 23).eps(0.0625);
            Ok(vec![y.call()?])
        },
        composite: |p| {
            let all = RMS_NORM_DROPOUT.reference(p, &[0.0625, 1.0])?;
            let mask = Mask::new(0.25, 23)?;
            all.iter().map(|y| dropped(mask, y)).collect()
        },
        mlx: Some(|p| {
            let y = crate::fast::rms_norm(&p[0], &p[1], 0.0625)?;
            let keep = crate::random::bernoulli(0.75, y.shape())?.astype(y.dtype())?;
            Ok(vec![((&y * &keep)? * (1.0 / 0.75))?])
        }),
        bytes: |rows, width, size| (2 * rows * width + width) * size,
        roundings: few_roundings,
    },
];
