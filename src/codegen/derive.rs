//! Derivatives of programs, as programs.
//!
//! A program computes `s_k = fold over j of e_k` and outputs `f_m` of inputs and `s`. Its
//! vector-Jacobian product needs the adjoint of each `s_k`, from the last to the first: what the outputs and
//! later reductions make of it, summed along the row. A maximum passes its adjoint to the elements that
//! equal it, in equal parts. The Jacobian-vector product goes the other way. Both only need
//! derivatives of expressions and further sums, so they are programs.

use crate::expr::{Expr, select};
use crate::{Error, Result};

use super::names::fresh;
use super::program::{
    Fold, Input, InputKind, Output, OutputDtype, Place, Program, Reduction, Span,
};
use super::terms::{self, add, collect, is_zero, mul, variable, zero};

/// The vector-Jacobian product: inputs are the primals and a cotangent for each output; outputs are the
/// gradients of all primals that have one, each as long as its primal.
#[track_caller]
pub(crate) fn vjp(program: &Program, op: &str) -> Result<Program> {
    let mut build = Build::new(program, op)?;
    let cotangents: Vec<String> = program
        .outputs
        .iter()
        .map(|o| {
            let wanted = if program.outputs.len() == 1 {
                "g".to_owned()
            } else {
                format!("g_{}", o.name)
            };
            build.input(&wanted, o.span)
        })
        .collect();
    let mut adjoints: Vec<Expr> = vec![zero(); program.reductions.len()];
    for k in (0..program.reductions.len()).rev() {
        let name = &program.reductions[k].name;
        let (element, row) = build.pulled(name, &cotangents, &adjoints, k + 1)?;
        let summed = build.sum(&element);
        adjoints[k] = build.tidy_row(add(summed, row));
    }
    for (i, input) in program.inputs.iter().enumerate() {
        if !input.is_value() {
            continue;
        }
        let (element, row) = build.pulled(&input.name, &cotangents, &adjoints, 0)?;
        let value = match input.span {
            // What a whole row shares cannot reach one element but through a reduction.
            Span::Element => element,
            Span::Row => {
                let summed = build.sum(&element);
                build.tidy_row(add(summed, row))
            }
        };
        let name = fresh(&format!("d{}", input.name), &mut build.taken);
        build.output(name, input.span, &value, OutputDtype::Like(i));
    }
    Ok(build.finish())
}

/// The Jacobian-vector product: inputs are the primals and the tangents of those that have one; outputs are
/// the tangents of all outputs.
#[track_caller]
pub(crate) fn jvp(program: &Program, op: &str, varied: &[bool]) -> Result<Program> {
    let mut build = Build::new(program, op)?;
    let mut moves: Vec<(String, Expr)> = Vec::new();
    for (input, &varied) in program.inputs.iter().zip(varied) {
        if varied {
            let name = build.input(&format!("d{}", input.name), input.span);
            moves.push((input.name.clone(), variable(&name)));
        }
    }
    for (k, r) in program.reductions.iter().enumerate() {
        let moved = build.pushed(&r.value, &moves)?;
        if let Fold::At(place) = &r.fold {
            let moved = build.at(place, moved);
            moves.push((r.name.clone(), moved));
            continue;
        }
        let weighted = mul(build.weight(k), moved);
        let summed = build.sum(&weighted);
        let share = build.share_of(k);
        let moved = build.tidy_row(mul(share, summed));
        moves.push((r.name.clone(), moved));
    }
    for o in &program.outputs {
        let moved = build.pushed(&o.value, &moves)?;
        let name = fresh(&format!("d{}", o.name), &mut build.taken);
        build.output(name, o.span, &moved, o.dtype);
    }
    Ok(build.finish())
}

/// A derivative under construction.
struct Build<'a> {
    of: &'a Program,
    op: &'a str,
    made: Program,
    taken: Vec<String>,
    /// The number of equal largest elements, for reductions where it was needed.
    ties: Vec<Option<Expr>>,
}

