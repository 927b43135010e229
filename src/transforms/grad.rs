//! Vector-Jacobian and Jacobian-vector products, gradients.

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

use super::{transform, two};

/// The outputs of `f` at `primals`, and the vector-Jacobian product with `cotangents`:
/// one array for each primal.
///
/// `cotangents` has one array for each output of `f`, of its shape; other dtypes are cast to the output's.
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Shape`] when the cotangents do not fit.
#[track_caller]
pub fn vjp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    cotangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let (primals, cotangents) = (refs(primals.as_ref()), refs(cotangents.as_ref()));
    // Outside of the closure, which knows no caller.
    two(transform(&f, |f| {
        ffi::vjp(f, &primals, &cotangents, current())
    }))
}

/// The outputs of `f` at `primals`, and the Jacobian-vector product with `tangents`:
/// one array for each output.
///
/// `tangents` has one array for each primal, of its shape; other dtypes are cast to the primal's.
///
/// # Errors
/// As [`vjp`].
#[track_caller]
pub fn jvp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    tangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let (primals, tangents) = (refs(primals.as_ref()), refs(tangents.as_ref()));
    // Outside of the closure, which knows no caller.
    two(transform(&f, |f| {
        ffi::jvp(f, &primals, &tangents, current())
    }))
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
    let inputs = refs(inputs.as_ref());
    two(transform(&checked, |f| {
        ffi::value_and_grad(f, argnums, &inputs, current())
    }))
}
