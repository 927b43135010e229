//! Attention of many queries: the operation, its gradients and launches.

use super::flash_launch::{self as launch, dkv, dq};
use super::weighted;
use crate::kernels::generated::Generated;
use crate::kernels::op::{Op, reverse_mode};
use crate::rowwise::{Pass, map_reduce};
use crate::{Array, Dtype, Error, Result, ops};

/// What a mask is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mask {
    None = 0,
    Seen = 1,
    Added = 2,
}

/// What is no array. Inputs are queries, keys, values, mask, sinks and the segments of queries and keys; an input that there is not is a
/// number. All but the sinks may have further leading axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flash {
    pub scale: f32,
    /// 0 for none.
    pub cap: f32,
    /// 0 for none.
    pub window: i64,
    pub causal: bool,
    pub mask: Mask,
    pub sinks: bool,
    pub segments: bool,
}

/// The outputs are the result and the logarithms of sums of exponentials.
pub(super) static FLASH: Op<Flash> = Op {
    name: "flash_attention",
    rows: 3,
    visible: 1,
    forward: |flash, p| {
        let p: Vec<Array> = p.iter().map(|&a| a.clone()).collect();
        let (flat, leading) = flat(flash, &p)?;
        let outputs = match flat[0].size() == 0 || flat[1].size() == 0 {
            true => FLASH.derivable(flash, &flat)?,
            false => launch::forward(flash, &flat)?,
        };
        outputs.iter().map(|y| unflat(y, &leading)).collect()
    },
    vjp,
    composite: |flash, p| {
        let (flat, leading) = flat(flash, p)?;
        let outputs = composite(flash, &flat)?;
        outputs.iter().map(|y| unflat(y, &leading)).collect()
    },
};

/// All leading axes as one, and what they were.
fn flat(flash: &Flash, p: &[Array]) -> Result<(Vec<Array>, Vec<i32>)> {
    let at = p[0].ndim() - 3;
    let leading = p[0].shape()[..at].to_vec();
    if leading.len() == 1 {
        return Ok((p.to_vec(), leading));
    }
    let one = |a: &Array, rest: usize| {
        let rest = &a.shape()[a.ndim() - rest..];
        let all = a.broadcast_to([&leading[..], rest].concat())?;
        all.reshape([&[leading.iter().product()], rest].concat())
    };
    let mut all = Vec::with_capacity(p.len());
    for (i, a) in p.iter().enumerate() {
        all.push(match i {
            0..3 => one(a, 3)?,
            3 if flash.mask != Mask::None => one(a, 3)?,
            5 | 6 if flash.segments => one(a, 1)?,
            _ => a.clone(),
        });
    }
    Ok((all, leading))
}

fn unflat(y: &Array, leading: &[i32]) -> Result<Array> {
    match leading.len() {
        1 => Ok(y.clone()),
        _ => y.reshape([leading, &y.shape()[1..]].concat()),
    }
}

/// The sum of the products of each row, in float32.
static INNER: Generated = Generated::new(|| {
    let made = map_reduce("flash_attention_delta")
        .inputs(["a", "b"])
        .pass(Pass {
            init: "0.0f",
            update: "acc + a * b",
            reduce: "a + b",
        })
        .write_row("s1")
        .output_dtype(Dtype::Float32)
        .build()?;
    Ok(made.op)
});

