//! Vector-Jacobian and Jacobian-vector products, gradients.

use std::panic::Location;

use crate::array::refs;
use crate::bridge::transforms::ffi;
use crate::error::Here;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

use super::{transform, transform_backward, two};

/// The outputs of `f` at `primals`, and the vector-Jacobian product with `cotangents`:
/// one array for each primal.
///
/// `cotangents` has one array for each output of `f`, of its shape; other dtypes are cast to the output's.
///
/// ```
/// use zmlx::{Array, vjp};
/// let x = Array::from_iter([2.0f32, 3.0])?;
/// let weights = Array::from_iter([1.0f32, 10.0])?;
/// let (y, slopes) = vjp(|x| Ok(vec![x[0].square()?]), [&x], [&weights])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [4.0, 9.0]);
/// assert_eq!(slopes[0].to_vec::<f32>()?, [4.0, 60.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Argument`] for another number of cotangents,
/// [`Error::Shape`] or, for a complex cotangent of a real output, [`Error::Dtype`] when one does not fit.
#[track_caller]
pub fn vjp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    cotangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    let (primals, cotangents) = (refs(primals.as_ref()), refs(cotangents.as_ref()));
    // Outside of the closure, which knows no caller.
    two(transform_backward(&f, |f| {
        ffi::vjp(f, &primals, &cotangents, current())
    }))
}

/// The outputs of `f` at `primals`, and the Jacobian-vector product with `tangents`:
/// one array for each output.
///
/// `tangents` has one array for each primal, of its shape; other dtypes are cast to the primal's.
///
/// ```
/// use zmlx::{Array, jvp};
/// let x = Array::from_iter([2.0f32, 3.0])?;
/// let direction = Array::from_iter([1.0f32, 0.0])?;
/// let (y, change) = jvp(|x| Ok(vec![x[0].square()?]), [&x], [&direction])?;
/// assert_eq!(y[0].to_vec::<f32>()?, [4.0, 9.0]);
/// assert_eq!(change[0].to_vec::<f32>()?, [4.0, 0.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// What `f` returns as an error, unchanged; [`Error::Argument`] for another number of tangents,
/// [`Error::Shape`] or, for a complex tangent of a real primal, [`Error::Dtype`] when one does not fit.
#[track_caller]
pub fn jvp<A: AsRef<Array>, B: AsRef<Array>>(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    primals: impl AsRef<[A]>,
    tangents: impl AsRef<[B]>,
) -> Result<(Vec<Array>, Vec<Array>)> {
    check_tangents(primals.as_ref(), tangents.as_ref())?;
    let (primals, tangents) = (refs(primals.as_ref()), refs(tangents.as_ref()));
    // Outside of the closure, which knows no caller.
    two(transform(&f, |f| {
        ffi::jvp(f, &primals, &tangents, current())
    }))
}

/// One tangent for each primal, of its shape.
#[track_caller]
fn check_tangents(primals: &[impl AsRef<Array>], tangents: &[impl AsRef<Array>]) -> Result<()> {
    if primals.len() != tangents.len() {
        let expected = format!("{}, one for each primal", primals.len());
        return Err(Error::argument("tangents", expected, tangents.len()));
    }
    for (i, (primal, tangent)) in primals.iter().zip(tangents).enumerate() {
        let (primal, tangent) = (primal.as_ref(), tangent.as_ref());
        if primal.shape() != tangent.shape() {
            return Err(Error::shape(format!(
                "`tangents`: expected shape {:?} for primal {i}, got {:?}",
                primal.shape(),
                tangent.shape()
            )));
        }
        // A cast would drop the imaginary part.
        let (want, got) = (primal.dtype(), tangent.dtype());
        if got == Dtype::Complex64 && want != got {
            return Err(Error::dtype(format!(
                "`tangents`: expected dtype {want} for primal {i}, got dtype {got}"
            )));
        }
    }
    Ok(())
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
/// when `f` does not give a single number. Its place is that of the call of `grad`.
#[track_caller]
pub fn grad<F>(f: F) -> impl Fn(&Array) -> Result<Array>
where
    F: Fn(&Array) -> Result<Array>,
{
    let f = value_and_grad(f);
    move |x: &Array| f(x).map(|(_, g)| g)
}

/// The value and the gradient of a function of one array that gives one number.
///
/// ```
/// use zmlx::{Array, value_and_grad};
/// let f = value_and_grad(|x: &Array| x.square()?.sum(..));
/// let (value, slope) = f(&Array::from_iter([1.0f32, 2.0])?)?;
/// assert_eq!(value.item::<f32>()?, 5.0);
/// assert_eq!(slope.to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`grad`].
#[track_caller]
pub fn value_and_grad<F>(f: F) -> impl Fn(&Array) -> Result<(Array, Array)>
where
    F: Fn(&Array) -> Result<Array>,
{
    let at = Location::caller();
    move |x: &Array| {
        let both = value_and_grad_of(|p| Ok(vec![f(&p[0])?]), &[0], [x]);
        let (values, grads) = both.said_of(at)?;
        match (values.into_iter().next(), grads.into_iter().next()) {
            (Some(value), Some(grad)) => Ok((value, grad)),
            _ => Err(Error::argument("f", "one output", "none")).said_of(at),
        }
    }
}

/// Values of `f` and the gradients of its first output, which must be a single number,
/// with respect to the inputs numbered in `argnums`.
///
/// Further outputs of `f` are passed through.
///
/// ```
/// use zmlx::{Array, value_and_grad_of};
/// let product = |x: &[Array]| Ok(vec![x[0].multiply(&x[1])?]);
/// let (x, y) = (Array::from(2.0f32), Array::from(5.0f32));
/// let (values, slopes) = value_and_grad_of(product, &[0, 1], [&x, &y])?;
/// assert_eq!(values[0].item::<f32>()?, 10.0);
/// assert_eq!((slopes[0].item::<f32>()?, slopes[1].item::<f32>()?), (5.0, 2.0));
/// # Ok::<(), zmlx::Error>(())
/// ```
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
    let count = inputs.as_ref().len();
    if let Some(i) = argnums.iter().find(|&&i| i >= 0 && i as usize >= count) {
        return Err(Error::argument(
            "argnums",
            format_args!("numbers of inputs, of which there are {count}, from 0"),
            i,
        ));
    }
    let checked = |inputs: &[Array]| {
        let outputs = f(inputs)?;
        match outputs.first() {
            None => Err(Error::argument("f", "at least one output", "none")),
            Some(y) if y.ndim() != 0 => Err(Error::shape(format!(
                "`f`: expected a single number, of shape [], as the first output, got shape {:?}; a gradient is that of a \
                 number, such as `.sum(..)`",
                y.shape()
            ))),
            Some(_) => Ok(outputs),
        }
    };
    let inputs = refs(inputs.as_ref());
    two(transform_backward(&checked, |f| {
        ffi::value_and_grad(f, argnums, &inputs, current())
    }))
}
