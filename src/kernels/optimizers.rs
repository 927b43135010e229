//! Steps of optimizers.

pub(crate) mod many;

use std::borrow::Cow;

use super::arguments::{check_float, check_shape, number};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::generated::Generated;
use crate::codegen::op::Operation;
use crate::codegen::program::{InputKind, Output, OutputDtype, Program, Span};
use crate::expr::{Expr, Language, read};
use crate::{Array, Dtype, Error, Result};

/// A number that may change from call to call: one that is known when the call is made, or an array of one
/// element, which a compiled function or another kernel may have computed.
#[derive(Clone, Copy, Debug)]
pub enum Scalar<'a> {
    /// A known number.
    Number(f64),
    /// An array of one element.
    Array(&'a Array),
}

impl From<f64> for Scalar<'_> {
    fn from(value: f64) -> Self {
        Scalar::Number(value)
    }
}
impl From<f32> for Scalar<'_> {
    fn from(value: f32) -> Self {
        Scalar::Number(value.into())
    }
}
impl From<i32> for Scalar<'_> {
    fn from(value: i32) -> Self {
        Scalar::Number(value.into())
    }
}
impl From<u64> for Scalar<'_> {
    fn from(value: u64) -> Self {
        Scalar::Number(value as f64)
    }
}
impl<'a> From<&'a Array> for Scalar<'a> {
    fn from(value: &'a Array) -> Self {
        Scalar::Array(value)
    }
}

/// One step of AdamW (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019): the new parameters
/// and the new moments `[p', m', v']`, by one kernel that reads and writes each array once.
///
/// With `m' = beta1 m + (1 - beta1) g` and `v' = beta2 v + (1 - beta2) g^2`, both corrected for their start at 0, that is
/// divided by `1 - beta^step`, the result is `p' = p - lr (m' / (sqrt(v') + eps) + wd p)`.
///
/// `p`, `g`, `m`, `v`: one shape, any; float32, float16 or bfloat16 each. Computed in float32; `p'` has the dtype of
/// `p`, and the moments keep their own, so moments in float32 beside parameters of 16 bits lose nothing. They
/// should be in float32: in 16 bits a small change of `v` is rounded away. `lr` is the rate and `step`
/// counts from 1; both are numbers or arrays of one element. No number compiles anything.
///
/// Differentiable twice in all arrays, where `v'` is above 0: its root has no slope at 0. (The kernel of a third derivative
/// would have more buffers than Metal allows, which is an error.)
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let p = Array::from_slice(&[1.0f32, -2.0], 2)?;
/// let g = Array::from_slice(&[0.5f32, -4.0], 2)?;
/// let zeros = Array::zeros(2, Dtype::Float32)?;
/// let [p, m, v] = kernels::optimizers::adamw_step(&p, &g, &zeros, &zeros, 0.125, 1).wd(0.0).call()?;
/// // The first step is as long as the rate, whatever the gradient.
/// assert!(p.allclose(&Array::from_slice(&[0.875f32, -1.875], 2)?, (1e-5, 1e-6))?.item::<bool>()?);
/// # let _ = (m, v);
/// # Ok(())
/// # }
/// ```
pub fn adamw_step<'a>(
    p: &'a Array,
    g: &'a Array,
    m: &'a Array,
    v: &'a Array,
    lr: impl Into<Scalar<'a>>,
    step: impl Into<Scalar<'a>>,
) -> AdamwStep<'a> {
    AdamwStep {
        arrays: [p, g, m, v],
        lr: lr.into(),
        step: step.into(),
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        wd: 0.01,
    }
}

/// A call of [`adamw_step`].
///
/// ```
/// use zmlx::{Array, kernels};
/// let p = Array::from_iter([1.0f32])?;
/// let (g, zero) = (Array::from_iter([4.0f32])?, Array::from_iter([0.0f32])?);
/// let step = kernels::optimizers::adamw_step(&p, &g, &zero, &zero, 0.1, 1);
/// let [_, m, v] = step.beta1(0.5).beta2(0.75).eps(1e-6).wd(0.1).call()?;
/// assert_eq!((m.item::<f32>()?, v.item::<f32>()?), (2.0, 4.0));
/// # Ok::<(), zmlx::Error>(())
/// ```
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct AdamwStep<'a> {
    arrays: [&'a Array; 4],
    lr: Scalar<'a>,
    step: Scalar<'a>,
    beta1: f64,
    beta2: f64,
    eps: f64,
    wd: f64,
}

