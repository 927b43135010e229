//! Losses: a number for each element or row, to be averaged by `.mean(..)`.

use crate::kernels::activations::softplus;
use crate::kernels::loss::softmax_cross_entropy;
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// `log(sum(exp(logits))) - logits[target]` of each row: `logits` (..., classes), `targets` (...), integers.
/// [`softmax_cross_entropy`] has options.
///
/// ```
/// use zmlx::{Array, nn::losses};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[0.0f32, 0.0, 0.0, 0.0], (1, 4))?;
/// let loss = losses::cross_entropy(&logits, &Array::from_slice(&[2], 1)?)?.mean(..)?;
/// assert!((loss.item::<f32>()? - 4f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`softmax_cross_entropy`].
#[track_caller]
pub fn cross_entropy(logits: &Array, targets: &Array) -> Result<Array> {
    softmax_cross_entropy(logits, targets).call()
}

/// Cross entropy of two classes, from logits: `softplus(x) - target x`, where targets are numbers from 0 to 1.
///
/// ```
/// use zmlx::{Array, nn};
/// let logits = Array::from_iter([0.0f32, 100.0])?;
/// let targets = Array::from_iter([1.0f32, 1.0])?;
/// let loss = nn::losses::binary_cross_entropy(&logits, &targets)?.to_vec::<f32>()?;
/// assert!((loss[0] - 2f32.ln()).abs() < 1e-6 && loss[1] < 1e-6);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes than the logits', [`Error::Dtype`] unless float32, float16 or bfloat16.
#[track_caller]
pub fn binary_cross_entropy(logits: &Array, targets: &Array) -> Result<Array> {
    same_shape("targets", targets, logits)?;
    softplus(logits)?.subtract(logits.multiply(&targets.astype(logits.dtype())?)?)
}

/// `(prediction - target)^2`.
///
/// ```
/// use zmlx::{Array, nn};
/// let (x, y) = (Array::from_iter([1.0f32, 5.0])?, Array::from_iter([2.0f32, 2.0])?);
/// assert_eq!(nn::losses::mse(&x, &y)?.to_vec::<f32>()?, [1.0, 9.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes than the predictions'.
#[track_caller]
pub fn mse(predictions: &Array, targets: &Array) -> Result<Array> {
    same_shape("targets", targets, predictions)?;
    predictions.subtract(targets)?.square()
}

/// `|prediction - target|`.
///
/// ```
/// use zmlx::{Array, nn};
/// let (x, y) = (Array::from_iter([1.0f32, 5.0])?, Array::from_iter([2.0f32, 2.0])?);
/// assert_eq!(nn::losses::l1(&x, &y)?.to_vec::<f32>()?, [1.0, 3.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes than the predictions'.
#[track_caller]
pub fn l1(predictions: &Array, targets: &Array) -> Result<Array> {
    same_shape("targets", targets, predictions)?;
    let unsigned = |a: &Array| {
        let dtype = a.dtype();
        matches!(
            dtype,
            Dtype::Uint8 | Dtype::Uint16 | Dtype::Uint32 | Dtype::Uint64
        )
    };
    if unsigned(predictions) && unsigned(targets) {
        // A difference below 0 would be a large number.
        return predictions
            .maximum(targets)?
            .subtract(predictions.minimum(targets)?);
    }
    predictions.subtract(targets)?.abs()
}

/// `d^2 / 2` up to `|d| = delta`, then `delta (|d| - delta / 2)`, of the difference `d` (P. Huber, "Robust Estimation of a Location
/// Parameter", 1964).
///
/// ```
/// use zmlx::{Array, nn};
/// let (x, y) = (Array::from_iter([1.0f32, 5.0])?, Array::from_iter([2.0f32, 2.0])?);
/// assert_eq!(nn::losses::huber(&x, &y, 1.0)?.to_vec::<f32>()?, [0.5, 2.5]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes than the predictions', [`Error::Argument`] unless `delta` is above 0.
#[track_caller]
pub fn huber(predictions: &Array, targets: &Array, delta: f32) -> Result<Array> {
    same_shape("targets", targets, predictions)?;
    if !(delta > 0.0 && delta.is_finite()) {
        return Err(Error::argument("delta", "a finite number above 0", delta));
    }
    let d = predictions.subtract(targets)?.abs()?;
    let near = d.square()?.multiply(0.5f32)?;
    let far = d.subtract(0.5 * delta)?.multiply(delta)?;
    where_(&d.less_equal(delta)?, &near, &far)
}

/// `sum(exp(target) (target - input))` over the last axis, of logarithms of probabilities (S. Kullback and R. Leibler, 1951).
///
/// ```
/// use zmlx::{Array, nn};
/// let logs = Array::from_iter([0.5f32, 0.5])?.log()?;
/// assert_eq!(nn::losses::kl_divergence(&logs, &logs)?.item::<f32>()?, 0.0);
/// let sure = Array::from_iter([1.0f32, 1e-30])?.log()?;
/// assert!((nn::losses::kl_divergence(&logs, &sure)?.item::<f32>()? - 2f32.ln()).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes than the inputs' and for scalars.
#[track_caller]
pub fn kl_divergence(inputs: &Array, targets: &Array) -> Result<Array> {
    same_shape("targets", targets, inputs)?;
    targets.exp()?.multiply(targets.subtract(inputs)?)?.sum(-1)
}

/// Two arrays that broadcast would give a loss of pairs that nobody meant.
#[track_caller]
fn same_shape(name: &str, a: &Array, like: &Array) -> Result<()> {
    match a.shape() == like.shape() {
        true => Ok(()),
        false => Err(Error::shape(format!(
            "`{name}`: expected shape {:?}, got {:?}",
            like.shape(),
            a.shape()
        ))),
    }
}
