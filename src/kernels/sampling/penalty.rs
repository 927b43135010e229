//! Logits of tokens that are there already.

use super::EachRow;
use crate::kernels::arguments::{check_float, check_integers, check_shape, rows_of};
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// Logits of which those of some tokens are made less likely: divided by `penalty` if positive, multiplied with it if
/// negative (N. Keskar and others, "CTRL: A Conditional Transformer Language Model", 2019).
///
/// `logits`: (..., D), float32, float16 or bfloat16; `tokens`: (..., N), integers, the tokens of each row in any order, any
/// number of times; what is negative, or D and more, fills a place and is no token. `penalty` is a number above 0, or an array (...) of floats
/// with one for each row; 1 changes nothing. The result is like `logits`. It consists of MLX's operations, and is
/// differentiable in the logits any number of times.
///
/// ```
/// use zmlx::{Array, kernels::sampling};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[4.0f32, -1.0, 3.0, 0.5], 4)?;
/// let seen = Array::from_slice(&[0, 1, 0, -1], 4)?;
/// let y = sampling::repetition_penalty(&logits, &seen, 2.0)?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, -2.0, 3.0, 0.5]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar and for other leading axes, [`Error::Dtype`] for another dtype, [`Error::Argument`] for a penalty that
/// is not above 0.
#[track_caller]
pub fn repetition_penalty<'a>(
    logits: &Array,
    tokens: &Array,
    penalty: impl Into<EachRow<'a, f32>>,
) -> Result<Array> {
    check_float("logits", logits)?;
    check_integers("tokens", tokens)?;
    let (_, width) = rows_of("logits", logits)?;
    let (_, count) = rows_of("tokens", tokens)?;
    let shape = logits.shape();
    let leading = &shape[..shape.len() - 1];
    check_shape("tokens", tokens, &[leading, &[count as i32]].concat())?;
    let penalty = match penalty.into() {
        EachRow::Same(value) if value > 0.0 && value.is_finite() => Array::from(value),
        EachRow::Same(value) => {
            return Err(Error::argument("penalty", "a finite number above 0", value));
        }
        EachRow::Each(values) => {
            check_float("penalty", values)?;
            check_shape("penalty", values, leading)?;
            values.expand_dims(-1)?
        }
    };
    // One place more, which takes what is no token.
    let width = width as i32;
    let tokens = tokens.astype(Dtype::Int64)?;
    let known = tokens.greater_equal(0)?.logical_and(&tokens.less(width)?)?;
    let places = where_(&known, &tokens, width)?;
    let seen = Array::zeros([leading, &[width + 1]].concat(), Dtype::Bool)?;
    let seen = seen.put_along_axis(&places, true, -1)?;
    let seen = seen.index((crate::Ellipsis, 0..width))?;
    let penalty = penalty.astype(logits.dtype())?;
    let less = where_(
        &logits.greater(0)?,
        &logits.divide(&penalty)?,
        &logits.multiply(&penalty)?,
    )?;
    where_(&seen, &less, logits)
}
