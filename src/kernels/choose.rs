//! The kernels that choose elements of rows: their texts and launches. See `kernels/selection.metal`.

use smallvec::SmallVec;

use super::arguments::{number, rows_of};
use super::group::block_bytes;
use crate::codegen::blocks::as_on_gpu;
use crate::codegen::group::{Facts, Group};
use crate::codegen::pattern::Walk;
use crate::metal::{LONGEST, Launch, lines};
use crate::metal::{Made, build_once};
use crate::{Array, Dtype, MetalKernel, Result};

/// The most elements of a row that a kernel chooses; more are sorted.
pub(super) const MOST: usize = 1024;

/// What becomes of the elements that were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Give {
    /// Their values.
    Values,
    /// The softmax of the values of two.
    Weights,
}

/// The row of a group of TG threads. Where each thread has one (SURE), nobody counts how many there are, which would take longer
/// than to load a row.
const ROW: &str = "const uint index = thread_position_in_grid.x % TG;\n\
    size_t row = thread_position_in_grid.x / TG;\n\
    if (!SURE) {\n\
      row += size_t(thread_position_in_grid.y) * (threads_per_grid.x / TG);\n\
      size_t rows = 1;\n\
      for (int i = 0; i + 1 < x_ndim; ++i) rows *= x_shape[i];\n\
      if (row >= rows) return;\n\
    }\n";

/// The row's length, a constant where the group's places are all there are.
const LENGTH: &str = "const size_t n = x_shape[x_ndim - 1];\n";
const LENGTH_OF_GROUP: &str =
    "const size_t n = WHOLE ? size_t(TG * VEC * ITEMS) : size_t(x_shape[x_ndim - 1]);\n";

/// One group of `threads` for each row.
fn over_rows(launch: &mut Launch<'_>, rows: usize, threads: u64, threadgroup: u64) {
    let (line, count) = lines(rows as u64, LONGEST / threads);
    let sure = count == 1 && (line as u64 * threads).is_multiple_of(threadgroup);
    launch.set_template("TG", (threads as i32).into());
    launch.set_template("SURE", sure.into());
    launch.set_grid((line * threads as i64, count));
    launch.set_threadgroup(threadgroup as i64);
}

/// Elements of a vector of the CPU's loops.
const ON_CPU: i32 = 64;

fn leading(x: &Array) -> SmallVec<[i32; 6]> {
    let n = x.ndim().saturating_sub(1);
    x.shape()[..n].into()
}

/// Index of the first largest element of each row of at least one.
#[track_caller]
pub(super) fn argmax(x: &Array) -> Result<Array> {
    static ONE: Made<MetalKernel> = Made::new();
    static GROUP: Made<MetalKernel> = Made::new();
    let (rows, width) = rows_of("x", x)?;
    let shape = leading(x);
    if rows == 0 {
        return Array::zeros(shape.as_slice(), Dtype::Uint32);
    }
    let gpu = crate::stream::current().gpu;
    let inputs = [x];
    if !as_on_gpu(gpu) {
        let kernel = build_once(&ONE, "argmax", &["x"], &["out"], || {
            format!("{LENGTH}{ROW}out[row] = kk_argmax_one<VEC>(x + row * n, n);")
        })?;
        let mut launch = kernel.launch(&inputs);
        launch.set_output(&shape, Dtype::Uint32);
        launch.set_template("VEC", ON_CPU.into());
        over_rows(&mut launch, rows, 1, 1);
        let [out] = launch.add()?;
        return Ok(out);
    }
    let kernel = build_once(&GROUP, "argmax_group", &["x"], &["out"], || {
        format!(
            "threadgroup uint shared[64];\n{LENGTH_OF_GROUP}{ROW}\
             const uint first = kk_argmax_row<TG, VEC, ITEMS, HELD>(x + row * n, n, index, \
             thread_index_in_simdgroup, simdgroup_index_in_threadgroup, shared);\n\
             if (index == 0) out[row] = first;"
        )
    })?;
    let size = x.dtype().size() as u64;
    let group = Group::of(&Facts {
        rows: rows as u64,
        width: width as u64,
        size,
        shortest: size,
        blocks: true,
        held: size,
        passes: 1,
        maps: false,
        sums_rows: false,
        load: block_bytes(gpu) as u64,
        threads: None,
        cut: false,
    });
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&shape, Dtype::Uint32);
    launch.set_template("VEC", (group.block as i32).into());
    launch.set_template("ITEMS", (group.items as i32).into());
    launch.set_template("HELD", (group.walk == Walk::Held).into());
    launch.set_template("WHOLE", group.covers(width as u64).into());
    over_rows(&mut launch, rows, group.threads, group.threadgroup());
    let [out] = launch.add()?;
    Ok(out)
}

