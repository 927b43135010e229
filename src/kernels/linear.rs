//! Linear layers with what follows them: one kernel on a CPU; MLX's product and one kernel for the rest on a GPU and for derivatives.

use super::arguments::{check_float, check_shape, rows_of};
use super::catalog::{Axes, Entry, Input, Kind, Other, few_roundings, floats, input, other};
use super::matrix::{Activation, linear};
use super::recipe::Kernel;
use crate::{Array, Error, Result};

/// `silu(x w^T + bias)`.
///
/// `x`: (..., K); `w`: (N, K); `bias`: (N,); float32, float16 or bfloat16 each. The result is (..., N) in the dtype of `x`. One kernel on a
/// CPU; on a GPU, and for derivatives, the product ([`matrix::product`](super::matrix::product())) is rounded to the widest dtype of `x` and
/// `w` first. What follows is computed in float32. Differentiable any number of times in all three.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::linear::fused_linear_bias_silu};
/// # fn main() -> zmlx::Result<()> {
/// let (x, w) = (Array::ones((2, 3), Dtype::Float32)?, Array::ones((4, 3), Dtype::Float32)?);
/// let bias = Array::full(4, -3.0, Dtype::Float32)?;
/// assert_eq!(fused_linear_bias_silu(&x, &w, &bias)?.to_vec::<f32>()?, [0.0; 8]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn fused_linear_bias_silu(x: &Array, w: &Array, bias: &Array) -> Result<Array> {
    check(x, w, "bias", bias)?;
    let one = linear(x, w).bias(bias).activation(Activation::Silu);
    if let Some(y) = one.fused()? {
        return Ok(y);
    }
    let z = product(x, w)?;
    SILU.call1(&[&z, bias], &[])?.astype(x.dtype())
}

/// `gelu(x w^T + bias)` with GELU's form by tanh; otherwise as [`fused_linear_bias_silu`].
///
/// ```
/// use zmlx::{Array, Dtype, kernels::linear::fused_linear_bias_gelu};
/// # fn main() -> zmlx::Result<()> {
/// let (x, w) = (Array::ones((2, 3), Dtype::Float32)?, Array::ones((4, 3), Dtype::Float32)?);
/// let bias = Array::full(4, -3.0, Dtype::Float32)?;
/// assert_eq!(fused_linear_bias_gelu(&x, &w, &bias)?.to_vec::<f32>()?, [0.0; 8]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`fused_linear_bias_silu`].
#[track_caller]
pub fn fused_linear_bias_gelu(x: &Array, w: &Array, bias: &Array) -> Result<Array> {
    check(x, w, "bias", bias)?;
    let one = linear(x, w).bias(bias).activation(Activation::GeluTanh);
    if let Some(y) = one.fused()? {
        return Ok(y);
    }
    let z = product(x, w)?;
    GELU.call1(&[&z, bias], &[])?.astype(x.dtype())
}

/// `z / sqrt(mean(z^2) + eps) gamma` with `z = x w^T`, over the last axis; otherwise as [`fused_linear_bias_silu`]. The
/// option [`eps`](LinearRmsNorm::eps) is 1e-6 by default.
///
/// ```
/// use zmlx::{Array, Dtype, kernels::linear::fused_linear_rmsnorm};
/// # fn main() -> zmlx::Result<()> {
/// let (x, w) = (Array::ones((2, 3), Dtype::Float32)?, Array::ones((4, 3), Dtype::Float32)?);
/// let gamma = Array::full(4, 2.0, Dtype::Float32)?;
/// let y = fused_linear_rmsnorm(&x, &w, &gamma).eps(0.0).call()?;
/// assert!((y.index((1, 3))?.item::<f32>()? - 2.0).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
pub fn fused_linear_rmsnorm<'a>(x: &'a Array, w: &'a Array, gamma: &'a Array) -> LinearRmsNorm<'a> {
    LinearRmsNorm {
        x,
        w,
        gamma,
        eps: 1e-6,
    }
}

/// A call of [`fused_linear_rmsnorm`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct LinearRmsNorm<'a> {
    x: &'a Array,
    w: &'a Array,
    gamma: &'a Array,
    eps: f32,
}

impl LinearRmsNorm<'_> {
    /// What is added to the mean of squares (default 1e-6).
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// Those of [`fused_linear_bias_silu`].
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check(self.x, self.w, "gamma", self.gamma)?;
        let z = product(self.x, self.w)?;
        NORM.call1(&[&z, self.gamma], &[self.eps])?
            .astype(self.x.dtype())
    }
}

