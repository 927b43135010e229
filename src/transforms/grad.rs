//! Vector-Jacobian and Jacobian-vector products, gradients.

use std::panic::Location;

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::error::Site;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

use super::{transform, two};

/// The outputs of `f` at `primals`, and the vector-Jacobian product with `cotangents`:
/// one array for each primal.
///
/// `cotangents` has one array for each output of `f`, of its shape. An output that is itself the result of
/// [`stop_gradient`](Array::stop_gradient) has none.
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Argument`] for another number of cotangents, [`Error::Shape`]
/// when one does not fit its output.
#[track_caller]
pub fn vjp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    cotangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let cotangents = cotangents.as_ref();
    let at = Location::caller();
    let checked = |inputs: &[Array]| {
        let outputs = f(inputs)?;
        // MLX leaves aside what is too much, and has checked what it uses.
        if outputs.len() < cotangents.len() {
            return Err(wrong_count(
                "cotangents",
                "output",
                outputs.len(),
                cotangents.len(),
                at,
            ));
        }
        Ok(outputs)
    };
    transform(&checked, |f| {
        two(ffi::vjp(
            f,
            &refs(primals.as_ref()),
            &refs(cotangents),
            current(),
        ))
    })
}

/// The outputs of `f` at `primals`, and the Jacobian-vector product with `tangents`:
/// one array for each output.
///
/// `tangents` has one array for each primal, of its shape. A real tangent of another dtype is converted to the
/// primal's.
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Argument`] for another number of tangents, [`Error::Shape`]
/// and [`Error::Dtype`] when one does not fit its primal.
#[track_caller]
pub fn jvp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    tangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let (primals, given) = (primals.as_ref(), tangents.as_ref());
    if primals.len() != given.len() {
        let at = Location::caller();
        return Err(wrong_count(
            "tangents",
            "primal",
            primals.len(),
            given.len(),
            at,
        ));
    }
    let mut tangents = Vec::with_capacity(given.len());
    for (i, (primal, tangent)) in primals.iter().zip(given).enumerate() {
        tangents.push(fitting(i, primal.as_ref(), tangent.as_ref())?);
    }
    transform(&f, |f| {
        two(ffi::jvp(f, &refs(primals), &refs(&tangents), current()))
    })
}

/// The tangent in the dtype of its primal.
#[track_caller]
fn fitting(i: usize, primal: &Array, tangent: &Array) -> Result<Array> {
    if primal.shape() != tangent.shape() {
        return Err(Error::shape(format!(
            "`tangents`: expected shape {:?} for primal {i}, got {:?}",
            primal.shape(),
            tangent.shape()
        )));
    }
    let (want, got) = (primal.dtype(), tangent.dtype());
    match (want.is_floating(), got) {
        _ if want == got => Ok(tangent.clone()),
        // An integer has no tangent: MLX does not use what stands in for it.
        (false, _) if want.is_integral() => Ok(tangent.clone()),
        (true, Dtype::Complex64) => Err(Error::dtype(format!(
            "`tangents`: expected {want} for primal {i}, got {got}"
        ))),
        _ => tangent.astype(want),
    }
}

fn wrong_count(argument: &str, of: &str, want: usize, got: usize, at: Site) -> Error {
    Error::Argument {
        argument: argument.into(),
        message: format!("`{argument}`: expected {want}, one for each {of}, got {got}"),
        at,
    }
}

/// The gradient of a function of one array that gives one number.
///
/// The result is a function again, so gradients nest.
///
/// ```
/// use zmlx::{Array, grad};
/// # fn main() -> zmlx::Result<()> {
/// let cube = |x: &Array| (x * x)?.multiply(x);
/// let slope = grad(cube);
/// assert_eq!(slope(&2.0.into())?.item::<f32>()?, 12.0);
/// let curvature = grad(&slope);
/// assert_eq!(curvature(&2.0.into())?.item::<f32>()?, 12.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The function returned gives what `f` returns as an error, unchanged, and [`Error::Shape`]
/// when `f` does not give a single number.
pub fn grad<F>(f: F) -> impl Fn(&Array) -> Result<Array>
where
    F: Fn(&Array) -> Result<Array>,
{
    let f = value_and_grad(f);
    move |x: &Array| f(x).map(|(_, g)| g)
}

/// The value and the gradient of a function of one array that gives one number.
///
/// # Errors
/// As [`grad`].
pub fn value_and_grad<F>(f: F) -> impl Fn(&Array) -> Result<(Array, Array)>
where
    F: Fn(&Array) -> Result<Array>,
{
    move |x: &Array| {
        let (values, grads) = value_and_grad_of(|p| Ok(vec![f(&p[0])?]), &[0], [x])?;
        match (values.into_iter().next(), grads.into_iter().next()) {
            (Some(value), Some(grad)) => Ok((value, grad)),
            _ => Err(Error::argument("f", "one output", "none")),
        }
    }
}

/// Values of `f` and the gradients of its first output, which must be a single number,
/// with respect to the inputs numbered in `argnums`.
///
/// Further outputs of `f` are passed through.
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Argument`] for an input number out of
/// range or named twice; [`Error::Shape`] when the first output is not a single number.
#[track_caller]
pub fn value_and_grad_of<A: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    argnums: &[i32],
    inputs: impl AsRef<[A]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let checked = |inputs: &[Array]| {
        let outputs = f(inputs)?;
        if outputs.is_empty() {
            return Err(Error::argument("f", "at least one output", "none"));
        }
        Ok(outputs)
    };
    transform(&checked, |f| {
        two(ffi::value_and_grad(
            f,
            argnums,
            &refs(inputs.as_ref()),
            current(),
        ))
    })
}