impl<'a> Build<'a> {
    #[track_caller]
    fn new(of: &'a Program, op: &'a str) -> Result<Self> {
        if let Some(r) = of
            .reductions
            .iter()
            .find(|r| matches!(r.fold, Fold::Custom(_)))
        {
            return Err(Error::argument(
                "vjp",
                format_args!(
                    "an explicit derivative for `{op}`, as its reduction `{}` is no sum, maximum or minimum",
                    r.name
                ),
                "none",
            ));
        }
        let made = Program {
            inputs: of.inputs.clone(),
            reductions: of.reductions.clone(),
            outputs: Vec::new(),
            ..of.clone()
        };
        Ok(Build {
            of,
            op,
            taken: of.taken(),
            ties: vec![None; of.reductions.len()],
            made,
        })
    }

    fn input(&mut self, wanted: &str, span: Span) -> String {
        let name = fresh(wanted, &mut self.taken);
        let input = Input::of(&name, span, InputKind::Value);
        self.made.inputs.push(input);
        name
    }

    fn output(&mut self, name: String, span: Span, value: &Expr, dtype: OutputDtype) {
        self.made.outputs.push(Output {
            name,
            span,
            value: value.simplify(),
            dtype,
        });
    }

    fn finish(self) -> Program {
        self.made.tidy()
    }

    #[track_caller]
    fn derivative(&self, e: &Expr, by: &str) -> Result<Expr> {
        if !e.variables().iter().any(|n| n == by) {
            return Ok(zero());
        }
        match e.derivative(by) {
            Ok(slope) => Ok(slope),
            Err(error) => Err(Error::argument(
                "vjp",
                format_args!("an explicit derivative for `{}`", self.op),
                format_args!("none for an expression that has none by itself: {error}"),
            )),
        }
    }

    /// What reaches a variable from the outputs and from reductions from number `from` on: what must
    /// be summed along the row, and what is one value for the row.
    #[track_caller]
    fn pulled(
        &mut self,
        name: &str,
        cotangents: &[String],
        adjoints: &[Expr],
        from: usize,
    ) -> Result<(Expr, Expr)> {
        let (mut element, mut row) = (zero(), zero());
        for (o, g) in self.of.outputs.iter().zip(cotangents) {
            let slope = mul(variable(g), self.derivative(&o.value, name)?);
            match o.span {
                Span::Element => element = add(element, slope),
                Span::Row => row = add(row, slope),
            }
        }
        for (k, adjoint) in adjoints.iter().enumerate().skip(from) {
            let slope = self.derivative(&self.of.reductions[k].value, name)?;
            if is_zero(&slope) || is_zero(adjoint) {
                continue;
            }
            if let Fold::At(place) = &self.of.reductions[k].fold
                && self.made.is_row_level(&variable(name))
            {
                // What the whole row shares is reached from one place only: no sum along the row.
                let slope = self.at(place, slope);
                row = add(row, mul(adjoint.clone(), slope));
                continue;
            }
            let slope = match &self.of.reductions[k].fold {
                // A choice: elsewhere the slope may be infinite.
                Fold::At(place) => select(variable("j").eq(&place.index), slope, 0.0),
                _ => mul(self.weight(k), slope),
            };
            let factor = mul(adjoint.clone(), self.share_of(k));
            element = add(element, mul(factor, slope));
        }
        Ok((element.simplify(), row.simplify()))
    }

    /// How an expression changes when these variables do.
    #[track_caller]
    fn pushed(&self, e: &Expr, moves: &[(String, Expr)]) -> Result<Expr> {
        let mut sum = zero();
        for (name, by) in moves {
            sum = add(sum, mul(self.derivative(e, name)?, by.clone()));
        }
        Ok(sum.simplify())
    }

