//! Activations: one expression each, whose derivatives are derived.

use std::sync::OnceLock;

use super::arguments::check_float;
use super::catalog::{Entry, Kind, few, input};
use crate::elementwise::{self, Unary};
use crate::{Array, Result};

/// An activation by its expression of `x`.
struct Activation {
    name: &'static str,
    expr: &'static str,
    made: OnceLock<Unary>,
}

impl Activation {
    const fn new(name: &'static str, expr: &'static str) -> Self {
        Activation {
            name,
            expr,
            made: OnceLock::new(),
        }
    }

    #[track_caller]
    fn call(&self, x: &Array) -> Result<Array> {
        check_float("x", x)?;
        if let Some(op) = self.made.get() {
            return op.call(x);
        }
        let op = elementwise::unary(self.name, self.expr)?;
        self.made.get_or_init(|| op).call(x)
    }
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` (D. Hendrycks and K. Gimpel, "Gaussian Error
/// Linear Units", 2016).
///
/// `x`: any shape, float32, float16 or bfloat16; the result is like it. Computed in float32, with the
/// logistic function in place of tanh; 0 at minus infinity. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[-1e30f32, 0.0, 1.0], 3)?;
/// let y = kernels::activations::gelu_tanh(&x)?.to_vec::<f32>()?;
/// assert!(y[0] == 0.0 && y[1] == 0.0 && (y[2] - 0.841_192).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Dtype`](crate::Error::Dtype) for another dtype.
#[track_caller]
pub fn gelu_tanh(x: &Array) -> Result<Array> {
    static OP: Activation = Activation::new("gelu_tanh", "kk_gelu_tanh(x)");
    OP.call(x)
}

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "activations::gelu_tanh",
    formula: "x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
    file: "functions.metal",
    inputs: &[input("x", Kind::Rows)],
    call: |p| Ok(vec![gelu_tanh(&p[0])?]),
    composite: |p| {
        let x = &p[0];
        let inner = (x + (x * 0.044_715)? * x.square())? * 0.797_884_6;
        Ok(vec![((x * 0.5)? * (inner?.tanh()? + 1.0)?)?])
    },
    mlx: None,
    bytes: |rows, width, size| 2 * rows * width * size,
    roundings: few,
}];
