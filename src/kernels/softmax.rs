//! Softmax over the last axis.

use super::arguments::{check_float, rows_of};
use super::catalog::{Entry, Kind, few, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::{Array, Result, keepdims};

/// `exp(x - max x) / sum(exp(x - max x))` over the last axis.
///
/// `x`: (..., D), float32, float16 or bfloat16; the result has its shape and dtype. Computed in
/// float32. A row of minus infinity only gives 0 (MLX's gives NaN).
///
/// Differentiable any number of times; backward is one kernel, `y (g - sum(g y))` from `x`.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 3f32.ln()], 2)?;
/// let y = kernels::softmax::softmax_lastdim(&x)?.to_vec::<f32>()?;
/// assert!((y[0] - 0.25).abs() < 1e-6 && (y[1] - 0.75).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a scalar, [`Error::Dtype`](crate::Error::Dtype)
/// for another dtype.
#[track_caller]
pub fn softmax_lastdim(x: &Array) -> Result<Array> {
    check_float("x", x)?;
    rows_of("x", x)?;
    SOFTMAX.call1((), &[x])
}

static SOFTMAX: Op<()> = Op {
    name: "softmax_lastdim",
    rows: 1,
    visible: 1,
    forward: |(), p| {
        let (rows, width) = rows_of("x", p[0])?;
        let out = (p[0].shape(), p[0].dtype());
        Ok(FORWARD.launch(p, [out], rows, width)?.into())
    },
    vjp: |(), p, g, _| {
        let (rows, width) = rows_of("x", &p[0])?;
        let out = (p[0].shape(), p[0].dtype());
        Ok(BACKWARD.launch(&[&p[0], &g[0]], [out], rows, width)?.into())
    },
    composite: |(), p| {
        let most = p[0].stop_gradient()?.max(keepdims(-1))?;
        let e = (&p[0] - &most)?.exp()?;
        Ok(vec![(&e / &e.sum(keepdims(-1))?)?])
    },
};

static FORWARD: RowKernel = RowKernel::new(
    "softmax",
    &["x"],
    &["out"],
    "kk_softmax_row(x + row * n, out + row * n, n, g)",
);
static BACKWARD: RowKernel = RowKernel::new(
    "softmax_grad",
    &["x", "dy"],
    &["out"],
    "kk_softmax_grad_row(x + row * n, dy + row * n, out + row * n, n, g)",
)
.reduces(2);

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "softmax::softmax_lastdim",
    formula: "exp(x - max x) / sum(exp(x - max x))",
    file: "softmax.metal",
    inputs: &[input("x", Kind::Rows)],
    call: |p| Ok(vec![softmax_lastdim(&p[0])?]),
    composite: |p| (SOFTMAX.composite)(&(), p),
    mlx: Some(|p| Ok(vec![p[0].softmax(-1)?])),
    bytes: |rows, width, size| 2 * rows * width * size,
    roundings: few,
}];
