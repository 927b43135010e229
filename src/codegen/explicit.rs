//! Derivatives that an author wrote, of operations with one output.

use std::sync::Arc;

use crate::expr::Expr;
use crate::{Error, Result};

use super::derive;
use super::names::fresh;
use super::op::Operation;
use super::program::{Input, InputKind, Output, OutputDtype, Program, Span};
use super::terms::{add, mul, variable, zero};

/// The author's vector-Jacobian product.
#[derive(Clone, Debug)]
pub(crate) struct Explicit {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Inputs: the primals, the output where it is used, the cotangent.
    op: Operation,
    uses_output: bool,
    gradients: Gradients,
}

/// The gradient of each input, as expressions of the inputs, `y` and `g`; and functions that only they use.
#[derive(Clone, Debug)]
pub(crate) struct Gradients {
    pub(crate) values: Vec<Expr>,
    pub(crate) header: Arc<str>,
}

/// What expressions of a derivative call the output and the cotangent.
pub(crate) const OUTPUT: &str = "y";
pub(crate) const COTANGENT: &str = "g";

impl Gradients {
    /// The gradients given, the others derived.
    #[track_caller]
    pub(crate) fn of(
        forward: &Program,
        given: Vec<Option<Expr>>,
        header: &str,
    ) -> Result<Gradients> {
        let mut values = Vec::with_capacity(given.len());
        for (input, value) in forward.inputs.iter().zip(given) {
            values.push(match (value, forward.outputs.as_slice()) {
                (Some(value), _) => value,
                (None, _) if !input.is_value() => zero(),
                (None, [output]) if forward.reductions.is_empty() => {
                    let slope = output.value.derivative(&input.name)?;
                    mul(variable(COTANGENT), slope).simplify()
                }
                _ => {
                    return Err(Error::argument(
                        "vjp",
                        "a gradient for each input of an operation with reductions, or none",
                        format_args!("none for `{}`", input.name),
                    ));
                }
            });
        }
        Ok(Gradients {
            values,
            header: header.into(),
        })
    }
}

impl Explicit {
    #[track_caller]
    pub(super) fn new(
        name: &str,
        forward: &Program,
        gradients: Gradients,
        checked: bool,
    ) -> Result<Explicit> {
        let values = &gradients.values;
        let uses_output = values
            .iter()
            .any(|v| v.variables().iter().any(|n| n == OUTPUT));
        let mut program = Program {
            inputs: forward.inputs.clone(),
            outputs: Vec::new(),
            ..forward.clone()
        };
        program.header = joined(&forward.header, &gradients.header);
        let span = forward.outputs.first().map_or(Span::Element, |o| o.span);
        let like_output = |name: &str| Input::of(name, span, InputKind::Value);
        if uses_output {
            program.inputs.push(like_output(OUTPUT));
        }
        program.inputs.push(like_output(COTANGENT));
        let mut taken = program.taken();
        for (i, (input, value)) in forward.inputs.iter().zip(values).enumerate() {
            if !input.is_value() {
                continue;
            }
            program.outputs.push(Output {
                name: fresh(&format!("d{}", input.name), &mut taken),
                span: Span::Element,
                value: value.clone(),
                others: Vec::new(),
                dtype: OutputDtype::Like(i),
            });
        }
        Ok(Explicit {
            inner: Arc::new(Inner {
                op: Operation::with_checks(&format!("{name}_vjp"), program.tidy(), None, checked)?,
                uses_output,
                gradients,
            }),
        })
    }

    pub(super) fn gradients(&self) -> Gradients {
        self.inner.gradients.clone()
    }

    pub(super) fn op(&self) -> &Operation {
        &self.inner.op
    }

    pub(super) fn uses_output(&self) -> bool {
        self.inner.uses_output
    }

    /// The Jacobian-vector product. Elements do not meet, so each input's part is the author's
    /// gradient with the tangent in place of the cotangent.
    #[track_caller]
    pub(super) fn jvp(&self, forward: &Program, op: &str, varied: &[bool]) -> Result<Program> {
        let Some(output) = forward.outputs.first() else {
            return derive::jvp(forward, op, varied);
        };
        if forward.outputs.len() != 1 || forward.by_rows {
            return Err(Error::argument(
                "jvp",
                format_args!(
                    "an elementwise operation with one output, or `{op}` without an explicit derivative"
                ),
                "another",
            ));
        }
        let mut program = Program {
            outputs: Vec::new(),
            header: joined(&forward.header, &self.inner.gradients.header),
            ..forward.clone()
        };
        let mut taken = program.taken();
        taken.push(OUTPUT.into());
        taken.push(COTANGENT.into());
        let mut sum = zero();
        for ((input, value), &varied) in forward
            .inputs
            .iter()
            .zip(&self.inner.gradients.values)
            .zip(varied)
        {
            if !varied {
                continue;
            }
            let name = fresh(&format!("d{}", input.name), &mut taken);
            program.inputs.push(Input::element(&name));
            sum = add(sum, value.substitute(COTANGENT, &variable(&name)));
        }
        let value = sum.substitute(OUTPUT, &output.value).simplify();
        program.outputs.push(Output {
            name: fresh("dy", &mut taken),
            value,
            ..output.clone()
        });
        Ok(program)
    }
}

/// Both texts, each once.
fn joined(a: &Arc<str>, b: &Arc<str>) -> Arc<str> {
    match (a.is_empty(), b.is_empty()) {
        (_, true) => Arc::clone(a),
        (true, _) => Arc::clone(b),
        _ if a == b => Arc::clone(a),
        _ => format!("{a}\n{b}").into(),
    }
}
