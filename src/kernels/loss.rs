//! Losses over the last axis.

use std::rc::Rc;

use super::arguments::{check_float, check_shape, number, rows_of};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::generated::Generated;
use super::op::Op;
use crate::codegen::op::Operation;
use crate::codegen::places;
use crate::codegen::program::{
    self, Fold, InputKind, Output, OutputDtype, Program, Reduction, Span,
};
use crate::expr::Expr;
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
        rows_of("logits", self.logits)?;
        let leading = &self.logits.shape()[..self.logits.ndim() - 1];
        check_shape("targets", self.targets, leading)?;
        if !self.targets.dtype().is_integral() {
            return Err(Error::dtype(format!(
                "`targets`: expected integers, got {}",
                self.targets.dtype()
            )));
        }
        let ignored = Ignored::of(self.ignored, self.targets.dtype());
        if self.logits.is_tracer() || self.targets.is_tracer() {
            return CROSS_ENTROPY.call1(ignored, &[self.logits, self.targets]);
        }
        // Where no gradient is asked for, the loss alone.
        let (index, counts) = ignored.numbers()?;
        let inputs = [self.logits, self.targets, &index, &counts];
        VALUE.op()?.call1(&inputs)
    }
}

/// The target of rows that do not count, if there is one.
#[derive(Clone, Copy)]
struct Ignored(Option<i64>);

impl Ignored {
    /// Kernels read targets as `long`, where those of a `uint64` from 2^63 on are the lowest: a negative number is none
    /// of them.
    fn of(index: Option<i64>, targets: Dtype) -> Self {
        let signed = matches!(
            targets,
            Dtype::Int8 | Dtype::Int16 | Dtype::Int32 | Dtype::Int64
        );
        Ignored(index.filter(|&i| signed || i >= 0))
    }

    /// The number, and whether there is one: every number may be a target.
    fn numbers(self) -> Result<(Rc<Array>, Rc<Array>)> {
        let counts = number(i64::from(self.0.is_some()))?;
        Ok((number(self.0.unwrap_or(0))?, counts))
    }
}

/// Outputs: the loss, and the logarithm of the sum of each row.
static CROSS_ENTROPY: Op<Ignored> = Op {
    name: "softmax_cross_entropy",
    rows: 2,
    visible: 1,
    forward: |&ignored, p| {
        let (index, counts) = ignored.numbers()?;
        let outputs = FORWARD.op()?.launch(&[p[0], p[1], &index, &counts])?;
        Ok(outputs.into_vec())
    },
    vjp: |&ignored, p, g, y| {
        let (index, counts) = ignored.numbers()?;
        let inputs = [&p[0], &p[1], &index, &counts, &y[1], &g[0]];
        let mut gradients = BACKWARD.op()?.launch(&inputs)?.into_vec();
        gradients.push(p[1].zeros_like()?);
        Ok(gradients)
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

/// Names that expressions of a loss use. `index` is the target of rows that do not count, and `counts` whether there are
/// such rows.
const NAMES: [&str; 8] = [
    "x",
    "long target",
    "long index",
    "long counts",
    "j",
    "most",
    "sum",
    "total",
];

#[track_caller]
fn parse(text: &str) -> Result<Expr> {
    Expr::parse(text, &[NAMES.as_slice(), &["g"]].concat())
}

/// The inputs of all programs of a loss.
fn inputs() -> Vec<program::Input> {
    let index = |name: &str, span| program::Input::of(name, span, InputKind::Index);
    vec![
        program::Input::element("x"),
        index("target", Span::Row),
        index("index", Span::Element),
        index("counts", Span::Element),
    ]
}

fn output(name: &str, span: Span, text: &str, dtype: OutputDtype) -> Result<Output> {
    Ok(Output {
        name: name.to_owned(),
        span,
        value: parse(text)?,
        others: Vec::new(),
        dtype,
    })
}

/// A program over rows of logits.
fn program(outputs: Vec<Output>) -> Program {
    Program {
        inputs: inputs(),
        outputs,
        by_rows: true,
        exact: false,
        ..Program::elementwise(&[], Expr::from(0.0))
    }
}

/// The loss of a row; a target outside of it gives NaN, and one that does not count, 0.
fn forward(with_total: bool) -> Result<Program> {
    let base = "(most == -INFINITY ? 0.0f : most)";
    let total = format!("{base} + log(sum)");
    let loss = format!("counts != 0 && target == index ? 0.0f : {total} - chosen");
    let mut outputs = vec![output(
        "loss",
        Span::Row,
        &loss.replace("chosen", "at(x, target)"),
        OutputDtype::Like(0),
    )?];
    if with_total {
        outputs.push(output(
            "all",
            Span::Row,
            &total,
            OutputDtype::Fixed(Dtype::Float32),
        )?);
    }
    let mut made = program(outputs);
    let reduction = |name: &str, fold, text: &str| -> Result<Reduction> {
        let value = parse(text)?;
        Ok(Reduction {
            name: name.to_owned(),
            fold,
            value,
        })
    };
    made.reductions = vec![
        reduction("most", Fold::Max, "x")?,
        // At most 0, and a denormal result does not count beside the sum.
        reduction("sum", Fold::Sum, &format!("metal::fast::exp(x - {base})"))?,
    ];
    for i in 0..made.outputs.len() {
        let value = made.outputs[i].value.clone();
        made.outputs[i].value = places::taken_out(&mut made, value)?;
    }
    Ok(made)
}

static VALUE: Generated =
    Generated::new(|| Operation::new("softmax_cross_entropy_value", forward(false)?, None));
static FORWARD: Generated =
    Generated::new(|| Operation::new("softmax_cross_entropy", forward(true)?, None));

/// dx = (softmax(x) - onehot(target)) g; 0 for a row that does not count, NaN for a target outside of the row.
static BACKWARD: Generated = Generated::new(|| {
    // Choices are made once for the row: one within the loop would keep it from becoming vectors. The exponent is at most
    // 0 where the total is a number, and where it is none, so are the gradients.
    let ignored = "(counts != 0 && target == index)";
    let base = format!("({ignored} ? INFINITY : total)");
    let softmax = format!("metal::fast::exp(min(x - {base}, 0.0f))");
    let slope = "(isfinite(total) ? g * at(1.0f, target) : NAN)";
    let scale = format!("({ignored} ? 0.0f : {slope})");
    let text = format!("({softmax} - (j == target ? 1.0f : 0.0f)) * {scale}");
    let mut made = program(vec![output(
        "dx",
        Span::Element,
        &text,
        OutputDtype::Like(0),
    )?]);
    for name in ["total", "g"] {
        made.inputs
            .push(program::Input::of(name, Span::Row, InputKind::Value));
    }
    let value = made.outputs[0].value.clone();
    made.outputs[0].value = places::taken_out(&mut made, value)?;
    Operation::new("softmax_cross_entropy_grad", made, None)
});

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "loss::softmax_cross_entropy",
    formula: "log(sum(exp(logits))) - logits[target]",
    file: "terms.metal",
    inputs: &[input("logits", Kind::Rows), input("targets", Kind::Targets)],
    call: |p| Ok(vec![softmax_cross_entropy(&p[0], &p[1]).call()?]),
    composite: |p| (CROSS_ENTROPY.composite)(&Ignored(None), p),
    mlx: Some(|p| Ok(vec![crate::fast::cross_entropy(&p[0], &p[1])?])),
    bytes: |rows, width, size| rows * (width * size + 4 + size),
    roundings: few_roundings,
}];
