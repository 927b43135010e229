//! Losses over the last axis.

mod programs;
mod table;

pub(super) use table::TABLE;

use programs::{CAPPED, PLAIN, SLOPE, SMOOTH, WEIGHTED, WEIGHTED_CAPPED};

use crate::{Array, Dtype, Error, Result};

/// `log(sum(exp(logits))) - logits[target]` for each row, or the sum or mean of that over all rows.
///
/// `logits`: (..., D), float32, float16 or bfloat16; `targets`: (...), any integer type. The result has the logits' dtype
/// and the shape (...), or () with a [`Reduction`]. Computed in float32, also the sum over rows. A target outside of
/// `0..D` gives NaN, and NaN as the row's gradient: indices are data, and nothing looks at them before the kernel
/// does. NaN and infinity in a row that counts give NaN.
///
/// Differentiable any number of times in `logits` and in the class weights. The gradient is
/// `(softmax - onehot) g`, from the largest element and the sum that the call saved: at a label that all but certainly is
/// the right one, a gradient from the logarithm of the sum would have lost most of its digits.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[0.0f32, 0.0, 0.0, 0.0, 9.0, 9.0], (2, 3))?;
/// let targets = Array::from_slice(&[1, -100], 2)?;
/// let loss = kernels::loss::softmax_cross_entropy(&logits, &targets).ignore_index(-100).call()?;
/// let loss = loss.to_vec::<f32>()?;
/// assert!((loss[0] - 3f32.ln()).abs() < 1e-6 && loss[1] == 0.0);
/// # Ok(())
/// # }
/// ```
pub fn softmax_cross_entropy<'a>(logits: &'a Array, targets: &'a Array) -> CrossEntropy<'a> {
    CrossEntropy {
        logits,
        targets,
        weight: None,
        ignored: None,
        smoothing: 0.0,
        z_loss: 0.0,
        cap: None,
        reduction: Reduction::None,
    }
}

/// What becomes of the losses of all rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// They are the result.
    #[default]
    None,
    /// Their sum over the number of rows that count, or over the sum of those rows' weights. No row that counts gives NaN.
    Mean,
    /// Their sum.
    Sum,
}

/// A call of [`softmax_cross_entropy`].
///
/// ```
/// use zmlx::{Array, kernels::loss::{Reduction, softmax_cross_entropy}};
/// let logits = Array::zeros((2, 4), zmlx::Dtype::Float32)?;
/// let targets = Array::from_iter([0, 3])?;
/// let weights = Array::from_iter([1.0f32, 1.0, 1.0, 3.0])?;
/// let loss = softmax_cross_entropy(&logits, &targets)
///     .label_smoothing(0.1)
///     .z_loss(0.0)
///     .soft_cap(30.0)
///     .reduction(Reduction::Mean);
/// assert!((loss.call()?.item::<f32>()? - 4f32.ln()).abs() < 1e-5);
/// let weighted = softmax_cross_entropy(&logits, &targets).weight(&weights).call()?;
/// assert!((weighted.index(1)?.item::<f32>()? - 3.0 * 4f32.ln()).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    logits: &'a Array,
    targets: &'a Array,
    weight: Option<&'a Array>,
    ignored: Option<i64>,
    smoothing: f32,
    z_loss: f32,
    cap: Option<f32>,
    reduction: Reduction,
}

impl<'a> CrossEntropy<'a> {
    /// Rows with this target have loss and gradient 0 (default: none), whatever is in them, and do not count in a mean. A
    /// target that no `i64` holds is never this one.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.ignored = Some(index);
        self
    }

    /// The share of the target that all classes have in equal parts (default 0; C. Szegedy and others, "Rethinking the
    /// Inception Architecture", 2016): the loss is `(1 - s) loss(target) + s / D sum(loss(class))`. Above 0, a logit of
    /// minus infinity gives infinity.
    pub fn label_smoothing(mut self, share: f32) -> Self {
        self.smoothing = share;
        self
    }

    /// Adds this factor times `log(sum(exp(logits)))^2` (default 0; A. Chowdhery and others, "PaLM", 2022). Class weights do
    /// not change this term.
    pub fn z_loss(mut self, factor: f32) -> Self {
        self.z_loss = factor;
        self
    }

    /// Takes `cap tanh(logits / cap)` for the logits (default: as they are; Gemma Team, "Gemma 2", 2024). A logit of
    /// minus infinity then is `-cap`.
    pub fn soft_cap(mut self, cap: f32) -> Self {
        self.cap = Some(cap);
        self
    }

    /// Multiplies the loss of each class: (D,), float32, float16 or bfloat16 (default: 1).
    pub fn weight(mut self, weight: &'a Array) -> Self {
        self.weight = Some(weight);
        self
    }

    /// Sums the rows up (default: [`Reduction::None`]).
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar, targets of another shape than the rows' or weights of another than (D,),
    /// [`Error::Dtype`] for another dtype, [`Error::Argument`] for a share of labels outside of 0 to 1, a factor that is
    /// negative or not finite, or a cap that is not a number above 0.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        if !(0.0..=1.0).contains(&self.smoothing) {
            let expected = "a share from 0 to 1";
            return Err(Error::argument("label_smoothing", expected, self.smoothing));
        }
        if !(0.0..f32::INFINITY).contains(&self.z_loss) {
            let expected = "a finite number that is not negative";
            return Err(Error::argument("z_loss", expected, self.z_loss));
        }
        if let Some(cap) = self.cap
            && !(cap > 0.0 && cap < f32::INFINITY)
        {
            return Err(Error::argument("soft_cap", "a finite number above 0", cap));
        }
        let ignored = Ignored::of(self.ignored, self.targets.dtype());
        let words = ignored.words();
        let wide = self.reduction != Reduction::None;
        let (logits, targets) = (self.logits, self.targets);
        let (z, smoothing) = (self.z_loss, self.smoothing);
        let (loss, weights) = match (self.weight, self.cap) {
            (Some(weight), cap) => {
                let arrays = [logits, targets, weight];
                let [loss, own] = match cap {
                    Some(cap) => {
                        WEIGHTED_CAPPED.call_with(&arrays, &[z, smoothing, cap], &words, wide)?
                    }
                    None => WEIGHTED.call_with(&arrays, &[z, smoothing], &words, wide)?,
                };
                (loss, Some(own))
            }
            (None, cap) => {
                let arrays = [logits, targets];
                let [loss] = match cap {
                    Some(cap) => CAPPED.call_with(&arrays, &[z, smoothing, cap], &words, wide)?,
                    None if smoothing > 0.0 => {
                        SMOOTH.call_with(&arrays, &[z, smoothing], &words, wide)?
                    }
                    None => PLAIN.call_with(&arrays, &[z], &words, wide)?,
                };
                (loss, None)
            }
        };
        let total = match self.reduction {
            Reduction::None => return Ok(loss),
            Reduction::Sum => loss.sum(..)?,
            Reduction::Mean => {
                let counted = match weights {
                    Some(own) => own.sum(..)?,
                    None => ignored.counted(targets)?,
                };
                loss.sum(..)?.divide(&counted)?
            }
        };
        total.astype(logits.dtype())
    }
}

