//! Functions that drop elements at random.

use crate::kernels::catalog::{Entry, Kind, few_roundings, input};
use crate::kernels::recipe::Kernel;
use crate::kernels::sampling::words;
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// Sets each element to 0 with probability `p` and divides the others by `1 - p` (N. Srivastava
/// and others, "Dropout", 2014).
///
/// `x`: any shape, float32, float16 or bfloat16; the result is like it. Which elements are dropped
/// depends on the seed, `p` and the element's number in row-major order only, so that the gradient and
/// every engine drop the same ones. Layers need seeds of their own, as those of the same seed drop the same elements. Neither
/// the seed nor `p` compiles anything. A function that [`vmap`](crate::vmap()) maps numbers the elements of one call, so
/// all of its calls drop the same ones. Differentiable any number of times. A dropped element is 0, even if it was NaN.
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
    ///
    /// ```
    /// use zmlx::{Array, Dtype, kernels};
    /// let x = Array::from_iter([3.0f32, 4.0])?;
    /// let ones = Array::ones(2, Dtype::Float32)?;
    /// let y = kernels::transformer::rms_norm_dropout(&x, &ones, 0.0, 7).eps(12.5).call()?;
    /// assert!((y.index(0)?.item::<f32>()? - 0.6).abs() < 1e-6); // 3 / sqrt(12.5 + 12.5)
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
pub(in crate::kernels) struct Mask {
    /// Two of the seed, and the number below which random bits drop an element.
    pub(in crate::kernels) words: [u32; 3],
    pub(in crate::kernels) factor: f32,
}

impl Mask {
    #[track_caller]
    pub(in crate::kernels) fn new(p: f32, seed: u64) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            return Err(Error::argument("p", "a probability below 1", p));
        }
        let [a, b] = words(seed, 0);
        // Exact: p has 24 bits, and the product is below 2^32.
        let below = (f64::from(p) * 4_294_967_296.0) as u32;
        Ok(Mask {
            words: [a, b, below],
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

/// The random bits of places by MLX's operations, as `kk_random_word` has them.
pub(in crate::kernels) fn random_bits(places: &Array, a: &Array, b: &Array) -> Result<Array> {
    let word = |n: u32| Array::scalar(n);
    let mix = |x: Array| -> Result<Array> {
        let x = (&x ^ x.right_shift(word(16)?))?.multiply(word(0x7feb_352d)?)?;
        let x = (&x ^ x.right_shift(word(15)?))?.multiply(word(0x846c_a68b)?)?;
        &x ^ x.right_shift(word(16)?)
    };
    mix(mix(places.add(a)?)?.bitwise_xor(b)?)
}

/// Dropout by MLX's operations.
pub(in crate::kernels) fn dropped(mask: Mask, x: &Array) -> Result<Array> {
    let [a, b, below] = mask.words.map(Array::scalar);
    let index = Array::arange(x.size() as i32)?.astype(Dtype::Uint32)?;
    let drawn = random_bits(&index, &a?, &b?)?;
    let kept = drawn.greater_equal(below?)?.reshape(x.shape())?;
    let factor = Array::from(mask.factor).astype(x.dtype())?;
    where_(&kept, &x.multiply(&factor)?, &x.zeros_like()?)
}

/// The functions whose results are random.
pub(in crate::kernels) static RANDOM: &[Entry] = &[
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
