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
/// The fastest of those of `benches/tile_variants.rs` on an H200.
const ON_GPU: Tile = Tile {
    threads: 128,
    rows: 128,
    cols: 128,
    depth: 64,
    down: 2,
    across: 2,
    stages: 2,
};

/// A product of few rows: the most there may be, how deep a piece is, and its columns.
const THIN: Tile = Tile {
    threads: 1,
    rows: 16,
    cols: 1024,
    depth: 1024,
    down: 1,
    across: 1,
    stages: 1,
};

/// Which tile this is, and where its factors and sums are.
const PLACE: &str = "\
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
const auto first = kk_matrix_of(
    a + (kk_matrix_offset(place.product, a_shape, a_strides, a_ndim) + place.row * long(a_strides[ra])),
    a_strides[ra], a_strides[ca]);
const auto second = kk_matrix_of(
    b + (kk_matrix_offset(place.product, b_shape, b_strides, b_ndim) + place.col * long(b_strides[cb])),
    b_strides[rb], b_strides[cb]);
const auto to = out + ((place.product * m + place.row) * n + place.col);
const int rows = metal::min(tm, m - place.row), cols = metal::min(tn, n - place.col);
";

const TILE: &str = "\
threadgroup kk_tile_line as[kk_tile_lines<S>(STAGES * kk_tile_room<(TG == 1 ? 1 : 32), BM, BK, TA>::size)];
threadgroup kk_tile_line bs[kk_tile_lines<S>(STAGES * kk_tile_room<(TG == 1 ? 1 : 32), BK, BN, TB>::size)];
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
kk_matrix_tile<T, TG, BM, BN, BK, DOWN, ACROSS, STAGES, TA, TB>(first, second, rows, cols, depth, to, long(n), END,
    (threadgroup S*)(as), (threadgroup S*)(bs), at);
";

/// One thread a threadgroup.
const FEW_ROWS: &str = "\
threadgroup kk_tile_line as[kk_tile_lines<float>(BM * BK)], sums[kk_tile_lines<float>(BM * BN)];
kk_matrix_thin<T, BM, BK, BN>(first, second, rows, cols, depth, to, long(n), END, (threadgroup float*)(as),
    (threadgroup float*)(sums));
";

const ENDED: &str = "kk_matrix_with<BIAS, FUNCTION, RESIDUAL>(bias + place.col, residual + ((place.product * m + place.row) * n + place.col), long(n))";

/// What becomes of a sum: a bias of its column is added, a function taken, a residual of the result's shape added.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub bias: Option<&'a Array>,
    /// By its number in `kk_matrix_end`, 0 for none.
    pub function: i32,
    pub residual: Option<&'a Array>,
}

impl End<'_> {
    pub(super) const NONE: End<'static> = End {
        bias: None,
        function: 0,
        residual: None,
    };

    fn is_none(&self) -> bool {
        self.bias.is_none() && self.function == 0 && self.residual.is_none()
    }
}

/// The kernel for few rows or many, with something behind the sum or without.
#[track_caller]
fn kernel(thin: bool, ended: bool) -> Result<&'static MetalKernel> {
    static MADE: [Made<MetalKernel>; 4] = [const { Made::new() }; 4];
    MADE[2 * usize::from(thin) + usize::from(ended)].get_or_make(|| {
        let name = match (thin, ended) {
            (false, false) => "matmul",
            (false, true) => "matmul_ended",
            (true, false) => "matmul_thin",
            (true, true) => "matmul_thin_ended",
        };
        let end = if ended { ENDED } else { "kk_tile_same()" };
        let body = if thin { FEW_ROWS } else { TILE };
        let text = format!("{PLACE}{}", body.replace("END", end));
        let names: &[&str] = match ended {
            true => &["a", "b", "sizes", "bias", "residual"],
            false => &["a", "b", "sizes"],
        };
        MetalKernel::new(name, names.to_vec(), ["out"])
            .header(crate::msl::header_for(&text))
            .source(text)
            .ensure_row_contiguous(false)
            .build()
    })
}

/// The product of factors with the same leading axes, in `dtype`.
#[track_caller]
pub(super) fn product(
    a: &Array,
    b: &Array,
    turned: Turned,
    end: End<'_>,
    dtype: Dtype,
) -> Result<Array> {
    let at = a.ndim() - 2;
    let [m, k] = sides(a, turned[0]);
    let [_, n] = sides(b, turned[1]);
    let mut shape = a.shape()[..at].to_vec();
    let products: u64 = shape.iter().map(|&n| n as u64).product();
    shape.extend([m, n]);
    if products == 0 || m == 0 || n == 0 || k == 0 {
        return Array::zeros(shape, dtype);
    }
    let gpu = as_on_gpu(crate::stream::current().gpu);
    let thin = !gpu && m <= THIN.rows;
    let tile = match (gpu, thin) {
        (true, _) => ON_GPU,
        (false, true) => THIN,
        (false, false) => ON_CPU,
    };
    let [m, n] = [m as u32, n as u32];
    let [tm, tn] = match (gpu, thin) {
        (true, _) => [tile.rows as u32, tile.cols as u32],
        (false, true) => [m, slices(n, products)],
        (false, false) => shares(tile, m, n, products),
    };
    let flags = u32::from(turned[0]) | u32::from(turned[1]) << 1;
    let sizes = number(flags | tm << 2 | tn << 17)?;
    let ended = !end.is_none();
    let kernel = kernel(thin, ended)?;
    let mut inputs = vec![a, b, &*sizes];
    if ended {
        inputs.extend([end.bias.unwrap_or(b), end.residual.unwrap_or(b)]);
    }
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&shape, dtype);
    launch.set_template("T", dtype.into());
    launch.set_template("TG", tile.threads.into());
    launch.set_template("BM", tile.rows.into());
    launch.set_template("BN", tile.cols.into());
    launch.set_template("BK", tile.depth.into());
    if !thin {
        launch.set_template(
            "S",
            if gpu {
                widest(a.dtype(), b.dtype())
            } else {
                Dtype::Float32
            }
            .into(),
        );
        launch.set_template("DOWN", tile.down.into());
        launch.set_template("ACROSS", tile.across.into());
        launch.set_template("STAGES", tile.stages.into());
        launch.set_template("TA", (gpu && turned[0]).into());
        launch.set_template("TB", (gpu && turned[1]).into());
    }
    if ended {
        launch.set_template("BIAS", end.bias.is_some().into());
        launch.set_template("FUNCTION", end.function.into());
        launch.set_template("RESIDUAL", end.residual.is_some().into());
    }
    let groups = products * u64::from(m.div_ceil(tm)) * u64::from(n.div_ceil(tn));
    let (line, count) = lines(groups, LONGEST / tile.threads as u64);
    launch.set_grid((line * i64::from(tile.threads), count));
    launch.set_threadgroup(tile.threads);
    let [out] = launch.add()?;
    Ok(out)
}

/// Columns of a threadgroup where rows are few: whole pieces for all cores, and long runs through memory.
fn slices(n: u32, products: u64) -> u32 {
    let wanted = (4 * crate::engine::host::threads() as u64).div_ceil(products) as u32;
    n.div_ceil(wanted)
        .next_multiple_of(32)
        .clamp(64, THIN.cols as u32)
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
