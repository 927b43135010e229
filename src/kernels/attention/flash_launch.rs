//! The kernels of attention over tiles: their launches and texts.

use super::flash_op::{Flash, Mask};
use super::flash_tiles::{Pass, Tiles, groups};
use crate::kernels::arguments::number;
use crate::metal::{LONGEST, Launch, Made, lines};
use crate::{Array, Dtype, MetalKernel, Result};

/// The result and the logarithms of sums.
pub(super) fn forward(flash: &Flash, p: &[Array]) -> Result<Vec<Array>> {
    static MADE: [Made<MetalKernel>; 2] = [const { Made::new() }; 2];
    let tiles = Tiles::of(Pass::Forward, flash, &p[0]);
    let (i, name, text) = match tiles.lanes {
        128 => (1, "flash_attention_ahead", FORWARD_AHEAD),
        _ => (0, "flash_attention", FORWARD),
    };
    let kernel = made(&MADE[i], name, &[], &["out", "lse"], text)?;
    let rows = p[0].shape()[..3].to_vec();
    let outputs = [(p[0].shape(), p[0].dtype()), (&rows[..], Dtype::Float32)];
    let groups = groups(&p[0], tiles.queries);
    let outputs: [Array; 2] = launch(kernel, flash, p, &[], outputs, tiles, groups)?;
    Ok(outputs.into())
}

/// The gradient of the queries.
pub(super) fn dq(
    flash: &Flash,
    p: &[Array],
    g: &Array,
    lse: &Array,
    delta: &Array,
) -> Result<Array> {
    static MADE: Made<MetalKernel> = Made::new();
    let kernel = made(&MADE, "flash_attention_dq", &MORE, &["out"], DQ)?;
    let tiles = Tiles::of(Pass::Dq, flash, &p[0]);
    let outputs = [(p[0].shape(), p[0].dtype())];
    let groups = groups(&p[0], tiles.queries);
    let [dq] = launch(kernel, flash, p, &[g, lse, delta], outputs, tiles, groups)?;
    Ok(dq)
}

/// The gradients of keys and values.
pub(super) fn dkv(
    flash: &Flash,
    p: &[Array],
    g: &Array,
    lse: &Array,
    delta: &Array,
) -> Result<[Array; 2]> {
    static MADE: [Made<MetalKernel>; 2] = [const { Made::new() }; 2];
    let tiles = Tiles::of(Pass::Dkv, flash, &p[1]);
    let (i, name, text) = match tiles.lanes {
        1 => (0, "flash_attention_dkv_of_one", DKV_OF_ONE),
        _ => (1, "flash_attention_dkv", DKV),
    };
    let kernel = made(&MADE[i], name, &MORE, &["dk", "dv"], text)?;
    let outputs = [(p[1].shape(), p[0].dtype()), (p[1].shape(), p[0].dtype())];
    let groups = groups(&p[1], tiles.keys);
    launch(kernel, flash, p, &[g, lse, delta], outputs, tiles, groups)
}

const MORE: [&str; 3] = ["g", "of_lse", "of_delta"];

/// A kernel that reads arrays where they lie, views included.
fn made(
    made: &'static Made<MetalKernel>,
    name: &str,
    more: &[&str],
    outputs: &[&str],
    source: &str,
) -> Result<&'static MetalKernel> {
    made.get_or_make(|| {
        let all = [
            "q",
            "k",
            "v",
            "mask",
            "sinks",
            "of_queries",
            "of_keys",
            "scale",
            "cap",
            "rule",
        ];
        let text = format!("{HEAD}{source}");
        MetalKernel::new(name, [&all, more].concat(), outputs.to_vec())
            .header(crate::msl::header_for(&text))
            .source(text)
            .ensure_row_contiguous(false)
            .build()
    })
}

fn launch<const N: usize>(
    kernel: &MetalKernel,
    flash: &Flash,
    p: &[Array],
    more: &[&Array],
    outputs: [(&[i32], Dtype); N],
    tiles: Tiles,
    groups: u64,
) -> Result<[Array; N]> {
    let q = &p[0];
    let gpu = tiles.threads > 1;
    // Values, not texts: causal or not compiles nothing.
    let window = flash.window.min((1 << 30) - 1);
    let rule = window | i64::from(flash.causal) << 32 | i64::from(flash.sinks) << 33;
    let rule = number(rule)?;
    let numbers = [number(flash.scale)?, number(flash.cap)?];
    let given = |i: usize, is: bool| if is { &p[i] } else { q };
    let mut inputs = vec![
        q,
        &p[1],
        &p[2],
        given(3, flash.mask != Mask::None),
        given(4, flash.sinks),
        given(5, flash.segments),
        given(6, flash.segments),
        &*numbers[0],
        &*numbers[1],
        &*rule,
    ];
    inputs.extend(more);
    let mut launch: Launch<'_> = kernel.launch(&inputs);
    for (shape, dtype) in outputs {
        launch.set_output(shape, dtype);
    }
    launch.set_template("T", q.dtype().into());
    let block = if gpu { q.dtype() } else { Dtype::Float32 };
    launch.set_template("S", block.into());
    let numbers = [
        ("L", tiles.lanes),
        ("TG", tiles.threads),
        ("BM", tiles.queries),
        ("BN", tiles.keys),
        ("DP", tiles.width),
        ("STAGES", tiles.stages),
        ("ACROSS", tiles.across),
        ("MASK", flash.mask as i32),
    ];
    for (name, value) in numbers {
        launch.set_template(name, value.into());
    }
    let flags = [("CAPPED", flash.cap > 0.0), ("SEGMENTS", flash.segments)];
    for (name, value) in flags {
        launch.set_template(name, value.into());
    }
    let (line, count) = lines(groups, LONGEST / tiles.threads as u64);
    launch.set_grid((line * i64::from(tiles.threads), count));
    launch.set_threadgroup(tiles.threads);
    launch.add()
}

