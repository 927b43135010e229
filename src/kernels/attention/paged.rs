//! Attention of one query a sequence over keys and values in blocks.

use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::{check_float, number, places, with_axes};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, integers, other};
use crate::kernels::op::{Op, reverse_mode};
use crate::metal::{Made, build_once};
use crate::{Array, Dtype, Error, MetalKernel, Result, ops};

/// Attention of one query a sequence over keys and values that stand in blocks (W. Kwon and others, "Efficient Memory
/// Management for Large Language Model Serving with PagedAttention", 2023): `softmax(scale q k^T) v` over the first tokens of each
/// sequence.
///
/// `q`: (B, H, D); `k_cache`, `v_cache`: (blocks, slots, KV, D), where KV divides H, and H / KV heads in a row share keys and values;
/// each float32, float16 or bfloat16. `block_table`: (B, blocks of a sequence); `context_lens`: (B,); integers. Token i of
/// sequence b stands in slot `i % slots` of the block `block_table[b, i / slots]`. The result is like `q`. Computed in float32.
/// The option [`scale`](PagedAttention::scale) is `1 / sqrt(D)` by default.
///
/// A sequence without tokens gives 0, also if its length is below 0. One of whose tokens the table tells no place, as it is too short or names
/// no block, gives NaN. Nothing else is read: no slot beyond the length, no block that is none.
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
    k_cache: &'a Array,
    v_cache: &'a Array,
    block_table: &'a Array,
    context_lens: &'a Array,
) -> PagedAttention<'a> {
    PagedAttention {
        q,
        caches: [k_cache, v_cache],
        table: block_table,
        lens: context_lens,
        scale: None,
    }
}

/// A call of [`paged_attention`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct PagedAttention<'a> {
    q: &'a Array,
    caches: [&'a Array; 2],
    table: &'a Array,
    lens: &'a Array,
    scale: Option<f32>,
}

