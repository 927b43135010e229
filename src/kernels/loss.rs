//! Losses over the last axis.

use std::rc::Rc;

use super::arguments::{check_float, check_shape, constant, rows_of};
use super::catalog::{Entry, Kind, few, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result};

/// `log(sum(exp(logits))) - logits[target]` for each row.
///
/// `logits`: (..., D), float32, float16 or bfloat16; `targets`: (...), any integer type; the result
/// is (...) of the logits' dtype. Computed in float32. A target outside of `0..D` gives NaN, and NaN as
/// the row's gradient: indices are data, and nothing looks at them before the kernel does.
///
/// Differentiable any number of times in `logits`: `(softmax - onehot) g`, one kernel.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let logits = Array::from_slice(&[0.0f32, 0.0, 0.0, 0.0, 9.0, 9.0], (2, 3))?;
/// let targets = Array::from_slice(&[1, -100], 2)?;
/// let loss = kernels::loss::softmax_cross_entropy(&logits, &targets).ignore_index(-100).call()?;
/// let loss = loss.to_vec::<f32>()?;
/// assert!((loss[0] - 3f32.ln()).abs() < 1e-6 && loss[1] == 0.0);
/// # Ok(())
/// # }
/// ```
pub fn softmax_cross_entropy<'a>(logits: &'a Array, targets: &'a Array) -> CrossEntropy<'a> {
    CrossEntropy {
        logits,
        targets,
        ignored: None,
    }
}

/// A call of [`softmax_cross_entropy`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct CrossEntropy<'a> {
    logits: &'a Array,
    targets: &'a Array,
    ignored: Option<i64>,
}

impl CrossEntropy<'_> {
    /// Rows with this target have loss and gradient 0 (default: none). A target that no `i64` holds is
    /// never this one.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.ignored = Some(index);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] for a scalar or targets of another shape than the rows',
    /// [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check_float("logits", self.logits)?;
        let (rows, width) = rows_of("logits", self.logits)?;
        let leading = &self.logits.shape()[..self.logits.ndim() - 1];
        check_shape("targets", self.targets, leading)?;
        if !self.targets.dtype().is_integral() {
            return Err(Error::dtype(format!(
                "`targets`: expected integers, got {}",
                self.targets.dtype()
            )));
        }
        let ignored = Ignored::of(self.ignored, self.targets.dtype());
        if !self.logits.is_tracer() && !self.targets.is_tracer() {
            return self.value(ignored, rows, width);
        }
        CROSS_ENTROPY.call1(ignored, &[self.logits, self.targets])
    }

    /// The loss alone, where no gradient is asked for.
    #[track_caller]
    fn value(self, ignored: Ignored, rows: usize, width: usize) -> Result<Array> {
        let ignored = ignored.constant()?;
        let inputs = [self.logits, self.targets, &ignored];
        let output = [(self.targets.shape(), self.logits.dtype())];
        let [loss] = VALUE.launch(&inputs, output, rows, width)?;
        Ok(loss)
    }
}

/// The target of rows that do not count, if there is one.
#[derive(Clone, Copy)]
struct Ignored(Option<i64>);

impl Ignored {
    /// Kernels read targets as `long`, where those of a `uint64` from 2^63 on are negative: a negative number is none
    /// of them.
    fn of(index: Option<i64>, targets: Dtype) -> Self {
        let signed = matches!(
            targets,
            Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64
        );
        Ignored(index.filter(|&i| signed || i >= 0))
    }

    /// The number, and whether there is one: every number may be a target.
    fn constant(self) -> Result<Rc<Array>> {
        constant(&[self.0.unwrap_or(0), i64::from(self.0.is_some())])
    }
}

