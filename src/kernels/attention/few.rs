//! Attention of a few queries over a cache: the operation below `decode_attention` and `paged_attention`.

use super::cache::dequantized;
use super::few_codes::Codes;
use super::few_launch::NAMES;
use super::few_plan::{Plan, cache_of};
use super::few_tiles::Tiles;
use crate::kernels::arguments::{number, places};
use crate::kernels::op::{Op, reverse_mode};
use crate::metal::Made;
use crate::{Array, Dtype, Error, MetalKernel, Result, ops};

/// What is no array. Inputs are queries (B, H, N, D), keys, values, the scales of both, the block table, lengths and sinks; an
/// input that there is not is the queries once more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Few {
    pub scale: f32,
    /// 0 for none.
    pub cap: f32,
    /// 0 for none.
    pub window: i64,
    pub causal: bool,
    pub sinks: bool,
    pub lens: bool,
    pub paged: bool,
    /// Bits of a code, 0 for floats.
    pub format: i32,
}

impl Few {
    /// The options as a value, not a text: another one compiles nothing. Sinks belong to the kernel that sees all tokens.
    pub fn rule(&self, whole: bool) -> i64 {
        let window = self.window.min((1 << 31) - 1);
        let sunk = i64::from(self.sinks && whole);
        window | i64::from(self.causal) << 32 | i64::from(self.lens) << 33 | sunk << 34
    }
}

pub(super) static FEW: Op<Few> = Op {
    name: "attention over a cache",
    rows: 0,
    visible: 1,
    forward,
    vjp: |few, p, g, _| reverse_mode(|p| FEW.derivable(few, p), p, g),
    composite,
};

fn forward(few: &Few, p: &[&Array]) -> Result<Vec<Array>> {
    let q = p[0];
    let (_, length, width) = cache_of(few, p);
    // Smaller arrays lie in another address space.
    if q.size() == 0 || length == 0 || p[1].size() < 8 || p[2].size() < 8 {
        let all: Vec<Array> = p.iter().map(|&a| a.clone()).collect();
        return FEW.derivable(few, &all);
    }
    let &[batch, heads, queries, _] = q.shape() else {
        unreachable!("checked before")
    };
    let rows = i64::from(batch) * i64::from(heads) * i64::from(queries);
    let (found, parts, gpu) = if let Some(tiles) = Tiles::of(few, p) {
        (tiles.launch(few, p)?, tiles.shares.parts, true)
    } else if let Some(codes) = Codes::of(few, p) {
        (codes.launch(few, p)?, codes.shares.parts, true)
    } else {
        let plan = Plan::of(few, p);
        let kernel = made(&KERNEL, "decode_attention", &NAMES, SOURCE)?;
        let constants = [
            ("C", p[1].dtype().into()),
            ("ROWS", plan.rows.into()),
            ("W", plan.width.into()),
            ("UNIT", plan.unit.into()),
            ("TEAM", plan.team.into()),
            ("U", plan.tokens.into()),
            ("FORMAT", few.format.into()),
            ("LOADS", (plan.gpu && width % 8 == 0).into()),
        ];
        let shares = plan.shares;
        let found = shares.launch(kernel, few, p, plan.threads, constants)?;
        (found, shares.parts, plan.gpu)
    };
    match parts {
        1 => Ok(vec![found]),
        _ => merge(few, gpu, &found, p[7], q, rows),
    }
}

/// The result from what the parts of the cache gave.
fn merge(
    few: &Few,
    gpu: bool,
    found: &Array,
    sinks: &Array,
    q: &Array,
    rows: i64,
) -> Result<Vec<Array>> {
    let width = q.shape()[3];
    let kernel = made(
        &MERGE,
        "merge_attention",
        &["found", "sinks", "like", "rule"],
        MERGE_SOURCE,
    )?;
    let rule = number(i64::from(few.sinks))?;
    let read = [found, sinks, q, &*rule];
    let mut launch = kernel.launch(&read);
    let threads = if gpu {
        ((width + 31) / 32 * 32).min(256)
    } else {
        1
    };
    let vec = if !gpu && width % 16 == 0 { 16 } else { 1 };
    launch.set_output(q.shape(), q.dtype());
    launch.set_template("T", q.dtype().into());
    launch.set_template("TG", threads.into());
    launch.set_template("VEC", vec.into());
    launch.set_threadgroup(threads);
    launch.set_grid(rows * i64::from(threads));
    Ok(launch.add::<1>()?.into())
}

