//! Attention of one query a sequence over keys and values in blocks.

use super::cache::Cache;
use super::decode::check_same;
use super::few::{FEW, Few};
use super::options::{
    cache_options, cap_of, check_sinks, narrow, scale_of, score_options, window_of, wrong_shape,
};
use crate::kernels::arguments::{check_float, check_integers, check_shape};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, integers, other};
use crate::{Array, Result};

/// Attention of one query a sequence, or of a few, over keys and values that stand in blocks (W. Kwon and others, "Efficient Memory
/// Management for Large Language Model Serving with PagedAttention", 2023): `softmax(scale q k^T) v` over the first tokens of each
/// sequence.
///
/// `q`: (B, H, D), or (B, H, N, D) for N queries; `k_cache`, `v_cache`: (blocks, slots, KV, D), where KV divides H, and H / KV heads in a
/// row share keys and values; each float32, float16 or bfloat16, or a [`QuantizedCache`](super::QuantizedCache) of that shape for both caches.
/// `block_table`: (B, blocks of a sequence); `context_lens`: (B,); integers. Token i of sequence b stands in slot `i % slots` of the block
/// `block_table[b, i / slots]`. The result is like `q`. Computed in float32; sequences may have any length, and are shared out among groups
/// of threads. Options are those of [`decode_attention`](super::decode_attention), by the same names.
///
/// A sequence without tokens gives 0, also if its length is below 0. One of whose tokens the table tells no place, as it is too short or names
/// no block, gives NaN. Nothing else counts: no slot beyond the length, no block that is none.
///
/// Differentiable any number of times in `q`, `k_cache` and `v_cache`; the derivatives come from MLX's operations. Forward mode
/// over a gradient is an error, as MLX's scatter has none; a gradient of a gradient is not.
///
/// ```
/// use zmlx::kernels::attention::paged_attention;
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let q = Array::ones((2, 4, 8), F32)?;
/// let cache = Array::full((3, 16, 2, 8), 5.0, F32)?;
/// let table = Array::from_slice(&[2, 0, 1, -1], (2, 2))?;
/// let lens = Array::from_slice(&[20, 0], 2)?;
/// let y = paged_attention(&q, &cache, &cache, &table, &lens).call()?;
/// assert_eq!(y.index((.., 0, 0))?.to_vec::<f32>()?, [5.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub fn paged_attention<'a>(
    q: &'a Array,
    k_cache: impl Into<Cache<'a>>,
    v_cache: impl Into<Cache<'a>>,
    block_table: &'a Array,
    context_lens: &'a Array,
) -> PagedAttention<'a> {
    PagedAttention {
        q,
        caches: [k_cache.into(), v_cache.into()],
        table: block_table,
        lens: context_lens,
        scale: None,
        causal: false,
        window: None,
        softcap: None,
        sinks: None,
    }
}

/// A call of [`paged_attention`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct PagedAttention<'a> {
    q: &'a Array,
    caches: [Cache<'a>; 2],
    table: &'a Array,
    lens: &'a Array,
    scale: Option<f32>,
    causal: bool,
    window: Option<i32>,
    softcap: Option<f32>,
    sinks: Option<&'a Array>,
}

score_options!(PagedAttention, "");
cache_options!(PagedAttention);

impl<'a> PagedAttention<'a> {
    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) and [`Error::Dtype`](crate::Error::Dtype) for arrays that do not fit,
    /// [`Error::Argument`](crate::Error::Argument) for a scale that is not finite, a window below 1 or a cap that is not above 0.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let PagedAttention { q, caches, .. } = self;
        check_float("q", q)?;
        let keys = caches[0].shape("k_cache")?;
        caches[1].shape("v_cache")?;
        check_integers("block_table", self.table)?;
        check_integers("context_lens", self.lens)?;
        let (batch, heads, queries, width) = match *q.shape() {
            [b, h, d] => (b, h, 1, d),
            [b, h, n, d] => (b, h, n, d),
            _ => return Err(wrong_shape("q", "(B, H, D) or (B, H, N, D)", q.shape())),
        };
        match *keys {
            [_, _, kv, d] if d == width && kv > 0 && heads % kv == 0 => {}
            _ => {
                let expected = format!("(blocks, slots, a divisor of {heads}, {width})");
                return Err(wrong_shape("k_cache", &expected, &keys));
            }
        }
        check_same(&caches, &keys, ["k_cache", "v_cache"])?;
        match *self.table.shape() {
            [rows, _] if rows == batch => {}
            _ => {
                let expected = format!("({batch}, blocks)");
                return Err(wrong_shape("block_table", &expected, self.table.shape()));
            }
        }
        check_shape("context_lens", self.lens, &[batch])?;
        check_sinks(self.sinks, heads)?;
        let few = Few {
            scale: scale_of(self.scale, width)?,
            cap: cap_of(self.softcap)?,
            window: window_of(self.window)?,
            // One query is the last one.
            causal: self.causal && queries > 1,
            sinks: self.sinks.is_some(),
            lens: true,
            paged: true,
            format: caches[0].format(),
        };
        let [k, v] = caches;
        let rows = match q.ndim() {
            3 => &q.expand_dims(2)?,
            _ => q,
        };
        let [key_scales, value_scales] = [k, v].map(|c| c.scales.unwrap_or(rows));
        let sinks = self.sinks.unwrap_or(rows);
        let lens = narrow(self.lens)?;
        let y = FEW.call1(
            few,
            &[
                rows,
                k.codes,
                v.codes,
                key_scales,
                value_scales,
                self.table,
                &lens,
                sinks,
            ],
        )?;
        match q.ndim() {
            3 => y.squeeze(2),
            _ => Ok(y),
        }
    }
}

// In benchmarks: four heads of queries and two of keys, 16 slots a sequence.
static QUERY: Other = floats("(B, H, D)", &[Axes::Rows(1), Axes::Size(4), Axes::Width]);
static BLOCKS: Other = floats(
    "(blocks, slots, KV, D)",
    &[Axes::Rows(4), Axes::Size(4), Axes::Size(2), Axes::Width],
);
static BLOCK_TABLE: Other = integers("(B, blocks), integers", &[Axes::Rows(1), Axes::Size(4)], 4);
static LENS: Other = integers("(B,), integers", &[Axes::Rows(1)], 17);

pub(in crate::kernels) static TABLE: &[Entry] = &[Entry {
    name: "attention::paged_attention",
    formula: "softmax(q k^T / sqrt(D)) v over a sequence's first tokens",
    file: "attention.metal",
    inputs: &[
        other("q", &QUERY),
        other("k_cache", &BLOCKS),
        other("v_cache", &BLOCKS),
        other("block_table", &BLOCK_TABLE),
        other("context_lens", &LENS),
    ],
    call: |p| {
        Ok(vec![
            paged_attention(&p[0], &p[1], &p[2], &p[3], &p[4]).call()?,
        ])
    },
    composite: |p| {
        let few = Few {
            scale: scale_of(None, p[0].shape()[2])?,
            cap: 0.0,
            window: 0,
            causal: false,
            sinks: false,
            lens: true,
            paged: true,
            format: 0,
        };
        let q = p[0].expand_dims(2)?;
        let all = [&q, &p[1], &p[2], &q, &q, &p[3], &p[4], &q].map(Clone::clone);
        let y = (FEW.composite)(&few, &all)?;
        Ok(vec![y[0].squeeze(2)?])
    },
    mlx: None,
    // Half of the slots count, on average.
    bytes: |rows, width, size| 40 * rows * width * size,
    roundings: few_roundings,
}];