impl PagedAttention<'_> {
    /// The factor on the products of query and key (default `1 / sqrt(D)`).
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Dtype`] for arrays that do not fit, [`Error::Argument`] for a scale that is not finite.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let PagedAttention { q, caches, .. } = self;
        for (name, a) in [("q", q), ("k_cache", caches[0]), ("v_cache", caches[1])] {
            check_float(name, a)?;
        }
        for (name, a) in [("block_table", self.table), ("context_lens", self.lens)] {
            if !a.dtype().is_integral() {
                let got = a.dtype();
                return Err(Error::dtype(format!(
                    "`{name}`: expected integers, got {got}"
                )));
            }
        }
        let wrong = |name: &str, expected: &str, a: &Array| {
            let shape = a.shape();
            Error::shape(format!(
                "`{name}`: expected shape {expected}, got {shape:?}"
            ))
        };
        let &[batch, heads, width] = q.shape() else {
            return Err(wrong("q", "(B, H, D)", q));
        };
        let shape = caches[0].shape();
        match *shape {
            [_, _, kv, d] if d == width && kv > 0 && heads % kv == 0 => {}
            _ => {
                let expected = format!("(blocks, slots, a divisor of {heads}, {width})");
                return Err(wrong("k_cache", &expected, caches[0]));
            }
        }
        crate::kernels::arguments::check_shape("v_cache", caches[1], shape)?;
        match *self.table.shape() {
            [rows, _] if rows == batch => {}
            _ => {
                return Err(wrong(
                    "block_table",
                    &format!("({batch}, blocks)"),
                    self.table,
                ));
            }
        }
        crate::kernels::arguments::check_shape("context_lens", self.lens, &[batch])?;
        let scale = self
            .scale
            .unwrap_or_else(|| 1.0 / (width.max(1) as f32).sqrt());
        if !scale.is_finite() {
            return Err(Error::argument("scale", "a finite number", scale));
        }
        PAGED.call1(scale, &[q, caches[0], caches[1], self.table, self.lens])
    }
}

static PAGED: Op<f32> = Op {
    name: "paged_attention",
    rows: 0,
    visible: 1,
    forward: |&scale, p| {
        let [batch, heads, width] = [0, 1, 2].map(|i| p[0].shape()[i]);
        if p[0].size() == 0 || p[1].size() == 0 || p[3].size() == 0 {
            return Ok(vec![without_tokens(p[0], p[4])?]);
        }
        let kernel = build_once(
            &KERNEL,
            "paged_attention",
            &[
                "q",
                "k_cache",
                "v_cache",
                "block_table",
                "context_lens",
                "scale",
            ],
            &["out"],
            || SOURCE.to_owned(),
        )?;
        let gpu = as_on_gpu(crate::stream::current().gpu);
        let threads = if gpu { 128 } else { 1 };
        // Elements of a thread.
        let items = (width as usize).div_ceil(threads).next_power_of_two();
        let scale = number(scale)?;
        let inputs = with_axes(&[p[0], p[1], p[2], p[3], p[4], &scale])?;
        let mut launch = kernel.launch(&inputs);
        launch.set_output(p[0].shape(), p[0].dtype());
        launch.set_template("TG", (threads as i32).into());
        launch.set_template("ITEMS", (items as i32).into());
        launch.set_threadgroup(threads as i32);
        launch.set_grid((i64::from(heads) * threads as i64, i64::from(batch)));
        Ok(launch.add::<1>()?.into())
    },
    vjp: |scale, p, g, _| reverse_mode(|p| PAGED.derivable(scale, p), p, g),
    composite: |&scale, p| {
        let [q, keys, values, table, lens] = p else {
            return Err(Error::argument("inputs", 5, p.len()));
        };
        if p[..4].iter().any(|a| a.size() == 0) {
            return Ok(vec![without_tokens(q, lens)?]);
        }
        let [batch, heads, width] = [0, 1, 2].map(|i| q.shape()[i]);
        let [blocks, slots, kv] = [0, 1, 2].map(|i| keys.shape()[i]);
        let most = places("block_table", table.shape()[1], slots)?;
        let all = places("k_cache", blocks, slots)?;
        let lens = lens.astype(Dtype::Int64)?.reshape((batch, 1))?;
        let token = Array::arange(most)?.astype(Dtype::Int64)?;
        let counts = lens.greater(&token)?;
        let block = table
            .astype(Dtype::Int64)?
            .take(&token.floor_divide(slots)?, 1)?;
        let no_block = block.less(0)?.logical_or(block.greater_equal(blocks)?)?;
        let missing = counts.logical_and(&no_block)?.any(-1)?;
        let missing = missing
            .reshape((batch, 1))?
            .logical_or(lens.greater(most)?)?;
        let counts = counts.logical_and(no_block.logical_not()?)?;
        let at = block.clip(0..=blocks - 1)?.multiply(slots)?;
        let at = at.add(token.remainder(slots)?)?;
        let seen = counts.reshape((batch, most, 1, 1))?;
        // (B, KV, tokens, D), without what stands in slots that do not count.
        let gathered = |cache: &Array| {
            let rows = cache.reshape((all, kv, width))?.take(&at, 0)?;
            ops::where_(&seen, rows, 0.0)?.transpose([0, 2, 1, 3])
        };
        let (keys, values) = (gathered(keys)?, gathered(values)?);
        let grouped = q.reshape((batch, kv, heads / kv, width))?;
        let scores = grouped
            .matmul(&keys.transpose([0, 1, 3, 2])?)?
            .multiply(scale)?;
        let seen = counts.reshape((batch, 1, 1, most))?;
        let most_of = ops::where_(&seen, scores.stop_gradient()?, f32::NEG_INFINITY)?;
        let most_of = most_of.max(crate::keepdims(-1))?;
        let any = seen.any(crate::keepdims(-1))?;
        let most_of = ops::where_(&any, most_of, 0.0)?;
        let shifted = ops::where_(&seen, (scores - most_of)?, 0.0)?;
        let weights = ops::where_(&seen, shifted.exp()?, 0.0)?;
        let total = weights.sum(crate::keepdims(-1))?;
        let weights = weights.divide(&ops::where_(&any, total, 1.0)?)?;
        let y = weights.matmul(&values)?.reshape((batch, heads, width))?;
        Ok(vec![ops::where_(
            &missing.reshape((batch, 1, 1))?,
            f32::NAN,
            y,
        )?])
    },
};

/// What no token gives: 0, or NaN where there should be some.
#[track_caller]
fn without_tokens(q: &Array, lens: &Array) -> Result<Array> {
    let missing = lens.greater(0)?.reshape((q.shape()[0], 1, 1))?;
    let none = ops::where_(&missing, q.full_like(f32::NAN)?, 0.0)?;
    none.broadcast_to(q.shape())
}

static KERNEL: Made<MetalKernel> = Made::new();
const SOURCE: &str = "\
threadgroup float shared[32];
threadgroup float scores[kk_tokens];
threadgroup long places[kk_tokens];
const kk_group<TG, 1, 1> g = {shared, thread_position_in_threadgroup.x, thread_index_in_simdgroup,
                              simdgroup_index_in_threadgroup};
const size_t head = threadgroup_position_in_grid.x, b = threadgroup_position_in_grid.y;
const size_t heads = q_shape[1], n = q_shape[2], kv = k_cache_shape[2], blocks = k_cache_shape[0];
const size_t slots = k_cache_shape[1], row = (b * heads + head) * n, columns = block_table_shape[1];
const long length = long(context_lens[b]);
const size_t step = kv * n, from = head / (heads / kv) * n;
kk_paged_row<ITEMS>(q + row, k_cache + from, v_cache + from, block_table + b * columns, columns, blocks, slots, step,
                    length, float(scale[0]), out + row, n, scores, places, g);
";

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
        let width = p[0].shape().last().copied().unwrap_or(1);
        (PAGED.composite)(&(1.0 / (width.max(1) as f32).sqrt()), p)
    },
    mlx: None,
    // Half of the slots count, on average.
    bytes: |rows, width, size| 40 * rows * width * size,
    roundings: few_roundings,
}];
