//! Attention as books have it.

use zmlx::prelude::*;
use zmlx::{Result, ops};

use crate::heads::Options;

/// The textbook, with all scores, in the dtype of the inputs.
pub fn textbook(p: &[Array], o: &Options<'_>) -> Result<Vec<Array>> {
    let [q, k, v] = [&p[0], &p[1], &p[2]];
    let dtype = q.dtype();
    let [b, h, n, d] = [0, 1, 2, 3].map(|i| q.shape()[i]);
    let [kv, l] = [1, 2].map(|i| k.shape()[i]);
    let repeated = |a: &Array| {
        a.expand_dims(2)?
            .broadcast_to((b, kv, h / kv, l, d))?
            .reshape((b, h, l, d))
    };
    let scale = o.scale.unwrap_or(1.0 / (d as f32).sqrt());
    let mut scores = (q.matmul(&repeated(k)?.swapaxes(-1, -2)?)? * scale)?;
    if let Some(cap) = o.softcap {
        scores = ((scores / cap)?.tanh()? * cap)?;
    }
    let place = Array::arange(n)?.add(l - n)?.reshape((n, 1))?;
    let key = Array::arange(l)?.reshape((1, l))?;
    let mut seen = Array::ones((b, h, n, l), Dtype::Bool)?;
    if o.causal {
        seen = seen.logical_and(key.less_equal(&place)?)?;
    }
    if let Some(keys) = o.window {
        seen = seen.logical_and(key.greater(&place.subtract(keys)?)?)?;
    }
    if let Some([of_queries, of_keys]) = o.segments {
        let own = of_queries.reshape((b, 1, n, 1))?;
        seen = seen.logical_and(own.equal(&of_keys.reshape((b, 1, 1, l))?)?)?;
    }
    match o.mask {
        None => {}
        Some(mask) if mask.dtype() == Dtype::Bool => seen = seen.logical_and(mask)?,
        Some(mask) => scores = scores.add(&mask.astype(dtype)?)?,
    }
    // Far below every score, yet no infinity, which would be 0 times infinity in a derivative.
    let scores = ops::where_(&seen, scores, -1e30f32)?;
    let sinks = match o.sinks {
        Some(sinks) => sinks.astype(dtype)?,
        None => Array::full(h, -1e30f32, dtype)?,
    };
    let sinks = sinks.reshape((1, h, 1, 1))?.broadcast_to((b, h, n, 1))?;
    let all = ops::concatenate([&scores, &sinks], -1)?;
    let lse = all.logsumexp(zmlx::keepdims(-1))?;
    let weights = scores.subtract(&lse)?.exp()?;
    let weights = ops::where_(&seen, weights, 0.0f32)?;
    Ok(vec![weights.matmul(&repeated(v)?)?, lse.squeeze(-1)?])
}
