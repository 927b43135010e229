//! Launches of the tile kernel: which tiles, and how many.

use super::product::{Turned, widest};
use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::number;
use crate::metal::{LONGEST, Made, lines};
use crate::{Array, Dtype, MetalKernel, Result};

/// How a tile is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    /// Threads of a threadgroup.
    threads: i32,
    /// Its rows and columns, and how deep a block of factors is.
    rows: i32,
    cols: i32,
    depth: i32,
    /// Simdgroups below and beside each other.
    down: i32,
    across: i32,
    /// Blocks of factors in threadgroup memory.
    stages: i32,
}

/// One thread's: factors and sums fit into half a megabyte of cache, and a panel of the second factor into the first level's.
const ON_CPU: Tile = Tile {
    threads: 1,
    rows: 192,
    cols: 256,
    depth: 256,
    down: 1,
    across: 1,
    stages: 1,
};
const ON_GPU: Tile = Tile {
    threads: 128,
    rows: 128,
    cols: 128,
    depth: 32,
    down: 2,
    across: 2,
    stages: 3,
};

const TEXT: &str = "\
const uint flags = sizes;
const bool turned_a = (flags & 1u) != 0u, turned_b = (flags & 2u) != 0u;
const int tm = int(flags >> 2 & 0x7fffu), tn = int(flags >> 17);
const int ra = a_ndim - (turned_a ? 1 : 2), ca = a_ndim - (turned_a ? 2 : 1);
const int rb = b_ndim - (turned_b ? 1 : 2), cb = b_ndim - (turned_b ? 2 : 1);
const int m = a_shape[ra], n = b_shape[cb];
const long depth = a_shape[ca];
long products = 1;
for (int d = 0; d < a_ndim - 2; ++d) products *= a_shape[d];
const long group = long(threadgroup_position_in_grid.y) * (threads_per_grid.x / TG) + threadgroup_position_in_grid.x;
const kk_matrix_place place = kk_matrix_find(group, m, n, tm, tn);
if (place.product >= products) return;
threadgroup S as[STAGES * kk_tile_room<(TG == 1 ? 1 : 32), BM, BK, TA>::size];
threadgroup S bs[STAGES * kk_tile_room<(TG == 1 ? 1 : 32), BK, BN, TB>::size];
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
const auto first = a + (kk_matrix_offset(place.product, a_shape, a_strides, a_ndim) + place.row * long(a_strides[ra]));
const auto second = b + (kk_matrix_offset(place.product, b_shape, b_strides, b_ndim) + place.col * long(b_strides[cb]));
const auto to = out + ((place.product * m + place.row) * n + place.col);
kk_matrix_tile<T, TG, BM, BN, BK, DOWN, ACROSS, STAGES, TA, TB>(
    kk_matrix_of(first, a_strides[ra], a_strides[ca]), kk_matrix_of(second, b_strides[rb], b_strides[cb]),
    metal::min(tm, m - place.row), metal::min(tn, n - place.col), depth, to, long(n), kk_tile_same(), as, bs, at);
";

/// The product of factors with the same leading axes.
#[track_caller]
pub(super) fn product(a: &Array, b: &Array, turned: Turned) -> Result<Array> {
    static MADE: Made<MetalKernel> = Made::new();
    let dtype = widest(a.dtype(), b.dtype());
    let at = a.ndim() - 2;
    let [m, k] = sides(a, turned[0]);
    let [_, n] = sides(b, turned[1]);
    let mut shape = a.shape()[..at].to_vec();
    let products: u64 = shape.iter().map(|&n| n as u64).product();
    shape.extend([m, n]);
    if products == 0 || m == 0 || n == 0 || k == 0 {
        return Array::zeros(shape, dtype);
    }
    let kernel = MADE.get_or_make(|| {
        MetalKernel::new("matmul", ["a", "b", "sizes"], ["out"])
            .header(crate::msl::header_for(TEXT))
            .source(TEXT)
            .ensure_row_contiguous(false)
            .build()
    })?;
    let gpu = as_on_gpu(crate::stream::current().gpu);
    let tile = if gpu { ON_GPU } else { ON_CPU };
    let [m, n] = [m as u32, n as u32];
    let [tm, tn] = match gpu {
        true => [tile.rows as u32, tile.cols as u32],
        false => shares(tile, m, n, products),
    };
    let flags = u32::from(turned[0]) | u32::from(turned[1]) << 1;
    let sizes = number(flags | tm << 2 | tn << 17)?;
    let inputs = [a, b, &*sizes];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&shape, dtype);
    launch.set_template("T", dtype.into());
    launch.set_template("S", if gpu { dtype } else { Dtype::Float32 }.into());
    launch.set_template("TG", tile.threads.into());
    launch.set_template("BM", tile.rows.into());
    launch.set_template("BN", tile.cols.into());
    launch.set_template("BK", tile.depth.into());
    launch.set_template("DOWN", tile.down.into());
    launch.set_template("ACROSS", tile.across.into());
    launch.set_template("STAGES", tile.stages.into());
    launch.set_template("TA", (gpu && turned[0]).into());
    launch.set_template("TB", (gpu && turned[1]).into());
    let groups = products * u64::from(m.div_ceil(tm)) * u64::from(n.div_ceil(tn));
    let (line, count) = lines(groups, LONGEST / tile.threads as u64);
    launch.set_grid((line * i64::from(tile.threads), count));
    launch.set_threadgroup(tile.threads);
    let [out] = launch.add()?;
    Ok(out)
}

/// Rows and columns of a factor.
fn sides(x: &Array, turned: bool) -> [i32; 2] {
    let at = x.ndim() - 2;
    let [r, c] = [x.shape()[at], x.shape()[at + 1]];
    if turned { [c, r] } else { [r, c] }
}

/// Tiles of equal size for one thread each, and enough of them that all cores have work to the end.
fn shares(most: Tile, m: u32, n: u32, products: u64) -> [u32; 2] {
    let wanted = 4 * crate::engine::host::threads() as u64;
    let [rows, cols] = [most.rows as u32, most.cols as u32];
    let (mut down, mut across) = (m.div_ceil(rows), n.div_ceil(cols));
    let tile = |down: u32, across: u32| {
        [
            m.div_ceil(down).next_multiple_of(12).min(rows),
            n.div_ceil(across).next_multiple_of(32).min(cols),
        ]
    };
    // Smaller tiles copy their factors for fewer products.
    while products * u64::from(down) * u64::from(across) < wanted {
        let [rows, cols] = tile(down, across);
        match () {
            () if rows > 48 && rows >= cols => down += 1,
            () if cols > 64 => across += 1,
            () => break,
        }
    }
    tile(down, across)
}