/// Where the group is: its block, head and batch. Of heads that share keys, blocks in a row stand side by side.
const HEAD: &str = "\
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
const long group = long(threadgroup_position_in_grid.y) * (threads_per_grid.x / TG) + threadgroup_position_in_grid.x;
const int heads = q_shape[1], queries = q_shape[2], d = q_shape[3], kv = k_shape[1], keys = k_shape[2], each = heads / kv;
const float factor = float(scale) * 1.44269504f, most = float(cap) * 1.44269504f;
// Window, causal, sinks: see `rule` below.
const int window = int(rule & 0x7fffffff), far = 1 << 30;
const int ahead = (rule >> 32 & 1) != 0 ? keys - queries : far, behind = window > 0 ? keys - queries - window : -far;
typedef kk_flash_scores<CAPPED, MASK, SEGMENTS, decltype(mask + 0), decltype(of_queries + 0),
                        decltype(of_keys + 0)> kk_F;
";

/// The settings of scores, from this query and this key on.
macro_rules! scores {
    ($query:literal, $key:literal) => {
        concat!("const kk_F f = {factor, most, ", $query, ", ", $key, ", queries, keys, behind, ahead,
                MASK == 0 ? mask + 0 : mask + (b * mask_strides[0] + head * mask_strides[1]),
                MASK == 0 ? 0 : mask_strides[2], MASK == 0 ? 0 : mask_strides[3],
                SEGMENTS ? of_queries + b * of_queries_strides[0] : of_queries + 0, of_queries_strides[1],
                SEGMENTS ? of_keys + b * of_keys_strides[0] : of_keys + 0, of_keys_strides[1]};
")
    };
}

/// Blocks of queries, of which there may be more groups than there are.
macro_rules! of_queries {
    () => {
        "\
const int blocks = (queries + BM - 1) / BM;
if (group >= long(q_shape[0]) * heads * blocks) return;
"
    };
}

/// The group's block of queries, its head and batch, and the head of keys. The last block comes first.
macro_rules! place {
    () => {
        "\
const int block = blocks - 1 - int(group % blocks), head = int(group / blocks) % heads, b = int(group / blocks / heads);
const int shared = head / each;
"
    };
}

/// For each query, the logarithm of its sum and what its gradient is apart from the product.
macro_rules! columns {
    () => {
        "\
const kk_flash_column<decltype(of_lse + 0)> lse = {of_lse + (b * of_lse_strides[0] + head * of_lse_strides[1]), of_lse_strides[1],
                                                   of_lse_strides[2]};
const kk_flash_column<decltype(of_delta + 0)> delta = {of_delta + (b * of_delta_strides[0] + head * of_delta_strides[1]),
                                                       of_delta_strides[1], of_delta_strides[2]};
"
    };
}

