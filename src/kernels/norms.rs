//! Normalization over the last axis.

use super::arguments::{check_float, check_shape, constant, rows_of};
use super::catalog::{Entry, Kind, few, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::{Array, Dtype, Result, keepdims};

/// `x weight / sqrt(mean(x^2) + eps)` over the last axis (B. Zhang and R. Sennrich, "Root Mean
/// Square Layer Normalization", 2019).
///
/// `x`: (..., D); `weight`: (D,); each float32, float16 or bfloat16. The result is like `x`.
/// Computed in float32, the weight last.
///
/// Differentiable any number of times in both; the gradient of `weight` is summed over all rows in
/// float32.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[3.0f32, 4.0], 2)?;
/// let weight = Array::from_slice(&[1.0f32, 10.0], 2)?;
/// let y = kernels::norms::rmsnorm(&x, &weight).eps(0.0).call()?.to_vec::<f32>()?;
/// let rms = 12.5f32.sqrt();
/// assert!((y[0] - 3.0 / rms).abs() < 1e-6 && (y[1] - 40.0 / rms).abs() < 1e-5);
/// # Ok(())
/// # }
/// ```
pub fn rmsnorm<'a>(x: &'a Array, weight: &'a Array) -> RmsNorm<'a> {
    RmsNorm {
        x,
        weight,
        eps: 1e-6,
    }
}

/// A call of [`rmsnorm`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct RmsNorm<'a> {
    x: &'a Array,
    weight: &'a Array,
    eps: f32,
}

impl RmsNorm<'_> {
    /// What is added to the mean of squares (default 1e-6).
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a scalar or a weight that is not (D,),
    /// [`Error::Dtype`](crate::Error::Dtype) for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check_float("x", self.x)?;
        check_float("weight", self.weight)?;
        let (rows, width) = rows_of("x", self.x)?;
        check_shape("weight", self.weight, &[width as i32])?;
        if !self.x.is_tracer() && !self.weight.is_tracer() {
            return self.value(rows, width);
        }
        RMSNORM.call1(self.eps, &[self.x, self.weight])
    }

    /// The result alone, where no gradient is asked for: one output less to make.
    #[track_caller]
    fn value(self, rows: usize, width: usize) -> Result<Array> {
        let eps = constant(&[self.eps])?;
        let inputs = [self.x, self.weight, &eps];
        let like = [(self.x.shape(), self.x.dtype())];
        let [y] = VALUE.launch(&inputs, like, rows, width)?;
        Ok(y)
    }
}

/// Outputs: the result, and the factor of each row.
static RMSNORM: Op<f32> = Op {
    name: "rmsnorm",
    rows: 1,
    visible: 1,
    forward: |&eps, p| {
        let (rows, width) = rows_of("x", p[0])?;
        let leading = &p[0].shape()[..p[0].ndim() - 1];
        let outputs = [(p[0].shape(), p[0].dtype()), (leading, Dtype::Float32)];
        let eps = constant(&[eps])?;
        Ok(FORWARD
            .launch(&[p[0], p[1], &eps], outputs, rows, width)?
            .into())
    },
    vjp: |_, p, g, y| {
        let (rows, width) = rows_of("x", &p[0])?;
        let like = [(p[0].shape(), p[0].dtype())];
        let [dx] = BACKWARD.launch(&[&p[0], &p[1], &g[0], &y[1]], like, rows, width)?;
        let dw = WEIGHT.sum(&[&p[0], &g[0], &y[1]], rows, width)?;
        Ok(vec![dx, dw.astype(p[1].dtype())?])
    },
    composite: |&eps, p| {
        let scale = (p[0].square()?.mean(keepdims(-1))? + eps)?.rsqrt()?;
        let y = ((&p[0] * &scale)? * &p[1])?;
        Ok(vec![y, scale.squeeze(-1)?])
    },
};

static FORWARD: RowKernel = RowKernel::new(
    "rmsnorm",
    &["x", "w", "eps"],
    &["out", "scale"],
    "const float factor = kk_rmsnorm_row(x + row * n, w, out + row * n, n, eps[0], g);\n\
     if (kk_first(g)) scale[row] = factor",
);
static VALUE: RowKernel = RowKernel::new(
    "rmsnorm_value",
    &["x", "w", "eps"],
    &["out"],
    "kk_rmsnorm_row(x + row * n, w, out + row * n, n, eps[0], g)",
);
static BACKWARD: RowKernel = RowKernel::new(
    "rmsnorm_grad",
    &["x", "w", "dy", "scale"],
    &["dx"],
    "kk_rmsnorm_grad_row(x + row * n, w, dy + row * n, dx + row * n, \
     float(scale[row]), n, g)",
);
static WEIGHT: RowKernel = RowKernel::sums(
    "rmsnorm_grad_weight",
    &["x", "dy", "scale"],
    "kk_rmsnorm_weights(x, dy, scale, n)",
);

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "norms::rmsnorm",
    formula: "x weight / sqrt(mean(x^2) + eps)",
    file: "norms.metal",
    inputs: &[input("x", Kind::Rows), input("weight", Kind::Weight)],
    call: |p| Ok(vec![rmsnorm(&p[0], &p[1]).eps(1e-5).call()?]),
    composite: |p| (RMSNORM.composite)(&1e-5, p),
    mlx: Some(|p| Ok(vec![crate::fast::rms_norm(&p[0], &p[1], 1e-5)?])),
    bytes: |rows, width, size| (2 * rows + 1) * width * size,
    roundings: few,
}];