    /// 1 where an element counts for the reduction's derivative.
    fn weight(&self, k: usize) -> Expr {
        let r = &self.of.reductions[k];
        match r.fold {
            Fold::Max | Fold::Min => select(r.value.eq(variable(&r.name)), 1.0, 0.0),
            _ => Expr::from(1.0),
        }
    }

    /// One over the number of elements that count; 1 for a sum.
    fn share_of(&mut self, k: usize) -> Expr {
        if !matches!(self.of.reductions[k].fold, Fold::Max | Fold::Min) {
            return Expr::from(1.0);
        }
        if let Some(share) = &self.ties[k] {
            return share.clone();
        }
        let weight = self.weight(k);
        let count = self.reduction("n", weight);
        // Where no element is found again (a row of NaN) nothing divides by zero.
        let share = Expr::from(1.0) / variable(&count).max(1.0);
        self.ties[k] = Some(share.clone());
        share
    }

    /// A row's value without what cancels.
    fn tidy_row(&self, e: Expr) -> Expr {
        collect(terms::terms(&e)).simplify()
    }

    /// The sum along the row: further reductions, and an expression of their values.
    ///
    /// Factors that are the same along the row are taken out where the sum can then be done in an
    /// earlier pass, beside others.
    fn sum(&mut self, e: &Expr) -> Expr {
        if is_zero(e) {
            return zero();
        }
        let all = terms::terms(e);
        let mut parts: Vec<(Vec<terms::Term>, terms::Term)> = Vec::new();
        for t in &all {
            let (fixed, changing) = t.split(|f| self.made.is_row_level(f));
            let key = changing.product();
            match parts.iter_mut().find(|(_, c)| c.product() == key) {
                Some((fixeds, _)) => fixeds.push(fixed),
                None => parts.push((vec![fixed], changing)),
            }
        }
        let levels = self.made.levels();
        let level = |e: &Expr| {
            let names: Vec<String> = e.variables().into_iter().collect();
            self.made.level_of(&names, &levels)
        };
        let whole = level(e);
        let split = parts
            .iter()
            .map(|(_, c)| level(&c.product()))
            .max()
            .unwrap_or(0);
        let known = |c: &terms::Term| self.find_sum(&c.product().simplify()).is_some();
        let gains = split < whole || parts.iter().all(|(_, c)| c.over.is_empty() || known(c));
        if parts.len() > MOST_PARTS || !gains {
            return variable(&self.reduction("t", e.simplify()));
        }
        let mut sum = zero();
        for (fixeds, changing) in parts {
            let bare = changing.over.is_empty() && changing.under.is_empty();
            let value = if bare {
                variable("D")
            } else {
                variable(&self.reduction("t", changing.product().simplify()))
            };
            sum = add(sum, mul(collect(fixeds), value));
        }
        sum
    }

    fn find_sum(&self, value: &Expr) -> Option<String> {
        self.made
            .reductions
            .iter()
            .find(|r| r.fold == Fold::Sum && r.value == *value)
            .map(|r| r.name.clone())
    }

    /// The name of the sum of this, which may be there already.
    fn reduction(&mut self, wanted: &str, value: Expr) -> String {
        if let Some(name) = self.find_sum(&value) {
            return name;
        }
        self.push(wanted, Fold::Sum, value)
    }

    fn push(&mut self, wanted: &str, fold: Fold, value: Expr) -> String {
        let name = fresh(wanted, &mut self.taken);
        self.made.reductions.push(Reduction {
            name: name.clone(),
            fold,
            value,
        });
        name
    }

    /// A slope at the place; 0 where the row has no such place, as the value there is a constant.
    fn at(&mut self, place: &Place, slope: Expr) -> Expr {
        if is_zero(&slope) {
            return slope;
        }
        let fold = Fold::At(Box::new(Place {
            index: place.index.clone(),
            otherwise: zero(),
        }));
        variable(&self.push("t", fold, slope.simplify()))
    }
}

/// Sums that one sum may become.
const MOST_PARTS: usize = 6;