/// The `k` largest elements of each row and their indices, in order: `k` is at least 1, at most [`MOST`] and at most
/// the width.
#[track_caller]
pub(super) fn topk(x: &Array, k: usize, give: Give) -> Result<[Array; 2]> {
    static MADE: [Made<MetalKernel>; 6] = [const { Made::new() }; 6];
    let (rows, width) = rows_of("x", x)?;
    let mut shape = leading(x);
    shape.push(k as i32);
    if rows == 0 {
        return Ok([
            Array::zeros(shape.as_slice(), x.dtype())?,
            Array::zeros(shape.as_slice(), Dtype::Uint32)?,
        ]);
    }
    let gpu = crate::stream::current().gpu;
    let way = match () {
        () if !as_on_gpu(gpu) => Way::One,
        () if width <= 1024 && k <= 32 => Way::Lanes,
        () => Way::Group,
    };
    let index = 2 * way as usize + usize::from(give == Give::Weights);
    let name = format!(
        "{}_{way:?}",
        if give == Give::Values { "topk" } else { "gate" }
    );
    let kernel = build_once(
        &MADE[index],
        &name.to_lowercase(),
        &["x", "count"],
        &["out", "places"],
        || way.text(give),
    )?;
    let count = number(k as u32)?;
    let inputs = [x, &*count];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(&shape, x.dtype());
    launch.set_output(&shape, Dtype::Uint32);
    let wide = (block_bytes(gpu) / x.dtype().size().max(2)).max(1);
    // Words hold blocks, so these have four bytes at least.
    let blocks = width.is_multiple_of(wide) && wide * x.dtype().size() >= 4;
    let vec = if blocks { wide } else { 1 };
    let (vec, threads, items) = match way {
        Way::One => (ON_CPU as usize, 1, 0),
        Way::Lanes => (vec, 32, width.div_ceil(32 * vec).next_power_of_two()),
        Way::Group => {
            const EACH: usize = 32;
            let threads = width.div_ceil(EACH).next_power_of_two().clamp(128, 1024);
            let items = width.div_ceil(threads * vec).next_power_of_two();
            (vec, threads, items.min((EACH / vec).max(1)))
        }
    };
    launch.set_template("VEC", (vec as i32).into());
    match way {
        Way::One => {
            let room = if k <= 32 { 32 } else { MOST as i32 };
            launch.set_template("CAP", room.into());
        }
        Way::Lanes => {
            launch.set_template("ITEMS", (items as i32).into());
            launch.set_template("WHOLE", (threads * vec * items == width).into());
        }
        Way::Group => {
            launch.set_template("ITEMS", (items as i32).into());
            launch.set_template("WHOLE", (threads * vec * items == width).into());
            launch.set_template("HELD", (threads * vec * items >= width).into());
            let room = if k <= 64 { 512 } else { 2 * MOST as i32 };
            launch.set_template("CAP", room.into());
        }
    }
    let threadgroup = if way == Way::Lanes { 256 } else { threads };
    over_rows(&mut launch, rows, threads as u64, threadgroup as u64);
    launch.add()
}

/// Who works on a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    One,
    Lanes,
    Group,
}

impl Way {
    fn text(self, give: Give) -> String {
        let to = match give {
            Give::Values => "kk_to_row_of",
            Give::Weights => "kk_gate",
        };
        let put = format!("{to}(x + row * n, out + row * k, places + row * k)");
        let in_order = |place: &str, share: &str| match give {
            Give::Values => {
                format!("const auto put = {put};\nfor (uint i = {share}) put(i, {place});")
            }
            // The second looks at the first.
            Give::Weights => {
                format!(
                    "const auto put = {put};\n\
                     if (index == 0) for (uint i = 0; i < k; ++i) put(i, {place});"
                )
            }
        };
        match self {
            Way::One => format!(
                "thread ulong heap[CAP];\n{LENGTH}{ROW}const uint k = count;\n\
                 kk_topk_one<VEC>(x + row * n, n, k, heap);\n{}",
                in_order("~uint(heap[i])", "0; i < k; ++i")
            ),
            Way::Lanes => format!(
                "{LENGTH_OF_GROUP}{ROW}const uint k = count;\n\
                 kk_topk_lanes<VEC, ITEMS>(x + row * n, uint(n), k, index, {put});"
            ),
            Way::Group => format!(
                "threadgroup uint keys[CAP], at[CAP], shared[64];\n\
                 threadgroup atomic_uint bins[257];\n{LENGTH_OF_GROUP}{ROW}const uint k = count;\n\
                 kk_topk_row<TG, VEC, ITEMS, HELD, CAP>(x + row * n, n, x_shape[x_ndim - 1], k, index, \
                 thread_index_in_simdgroup, simdgroup_index_in_threadgroup, \
                 kk_candidates<CAP>{{keys, at, bins, shared}});\n{}",
                in_order("at[i]", "index; i < k; i += TG")
            ),
        }
    }
}

/// Numbers of 64 bits that are the smaller, the earlier an element comes: the inverted key, then the place.
#[track_caller]
pub(super) fn sortable(x: &Array) -> Result<Array> {
    static MADE: Made<MetalKernel> = Made::new();
    let kernel = build_once(&MADE, "order", &["x"], &["out"], || {
        "size_t size = 1;\n\
         for (int i = 0; i < x_ndim; ++i) size *= x_shape[i];\n\
         const size_t n = x_shape[x_ndim - 1];\n\
         const size_t i = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
         if (i >= size) return;\n\
         out[i] = (ulong(~kk_order(x[i])) << 32) | ulong(i % n);"
            .into()
    })?;
    let inputs = [x];
    let mut launch = kernel.launch(&inputs);
    launch.set_output(x.shape(), Dtype::Uint64);
    launch.set_grid(lines(x.size() as u64, LONGEST));
    launch.set_threadgroup(256);
    let [out] = launch.add()?;
    Ok(out)
}
