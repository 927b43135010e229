//! Inputs that are no plain values: indices and parameters.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::{Array, Dtype, Error, Result};

use super::dtypes;
use super::program::{Input, InputKind, Program};

/// Refuses an array that an input of this kind cannot be.
#[track_caller]
pub(super) fn check(op: &str, input: &Input, a: &Array) -> Result<()> {
    let (name, dtype) = (&input.name, a.dtype());
    match input.kind {
        InputKind::Value => dtypes::check_input(op, name, dtype),
        InputKind::Index if dtype.is_integral() => Ok(()),
        InputKind::Index => Err(Error::dtype(format!(
            "`{op}`: expected integers for the index `{name}`, got {dtype}"
        ))),
        InputKind::Parameter if a.size() != 1 => Err(Error::shape(format!(
            "`{op}`: expected one number for the parameter `{name}`, got shape {:?}",
            a.shape()
        ))),
        InputKind::Parameter => match dtype {
            Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16 => Ok(()),
            other => Err(Error::dtype(format!(
                "`{op}`: expected float32, float16 or bfloat16 for the parameter `{name}`, got {other}"
            ))),
        },
    }
}

/// The inputs, with parameters that take no part in the result's shape.
#[track_caller]
pub(super) fn arranged<'a>(
    op: &str,
    program: &Program,
    inputs: &[&'a Array],
) -> Result<SmallVec<[Cow<'a, Array>; 4]>> {
    let mut all = SmallVec::new();
    for (i, &a) in inputs.iter().enumerate() {
        all.push(match program.inputs.get(i) {
            Some(input) if input.kind == InputKind::Parameter => {
                check(op, input, a)?;
                match a.ndim() {
                    0 => Cow::Borrowed(a),
                    _ => Cow::Owned(a.reshape(())?),
                }
            }
            _ => Cow::Borrowed(a),
        });
    }
    Ok(all)
}

/// One array for each input: these for the values in order, zeros for the others.
#[track_caller]
pub(super) fn with_zeros(
    program: &Program,
    primals: &[Array],
    gradients: impl IntoIterator<Item = Result<Array>>,
) -> Result<Vec<Array>> {
    let mut gradients = gradients.into_iter();
    let mut all = Vec::with_capacity(primals.len());
    for (input, primal) in program.inputs.iter().zip(primals) {
        let own = match input.is_value() {
            true => gradients.next(),
            false => None,
        };
        all.push(match own {
            Some(gradient) => gradient?,
            None => primal.zeros_like()?,
        });
    }
    Ok(all)
}

/// Whether a mapped axis cannot be one more axis in front: expressions count elements or rows, which are those of one
/// call, or a parameter is mapped.
pub(super) fn needs_calls(program: &Program, axes: &[Option<usize>]) -> bool {
    let parameter = |(input, axis): (&Input, &Option<usize>)| {
        input.kind == InputKind::Parameter && axis.is_some()
    };
    program.mentions("elem")
        || program.mentions("row")
        || program.inputs.iter().zip(axes).any(parameter)
}
