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
use super::saved;
use super::terms::{self, add, collect, is_zero, mul, variable, zero};

/// The vector-Jacobian product: inputs are the primals and a cotangent for each output; outputs are the
/// gradients of all primals that have one, each as long as its primal.
#[track_caller]
pub(crate) fn vjp(program: &Program, op: &str) -> Result<Program> {
    pulled_back(Build::new(program, op)?)
}

/// The same with the program's reductions as further inputs, of those that are needed, after the cotangents.
#[track_caller]
pub(crate) fn vjp_of_saved(program: &Program, op: &str) -> Result<Program> {
    let mut build = Build::new(program, op)?;
    build.made.reductions.clear();
    let mut made = pulled_back(build)?;
    let mut needed: Vec<String> = Vec::new();
    for r in &made.reductions {
        needed.extend(r.mentions());
    }
    for value in made.written() {
        needed.extend(value.variables());
    }
    for r in &program.reductions {
        if needed.contains(&r.name) {
            made.inputs.push(saved::row(&r.name));
        }
    }
    Ok(made)
}

#[track_caller]
fn pulled_back(mut build: Build<'_>) -> Result<Program> {
    let program = build.of;
    let cotangents: Vec<Vec<String>> = program
        .outputs
        .iter()
        .map(|o| {
            let wanted = if program.outputs.len() == 1 {
                "g".to_owned()
            } else {
                format!("g_{}", o.name)
            };
            build.input(&wanted, o.span.beside(), o.others.len())
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
        let mut values = Vec::new();
        for variable in input.variables() {
            let (element, row) = build.pulled(variable, &cotangents, &adjoints, 0)?;
            values.push(match input.span {
                // What a whole row shares cannot reach one element but through a reduction.
                Span::Element | Span::Summed => element,
                Span::Row => {
                    let summed = build.sum(&element);
                    build.tidy_row(add(summed, row))
                }
            });
        }
        let name = fresh(&format!("d{}", input.name), &mut build.taken);
        build.output(name, input.span.beside(), &values, OutputDtype::Like(i));
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
            let others = input.parts.len().saturating_sub(1);
            let names = build.input(&format!("d{}", input.name), input.span, others);
            for (of, by) in input.variables().zip(&names) {
                moves.push((of.to_owned(), variable(by)));
            }
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
        let mut moved = Vec::new();
        for value in o.values() {
            let value = build.pushed(value, &moves)?;
            moved.push(build.shorter(value));
        }
        let name = fresh(&format!("d{}", o.name), &mut build.taken);
        build.output(name, o.span, &moved, o.dtype);
    }
    Ok(build.finish())
}

/// A derivative under construction.
pub(super) struct Build<'a> {
    pub(super) of: &'a Program,
    op: &'a str,
    pub(super) made: Program,
    pub(super) taken: Vec<String>,
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

    /// A further input, with so many further parts of its rows; gives its variables.
    fn input(&mut self, wanted: &str, span: Span, others: usize) -> Vec<String> {
        let name = fresh(wanted, &mut self.taken);
        let mut input = Input::of(&name, span, InputKind::Value);
        if others > 0 {
            for part in 0..=others {
                let wanted = format!("{name}_{}", part + 1);
                input.parts.push(fresh(&wanted, &mut self.taken));
            }
        }
        let names = input.variables().map(str::to_owned).collect();
        self.made.inputs.push(input);
        names
    }

    fn output(&mut self, name: String, span: Span, values: &[Expr], dtype: OutputDtype) {
        let mut values = values.iter().map(Expr::simplify);
        self.made.outputs.push(Output {
            name,
            span,
            value: values.next().unwrap_or_else(zero),
            others: values.collect(),
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
        cotangents: &[Vec<String>],
        adjoints: &[Expr],
        from: usize,
    ) -> Result<(Expr, Expr)> {
        let (mut element, mut row) = (zero(), zero());
        let outputs = self.of.outputs.iter().zip(cotangents);
        let values = outputs.flat_map(|(o, names)| o.values().zip(names).map(move |v| (o, v)));
        for (o, (value, g)) in values {
            let slope = mul(variable(g), self.derivative(value, name)?);
            match o.span {
                // The cotangent of a sum over rows is the same for each row.
                Span::Element | Span::Summed => element = add(element, slope),
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

    /// The expression as a sum of products where reductions go away then.
    fn shorter(&self, e: Expr) -> Expr {
        let short = collect(terms::terms(&e)).simplify();
        let reductions = |e: &Expr| {
            let names = e.variables();
            let made = self.made.reductions.iter();
            made.filter(|r| names.contains(&r.name)).count()
        };
        match reductions(&short) < reductions(&e) {
            true => short,
            false => e,
        }
    }

    /// A row's value without what cancels.
    fn tidy_row(&self, e: Expr) -> Expr {
        collect(terms::terms(&e)).simplify()
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