fn vjp(flash: &Flash, p: &[Array], cotangents: &[Array], outputs: &[Array]) -> Result<Vec<Array>> {
    let (flat_p, leading) = flat(flash, p)?;
    if flat_p[0].size() == 0 || flat_p[1].size() == 0 {
        return reverse_mode(|p| FLASH.derivable(flash, p), p, cotangents);
    }
    let merged = |a: &Array, rest: usize| {
        let rest = &a.shape()[a.ndim() - rest..];
        a.reshape([&[leading.iter().product()], rest].concat())
    };
    let (g, of_lse) = (merged(&cotangents[0], 3)?, merged(&cotangents[1], 2)?);
    let (y, lse) = (merged(&outputs[0], 3)?, merged(&outputs[1], 2)?);
    // What every score's gradient has in common.
    let wide = |a: &Array| a.astype(Dtype::Float32);
    let g = g.astype(p[0].dtype())?;
    let delta = INNER.op()?.call1(&[&g, &y])?.subtract(&of_lse)?;
    let mut all = Vec::with_capacity(p.len());
    all.push(unflat(&dq(flash, &flat_p, &g, &lse, &delta)?, &leading)?);
    let [dk, dv] = dkv(flash, &flat_p, &g, &lse, &delta)?;
    all.push(unflat(&dk, &leading)?);
    all.push(unflat(&dv, &leading)?);
    all.push(match flash.mask {
        // Lazy, so it costs nothing unless it is asked for.
        Mask::Added => reverse_mode(|p| FLASH.derivable(flash, p), p, cotangents)?.swap_remove(3),
        _ => p[3].zeros_like()?,
    });
    all.push(match flash.sinks {
        // A sink's weight is exp(sink - lse), and it has no value.
        true => {
            let sinks = wide(&p[4])?.reshape((1, -1, 1))?;
            let weight = sinks.subtract(&lse)?.exp()?;
            let sum = weight.multiply(&delta)?.negative()?.sum([0, 2])?;
            sum.astype(p[4].dtype())?
        }
        false => p[4].zeros_like()?,
    });
    for a in &p[5..] {
        all.push(a.zeros_like()?);
    }
    Ok(all)
}

/// The same by MLX's operations, with an array of scores.
fn composite(flash: &Flash, p: &[Array]) -> Result<Vec<Array>> {
    let [q, keys, values, mask, sinks, of_queries, of_keys] = p else {
        return Err(Error::argument("inputs", 7, p.len()));
    };
    let [batch, heads, queries, width] = [0, 1, 2, 3].map(|i| q.shape()[i]);
    let [kv, length] = [1, 2].map(|i| keys.shape()[i]);
    let rows = (batch, heads, queries);
    if q.size() == 0 || length == 0 {
        let lse = match flash.sinks {
            true => sinks.astype(Dtype::Float32)?.reshape((1, heads, 1))?,
            false => Array::full((1, 1, 1), f32::NEG_INFINITY, Dtype::Float32)?,
        };
        return Ok(vec![q.zeros_like()?, lse.broadcast_to(rows)?]);
    }
    let each = heads / kv;
    let grouped = q.reshape((batch, kv, each, queries, width))?;
    let mut scores = grouped
        .matmul(&keys.expand_dims(2)?.swapaxes(-1, -2)?)?
        .multiply(flash.scale)?;
    if flash.cap > 0.0 {
        scores = scores.divide(flash.cap)?.tanh()?.multiply(flash.cap)?;
    }
    // What is seen, (B, KV, each, N, L) or what broadcasts to it.
    let place = Array::arange(queries)?
        .add(length - queries)?
        .reshape((queries, 1))?;
    let key = Array::arange(length)?;
    let mut seen = Array::ones((1, 1, 1, queries, length), Dtype::Bool)?;
    if flash.causal {
        seen = seen.logical_and(key.less_equal(&place)?)?;
    }
    if flash.window > 0 {
        let window = i32::try_from(flash.window).unwrap_or(i32::MAX);
        seen = seen.logical_and(key.greater(&place.subtract(window)?)?)?;
    }
    if flash.segments {
        let own = of_queries.reshape((batch, 1, 1, queries, 1))?;
        seen = seen.logical_and(own.equal(&of_keys.reshape((batch, 1, 1, 1, length))?)?)?;
    }
    let full = (batch, kv, each, queries, length);
    match flash.mask {
        Mask::None => {}
        Mask::Seen => seen = seen.logical_and(mask.reshape(full)?)?,
        Mask::Added => {
            let mask = mask.reshape(full)?.astype(q.dtype())?;
            let none = mask.equal(f32::NEG_INFINITY)?;
            seen = seen.logical_and(none.logical_not()?)?;
            scores = scores.add(&ops::where_(&none, 0.0, mask)?)?;
        }
    }
    let sink = match flash.sinks {
        true => Some(sinks.astype(q.dtype())?.reshape((1, kv, each, 1, 1))?),
        false => None,
    };
    let (y, lse) = weighted::mean(&scores, &seen, sink.as_ref(), &values.expand_dims(2)?)?;
    let lse = match q.dtype() {
        Dtype::Float64 => lse,
        _ => lse.astype(Dtype::Float32)?,
    };
    Ok(vec![y.reshape(q.shape())?, lse.reshape(rows)?])
}
