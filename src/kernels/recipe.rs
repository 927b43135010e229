//! How a function of the catalog is made from a row program and a textbook formula; see docs/CATALOG.md.

mod check;

use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use super::arguments::number;
use super::catalog::{Input as Argument, Kind};
use crate::codegen::names;
use crate::codegen::op::Operation;
use crate::codegen::places;
use crate::codegen::program::{
    Fold, Input, InputKind, Output, OutputDtype, Program, Reduction, Span,
};
use crate::expr::{Expr, Extent, Formula, Language, read};
use crate::metal::Made;
use crate::{Array, Dtype, Error, Result};

/// A function of the catalog, as its declaration says.
pub(super) struct Kernel {
    /// Below `zmlx::kernels`, with its family.
    name: &'static str,
    inputs: &'static [Argument],
    /// Numbers beside the arrays.
    numbers: &'static [&'static str],
    /// Integers beside the arrays, which only the program has.
    words: &'static [&'static str],
    program: &'static str,
    formula: &'static str,
    made: Made<Operation>,
    /// The same with results in float32.
    wide: Made<Operation>,
    read: Made<Formula>,
}

impl Kernel {
    pub(super) const fn new(
        name: &'static str,
        inputs: &'static [Argument],
        numbers: &'static [&'static str],
        program: &'static str,
        formula: &'static str,
    ) -> Self {
        Kernel {
            name,
            inputs,
            numbers,
            words: &[],
            program,
            formula,
            made: Made::new(),
            wide: Made::new(),
            read: Made::new(),
        }
    }

    /// The same function with integers beside the numbers.
    pub(super) const fn with_words(mut self, words: &'static [&'static str]) -> Self {
        self.words = words;
        self
    }

    /// The outputs: lazy, differentiable any number of times.
    #[track_caller]
    pub(super) fn call<const N: usize>(
        &self,
        arrays: &[&Array],
        numbers: &[f32],
    ) -> Result<[Array; N]> {
        self.call_with(arrays, numbers, &[], false)
    }

    /// The same for a function with integers beside the numbers; `wide` asks for results in float32.
    #[track_caller]
    pub(super) fn call_with<const N: usize>(
        &self,
        arrays: &[&Array],
        numbers: &[f32],
        words: &[i64],
        wide: bool,
    ) -> Result<[Array; N]> {
        let op = self.op(wide)?;
        self.check(op.program().by_rows, arrays)?;
        let mut kept: SmallVec<[Rc<Array>; 4]> = SmallVec::new();
        for &n in numbers {
            kept.push(number(n)?);
        }
        for &n in words {
            kept.push(number(n)?);
        }
        let masks = self.masks(arrays)?;
        let given = arrays.iter().zip(&masks);
        let mut all: SmallVec<[&Array; 8]> = given.map(|(a, m)| m.as_ref().unwrap_or(a)).collect();
        all.extend(kept.iter().map(Rc::as_ref));
        let outputs = match N {
            1 => vec![op.call1(&all)?],
            _ => op.call(&all)?,
        };
        let found = outputs.len();
        outputs
            .try_into()
            .map_err(|_| Error::argument("outputs", N, found))
    }

    /// [`call`](Self::call) of a function with one output.
    #[track_caller]
    pub(super) fn call1(&self, arrays: &[&Array], numbers: &[f32]) -> Result<Array> {
        let [y] = self.call(arrays, numbers)?;
        Ok(y)
    }

    /// Masks of dtypes that Metal lacks, as truth values.
    #[track_caller]
    fn masks(&self, arrays: &[&Array]) -> Result<SmallVec<[Option<Array>; 8]>> {
        let mut made = SmallVec::new();
        for (input, a) in self.inputs.iter().zip(arrays) {
            let lacked = matches!(a.dtype(), Dtype::Float64 | Dtype::Complex64);
            made.push(match input.kind == Kind::Mask && lacked {
                true => Some(a.astype(Dtype::Bool)?),
                false => None,
            });
        }
        Ok(made)
    }

    /// What the formula gives, by MLX's operations.
    #[track_caller]
    pub(super) fn reference(&self, arrays: &[Array], numbers: &[f64]) -> Result<Vec<Array>> {
        self.formula()?.evaluate(arrays, numbers)
    }

    /// The fewest bytes that a call reads and writes: each array once.
    pub(super) fn bytes(&self, rows: usize, width: usize, size: usize) -> usize {
        let read = self.inputs.iter().map(|i| match i.kind {
            Kind::Rows | Kind::Numbers => rows * width * size,
            Kind::Mask => rows * width,
            Kind::DoubleRows => 2 * rows * width * size,
            Kind::Weight => width * size,
            Kind::DoubleWeight => 2 * width * size,
            Kind::Scalar => size,
            Kind::Targets => rows * 4,
            Kind::Scalars => rows * size,
            Kind::Table => rows * width / 2 * size,
            // Of functions that are no recipes.
            _ => 0,
        });
        let extents = self.formula().map(|f| f.extents().collect::<Vec<_>>());
        let written = extents.unwrap_or_default().into_iter().map(|e| match e {
            Extent::Element => rows * width * size,
            Extent::Row | Extent::Number => rows * size,
        });
        read.sum::<usize>() + written.sum::<usize>()
    }

    #[track_caller]
    fn formula(&self) -> Result<&Formula> {
        self.read.get_or_make(|| self.parsed())
    }

    #[track_caller]
    fn parsed(&self) -> Result<Formula> {
        let arrays = self.inputs.iter().map(|i| match i.kind {
            Kind::Targets | Kind::Scalars => (i.name, Extent::Row),
            Kind::Scalar => (i.name, Extent::Number),
            _ => (i.name, Extent::Element),
        });
        let numbers = self.numbers.iter().map(|n| (*n, Extent::Number));
        let arguments: Vec<(&str, Extent)> = arrays.chain(numbers).collect();
        Formula::parse(self.formula, &arguments)
    }

    #[track_caller]
    fn op(&self, wide: bool) -> Result<&Operation> {
        let made = if wide { &self.wide } else { &self.made };
        made.get_or_make(|| {
            let (_, name) = self.name.split_once("::").unwrap_or(("", self.name));
            let mut program = self.program()?;
            if wide {
                for o in &mut program.outputs {
                    o.dtype = OutputDtype::Fixed(Dtype::Float32);
                }
            }
            Operation::new(name, program, None)
        })
    }

    /// The program of the text.
    #[track_caller]
    fn program(&self) -> Result<Program> {
        let mut inputs = Vec::new();
        let mut declared = Vec::new();
        for i in self.inputs {
            declared.push(match i.kind {
                Kind::Targets => format!("long {}", i.name),
                _ => i.name.to_owned(),
            });
            inputs.push(match i.kind {
                // A mask, too, is read as numbers: comparing them has no slope.
                Kind::Rows | Kind::Numbers | Kind::Weight | Kind::Mask | Kind::Scalar => {
                    Input::element(i.name)
                }
                Kind::DoubleRows | Kind::DoubleWeight => Input {
                    parts: HALVES.map(|half| half_of(i.name, half)).to_vec(),
                    ..Input::element(i.name)
                },
                Kind::Targets => Input::of(i.name, Span::Row, InputKind::Index),
                Kind::Scalars => Input::of(i.name, Span::Row, InputKind::Value),
                other => {
                    let got = format!("{other:?}");
                    let expected = "rows, weights, targets or one number";
                    return Err(Error::argument(i.name, expected, got));
                }
            });
        }
        for n in self.numbers {
            declared.push((*n).to_owned());
            inputs.push(Input::of(n, Span::Element, InputKind::Parameter));
        }
        let row_inputs = inputs.iter().any(|i| i.span == Span::Row);
        let first_word = inputs.len();
        for n in self.words {
            declared.push(format!("long {n}"));
            // The same along each row.
            inputs.push(Input::of(n, Span::Row, InputKind::Index));
        }
        let own: Vec<&String> = inputs.iter().map(|i| &i.name).collect();
        names::check_inputs("inputs", &own)?;
        let known = ["D", "row", "j", "elem"];
        let all: Vec<&str> = declared.iter().map(String::as_str).chain(known).collect();
        let results = read(Language::Rows, self.program, &all)?;

        let mut program = Program {
            inputs,
            reductions: Vec::new(),
            outputs: Vec::new(),
            by_rows: false,
            compute: Dtype::Float32,
            exact: false,
            header: Arc::from(""),
            threads: None,
            saves: true,
        };
        let mut values = Vec::new();
        for e in &results {
            let e = e.with_calls(|name, call| reduced(&mut program, name, call))?;
            // Two halves of a result.
            values.push(match e.call_of(JOIN) {
                Some((call, halves)) if call == e && halves.len() == HALVES.len() => halves,
                Some((call, _)) => {
                    return Err(Error::expression(format!(
                        "`{call}`: expected two halves, which are a whole result"
                    )));
                }
                None => vec![e],
            });
        }
        for i in program.inputs.iter().filter(|i| !i.parts.is_empty()) {
            let folded = program.reductions.iter().flat_map(|r| r.value.variables());
            let written = values.iter().flatten().flat_map(Expr::variables);
            if folded.chain(written).any(|n| n == i.name) {
                return Err(Error::expression(format!(
                    "`{}`: expected `first({0})` or `second({0})`, as its rows have two halves",
                    i.name
                )));
            }
        }
        let mut mentioned = values.iter().flatten().flat_map(Expr::variables);
        program.by_rows = !program.reductions.is_empty()
            || row_inputs
            || program.inputs.iter().any(|i| !i.parts.is_empty())
            || values.iter().any(|halves| halves.len() > 1)
            || mentioned.any(|n| ["D", "row", "j"].contains(&n.as_str()));
        if !program.by_rows {
            for word in &mut program.inputs[first_word..] {
                word.span = Span::Element;
            }
        }
        for (i, halves) in values.into_iter().enumerate() {
            let mut halves = halves.into_iter();
            let value = halves.next().unwrap_or_else(|| Expr::from(0.0));
            let others: Vec<Expr> = halves.collect();
            let of_row = program.by_rows && others.is_empty() && program.is_row_level(&value);
            program.outputs.push(Output {
                name: names::fresh(&format!("y{}", i + 1), &mut program.taken()),
                span: if of_row { Span::Row } else { Span::Element },
                value,
                others,
                dtype: OutputDtype::Like(0),
            });
        }
        Ok(program.tidy())
    }
}