/// Factors in threadgroup memory, and all that both kernels of the result are given.
macro_rules! forward {
    ($call:literal) => {
        concat!(of_queries!(), "\
threadgroup kk_tile_line qs[kk_tile_lines<S>(kk_tile_room<L, BM, DP>::size)];
threadgroup kk_tile_line ks[kk_tile_lines<S>(STAGES * kk_tile_room<L, DP, BN, (TG != 1)>::size)];
threadgroup kk_tile_line vs[kk_tile_lines<S>(STAGES * kk_tile_room<L, BN, DP>::size)];
", place!(), scores!("block * BM", "0"), "\
const size_t row = (size_t(b) * heads + head) * queries;
", $call, "(
    q + (b * q_strides[0] + head * q_strides[1]), q_strides[2], q_strides[3],
    k + (b * k_strides[0] + shared * k_strides[1]), k_strides[2], k_strides[3],
    v + (b * v_strides[0] + shared * v_strides[1]), v_strides[2], v_strides[3],
    out + row * d, lse + row, d, f, (rule >> 33 & 1) != 0 ? float(sinks[head * sinks_strides[0]]) * 1.44269504f : -INFINITY,
    (threadgroup S*)(qs), (threadgroup S*)(ks), (threadgroup S*)(vs), at);
")
    };
}

const FORWARD: &str = forward!("kk_flash_rows<T, L, TG, BM, BN, DP, STAGES>");
const FORWARD_AHEAD: &str = forward!("kk_flash_rows_ahead<T, S, L, TG, BM, BN, DP>");

const DQ: &str = concat!(
    of_queries!(),
    "\
threadgroup kk_tile_line qs[kk_tile_lines<S>(kk_tile_room<L, BM, DP>::size)];
threadgroup kk_tile_line gs[kk_tile_lines<S>(kk_tile_room<L, BM, DP>::size)];
threadgroup kk_tile_line ks[kk_tile_lines<S>(STAGES * kk_tile_room<L, BN, DP>::size)];
threadgroup kk_tile_line kt[TG == 1 ? kk_tile_lines<S>(kk_tile_room<L, DP, BN, false>::size) : 1];
threadgroup kk_tile_line vt[kk_tile_lines<S>(STAGES * kk_tile_room<L, DP, BN, (TG != 1)>::size)];
",
    place!(),
    scores!("block * BM", "0"),
    "\
const size_t row = (size_t(b) * heads + head) * queries;
",
    columns!(),
    "\
kk_flash_dq<T, L, TG, BM, BN, DP, STAGES>(
    q + (b * q_strides[0] + head * q_strides[1]), q_strides[2], q_strides[3],
    k + (b * k_strides[0] + shared * k_strides[1]), k_strides[2], k_strides[3],
    v + (b * v_strides[0] + shared * v_strides[1]), v_strides[2], v_strides[3],
    g + (b * g_strides[0] + head * g_strides[1]), g_strides[2], g_strides[3], lse, delta,
    out + row * d, d, float(scale), f,
    (threadgroup S*)(qs), (threadgroup S*)(gs), (threadgroup S*)(ks), (threadgroup S*)(kt),
    (threadgroup S*)(vt), at);
"
);

/// Blocks of keys, of which there may be more groups than there are: the block, its head and batch, and the first of the heads that share it.
macro_rules! of_keys {
    () => {
        "\
const int blocks = (keys + BN - 1) / BN;
if (group >= long(q_shape[0]) * kv * blocks) return;
const int block = int(group % blocks), shared = int(group / blocks) % kv, b = int(group / blocks / kv), head = shared * each;
"
    };
}

/// What both kernels of keys are given, up to their memory.
macro_rules! dkv {
    () => {
        "\
    q + (b * q_strides[0] + head * q_strides[1]), q_strides[1], q_strides[2], q_strides[3],
    k + (b * k_strides[0] + shared * k_strides[1]), k_strides[2], k_strides[3],
    v + (b * v_strides[0] + shared * v_strides[1]), v_strides[2], v_strides[3],
    g + (b * g_strides[0] + head * g_strides[1]), g_strides[1], g_strides[2], g_strides[3], lse, delta, each,
    dk + key * d, dv + key * d, d, float(scale), f, MASK == 0 ? 0 : mask_strides[1],
"
    };
}

const DKV_OF_ONE: &str = concat!("\
threadgroup kk_tile_line qs[kk_tile_lines<S>(kk_tile_room<1, BM, DP>::size)];
threadgroup kk_tile_line gs[kk_tile_lines<S>(kk_tile_room<1, BM, DP>::size)];
threadgroup kk_tile_line kt[kk_tile_lines<S>(kk_tile_room<1, DP, BN>::size)];
threadgroup kk_tile_line vt[kk_tile_lines<S>(kk_tile_room<1, DP, BN>::size)];
", of_keys!(), scores!("0", "block * BN"), "\
const size_t key = (size_t(b) * kv + shared) * keys;
", columns!(), "\
kk_flash_dkv_of_one<T, BM, BN, DP>(
", dkv!(), "    (threadgroup S*)(qs), (threadgroup S*)(gs), (threadgroup S*)(kt), (threadgroup S*)(vt), at);
");

const DKV: &str = concat!("\
threadgroup kk_tile_line qs[kk_tile_lines<S>(STAGES * kk_tile_room<L, BM, DP>::size)];
threadgroup kk_tile_line gs[kk_tile_lines<S>(STAGES * kk_tile_room<L, BM, DP>::size)];
threadgroup kk_tile_line ks[kk_tile_lines<S>(kk_tile_room<L, BN, DP>::size)];
threadgroup kk_tile_line vs[kk_tile_lines<S>(kk_tile_room<L, BN, DP>::size)];
threadgroup float numbers[STAGES * 2 * BM];
", of_keys!(), scores!("0", "block * BN"), "\
const size_t key = (size_t(b) * kv + shared) * keys;
", columns!(), "\
kk_flash_dkv<T, L, TG, BM, BN, DP, STAGES, ACROSS>(
", dkv!(), "    (threadgroup S*)(qs), (threadgroup S*)(gs), (threadgroup S*)(ks), (threadgroup S*)(vs), (threadgroup float*)(numbers), at);
");