static KERNEL: Made<MetalKernel> = Made::new();
static MERGE: Made<MetalKernel> = Made::new();
/// A kernel that reads arrays where they lie, views included.
pub(super) fn made(
    made: &'static Made<MetalKernel>,
    name: &str,
    inputs: &[&str],
    source: &str,
) -> Result<&'static MetalKernel> {
    made.get_or_make(|| {
        MetalKernel::new(name, inputs.to_vec(), vec!["out"])
            .header(crate::msl::header_for(source))
            .source(source)
            .ensure_row_contiguous(false)
            .build()
    })
}

const MERGE_SOURCE: &str = "\
const int n = like_shape[3];
const size_t row = threadgroup_position_in_grid.x;
const float sink = rule != 0 ? float(sinks[row / like_shape[2] % like_shape[1] * sinks_strides[0]]) : -INFINITY;
kk_merge_row<TG, VEC>(found + row * (found_shape[1] * (n + 2)), found_shape[1], n, sink, out + row * n,
                             thread_position_in_threadgroup.x, thread_index_in_simdgroup);
";

const SOURCE: &str = "\
threadgroup float shared[TG > 32 ? TG / 32 * (W * TEAM + 2) : 1];
const uint index = thread_position_in_threadgroup.x, lane = thread_index_in_simdgroup;
const int heads = q_shape[1], queries = q_shape[2], n = q_shape[3];
const int kv = keys_shape[PAGED ? 2 : 1], each = heads / kv, total = each * queries;
const uint chunks = uint(total + ROWS - 1) / ROWS, group = threadgroup_position_in_grid.x;
const int first = int(group % chunks) * ROWS, head = int(group / chunks) % kv, b = int(group / chunks) / kv;
const uint part = threadgroup_position_in_grid.y, parts = threadgroups_per_grid.y;
const long slots = PAGED ? keys_shape[1] : 1, columns = PAGED ? block_table_shape[1] : 0;
const long most = PAGED ? columns * slots + 1 : long(keys_shape[2]);
const long length = (rule >> 33 & 1) != 0 ? metal::clamp(long(lens[b * lens_strides[0]]), long(0), most) : most;
const long window = rule & 0x7fffffff;
float rows[ROWS * W];
kk_seen seen[ROWS];
long from = length, to = 0;
for (int r = 0; r < ROWS; ++r) {
  const int row = metal::min(first + r, total - 1), i = row % queries;
  const auto p = q + (b * q_strides[0] + (head * each + row / queries) * q_strides[1] + i * q_strides[2]);
  for (int k = 0; k < W; ++k) {
    const int e = kk_element<FORMAT, UNIT, TEAM>(k, int(index) % TEAM);
    rows[r * W + k] = e < n ? float(p[e * q_strides[3]]) * (float(scale) * 1.44269504f) : 0.0f;
  }
  const long place = length - queries + i + 1;
  seen[r].end = (rule >> 32 & 1) != 0 ? place : length;
  seen[r].first = window > 0 ? metal::max(place - window, long(0)) : 0;
  from = metal::min(from, seen[r].first);
  to = metal::max(to, seen[r].end);
}
const long share = (metal::max(to - from, long(0)) + parts - 1) / parts;
from += share * part;
to = metal::min(to, from + share);
kk_found_rows<ROWS, W> found;
for (int r = 0; r < ROWS; ++r) {
  found.most[r] = -INFINITY;
  found.sum[r] = 0.0f;
  for (int k = 0; k < W; ++k) found.values[r][k] = 0.0f;
}
const int a0 = PAGED ? 0 : 1, h0 = PAGED ? 2 : 1, s0 = PAGED ? 1 : 2;
const long scaled = FORMAT == 0 ? 0 : 1, outer = PAGED ? 0 : b;
typedef decltype(keys + 0) kk_P;
typedef decltype(key_scales + 0) kk_S;
const kk_cache<FORMAT, kk_P, kk_S> k = {
    keys + (outer * keys_strides[0] + head * keys_strides[h0]), (1 - a0) * keys_strides[0], keys_strides[s0], keys_strides[3],
    key_scales + scaled * (outer * key_scales_strides[0] + head * key_scales_strides[h0]),
    (1 - a0) * key_scales_strides[0], key_scales_strides[s0], key_scales_strides[3],
    FORMAT == 0 ? 1 : n / key_scales_shape[3]};