/// Refuses what does not fit: a further array has an element for each column of the product.
#[track_caller]
fn check(x: &Array, w: &Array, name: &str, columns: &Array) -> Result<()> {
    check_float("x", x)?;
    check_float("w", w)?;
    check_float(name, columns)?;
    let (_, width) = rows_of("x", x)?;
    let &[n, _] = w.shape() else {
        let shape = w.shape();
        return Err(Error::shape(format!(
            "`w`: expected shape (N, {width}), got {shape:?}"
        )));
    };
    check_shape("w", w, &[n, width as i32])?;
    check_shape(name, columns, &[n])
}

/// `x w^T`.
#[track_caller]
fn product(x: &Array, w: &Array) -> Result<Array> {
    let (rows, width) = rows_of("x", x)?;
    let leading = &x.shape()[..x.ndim() - 1];
    let flat = x.reshape((rows as i32, width as i32))?;
    super::matrix::product(&flat, w)
        .transposed(false, true)
        .call()?
        .reshape([leading, &[w.shape()[0]]].concat())
}

const BIASED: &[Input] = &[input("z", Kind::Rows), input("bias", Kind::Weight)];
static SILU: Kernel = Kernel::new(
    "linear::fused_linear_bias_silu",
    BIASED,
    &[],
    "kk_silu(z + bias)",
    "u = z + bias; u * sigmoid(u)",
);
static GELU: Kernel = Kernel::new(
    "linear::fused_linear_bias_gelu",
    BIASED,
    &[],
    "kk_gelu_tanh(z + bias)",
    "u = z + bias; u / 2 * (1 + tanh(sqrt(2 / pi) * (u + 0.044715 * u^3)))",
);
static NORM: Kernel = Kernel::new(
    "linear::fused_linear_rmsnorm",
    &[input("z", Kind::Rows), input("gamma", Kind::Weight)],
    &["eps"],
    "z * rsqrt(mean(z * z) + eps) * gamma",
    "z / sqrt(mean(z^2) + eps) * gamma",
);

// In benchmarks N is 256.
static MATRIX: Other = floats("(N, D)", &[Axes::Size(256), Axes::Width]);
static COLUMNS: Other = floats("(N,)", &[Axes::Size(256)]);

/// Of 256 columns.
fn bytes(rows: usize, width: usize, size: usize) -> usize {
    (rows * width + 256 * width + 256 * rows + 256) * size
}

/// MLX's product, then a formula.
fn composite(kernel: &Kernel, p: &[Array], numbers: &[f64]) -> Result<Vec<Array>> {
    let z = p[0].matmul(&p[1].transpose(..)?)?;
    kernel.reference(&[z, p[2].clone()], numbers)
}

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "linear::fused_linear_bias_silu",
        formula: "silu(x w^T + bias)",
        file: "",
        inputs: &[
            input("x", Kind::Rows),
            other("w", &MATRIX),
            other("bias", &COLUMNS),
        ],
        call: |p| Ok(vec![fused_linear_bias_silu(&p[0], &p[1], &p[2])?]),
        composite: |p| composite(&SILU, p, &[]),
        mlx: None,
        bytes,
        roundings: few_roundings,
    },
    Entry {
        name: "linear::fused_linear_bias_gelu",
        formula: "gelu(x w^T + bias), by tanh",
        file: "",
        inputs: &[
            input("x", Kind::Rows),
            other("w", &MATRIX),
            other("bias", &COLUMNS),
        ],
        call: |p| Ok(vec![fused_linear_bias_gelu(&p[0], &p[1], &p[2])?]),
        composite: |p| composite(&GELU, p, &[]),
        mlx: None,
        bytes,
        roundings: few_roundings,
    },
    Entry {
        name: "linear::fused_linear_rmsnorm",
        formula: "z / sqrt(mean(z^2) + eps) gamma, z = x w^T",
        file: "",
        inputs: &[
            input("x", Kind::Rows),
            other("w", &MATRIX),
            other("gamma", &COLUMNS),
        ],
        call: |p| Ok(vec![fused_linear_rmsnorm(&p[0], &p[1], &p[2]).call()?]),
        composite: |p| composite(&NORM, p, &[1e-6]),
        mlx: Some(|p| {
            let z = p[0].matmul(&p[1].transpose(..)?)?;
            Ok(vec![crate::fast::rms_norm(&z, &p[2], 1e-6)?])
        }),
        bytes,
        roundings: few_roundings,
    },
];
