//! The mean of values by softmax of scores, by MLX's operations.

use crate::{Array, Result, ops};

/// Values (..., tokens, D) weighted by the softmax of `scores` (..., N, tokens) over tokens that are `seen`, 0 where none is; and the logarithm of
/// the sum of exponentials, (..., N). A sink (..., 1, 1) is a score without a value.
pub(super) fn mean(
    scores: &Array,
    seen: &Array,
    sink: Option<&Array>,
    values: &Array,
) -> Result<(Array, Array)> {
    let still = scores.stop_gradient()?;
    let mut most = ops::where_(seen, still, f32::NEG_INFINITY)?.max(crate::keepdims(-1))?;
    if let Some(sink) = sink {
        most = most.maximum(&sink.stop_gradient()?)?;
    }
    let most = ops::where_(&most.equal(f32::NEG_INFINITY)?, 0.0, most)?;
    // What is not seen has the exponential 0, so that no derivative multiplies 0 by infinity.
    let shifted = ops::where_(seen, scores.subtract(&most)?, 0.0)?;
    let weights = ops::where_(seen, shifted.exp()?, 0.0)?;
    let mut total = weights.sum(crate::keepdims(-1))?;
    if let Some(sink) = sink {
        total = total.add(&sink.subtract(&most)?.exp()?)?;
    }
    let none = total.equal(0.0)?;
    let total = ops::where_(&none, 1.0, total)?;
    let lse = ops::where_(&none, f32::NEG_INFINITY, total.log()?.add(&most)?)?;
    let mean = weights.divide(&total)?.matmul(values)?;
    Ok((mean, lse.squeeze(-1)?))
}