/// `(softmax(logits) - onehot(target)) cotan` for each row: the gradient of [`softmax_cross_entropy`] in one kernel, for
/// those who write a backward pass themselves.
///
/// `logits`: (..., D), float32, float16 or bfloat16; `targets`: (...), any integer type; `cotan`: (...), float32, float16 or
/// bfloat16. The result is like the logits. Computed in float32. A target outside of `0..D` gives a row of
/// NaN. Differentiable any number of times in `logits` and `cotan`.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[0.0f32, 0.0], (1, 2))?;
/// let (targets, cotan) = (Array::from_slice(&[1], 1)?, Array::from_slice(&[3.0f32], 1)?);
/// let slope = kernels::loss::softmax_cross_entropy_grad(&logits, &targets, &cotan).call()?;
/// assert_eq!(slope.to_vec::<f32>()?, [1.5, -1.5]);
/// # Ok(())
/// # }
/// ```
pub fn softmax_cross_entropy_grad<'a>(
    logits: &'a Array,
    targets: &'a Array,
    cotan: &'a Array,
) -> CrossEntropyGrad<'a> {
    CrossEntropyGrad {
        logits,
        targets,
        cotan,
        ignored: None,
    }
}

/// A call of [`softmax_cross_entropy_grad`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropyGrad<'a> {
    logits: &'a Array,
    targets: &'a Array,
    cotan: &'a Array,
    ignored: Option<i64>,
}

impl CrossEntropyGrad<'_> {
    /// Rows with this target are 0 (default: none).
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.ignored = Some(index);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar, or targets or cotangents of another shape than the rows',
    /// [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let words = Ignored::of(self.ignored, self.targets.dtype()).words();
        let arrays = [self.logits, self.targets, self.cotan];
        let [slope] = SLOPE.call_with(&arrays, &[], &words, false)?;
        Ok(slope)
    }
}

/// The target of rows that do not count, if there is one.
#[derive(Clone, Copy)]
struct Ignored(Option<i64>);

impl Ignored {
    /// Kernels read targets as `long`, where those of a `uint64` from 2^63 on are the lowest: a negative number is none
    /// of them. Nor is a number that their type does not hold.
    fn of(index: Option<i64>, targets: Dtype) -> Self {
        let held = |&i: &i64| match targets {
            Dtype::Bool => (0..2).contains(&i),
            Dtype::Int8 => i8::try_from(i).is_ok(),
            Dtype::Int16 => i16::try_from(i).is_ok(),
            Dtype::Int32 => i32::try_from(i).is_ok(),
            Dtype::Uint8 => u8::try_from(i).is_ok(),
            Dtype::Uint16 => u16::try_from(i).is_ok(),
            Dtype::Uint32 => u32::try_from(i).is_ok(),
            Dtype::Uint64 => i >= 0,
            _ => true,
        };
        Ignored(index.filter(held))
    }

    /// The number, and whether there is one: every number may be a target.
    fn words(self) -> [i64; 2] {
        [self.0.unwrap_or(0), i64::from(self.0.is_some())]
    }

    /// How many rows count.
    fn counted(self, targets: &Array) -> Result<Array> {
        match self.0 {
            None => Ok(Array::from(targets.size() as f32)),
            Some(i) => {
                let index = Array::scalar(i)?.astype(targets.dtype())?;
                let counts = targets.not_equal(&index)?;
                counts.astype(Dtype::Float32)?.sum(..)
            }
        }
    }
}