impl AdamwStep<'_> {
    /// How much of the first moment stays (default 0.9).
    pub fn beta1(mut self, beta1: f64) -> Self {
        self.beta1 = beta1;
        self
    }

    /// How much of the second moment stays (default 0.999).
    pub fn beta2(mut self, beta2: f64) -> Self {
        self.beta2 = beta2;
        self
    }

    /// What is added to the root of the second moment (default 1e-8).
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Weight decay (default 0.01).
    pub fn wd(mut self, wd: f64) -> Self {
        self.wd = wd;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for arrays of different shapes, and for a rate or a step of more than one element;
    /// [`Error::Dtype`] for another dtype; [`Error::Argument`] for a beta outside of [0, 1), a negative `eps`, a step
    /// below 1, and a number that is not finite. What is in arrays is not looked at: a step of 0 gives NaN.
    #[track_caller]
    pub fn call(self) -> Result<[Array; 3]> {
        let [p, ..] = self.arrays;
        for (name, a) in ["p", "g", "m", "v"].into_iter().zip(self.arrays) {
            check_float(name, a)?;
            check_shape(name, a, p.shape())?;
        }
        for (name, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::argument(
                    name,
                    "a number from 0 on and below 1",
                    beta,
                ));
            }
        }
        // The kernel has them in float32.
        let finite = |n: f64| (n as f32).is_finite();
        if !(self.eps >= 0.0 && finite(self.eps)) {
            return Err(Error::argument(
                "eps",
                "a finite number from 0 on",
                self.eps,
            ));
        }
        if !finite(self.wd) {
            return Err(Error::argument("wd", "a finite number", self.wd));
        }
        let lr = scalar("lr", self.lr, f64::MIN, false)?;
        let step = scalar("step", self.step, 1.0, true)?;
        // By their logarithms: 1 - 0.999 in float32 has lost four digits.
        let numbers = [self.beta1.ln(), self.beta2.ln(), self.eps, self.wd];
        let mut kept = Vec::with_capacity(numbers.len());
        for n in numbers {
            kept.push(number(n as f32)?);
        }
        let mut all = self.arrays.to_vec();
        all.extend([&*lr, &*step]);
        all.extend(kept.iter().map(AsRef::as_ref));
        let outputs = ADAMW.op()?.call(&all)?;
        let found = outputs.len();
        outputs
            .try_into()
            .map_err(|_| Error::argument("outputs", 3, found))
    }
}

/// The number as an array without axes.
#[track_caller]
fn scalar<'a>(name: &str, value: Scalar<'a>, least: f64, integers: bool) -> Result<Cow<'a, Array>> {
    let a = match value {
        Scalar::Number(n) if (n as f32).is_finite() && n >= least => {
            return Ok(Cow::Owned(number(n as f32)?.as_ref().clone()));
        }
        Scalar::Number(n) if integers => {
            let expected = format!("a number from {least} on");
            return Err(Error::argument(name, expected, n));
        }
        Scalar::Number(n) => return Err(Error::argument(name, "a finite number", n)),
        Scalar::Array(a) => a,
    };
    if !(integers && a.dtype().is_integral() && a.dtype() != Dtype::Bool) {
        check_float(name, a)?;
    }
    if a.size() != 1 {
        return Err(Error::shape(format!(
            "`{name}`: expected one element, got shape {:?}",
            a.shape()
        )));
    }
    Ok(match a.ndim() {
        0 => Cow::Borrowed(a),
        _ => Cow::Owned(a.reshape(())?),
    })
}

const ARRAYS: [&str; 6] = ["p", "g", "m", "v", "lr", "step"];
/// Few: a derivative reads those of the step, cotangents and directions, and a kernel has 30 buffers.
const NUMBERS: [&str; 4] = ["log1", "log2", "eps", "wd"];

static ADAMW: Generated = Generated::new(|| {
    let names: Vec<&str> = ARRAYS.into_iter().chain(NUMBERS).collect();
    // The decays' differences from 1 by their logarithms, which keeps all digits where they are near 1.
    let text = "k1 = -kk_expm1(log1); k2 = -kk_expm1(log2); \
        first = (1.0f - k1) * m + k1 * g; second = (1.0f - k2) * v + k2 * (g * g); \
        root = sqrt(second / -kk_expm1(step * log2)) + eps; \
        p - lr * (first / -kk_expm1(step * log1) / root + wd * p), first, second";
    let mut program = Program::elementwise(&names, Expr::from(0.0));
    let values = read(Language::Rows, text, &names)?.into_iter();
    let outputs = values.zip([("p_new", 0), ("m_new", 2), ("v_new", 3)]);
    program.outputs = outputs
        .map(|(value, (name, like))| Output {
            name: name.into(),
            span: Span::Element,
            value,
            others: Vec::new(),
            dtype: OutputDtype::Like(like),
        })
        .collect();
    program.exact = false;
    for name in NUMBERS {
        program.set_kind("inputs", name, InputKind::Parameter)?;
    }
    Operation::new("adamw_step", program, None)
});

/// The same by MLX's operations, for a rate, a step and the default betas.
fn composite(lr: f64, step: i32, all: &[Array]) -> Result<Vec<Array>> {
    let [p, g, m, v] = all else {
        return Err(Error::argument("inputs", "p, g, m, v", all.len()));
    };
    let m = ((m * 0.9)? + (g * 0.1)?)?;
    let v = ((v * 0.999)? + (g.square()? * 0.001)?)?;
    let first = (&m / (1.0 - 0.9f64.powi(step)))?;
    let second = (&v / (1.0 - 0.999f64.powi(step)))?;
    let moved = (first / (second.sqrt()? + 1e-8)?)?;
    let p = (p - ((moved + (p * 0.01)?)? * lr)?)?;
    Ok(vec![p, m, v])
}

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "optimizers::adamw_step",
    formula: "m' = b1 m + (1 - b1) g, v' = b2 v + (1 - b2) g^2, \
        p' = p - lr (m' / (1 - b1^step) / (sqrt(v' / (1 - b2^step)) + eps) + wd p)",
    file: "",
    inputs: &[
        input("p", Kind::Rows),
        input("g", Kind::Rows),
        input("m", Kind::Rows),
        input("v", Kind::Squares),
    ],
    call: |p| match p {
        [p, g, m, v] => Ok(adamw_step(p, g, m, v, 0.0625, 3).call()?.into()),
        _ => Err(Error::argument("inputs", "p, g, m, v", p.len())),
    },
    composite: |p| composite(0.0625, 3, p),
    mlx: None,
    bytes: |rows, width, size| 7 * rows * width * size,
    roundings: few_roundings,
}];
