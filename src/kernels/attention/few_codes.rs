//! Attention of a few queries over a cache of codes by products of fragments, where a GPU has tensor cores.

use super::few::{Few, NAMES, found, made};
use super::few_plan::cache_of;
use super::few_tiles::{PARTS, ROWS, share_of_group};
use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::number;
use crate::metal::Made;
use crate::{Array, Dtype, MetalKernel, Result};

/// Simdgroups of a threadgroup, and tokens of each at a time.
const SIMDS: i64 = 2;
const TOKENS: i64 = 16;
/// How many groups keep a large GPU busy, whose processors have registers for five of them.
const GROUPS: i64 = 660;

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    /// Groups of threads for all queries of a head of keys.
    chunks: i64,
    /// Groups along the cache.
    pub parts: i64,
    /// Elements of a scale.
    group: i32,
    /// Queries that a group takes.
    rows: i32,
}

impl Codes {
    /// None where another kernel is better, or the only one.
    pub fn of(few: &Few, p: &[&Array]) -> Option<Codes> {
        let &[batch, heads, queries, d] = p[0].shape() else {
            return None;
        };
        let (kv, length, _) = cache_of(few, p);
        let total = i64::from(heads / kv) * i64::from(queries);
        let gpu = as_on_gpu(crate::stream::current().gpu) && !cfg!(target_os = "macos");
        let floats = p[0].dtype() == Dtype::Float32 || few.format == 0;
        let same = p[3].dtype() == p[4].dtype();
        let (groups, others) = (p[3].shape().last()?, p[4].shape().last()?);
        if !gpu || floats || !same || groups != others || total < 2 || length < 64 {
            return None;
        }
        let group = d / groups;
        let least = if few.format == 4 { 64 } else { 32 };
        if !matches!(d, 64 | 128) || !matches!(group, 32 | 64 | 128) || group < least {
            return None;
        }
        // Of more, registers do not hold the sums for D of 128.
        let rows = if total > 8 && d == 64 { ROWS } else { 8 };
        let chunks = (total + i64::from(rows) - 1) / i64::from(rows);
        let groups = i64::from(batch) * i64::from(kv) * chunks;
        let most = (length / (2 * SIMDS * TOKENS)).clamp(1, PARTS);
        Some(Codes {
            chunks,
            parts: (GROUPS / groups).clamp(1, most),
            group,
            rows,
        })
    }

    /// The result, or what the parts found: (rows, parts, D + 2).
    pub fn launch(&self, few: &Few, p: &[&Array]) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let kernel = made(&MADE, "decode_attention_codes", &NAMES, SOURCE)?;
        let q = p[0];
        let (kv, ..) = cache_of(few, p);
        let whole = self.parts == 1;
        let numbers = [number(few.scale)?, number(few.cap)?];
        let rule = number(few.rule(whole))?;
        let read = [p, &[&*numbers[0], &*numbers[1], &*rule]].concat();
        let (shape, dtype) = found(q, self.parts);
        let mut launch = kernel.launch(&read);
        launch.set_output(&shape, dtype);
        launch.set_template("T", q.dtype().into());
        launch.set_template("S", p[3].dtype().into());
        let numbers = [
            ("TG", SIMDS as i32 * 32),
            ("R", self.rows),
            ("D", q.shape()[3]),
            ("FORMAT", few.format),
            ("GROUP", self.group),
        ];
        for (name, value) in numbers {
            launch.set_template(name, value.into());
        }
        let flags = [
            ("WHOLE", whole),
            ("PAGED", few.paged),
            ("CAPPED", few.cap > 0.0),
        ];
        for (name, value) in flags {
            launch.set_template(name, value.into());
        }
        let groups = i64::from(q.shape()[0]) * i64::from(kv) * self.chunks;
        launch.set_threadgroup(SIMDS * 32);
        launch.set_grid((groups * SIMDS * 32, self.parts));
        let [y] = launch.add::<1>()?;
        Ok(y)
    }
}

const SOURCE: &str = concat!(
    share_of_group!(),
    "\
threadgroup float all[TG / 32 * R * (D + 8)];
threadgroup float shared[TG / 16 * R];
threadgroup int gone[1];
typedef decltype(keys + 0) kk_P;
typedef decltype(key_scales + 0) kk_S;
const kk_cache<FORMAT, kk_P, kk_S> k = {
    keys + (outer * keys_strides[0] + head * keys_strides[h0]), PAGED ? keys_strides[0] : 0, keys_strides[s0], keys_strides[3],
    key_scales + (outer * key_scales_strides[0] + head * key_scales_strides[h0]), PAGED ? key_scales_strides[0] : 0,
    key_scales_strides[s0], key_scales_strides[3], GROUP};
const kk_cache<FORMAT, kk_P, kk_S> v = {
    values + (outer * values_strides[0] + head * values_strides[h0]), PAGED ? values_strides[0] : 0, values_strides[s0],
    values_strides[3], value_scales + (outer * value_scales_strides[0] + head * value_scales_strides[h0]),
    PAGED ? value_scales_strides[0] : 0, value_scales_strides[s0], value_scales_strides[3], GROUP};
const size_t low = reinterpret_cast<size_t>(k.p) | reinterpret_cast<size_t>(v.p) | size_t(k.blocks | k.slots | v.blocks | v.slots);
const bool sure = k.step == 1 && v.step == 1 && low % 16 == 0;
typedef decltype(block_table + 0) kk_B;
if (sure) {
  kk_few_codes<WHOLE, R / 8, GROUP, D, TG>(rows, q_strides[3],
      kk_codes_caches<true, PAGED, FORMAT, kk_P, kk_S, kk_B>{k, v, table, column, columns, long(keys_shape[0]), slots}, f,
      metal::min(R, total - first), from, to, to_row, step, sink, all, shared, gone, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup, S(0), T(0));
} else {
  kk_few_codes<WHOLE, R / 8, GROUP, D, TG>(rows, q_strides[3],
      kk_codes_caches<false, PAGED, FORMAT, kk_P, kk_S, kk_B>{k, v, table, column, columns, long(keys_shape[0]), slots}, f,
      metal::min(R, total - first), from, to, to_row, step, sink, all, shared, gone, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup, S(0), T(0));
}
"
);
