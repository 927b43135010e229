//! Attention of a few queries over a cache by products of tiles, where a GPU has tensor cores.

use super::few::{Few, NAMES, found, made};
use super::few_plan::cache_of;
use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::number;
use crate::metal::Made;
use crate::{Array, Dtype, MetalKernel, Result};

/// Queries that are the rows of a tile.
pub(super) const ROWS: i32 = 16;
/// Blocks of keys and of values in threadgroup memory: one is read while the other is worked on.
const STAGES: i32 = 2;
/// Threadgroup memory of which a processor has room for three groups, and how many groups keep a large GPU busy.
const MEMORY: i32 = 76 * 1024;
const GROUPS: i64 = 264;
/// The most groups that share a sequence: what they found is read by one group again.
pub(super) const PARTS: i64 = 32;

/// How the work is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Groups for all queries of a head of keys.
    chunks: i64,
    /// Groups along the cache.
    pub parts: i64,
    /// Simdgroups of a threadgroup, and tokens of each at a time.
    simds: i32,
    tokens: i32,
    /// D rounded up.
    width: i32,
}

impl Tiles {
    /// None where another kernel is better, or the only one.
    pub fn of(few: &Few, p: &[&Array]) -> Option<Tiles> {
        let &[batch, heads, queries, d] = p[0].shape() else {
            return None;
        };
        let (kv, length, _) = cache_of(few, p);
        let dtype = p[0].dtype();
        let total = i64::from(heads / kv) * i64::from(queries);
        let gpu = as_on_gpu(crate::stream::current().gpu) && !cfg!(target_os = "macos");
        let floats = few.format == 0 && dtype != Dtype::Float32 && p[1].dtype() == dtype;
        if !gpu || !floats || total < 2 || d > 256 || length < 64 {
            return None;
        }
        let width = [32, 64, 96, 128, 192, 256].into_iter().find(|&n| n >= d)?;
        let chunks = (total + i64::from(ROWS) - 1) / i64::from(ROWS);
        let groups = i64::from(batch) * i64::from(kv) * chunks;
        let choices = [(4, 32), (4, 16), (2, 16)].map(|(simds, tokens)| Tiles {
            chunks,
            parts: 1,
            simds,
            tokens,
            width,
        });
        let mut tiles = choices.into_iter().find(|t| t.bytes() <= MEMORY)?;
        let at_a_time = i64::from(tiles.simds * tiles.tokens);
        let most = (length / (2 * at_a_time)).clamp(1, PARTS);
        tiles.parts = (GROUPS / groups).clamp(1, most);
        Some(tiles)
    }

    fn bytes(&self) -> i32 {
        2 * (self.width + 8) * (ROWS + 2 * STAGES * self.simds * self.tokens)
    }

    /// The result, or what the parts found: (rows, parts, D + 2).
    pub fn launch(&self, few: &Few, p: &[&Array]) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let kernel = made(&MADE, "decode_attention_tiles", &NAMES, SOURCE)?;
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
        let numbers = [
            ("TG", self.simds * 32),
            ("R", ROWS),
            ("BN", self.tokens),
            ("DP", self.width),
            ("STAGES", STAGES),
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
        let threads = i64::from(self.simds * 32);
        let groups = i64::from(q.shape()[0]) * i64::from(kv) * self.chunks;
        launch.set_threadgroup(threads);
        launch.set_grid((groups * threads, self.parts));
        let [y] = launch.add::<1>()?;
        Ok(y)
    }
}

/// What a group works on, in the texts of this kernel and of that over codes: R of the rows that share a head of keys.
macro_rules! share_of_group {
    () => {
        "\
const int heads = q_shape[1], queries = q_shape[2], n = q_shape[3];
const int kv = keys_shape[PAGED ? 2 : 1], each = heads / kv, total = each * queries;
const uint chunks = uint(total + R - 1) / R, group = threadgroup_position_in_grid.x;
const int first = int(group % chunks) * R, head = int(group / chunks) % kv, b = int(group / chunks) / kv;
const uint part = threadgroup_position_in_grid.y, parts = threadgroups_per_grid.y;
const long slots = PAGED ? keys_shape[1] : 1, columns = PAGED ? block_table_shape[1] : 0;
const long most = PAGED ? columns * slots + 1 : long(keys_shape[2]);
const long length = (rule >> 33 & 1) != 0 ? metal::clamp(long(lens[b * lens_strides[0]]), long(0), most) : most;
const long window = rule & 0x7fffffff;
const bool causal = (rule >> 32 & 1) != 0, sunk = (rule >> 34 & 1) != 0;
// What the first of the queries sees begins first, and what the last one sees ends last.
const long start = window > 0 ? metal::max(length - queries + 1 - window, long(0)) : 0;
const long share = (metal::max(length - start, long(0)) + parts - 1) / parts;
const long from = start + share * part, to = metal::min(length, from + share);
const kk_few_scores<CAPPED> f = {float(scale) * 1.44269504f, float(cap) * 1.44269504f, 0, to, length, window, queries, first, causal};
const int h0 = PAGED ? 2 : 1, s0 = PAGED ? 1 : 2;
const long outer = PAGED ? 0 : b;
const auto table = block_table + (PAGED ? b * block_table_strides[0] : 0);
const long column = PAGED ? block_table_strides[1] : 0;
const kk_few_rows<decltype(q + 0)> rows = {q + (b * q_strides[0] + head * each * q_strides[1]), q_strides[1], q_strides[2], queries, first};
const kk_few_sinks<decltype(sinks + 0)> sink = {sinks + (sunk ? head * each * sinks_strides[0] : 0), sunk ? sinks_strides[0] : 0, queries,
                                                first, sunk};
const size_t row = (size_t(b) * kv + head) * total + first;
const long step = WHOLE ? n : long(parts) * (n + 2);
const auto to_row = out + (row * step + (WHOLE ? 0 : part * (n + 2)));
"
    };
}
pub(super) use share_of_group;

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
