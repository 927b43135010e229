//! Textbook formulas: text that is evaluated over whole arrays, by MLX's operations.
//!
//! What a formula gives is independent of kernels, derivatives and simplification here, in any floating dtype, and
//! MLX differentiates it. So it is the reference of the catalog's tests and the other side of its benchmarks.

use std::collections::HashMap;

use super::Expr;
use super::node::{Binary, Callee, Kind, Unary, postorder};
use super::rows::Language;
use crate::ops::where_;
use crate::{Array, Dtype, Error, Result, keepdims};

/// How many values an argument has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// One.
    Number,
    /// One a row.
    Row,
    /// One for each element of a row.
    Element,
}

/// One or more formulas of named arguments.
///
/// The language is that of expressions but for: numbers are real (`1 / 2` is a half), `^` is the power, `pi` is known,
/// functions need no prefix (`sigmoid`, `erf`), `D` is the length of a row, and there are functions of the whole row:
/// `sum`, `mean`, `max`, `min`, `var`, `prod`, `logsumexp`, `at(x, i)`, `onehot(x, i)`, the halves `first(x)` and `second(x)`,
/// `cumsum(x)`, and `stop(x)` without a derivative. `name = value;` may stand in front; several results are
/// separated by commas.
#[derive(Debug)]
pub(crate) struct Formula {
    arguments: Vec<(String, Extent)>,
    results: Vec<(Expr, Extent)>,
}

impl Formula {
    /// Reads the text.
    ///
    /// # Errors
    /// [`Error::Expression`] says what is wrong with it.
    #[track_caller]
    pub(crate) fn parse(text: &str, arguments: &[(&str, Extent)]) -> Result<Formula> {
        let mut names: Vec<&str> = arguments.iter().map(|a| a.0).collect();
        names.push("D");
        let results = super::rows::read(Language::Textbook, text, &names)?.into_iter();
        let results = results.map(|e| {
            let extent = extent(&e, arguments);
            (e, extent)
        });
        Ok(Formula {
            arguments: arguments
                .iter()
                .map(|(n, e)| ((*n).to_owned(), *e))
                .collect(),
            results: results.collect(),
        })
    }

    /// How many values each result has.
    pub(crate) fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        self.results.iter().map(|r| r.1)
    }

    /// The results for arguments in their order, of which the last may be given as numbers: lazy, in the dtype that MLX's
    /// operations have for them. As everywhere in MLX, float64 needs a CPU stream.
    ///
    /// # Errors
    /// Those of MLX's operations.
    #[track_caller]
    pub(crate) fn evaluate(&self, arguments: &[Array], numbers: &[f64]) -> Result<Vec<Array>> {
        let floats = arguments.iter().filter(|a| a.dtype().is_floating());
        let dtype = floats.map(Array::dtype).next().unwrap_or(Dtype::Float32);
        let mut names: HashMap<&str, Array> = HashMap::new();
        let mut width = 1;
        for ((name, extent), a) in self.arguments.iter().zip(arguments) {
            let a = match extent {
                Extent::Row => a.expand_dims(-1)?,
                _ => a.clone(),
            };
            if *extent == Extent::Element && a.ndim() > 0 {
                width = width.max(a.dim(-1)?);
            }
            names.insert(name, a);
        }
        let rest = self.arguments.iter().skip(arguments.len());
        for ((name, _), n) in rest.zip(numbers) {
            names.insert(name, number(*n, dtype)?);
        }
        names.insert("D", number(f64::from(width), dtype)?);
        let mut known: HashMap<Expr, Array> = HashMap::new();
        for node in postorder(self.results.iter().map(|r| &r.0)) {
            let args: Vec<&Array> = node.0.args.iter().map(|a| &known[a]).collect();
            let value = value(&node, &args, &names, dtype)?;
            known.insert(node, value);
        }
        let results = self.results.iter().map(|(e, extent)| match extent {
            Extent::Row => known[e].squeeze(-1),
            _ => Ok(known[e].clone()),
        });
        results.collect()
    }
}

/// How many values an expression has.
fn extent(e: &Expr, arguments: &[(&str, Extent)]) -> Extent {
    let mut known: HashMap<Expr, Extent> = HashMap::new();
    for node in postorder([e]) {
        let most = node.0.args.iter().map(|a| known[a]).max();
        let most = most.unwrap_or(Extent::Number);
        let own = match &node.0.kind {
            Kind::Var(name, _) => {
                let found = arguments.iter().find(|a| *a.0 == **name);
                found.map_or(Extent::Number, |a| a.1)
            }
            Kind::Call(Callee::Unknown(name), _) => match &**name {
                "first" | "second" | "stop" | "cumsum" | "onehot" => most,
                _ => Extent::Row,
            },
            _ => most,
        };
        known.insert(node, own);
    }
    known[e]
}

/// A number in a dtype; float64 exists on the CPU only, so no other dtype goes through it.
fn number(value: f64, dtype: Dtype) -> Result<Array> {
    match dtype {
        Dtype::Float64 => Array::scalar(value),
        _ => Array::scalar(value as f32)?.astype(dtype),
    }
}