const kk_cache<FORMAT, kk_P, kk_S> v = {
    values + (outer * values_strides[0] + head * values_strides[h0]), (1 - a0) * values_strides[0], values_strides[s0],
    values_strides[3], value_scales + scaled * (outer * value_scales_strides[0] + head * value_scales_strides[h0]),
    (1 - a0) * value_scales_strides[0], value_scales_strides[s0], value_scales_strides[3],
    FORMAT == 0 ? 1 : n / value_scales_shape[3]};
const auto table = block_table + (PAGED ? b * block_table_strides[0] : 0);
const long column = PAGED ? block_table_strides[1] : 0;
bool fast = false;
if (LOADS) {
  const int size = int(sizeof(C)), align = FORMAT == 4 ? 4 : FORMAT == 8 ? 8 : 16;
  const size_t low = reinterpret_cast<size_t>(k.p) | reinterpret_cast<size_t>(v.p) |
                     size_t((k.blocks | k.slots | v.blocks | v.slots) * size);
  fast = k.step == 1 && v.step == 1 && low % align == 0;
}
if (from < to) {
  if (fast)
    kk_go<LOADS, FORMAT, PAGED, CAPPED, C, ROWS, W, UNIT, TEAM, TG, U>(rows, k, v, table, column, columns, long(keys_shape[0]), slots,
        from, to, seen, float(cap) * 1.44269504f, n, index, lane, found);
  else
    kk_go<false, FORMAT, PAGED, CAPPED, C, ROWS, W, UNIT, TEAM, TG, U>(rows, k, v, table, column, columns, long(keys_shape[0]), slots,
        from, to, seen, float(cap) * 1.44269504f, n, index, lane, found);
}
const bool sunk = (rule >> 34 & 1) != 0;
const size_t row = (size_t(b) * kv + head) * total + first;
const long step = WHOLE ? n : long(parts) * (n + 2);
kk_write_rows<WHOLE, FORMAT, ROWS, W, UNIT, TEAM, TG, U>(found, total - first, out + (row * step + (WHOLE ? 0 : part * (n + 2))),
    step, n, index, lane, simdgroup_index_in_threadgroup, shared, sinks + (sunk ? head * each * sinks_strides[0] : 0),
    sunk, sinks_strides[0], first, queries);
";

