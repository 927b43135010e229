//! The last step of sums over rows on a GPU: the partial sums of all groups, column by column.

use super::blocks::as_on_gpu;
use crate::metal::{Made, MetalKernel, build_once};
use crate::{Array, Dtype, Result};

/// Threads of a threadgroup, which takes so many columns; see `kernels/partial.metal`.
const THREADS: i64 = 1024;
const COLUMNS: i64 = 32;

/// Whether the kernel is for this stream: a CPU adds rows faster by MLX's operation.
pub(super) fn on_this_stream() -> bool {
    as_on_gpu(crate::stream::current().gpu)
}

/// The sums of the columns of (rows, columns) float32, rounded once.
#[track_caller]
pub(super) fn sum(partial: &Array, dtype: Dtype) -> Result<Array> {
    let columns = i64::from(partial.dim(1)?);
    if columns == 0 {
        return Array::zeros(0, dtype);
    }
    let (inputs, shape) = ([partial], [columns as i32]);
    let mut launch = kernel()?.launch(&inputs);
    launch.set_template("O", dtype.into());
    launch.set_output(&shape, dtype);
    launch.set_grid(((columns + COLUMNS - 1) / COLUMNS * THREADS, 1));
    launch.set_threadgroup(THREADS);
    let [y] = launch.add()?;
    Ok(y)
}

#[track_caller]
fn kernel() -> Result<&'static MetalKernel> {
    static MADE: Made<MetalKernel> = Made::new();
    build_once(&MADE, "add_partial_sums", &["parts"], &["out"], || {
        "threadgroup float shared[1024];\n\
         kk_add_partial<O>(parts, out, uint(parts_shape[0]), uint(parts_shape[1]), \
         threadgroup_position_in_grid.x, thread_position_in_threadgroup.x, shared);\n"
            .to_owned()
    })
}
