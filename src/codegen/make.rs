//! Operations along rows from their author's texts.

use std::sync::Arc;

use crate::expr::Expr;
use crate::{Dtype, Error, Result};

use super::agree::{Parts, Texts};
use super::classify::{Classified, classify};
use super::explicit::{COTANGENT, Gradients, OUTPUT};
use super::op::Operation;
use super::places;
use super::program::{Fold, Input, InputKind, Output, OutputDtype, Program, Reduction, Span};
use super::scope::Scope;
use super::settings::Settings;

/// An operation along rows in the making.
pub(crate) struct Make<'a> {
    program: Program,
    settings: &'a Settings,
    /// Names with a value for the whole row.
    row: Scope,
    /// And those with one for each element.
    element: Scope,
}

impl<'a> Make<'a> {
    #[track_caller]
    pub(crate) fn new(inputs: &[String], settings: &'a Settings) -> Result<Self> {
        let mut row = Scope::of(&["D", "row"]);
        let mut element = row.clone().with(&["j", "elem"]).with(inputs);
        for more in &settings.more {
            let declared = match more.kind {
                InputKind::Index => format!("long {}", more.name),
                _ => more.name.clone(),
            };
            element = element.with(&[&declared]);
            if more.span == Span::Row || more.kind == InputKind::Parameter {
                row = row.with(&[&declared]);
            }
        }
        let element = element.prelude("prelude", &settings.prelude)?;
        let mut program = Program {
            inputs: inputs
                .iter()
                .map(|n| Input::element(n))
                .chain(settings.more.iter().cloned())
                .collect(),
            reductions: Vec::new(),
            outputs: Vec::new(),
            by_rows: true,
            compute: Dtype::Float32,
            exact: true,
            header: Arc::from(""),
            threads: None,
            saves: true,
        };
        settings.apply(&mut program)?;
        Ok(Make {
            program,
            settings,
            row,
            element,
        })
    }

    /// Another name for an input, in expressions of elements.
    pub(crate) fn alias(&mut self, name: &str, of: &str) {
        self.element = std::mem::take(&mut self.element).alias(name, Expr::var(of));
    }

    /// A reduction of this name; the update calls its accumulator `acc`, too.
    #[track_caller]
    pub(crate) fn reduction(
        &mut self,
        name: &str,
        acc: &str,
        init: &str,
        update: &str,
        reduce: Option<&str>,
    ) -> Result<()> {
        let init_text = init;
        let init = self.row.parse(init)?;
        let scope = self.element.clone().with(&[acc]);
        let scope = scope.alias("acc", Expr::var(acc));
        let value = places::taken_out(&mut self.program, scope.parse(update)?)?;
        if !value.variables().iter().any(|n| n == acc) {
            return Err(Error::argument(
                "update",
                format_args!("an expression of the accumulator `{acc}`"),
                format_args!("`{update}`"),
            ));
        }
        let combine = match reduce {
            None => None,
            Some(text) => Some(Scope::of(&["a", "b"]).parse(text)?),
        };
        // The author's name stands for what the fold's own result makes of the initial value.
        let own = format!("zk_own_{name}");
        let compute = self.program.compute;
        let Classified {
            fold,
            value,
            result,
        } = classify(&own, acc, &init, &value, combine.as_ref(), compute);
        if let (Some(combine), Some(text)) = (&combine, reduce) {
            let known = !matches!(fold, Fold::Custom(_));
            // What is a known fold and is joined as such needs no trial.
            if !known {
                let parts = Parts {
                    acc,
                    init: &init,
                    update: &value,
                    combine,
                    known: super::classify::is_known(&value, acc),
                };
                let texts = Texts {
                    init: init_text,
                    update,
                    reduce: text,
                };
                let inputs: Vec<String> =
                    self.program.inputs.iter().map(|i| i.name.clone()).collect();
                super::agree::check(name, &parts, &texts, &inputs, compute)?;
            }
        }
        let plain = result == Expr::var(&own);
        let (own, result) = match plain {
            true => (name.to_owned(), Expr::var(name)),
            false => (own, result),
        };
        if let Fold::Custom(c) = &fold
            && c.combine.is_some()
            && !compute.is_floating()
            && compute.size() == 8
        {
            return Err(Error::dtype(format!(
                "`compute_dtype`: expected at most 32 bits for reduction `{name}`, got {compute}"
            )));
        }
        self.program.reductions.push(Reduction {
            name: own,
            fold,
            value,
        });
        self.row = std::mem::take(&mut self.row).named(name, result.clone());
        self.element = std::mem::take(&mut self.element).named(name, result);
        Ok(())
    }

    /// An output; `also` is another name for a reduction.
    #[track_caller]
    pub(crate) fn output(
        &mut self,
        name: &str,
        span: Span,
        text: &str,
        also: Option<(&str, &str)>,
    ) -> Result<()> {
        // A value at a place may be made of elements, so that names are checked behind it.
        let mut scope = self.element.clone();
        let mut row = self.row.clone();
        if let Some((name, of)) = also {
            let value = row.parse(of)?;
            scope = scope.alias(name, value.clone());
            row = row.alias(name, value);
        }
        let written = scope.parse(text)?;
        let value = places::taken_out(&mut self.program, written.clone())?;
        if span == Span::Row && !self.program.is_row_level(&value) {
            if value == written {
                row.parse(text)?;
            }
            return Err(Error::expression(format!(
                "expression `{text}`: expected one value for the row, got one for each element outside of `at`"
            )));
        }
        self.program.outputs.push(Output {
            name: name.to_owned(),
            span,
            others: Vec::new(),
            value,
            dtype: OutputDtype::Like(0),
        });
        self.settings.apply(&mut self.program)
    }

    #[track_caller]
    pub(crate) fn finish(self, name: &str) -> Result<Operation> {
        let mut program = self.program.tidy();
        let gradients = match self.settings.vjp.as_slice() {
            [] => None,
            given => {
                if program.outputs.len() != 1 {
                    return Err(Error::argument(
                        "vjp",
                        "an operation with one output",
                        program.outputs.len(),
                    ));
                }
                let scope = self.element.with(&[OUTPUT, COTANGENT]);
                let mut values = vec![None; program.inputs.len()];
                for (input, text) in given {
                    let value = places::taken_out(&mut program, scope.parse(text)?)?;
                    values[program.input("vjp", input)?] = Some(value);
                }
                Some(Gradients::of(&program, values, "")?)
            }
        };
        Operation::new(name, program, gradients)
    }
}
