//! What the kernels of attention over a cache have in common: their inputs, the rows and parts of a group, and the launch.

use smallvec::SmallVec;

use super::few::Few;
use super::few_plan::cache_of;
use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::number;
use crate::metal::TemplateArg;
use crate::{Array, Dtype, MetalKernel, Result};

/// The most groups that share a sequence: what they found is read by one group again.
const PARTS: i64 = 32;

pub(super) const NAMES: [&str; 11] = [
    "q",
    "keys",
    "values",
    "key_scales",
    "value_scales",
    "block_table",
    "lens",
    "sinks",
    "scale",
    "cap",
    "rule",
];

/// How many queries share a head of keys, where products of a GPU's tensor cores serve: at least two, of 16 bits, and a cache that is worth it.
pub(super) fn rows_of_products(few: &Few, p: &[&Array]) -> Option<i64> {
    let &[_, heads, queries, _] = p[0].shape() else {
        return None;
    };
    let (kv, length, _) = cache_of(few, p);
    let total = i64::from(heads / kv) * i64::from(queries);
    let gpu = as_on_gpu(crate::stream::current().gpu) && !cfg!(target_os = "macos");
    let serves = gpu && p[0].dtype() != Dtype::Float32 && total >= 2 && length >= 64;
    serves.then_some(total)
}

/// How groups share the queries of a head of keys, and along the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    pub chunks: i64,
    pub parts: i64,
}

impl Shares {
    /// Of `total` queries a group takes `rows`, of a cache so many tokens at a time; `wanted` groups keep a large GPU busy.
    pub fn of(few: &Few, p: &[&Array], total: i64, rows: i32, tokens: i64, wanted: i64) -> Shares {
        let (kv, length, _) = cache_of(few, p);
        let chunks = (total + i64::from(rows) - 1) / i64::from(rows);
        let groups = i64::from(p[0].shape()[0]) * i64::from(kv) * chunks;
        let most = (length / (2 * tokens)).clamp(1, PARTS);
        Shares {
            chunks,
            parts: (wanted / groups).clamp(1, most),
        }
    }

    /// The result of a kernel whose groups have `threads`, or what the parts found: (rows, parts, D + 2).
    pub fn launch(
        self,
        kernel: &'static MetalKernel,
        few: &Few,
        p: &[&Array],
        threads: i32,
        constants: impl IntoIterator<Item = (&'static str, TemplateArg)>,
    ) -> Result<Array> {
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
        launch.set_template("TG", threads.into());
        for (name, value) in constants {
            launch.set_template(name, value);
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
        launch.set_threadgroup(threads);
        launch.set_grid((groups * i64::from(threads), self.parts));
        let [y] = launch.add::<1>()?;
        Ok(y)
    }
}

/// Shape and dtype of what a kernel gives: the result, or of several parts what each found of a query, (B H N, parts, D + 2).
fn found(q: &Array, parts: i64) -> (SmallVec<[i32; 4]>, Dtype) {
    match *q.shape() {
        [batch, heads, queries, width] if parts > 1 => (
            SmallVec::from_slice(&[batch * heads * queries, parts as i32, width + 2]),
            Dtype::Float32,
        ),
        ref shape => (shape.into(), q.dtype()),
    }
}

/// What a group works on, in the texts of the kernels by products: R of the rows that share a head of keys.
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