/// The functions that give the halves of a row, and the one that makes a row of two.
const HALVES: [&str; 2] = ["first", "second"];
const JOIN: &str = "join";

fn half_of(name: &str, half: &str) -> String {
    format!("{name}_{half}")
}

/// The value of a row function, as a reduction of the program; another call stays as it is.
#[track_caller]
fn reduced(program: &mut Program, function: &str, call: Expr) -> Result<Expr> {
    if let Some(half) = HALVES.iter().find(|h| **h == function) {
        if let [x] = call.arguments() {
            let mut inputs = program.inputs.iter();
            let of = inputs.find(|i| !i.parts.is_empty() && Expr::var(&i.name) == *x);
            if let Some(input) = of {
                return Ok(Expr::var(&half_of(&input.name, half)));
            }
        }
        return Err(Error::expression(format!(
            "`{call}`: expected an input with rows of two halves"
        )));
    }
    let fold = match function {
        "sum" | "mean" => Fold::Sum,
        "max" => Fold::Max,
        "min" => Fold::Min,
        _ => return places::taken_out(program, call),
    };
    let [value] = call.arguments() else {
        return Ok(call);
    };
    let mut known = program.reductions.iter();
    let known = known.find(|r| r.fold == fold && r.value == *value);
    let name = match known {
        Some(r) => r.name.clone(),
        None => {
            let name = names::fresh("s", &mut program.taken());
            program.reductions.push(Reduction {
                name: name.clone(),
                fold,
                value: value.clone(),
            });
            name
        }
    };
    Ok(match function {
        "mean" => Expr::var(&name) / Expr::var("D"),
        _ => Expr::var(&name),
    })
}

#[cfg(test)]
mod tests;
