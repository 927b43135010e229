//! Which of the products that there are a layer takes.

use crate::kernels::matrix;
use crate::{Array, Dtype, Result};

/// Whether the catalog's products are the ones to take: on a CPU, where MLX's multiply one number at a time, for dtypes that the
/// catalog has.
pub(super) fn by_kernels(all: &[&Array]) -> bool {
    !crate::stream::current().gpu && all.iter().all(|a| has_kernels(a))
}

/// The same of products with quantized matrices, which are faster on NVIDIA's GPUs, too.
pub(super) fn packed_by_kernels(x: &Array) -> bool {
    let apple = crate::stream::current().gpu && cfg!(target_os = "macos");
    !apple && has_kernels(x)
}

fn has_kernels(a: &Array) -> bool {
    matches!(a.dtype(), Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16)
}

/// `x w^T`: rows of (..., inputs) become rows of (..., outputs). `w` is (..., outputs, inputs).
#[track_caller]
pub(super) fn product(x: &Array, w: &Array) -> Result<Array> {
    match x.ndim() >= 2 && w.ndim() >= 2 && by_kernels(&[x, w]) {
        true => matrix::product(x, w).transposed(false, true).call(),
        false => x.matmul(&w.swapaxes(-1, -2)?),
    }
}

/// `x w^T + bias` for `w` (outputs, inputs) in the dtype of `x`: the bias is added before the sum is rounded.
#[track_caller]
pub(super) fn product_and_bias(x: &Array, w: &Array, bias: &Array) -> Result<Array> {
    match x.ndim() >= 2 && w.ndim() == 2 && bias.ndim() == 1 && by_kernels(&[x, w, bias]) {
        true => matrix::linear(x, w).bias(bias).call(),
        false => bias.addmm(x, &w.transpose(..)?, 1.0, 1.0),
    }
}
