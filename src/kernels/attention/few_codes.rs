//! Attention of a few queries over a cache of codes by products of fragments, where a GPU has tensor cores.

use super::few::{Few, made};
use super::few_launch::{NAMES, Shares, rows_of_products, share_of_group};
use crate::metal::Made;
use crate::{Array, MetalKernel, Result};

/// Simdgroups of a threadgroup, and tokens of each at a time.
const SIMDS: i32 = 2;
const TOKENS: i32 = 16;
/// How many groups keep a large GPU busy: twice as many as its processors have registers for at a time.
const GROUPS: i64 = 1320;

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Codes {
    pub shares: Shares,
    /// Elements of a scale.
    group: i32,
    /// Queries that a group takes.
    rows: i32,
}

impl Codes {
    /// None where another kernel is better, or the only one.
    pub fn of(few: &Few, p: &[&Array]) -> Option<Codes> {
        let total = rows_of_products(few, p)?;
        let same = p[3].dtype() == p[4].dtype();
        let (groups, others) = (p[3].shape().last()?, p[4].shape().last()?);
        if few.format == 0 || !same || groups != others {
            return None;
        }
        let d = p[0].shape()[3];
        let group = d / groups;
        let least = if few.format == 4 { 64 } else { 32 };
        if !matches!(d, 64 | 128) || !matches!(group, 32 | 64 | 128) || group < least {
            return None;
        }
        // Of more, registers do not hold the sums for D of 128.
        let rows = if total > 8 && d == 64 { 16 } else { 8 };
        Some(Codes {
            shares: Shares::of(few, p, total, rows, i64::from(SIMDS * TOKENS), GROUPS),
            group,
            rows,
        })
    }

    /// The result, or what the parts found.
    pub fn launch(&self, few: &Few, p: &[&Array]) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let kernel = made(&MADE, "decode_attention_codes", &NAMES, SOURCE)?;
        let constants = [
            ("S", p[3].dtype().into()),
            ("R", self.rows.into()),
            ("D", p[0].shape()[3].into()),
            ("FORMAT", few.format.into()),
            ("GROUP", self.group.into()),
        ];
        self.shares.launch(kernel, few, p, SIMDS * 32, constants)
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
const long blocks = PAGED ? keys_shape[0] : 1, tokens = PAGED ? slots : most;
const bool sure = k.step == 1 && v.step == 1 && low % 16 == 0 && kk_codes_fit(k, blocks, tokens) && kk_codes_fit(v, blocks, tokens);
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
