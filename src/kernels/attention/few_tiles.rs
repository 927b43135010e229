//! Attention of a few queries over a cache by products of tiles, where a GPU has tensor cores.

use super::few::{Few, made};
use super::few_launch::{NAMES, Shares, rows_of_products, share_of_group};
use crate::metal::Made;
use crate::{Array, MetalKernel, Result};

/// Queries that are the rows of a tile.
const ROWS: i32 = 16;
/// Blocks of keys and of values in threadgroup memory: one is read while the other is worked on.
const STAGES: i32 = 2;
/// Threadgroup memory of which a processor has room for three groups, and how many groups keep a large GPU busy.
const MEMORY: i32 = 76 * 1024;
const GROUPS: i64 = 264;

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    pub shares: Shares,
    /// Simdgroups of a threadgroup, and tokens of each at a time.
    simds: i32,
    tokens: i32,
    /// D rounded up.
    width: i32,
}

impl Tiles {
    /// None where another kernel is better, or the only one.
    pub fn of(few: &Few, p: &[&Array]) -> Option<Tiles> {
        let total = rows_of_products(few, p)?;
        let floats = few.format == 0 && p[1].dtype() == p[0].dtype();
        let d = p[0].shape()[3];
        let width = [32, 64, 96, 128, 192, 256].into_iter().find(|&n| n >= d)?;
        let bytes = |simds, tokens| 2 * (width + 8) * (ROWS + 2 * STAGES * simds * tokens);
        let choices = [(4, 32), (4, 16), (2, 16)];
        let fits = |&(simds, tokens): &(i32, i32)| floats && bytes(simds, tokens) <= MEMORY;
        let (simds, tokens) = choices.into_iter().find(fits)?;
        Some(Tiles {
            shares: Shares::of(few, p, total, ROWS, i64::from(simds * tokens), GROUPS),
            simds,
            tokens,
            width,
        })
    }

    /// The result, or what the parts found.
    pub fn launch(&self, few: &Few, p: &[&Array]) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let kernel = made(&MADE, "decode_attention_tiles", &NAMES, SOURCE)?;
        let constants = [
            ("R", ROWS),
            ("BN", self.tokens),
            ("DP", self.width),
            ("STAGES", STAGES),
        ];
        let constants = constants.map(|(name, value)| (name, value.into()));
        self.shares
            .launch(kernel, few, p, self.simds * 32, constants)
    }
}

const SOURCE: &str = concat!(
    share_of_group!(),
    "\
threadgroup kk_tile_line qs[kk_tile_lines<T>(kk_tile_room<32, R, DP>::size)];
threadgroup kk_tile_line ks[kk_tile_lines<T>(STAGES * kk_tile_room<32, TG / 32 * BN, DP>::size)];
threadgroup kk_tile_line vs[kk_tile_lines<T>(STAGES * kk_tile_room<32, TG / 32 * BN, DP>::size)];
threadgroup float shared[TG / 16 * R];
threadgroup int gone[1];
threadgroup metal::int2 places[PAGED ? 2 * (TG / 32) * BN : 1];
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
const kk_few_table<decltype(block_table + 0)> blocks = {table, column, columns, keys_shape[0], slots, places, gone};
const kk_few_cache<decltype(keys + 0)> k = {keys + (outer * keys_strides[0] + head * keys_strides[h0]), PAGED ? keys_strides[0] : 0,
                                            keys_strides[s0], keys_strides[3]};
const kk_few_cache<decltype(keys + 0)> v = {values + (outer * values_strides[0] + head * values_strides[h0]),
                                            PAGED ? values_strides[0] : 0, values_strides[s0], values_strides[3]};
kk_few_tiles<WHOLE, PAGED, TG, R, BN, DP, STAGES>(rows, q_strides[3], k, v, blocks, f, metal::min(R, total - first), n, from, to, to_row, step,
    sink, (threadgroup T*)(qs), (threadgroup T*)(ks), (threadgroup T*)(vs), shared, at);
"
);
