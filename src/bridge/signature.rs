//! What the rules of a custom function have to give, checked before MLX sees it: it believes every list.

use crate::array::Array;
use crate::{Dtype, Error, Result};

/// Shape and dtype of one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    shape: Vec<i32>,
    dtype: Dtype,
}

/// The signature of each array.
pub(crate) fn of(arrays: &[Array]) -> Vec<Signature> {
    arrays
        .iter()
        .map(|a| Signature {
            shape: a.shape().to_vec(),
            dtype: a.dtype(),
        })
        .collect()
}

/// Cotangents in the dtypes of their outputs: a caller of `vjp` may give others, and a rule relies on them.
pub(crate) fn cotangents(outputs: &[Array], given: Vec<Array>) -> Result<Vec<Array>> {
    let fit = |(output, given): (&Array, Array)| match output.dtype() {
        dtype if dtype.is_floating() && dtype != given.dtype() => given.astype(dtype),
        _ => Ok(given),
    };
    outputs.iter().zip(given).map(fit).collect()
}

/// One gradient for each primal, of its shape and, where the primal has derivatives, of its dtype.
pub(crate) fn gradients(primals: &[Array], grads: &[Array]) -> Result<()> {
    count(
        "vjp",
        "gradients, one for each primal",
        primals.len(),
        grads,
    )?;
    for (i, (primal, grad)) in of(primals).iter().zip(grads).enumerate() {
        same(
            "vjp",
            format_args!("a gradient for primal {i}"),
            primal,
            grad,
        )?;
    }
    Ok(())
}

/// One tangent for each output, of its shape and dtype.
pub(crate) fn tangents(outputs: &[Signature], tangents: &[Array]) -> Result<()> {
    let what = "tangents, one for each output";
    count("jvp", what, outputs.len(), tangents)?;
    for (i, (output, tangent)) in outputs.iter().zip(tangents).enumerate() {
        same(
            "jvp",
            format_args!("a tangent for output {i}"),
            output,
            tangent,
        )?;
    }
    Ok(())
}

/// One output for each output of the function, with the mapped axis where `axes` says, or without one for -1.
pub(crate) fn mapped(
    outputs: &[Signature],
    inputs: &[Array],
    in_axes: &[i32],
    got: &[Array],
    axes: &[i32],
) -> Result<()> {
    count(
        "vmap",
        "outputs, one for each of the function",
        outputs.len(),
        got,
    )?;
    if axes.len() != got.len() {
        let what = format_args!("{} output axes, one for each output", got.len());
        return Err(Error::argument("vmap", what, axes.len()));
    }
    let size = inputs
        .iter()
        .zip(in_axes)
        .find_map(|(a, &axis)| a.shape().get(usize::try_from(axis).ok()?).copied());
    for (i, ((output, got), &axis)) in outputs.iter().zip(got).zip(axes).enumerate() {
        let mut want = output.clone();
        match usize::try_from(axis) {
            Ok(at) if at <= want.shape.len() => want.shape.insert(at, size.unwrap_or(1)),
            Err(_) if axis == -1 => {}
            _ => {
                let most = want.shape.len();
                let what = format_args!("axis {i} of the outputs from 0 to {most}, or -1 for none");
                return Err(Error::argument("vmap", what, axis));
            }
        }
        same(
            "vmap",
            format_args!("output {i} with axis {axis}"),
            &want,
            got,
        )?;
    }
    Ok(())
}

fn count(rule: &str, what: &str, want: usize, got: &[Array]) -> Result<()> {
    if want == got.len() {
        return Ok(());
    }
    Err(Error::argument(
        rule,
        format_args!("{want} {what}"),
        got.len(),
    ))
}

fn same(rule: &str, what: std::fmt::Arguments<'_>, want: &Signature, got: &Array) -> Result<()> {
    if want.shape != got.shape() {
        return Err(Error::shape(format!(
            "`{rule}`: expected {what} of shape {:?}, got {:?}",
            want.shape,
            got.shape()
        )));
    }
    // Integers and booleans have no derivatives: MLX does not use what stands in for them. A mapped output is no
    // derivative, but its dtype is as fixed.
    if (!want.dtype.is_integral() || rule == "vmap") && want.dtype != got.dtype() {
        return Err(Error::dtype(format!(
            "`{rule}`: expected {what} of dtype {}, got {}",
            want.dtype,
            got.dtype()
        )));
    }
    Ok(())
}