fn value(
    node: &Expr,
    args: &[&Array],
    names: &HashMap<&str, Array>,
    dtype: Dtype,
) -> Result<Array> {
    let unknown = || Error::expression(format!("formula: `{}` has no value", node.to_msl()));
    match (&node.0.kind, args) {
        (Kind::Const(n), _) => number(n.value(), dtype),
        (Kind::Var(name, _), _) => names.get(&**name).cloned().ok_or_else(unknown),
        (Kind::Unary(Unary::Neg), [a]) => a.negative(),
        (Kind::Unary(Unary::Not), [a]) => a.logical_not(),
        (Kind::Binary(op), [a, b]) => match op {
            Binary::Add => a.add(*b),
            Binary::Sub => a.subtract(*b),
            Binary::Mul => a.multiply(*b),
            Binary::Div => a.divide(*b),
            Binary::Lt => a.less(*b),
            Binary::Le => a.less_equal(*b),
            Binary::Gt => a.greater(*b),
            Binary::Ge => a.greater_equal(*b),
            Binary::Eq => a.equal(*b),
            Binary::Ne => a.not_equal(*b),
            Binary::And => a.logical_and(*b),
            Binary::Or => a.logical_or(*b),
            _ => Err(unknown()),
        },
        (Kind::Select, [c, a, b]) => where_(c, *a, *b),
        (Kind::Call(Callee::Unknown(name), _), args) => {
            of_row(name, args).unwrap_or_else(|| Err(unknown()))
        }
        (Kind::Call(Callee::Known(f, _), _), args) => {
            let exponent = node.0.args.get(1).and_then(Expr::as_constant);
            function(f.name, args, exponent, dtype).unwrap_or_else(|| Err(unknown()))
        }
        _ => Err(unknown()),
    }
}

/// A function of the whole row. Reductions leave an axis of size 1, so that results meet elements again.
fn of_row(name: &str, args: &[&Array]) -> Option<Result<Array>> {
    let x = *args.first()?;
    Some(match (name, args) {
        ("sum", _) => x.sum(keepdims(-1)),
        ("mean", _) => x.mean(keepdims(-1)),
        ("max", _) => x.max(keepdims(-1)),
        ("min", _) => x.min(keepdims(-1)),
        ("prod", _) => x.prod(keepdims(-1)),
        ("var", _) => x.var(keepdims(-1), 0),
        ("logsumexp", _) => x.logsumexp(keepdims(-1)),
        ("cumsum", _) => x.cumsum(-1),
        ("stop", _) => x.stop_gradient(),
        ("first", _) => x.split(2, -1).map(|mut halves| halves.swap_remove(0)),
        ("second", _) => x.split(2, -1).map(|mut halves| halves.swap_remove(1)),
        ("at", [_, i]) => x.take_along_axis(i, -1),
        ("onehot", [_, i]) => one_hot(x, i),
        _ => return None,
    })
}

fn one_hot(x: &Array, i: &Array) -> Result<Array> {
    Array::arange(x.dim(-1)?)?.equal(i)?.astype(x.dtype())
}

/// A function of elements, in terms of MLX's; an exponent that is a small whole number is a product, of which MLX's
/// derivative is right at 0 and for negative numbers, too.
fn function(
    name: &str,
    args: &[&Array],
    exponent: Option<f64>,
    dtype: Dtype,
) -> Option<Result<Array>> {
    let x = *args.first()?;
    let n = |v: f64| number(v, dtype);
    Some(match (name, args) {
        ("exp", _) => x.exp(),
        ("exp2", _) => n(2.0).and_then(|two| two.power(x)),
        ("log", _) => x.log(),
        ("log2", _) => x.log2(),
        ("log10", _) => x.log10(),
        ("sqrt", _) => x.sqrt(),
        ("rsqrt", _) => x.rsqrt(),
        ("sin", _) => x.sin(),
        ("cos", _) => x.cos(),
        ("tan", _) => x.tan(),
        ("asin", _) => x.arcsin(),
        ("acos", _) => x.arccos(),
        ("atan", _) => x.arctan(),
        ("sinh", _) => x.sinh(),
        ("cosh", _) => x.cosh(),
        ("tanh", _) => x.tanh(),
        ("asinh", _) => x.arcsinh(),
        ("acosh", _) => x.arccosh(),
        ("atanh", _) => x.arctanh(),
        ("abs" | "fabs", _) => x.abs(),
        ("sign", _) => x.sign(),
        ("floor", _) => x.floor(),
        ("ceil", _) => x.ceil(),
        ("round" | "rint", _) => x.round(0),
        ("trunc", _) => x.trunc(),
        ("kk_sigmoid", _) => x.sigmoid(),
        ("kk_silu", _) => x.sigmoid().and_then(|s| x.multiply(&s)),
        ("kk_softplus", _) => n(0.0).and_then(|zero| x.logaddexp(&zero)),
        ("kk_relu", _) => n(0.0).and_then(|zero| x.maximum(&zero)),
        ("kk_erf", _) => x.erf(),
        ("kk_expm1", _) => x.expm1(),
        ("kk_log1p", _) => x.log1p(),
        ("isnan", _) => x.isnan(),
        ("isinf", _) => x.isinf(),
        ("pow", [x, y]) => power(x, y, exponent),
        ("min" | "fmin", [x, y]) => x.minimum(*y),
        ("max" | "fmax", [x, y]) => x.maximum(*y),
        ("clamp", [x, low, high]) => x.maximum(*low).and_then(|x| x.minimum(*high)),
        ("atan2", [y, x]) => y.arctan2(*x),
        _ => return None,
    })
}

fn power(x: &Array, y: &Array, exponent: Option<f64>) -> Result<Array> {
    match exponent {
        Some(n) if n.fract() == 0.0 && (1.0..=8.0).contains(&n) => {
            let mut product = x.clone();
            for _ in 1..n as usize {
                product = product.multiply(x)?;
            }
            Ok(product)
        }
        _ => x.power(y),
    }
}
