//! Tokens drawn from logits.

mod penalty;
mod table;

pub use penalty::repetition_penalty;
pub(super) use table::TABLE;

use super::arguments::{Bits, check_float, check_integers, check_shape, number, rows_of};
use super::kernel::RowKernel;
use super::selection::{no_derivatives, one, over_leading};
use crate::transforms::rules::{Rules, apply, each};
use crate::{Array, Dtype, Error, Result};

/// A token of each row of logits, drawn with the probabilities of their softmax.
///
/// `logits`: (..., D), float32, float16 or bfloat16, of at least one token and fewer than 2^24; the result is (...), uint32. Options
/// leave the most likely tokens: first [`min_p`](Sample::min_p), then [`top_k`](Sample::top_k), then [`top_p`](Sample::top_p), which
/// is a share of what the others left. Of equal logits the lower token counts as the more likely one. Tokens below exp(-40) of the most
/// likely one's probability are never drawn, nor are those whose logit is NaN; a row without any finite logit gives its first largest
/// one, or 0.
///
/// The choice depends on logits, options, [`seed`](Sample::seed) and [`draw`](Sample::draw) alone: not on other rows,
/// nor on the engine, but for logits that differ by roundings only. It has no derivative.
///
/// Tokens race: the one of weight w arrives after E / w, where E is an exponential variate of its own, and the first one is chosen with
/// probability w / sum(w) (the Gumbel-max trick: E. Gumbel, "Statistical Theory of Extreme Values", 1954).
///
/// ```
/// use zmlx::{Array, kernels::sampling};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[1.0f32, 3.0, 2.0, 0.0, 5.0, 4.0], (2, 3))?;
/// let tokens = sampling::sample(&logits).temperature(0.7).top_k(2).seed(1).call()?.to_vec::<u32>()?;
/// assert!([1, 2].contains(&tokens[0]) && [1, 2].contains(&tokens[1]));
/// // The first row's most likely token has the share 0.67, the second one's too.
/// let likely = sampling::sample(&logits).top_p(0.6).min_p(0.1).seed(1).call()?;
/// assert_eq!(likely.to_vec::<u32>()?, [1, 1]);
/// // Of the first tokens of a sequence this is number 7.
/// let later = sampling::sample(&logits).seed(1).draw(7).call()?;
/// assert_eq!(later.shape(), [2]);
/// # Ok(())
/// # }
/// ```
pub fn sample(logits: &Array) -> Sample<'_> {
    Sample {
        logits,
        temperature: EachRow::Same(1.0),
        top_k: EachRow::Same(0),
        top_p: EachRow::Same(1.0),
        min_p: EachRow::Same(0.0),
        seed: EachRow::Same(0),
        draw: EachRow::Same(0),
    }
}

/// An option that is the same for all rows, or has a value for each.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum EachRow<'a, T> {
    /// One for all.
    Same(T),
    /// One for each row, of the shape of the logits without their last axis. The values are not checked: each option says what those
    /// out of range do.
    Each(&'a Array),
}

impl<'a, T> From<&'a Array> for EachRow<'a, T> {
    fn from(values: &'a Array) -> Self {
        EachRow::Each(values)
    }
}

macro_rules! same {
    ($($number:ty)*) => {$(
        impl From<$number> for EachRow<'_, $number> {
            fn from(value: $number) -> Self {
                EachRow::Same(value)
            }
        }
    )*};
}
same!(f32 usize u64);

/// A call of [`sample`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    logits: &'a Array,
    temperature: EachRow<'a, f32>,
    top_k: EachRow<'a, usize>,
    top_p: EachRow<'a, f32>,
    min_p: EachRow<'a, f32>,
    seed: EachRow<'a, u64>,
    draw: EachRow<'a, u64>,
}

impl<'a> Sample<'a> {
    /// What logits are divided by (default 1); 0 takes the most likely token. In an array what is not above 0 counts as 0.
    pub fn temperature(mut self, temperature: impl Into<EachRow<'a, f32>>) -> Self {
        self.temperature = temperature.into();
        self
    }

    /// Keeps so many of the most likely tokens (A. Fan and others, "Hierarchical Neural Story Generation", 2018); 0, the default, keeps
    /// all. In an array, of integers, what is not above 0 counts as 0.
    pub fn top_k(mut self, top_k: impl Into<EachRow<'a, usize>>) -> Self {
        self.top_k = top_k.into();
        self
    }

    /// Keeps the most likely tokens that together have this probability (A. Holtzman and others, "The Curious Case of Neural Text
    /// Degeneration", 2020), at least one of them; 1, the default, keeps all. In an array what is not below 1 counts as 1.
    pub fn top_p(mut self, top_p: impl Into<EachRow<'a, f32>>) -> Self {
        self.top_p = top_p.into();
        self
    }

    /// Keeps tokens with at least this share of the most likely one's probability (M. Nguyen and others, "Turning Up the Heat: Min-p
    /// Sampling", 2024); 0, the default, keeps all. In an array what is not above 0 counts as 0, and what is above 1 as 1.
    pub fn min_p(mut self, min_p: impl Into<EachRow<'a, f32>>) -> Self {
        self.min_p = min_p.into();
        self
    }

    /// What makes the choice repeatable (default 0). Where it is one number, rows differ; in an array, of integers, rows of equal seeds
    /// have the same random numbers.
    pub fn seed(mut self, seed: impl Into<EachRow<'a, u64>>) -> Self {
        self.seed = seed.into();
        self
    }