/// Outputs: the loss, and the logarithm of the sum of each row.
static CROSS_ENTROPY: Op<Ignored> = Op {
    name: "softmax_cross_entropy",
    rows: 2,
    visible: 1,
    forward: |&ignored, p| {
        let (rows, width) = rows_of("logits", p[0])?;
        let ignored = ignored.constant()?;
        let outputs = [(p[1].shape(), p[0].dtype()), (p[1].shape(), Dtype::Float32)];
        Ok(FORWARD
            .launch(&[p[0], p[1], &ignored], outputs, rows, width)?
            .into())
    },
    vjp: |&ignored, p, g, y| {
        let (rows, width) = rows_of("logits", &p[0])?;
        let ignored = ignored.constant()?;
        let inputs = [&p[0], &p[1], &ignored, &y[1], &g[0]];
        let like = (p[0].shape(), p[0].dtype());
        let [dx] = BACKWARD.launch(&inputs, [like], rows, width)?;
        Ok(vec![dx, p[1].zeros_like()?])
    },
    composite: |&ignored, p| {
        if p[0].size() == 0 {
            // MLX reduces nothing of size 0. No target is within 0 classes.
            let of = |v: f32| Array::full(p[1].shape(), v, p[0].dtype());
            return Ok(vec![of(f32::NAN)?, of(f32::NEG_INFINITY)?]);
        }
        let total = p[0].logsumexp(-1)?;
        let targets = p[1].astype(Dtype::Int64)?;
        let classes = Array::scalar(i64::from(p[0].dim(-1)?))?;
        let zero = Array::scalar(0i64)?;
        let inside = (targets.greater_equal(&zero)? & targets.less(&classes)?)?;
        let index = where_(&inside, &targets, &zero)?.expand_dims(-1)?;
        let chosen = p[0].take_along_axis(&index, -1)?.squeeze(-1)?;
        let nan = Array::from(f32::NAN).astype(p[0].dtype())?;
        let loss = where_(&inside, &(&total - &chosen)?, &nan)?;
        let none = total.zeros_like()?;
        let loss = match ignored.0 {
            Some(i) => where_(&targets.equal(Array::scalar(i)?)?, &none, &loss)?,
            None => loss,
        };
        Ok(vec![loss, total])
    },
};

static FORWARD: RowKernel = RowKernel::new(
    "softmax_cross_entropy",
    &["x", "target", "ignored"],
    &["loss", "total"],
    "const float2 y = kk_cross_entropy_row(x + row * n, long(target[row]), \
     kk_is_ignored(target[row], ignored), n, g);\nif (kk_first(g)) {\n  kk_store(loss + row, y.x);\n  \
     total[row] = y.y;\n}",
)
.adds();
static VALUE: RowKernel = RowKernel::new(
    "softmax_cross_entropy_value",
    &["x", "target", "ignored"],
    &["loss"],
    "const float2 y = kk_cross_entropy_row(x + row * n, long(target[row]), \
     kk_is_ignored(target[row], ignored), n, g);\nif (kk_first(g)) kk_store(loss + row, y.x)",
)
.adds();
static BACKWARD: RowKernel = RowKernel::new(
    "softmax_cross_entropy_grad",
    &["x", "target", "ignored", "total", "dy"],
    &["dx"],
    "kk_cross_entropy_grad_row(x + row * n, long(target[row]), \
     kk_is_ignored(target[row], ignored), \
     float(total[row]), float(dy[row]), dx + row * n, n, g)",
)
.reduces(0);

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "loss::softmax_cross_entropy",
    formula: "log(sum(exp(logits))) - logits[target]",
    file: "loss.metal",
    inputs: &[input("logits", Kind::Rows), input("targets", Kind::Targets)],
    call: |p| Ok(vec![softmax_cross_entropy(&p[0], &p[1]).call()?]),
    composite: |p| (CROSS_ENTROPY.composite)(&Ignored(None), p),
    mlx: Some(|p| Ok(vec![crate::fast::cross_entropy(&p[0], &p[1])?])),
    bytes: |rows, width, size| rows * (width * size + 4 + size),
    roundings: few,
}];