/// The same by MLX's operations, with all tokens of all sequences side by side.
fn composite(few: &Few, p: &[Array]) -> Result<Vec<Array>> {
    let [
        q,
        keys,
        values,
        key_scales,
        value_scales,
        table,
        lens,
        sinks,
    ] = p
    else {
        return Err(Error::argument("inputs", 8, p.len()));
    };
    let [batch, heads, queries, width] = [0, 1, 2, 3].map(|i| q.shape()[i]);
    let all: Vec<&Array> = p.iter().collect();
    let (kv, length, _) = cache_of(few, &all);
    let most = places("block_table", 1, i32::try_from(length).unwrap_or(i32::MAX))?;
    let floats = |codes: &Array, scales: &Array| match few.format {
        0 => codes.astype(q.dtype()),
        _ => dequantized(codes, scales)?.astype(q.dtype()),
    };
    let lens = match few.lens {
        true => lens.astype(Dtype::Int64)?.reshape((batch, 1))?,
        false => Array::full((batch, 1), length, Dtype::Int64)?,
    };
    let lens = lens.maximum(0)?;
    let token = Array::arange(most)?.astype(Dtype::Int64)?;
    let counts = lens.greater(&token)?;
    let mut missing = None;
    if q.size() == 0 || length == 0 || keys.size() == 0 {
        let none = q.zeros_like()?;
        if !few.paged {
            return Ok(vec![none]);
        }
        let some = lens.greater(0)?.reshape((batch, 1, 1, 1))?;
        return Ok(vec![ops::where_(&some, f32::NAN, none)?]);
    }
    // (B, KV, tokens, D), without what does not count.
    let (keys, values) = if few.paged {
        let [blocks, slots] = [0, 1].map(|i| keys.shape()[i]);
        let all = places("k_cache", blocks, slots)?;
        let block = table
            .astype(Dtype::Int64)?
            .take(&token.floor_divide(slots)?, 1)?;
        let no_block = block.less(0)?.logical_or(block.greater_equal(blocks)?)?;
        let gone = counts
            .logical_and(&no_block)?
            .any(-1)?
            .reshape((batch, 1))?;
        let gone = gone.logical_or(lens.greater(most)?)?;
        missing = Some(gone.reshape((batch, 1, 1, 1))?);
        let there = counts.logical_and(no_block.logical_not()?)?;
        let at = block.clip(0..=blocks - 1)?.multiply(slots)?;
        let at = at.add(token.remainder(slots)?)?;
        let seen = there.reshape((batch, most, 1, 1))?;
        let gathered = |cache: Array| {
            let rows = cache.reshape((all, kv, width))?.take(&at, 0)?;
            ops::where_(&seen, rows, 0.0)?.transpose([0, 2, 1, 3])
        };
        (
            gathered(floats(keys, key_scales)?)?,
            gathered(floats(values, value_scales)?)?,
        )
    } else {
        let seen = counts.reshape((batch, 1, most, 1))?;
        let kept = |cache: Array| ops::where_(&seen, cache, 0.0);
        (
            kept(floats(keys, key_scales)?)?,
            kept(floats(values, value_scales)?)?,
        )
    };
    // (B, 1, 1, N, tokens).
    let place = Array::arange(queries)?.astype(Dtype::Int64)?;
    let place = lens.add(&place)?.subtract(i64::from(queries))?;
    let place = place.reshape((batch, queries, 1))?;
    let mut seen = counts.reshape((batch, 1, most))?;
    if few.causal {
        seen = seen.logical_and(place.greater_equal(&token)?)?;
    }
    if few.window > 0 {
        seen = seen.logical_and(token.greater(&place.subtract(few.window)?)?)?;
    }
    let rows = seen.shape()[1];
    let seen = seen.reshape((batch, 1, 1, rows, most))?;
    let grouped = q.reshape((batch, kv, heads / kv, queries, width))?;
    let mut scores = grouped
        .matmul(&keys.expand_dims(2)?.swapaxes(-1, -2)?)?
        .multiply(few.scale)?;
    if few.cap > 0.0 {
        scores = scores.divide(few.cap)?.tanh()?.multiply(few.cap)?;
    }
    let sink = match few.sinks {
        true => Some(
            sinks
                .astype(q.dtype())?
                .reshape((1, kv, heads / kv, 1, 1))?,
        ),
        false => None,
    };
    let (y, _) = super::weighted::mean(&scores, &seen, sink.as_ref(), &values.expand_dims(2)?)?;
    let y = y.reshape(q.shape())?;
    Ok(vec![match missing {
        Some(missing) => ops::where_(&missing, f32::NAN, y)?,
        None => y,
    }])
}