    /// How often was drawn by this seed before (default 0): each number gives a choice of its own. In an array, integers.
    pub fn draw(mut self, draw: impl Into<EachRow<'a, u64>>) -> Self {
        self.draw = draw.into();
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar, D = 0, D = 2^24 or more, and options of another shape; [`Error::Dtype`] for another dtype;
    /// [`Error::Argument`] for numbers that are out of range, and in a gradient.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check_float("logits", self.logits)?;
        let width = check_tokens(self.logits)?;
        let options = [
            self.number("temperature", self.temperature, f32::MAX)?,
            self.integer("top_k", self.top_k, |k| k.min(width) as i64)?,
            self.number("top_p", self.top_p, 1.0)?,
            self.number("min_p", self.min_p, 1.0)?,
            self.integer("seed", self.seed, |seed| seed as i64)?,
            self.integer("draw", self.draw, |draw| draw as i64)?,
        ];
        let mut inputs = vec![self.logits];
        inputs.extend(&options);
        one(apply(&Draw, &inputs)?)
    }

    /// An option of floats from 0 to `most`.
    #[track_caller]
    fn number(&self, name: &str, option: EachRow<'_, f32>, most: f32) -> Result<Array> {
        match option {
            EachRow::Same(value) if (0.0..=most).contains(&value) => kept(value),
            EachRow::Same(value) => {
                let expected = match most {
                    f32::MAX => "a finite number from 0 on".to_owned(),
                    _ => format!("a number from 0 to {most}"),
                };
                Err(Error::argument(name, expected, value))
            }
            EachRow::Each(values) => {
                check_float(name, values)?;
                self.check_rows(name, values)?;
                flat(values)?.astype(Dtype::Float32)
            }
        }
    }

    #[track_caller]
    fn integer<T>(
        &self,
        name: &str,
        option: EachRow<'_, T>,
        of: impl Fn(T) -> i64,
    ) -> Result<Array> {
        match option {
            EachRow::Same(value) => kept(of(value)),
            EachRow::Each(values) => {
                check_integers(name, values)?;
                self.check_rows(name, values)?;
                flat(values)?.astype(Dtype::Int64)
            }
        }
    }

    #[track_caller]
    fn check_rows(&self, name: &str, values: &Array) -> Result<()> {
        let shape = self.logits.shape();
        check_shape(name, values, &shape[..shape.len() - 1])
    }
}

/// The values of all rows along one axis, as the kernel reads them.
fn flat(values: &Array) -> Result<Array> {
    match values.ndim() {
        0 | 1 => Ok(values.clone()),
        _ => values.reshape(-1),
    }
}

/// The words that random numbers of a seed come from, of which each row has its own: those of splitmix64 (G. Steele and others, "Fast
/// Splittable Pseudorandom Number Generators", 2014), so that seeds that differ in one bit get unrelated ones.
pub(crate) fn words(seed: u64, row: u64) -> [u32; 2] {
    let z = seed.wrapping_add((row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    [z as u32, (z >> 32) as u32]
}

/// The number of tokens of a row.
#[track_caller]
fn check_tokens(logits: &Array) -> Result<usize> {
    let (_, width) = rows_of("logits", logits)?;
    if (1..1 << 24).contains(&width) {
        return Ok(width);
    }
    Err(Error::shape(format!(
        "`logits`: expected a last axis of 1 to 2^24 - 1 tokens, got shape {:?}",
        logits.shape()
    )))
}

fn kept<T: Bits>(value: T) -> Result<Array> {
    Ok(Array::clone(&*number(value)?))
}

/// `$name` of the row: an array of one element has the same for all.
macro_rules! of_row {
    ($name:literal) => {
        concat!($name, "[", $name, "_shape[0] == 1 ? 0 : row]")
    };
}

static SAMPLE: RowKernel = RowKernel::new(
    "sample",
    &[
        "logits",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "seed",
        "draw",
    ],
    &["out"],
    concat!(
        "threadgroup float kept[2048];\nthreadgroup uint places[2048];\n",
        "const kk_wishes wishes = {",
        of_row!("temperature"),
        ", ",
        of_row!("top_p"),
        ", ",
        of_row!("min_p"),
        ", int(metal::clamp(",
        of_row!("top_k"),
        ", int64_t(0), int64_t(n)))};\n",
        "const kk_dice dice = kk_dice_of(ulong(",
        of_row!("seed"),
        "), seed_shape[0] == 1 ? ulong(row) : 0ul, ulong(",
        of_row!("draw"),
        ") * n);\n",
        "const uint token = kk_sample_row<2048>(logits + row * n, n, g, wishes, dice, kept, places);\n",
        "if (g.index == 0) out[row] = token"
    ),
)
.alone();

#[derive(Clone)]
struct Draw;

impl Rules for Draw {
    fn name(&self) -> &str {
        "sample"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let logits = inputs[0];
        let (rows, width) = rows_of("logits", logits)?;
        let shape = &logits.shape()[..logits.ndim() - 1];
        if rows == 0 {
            return Ok(vec![Array::zeros(shape, Dtype::Uint32)?]);
        }
        let outputs = SAMPLE.launch(inputs, [(shape, Dtype::Uint32)], rows, width)?;
        Ok(outputs.into())
    }

    no_derivatives!("logits");

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        // Options that are the same for all rows are so for more rows, too.
        if inputs[1..].iter().all(|a| a.ndim() == 0) && axes[1..].iter().all(Option::is_none) {
            return over_leading(&inputs[..1], &axes[..1], |logits| {
                let mut all = vec![logits];
                all.extend(&inputs[1..]);
                apply(self, &all)
            });
        }
        each(inputs, axes, |one| apply(self, one))
    }
}
