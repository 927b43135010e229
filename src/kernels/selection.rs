//! Which elements of a row are the largest.

use super::arguments::rows_of;
use super::choose::{self, Give, MOST};
use crate::transforms::rules::{Rules, apply};
use crate::{Array, Dtype, Error, Result};

/// Index of the largest element of the last axis; of equal ones the first.
///
/// `x`: (..., D) of at least one element, of any dtype but float64 and complex64; the result is (...), uint32. Both zeros are
/// equal. NaN counts as the largest number, so a row with NaN gives the place of its first one.
///
/// It has no derivative: a gradient that would flow through it is an error. `x.stop_gradient()` says that none should.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 7.0, 7.0, 0.0, -2.0, -1.0], (2, 3))?;
/// assert_eq!(kernels::reductions::argmax_lastdim(&x)?.to_vec::<u32>()?, [1, 0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar or D = 0, [`Error::Dtype`] for float64 and complex64, [`Error::Argument`] in a gradient.
#[track_caller]
pub fn argmax_lastdim(x: &Array) -> Result<Array> {
    check_ordered("x", x)?;
    check_width(x, 1)?;
    one(apply(&Argmax, &[x])?)
}

/// The `k` largest elements of the last axis in descending order, and their indices; of equal ones the first.
///
/// `x`: (..., D) of any dtype but float64 and complex64. The values are (..., k) of its dtype, the indices (..., k), uint32. Both
/// zeros are equal. NaN counts as the largest number, so what is NaN comes first.
///
/// The values are differentiable any number of times: the cotangent goes to the elements that were chosen.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 7.0, 3.0, 7.0], 4)?;
/// let (values, indices) = kernels::reductions::topk_lastdim(&x, 3)?;
/// assert_eq!(values.to_vec::<f32>()?, [7.0, 7.0, 3.0]);
/// assert_eq!(indices.to_vec::<u32>()?, [1, 3, 2]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] unless `1 <= k <= D`, [`Error::Shape`] for a scalar, [`Error::Dtype`] for float64 and complex64.
#[track_caller]
pub fn topk_lastdim(x: &Array, k: usize) -> Result<(Array, Array)> {
    check_ordered("x", x)?;
    let (_, width) = rows_of("x", x)?;
    if k == 0 || k > width {
        let expected = format!("a number from 1 to the width {width}");
        return Err(Error::argument("k", expected, k));
    }
    two(apply(&Topk { k }, &[x])?)
}

/// Refuses what cannot be put in order by a kernel.
#[track_caller]
pub(super) fn check_ordered(name: &str, x: &Array) -> Result<()> {
    match x.dtype() {
        Dtype::Float64 | Dtype::Complex64 => Err(Error::dtype(format!(
            "`{name}`: expected integers, float32, float16 or bfloat16, got {}{}",
            x.dtype(),
            crate::codegen::dtypes::remedy(x.dtype())
        ))),
        _ => Ok(()),
    }
}

/// Refuses rows of fewer elements.
#[track_caller]
pub(super) fn check_width(x: &Array, least: usize) -> Result<()> {
    let (_, width) = rows_of("x", x)?;
    if width < least {
        return Err(Error::shape(format!(
            "`x`: expected a last axis of at least {least}, got shape {:?}",
            x.shape()
        )));
    }
    Ok(())
}

/// The error of what has no derivative.
#[track_caller]
pub(super) fn no_derivative(name: &str, of: &str) -> Error {
    let got = format!(
        "a derivative of `{name}`, which has none (`stop_gradient` holds its input constant)"
    );
    Error::argument(of, "an input that is held constant", got)
}

/// The rules of a function whose input has no derivative.
macro_rules! no_derivatives {
    ($of:literal) => {
        fn vjp(&self, _: &[Array], _: &[Array], _: &[Array]) -> Result<Vec<Array>> {
            Err(crate::kernels::selection::no_derivative(self.name(), $of))
        }

        fn jvp(&self, _: &[Array], _: &[Option<&Array>]) -> Result<Vec<Array>> {
            Err(crate::kernels::selection::no_derivative(self.name(), $of))
        }
    };
}
pub(super) use no_derivatives;

#[track_caller]
pub(super) fn one(outputs: Vec<Array>) -> Result<Array> {
    crate::transforms::rules::only(outputs, "outputs")
}

#[track_caller]
pub(super) fn two(outputs: Vec<Array>) -> Result<(Array, Array)> {
    let found = outputs.len();
    match <[Array; 2]>::try_from(outputs) {
        Ok([a, b]) => Ok((a, b)),
        Err(_) => Err(Error::argument("outputs", 2, found)),
    }
}

fn wide_integers(x: &Array) -> bool {
    matches!(x.dtype(), Dtype::Int64 | Dtype::Uint64)
}

/// A function of one input over its last axis: a mapped axis is one more leading axis.
pub(super) fn over_leading(
    inputs: &[Array],
    axes: &[Option<usize>],
    f: impl Fn(&Array) -> Result<Vec<Array>>,
) -> Result<Vec<Array>> {
    let moved = crate::transforms::rules::mapped_first(inputs, axes)?;
    let (x, _) = moved
        .first()
        .ok_or_else(|| Error::argument("inputs", 1, 0))?;
    f(x)
}

#[derive(Clone)]
struct Argmax;

impl Rules for Argmax {
    fn name(&self) -> &str {
        "argmax_lastdim"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let x = inputs[0];
        Ok(vec![if wide_integers(x) {
            x.argmax(-1)?
        } else {
            choose::argmax(x)?
        }])
    }

    no_derivatives!("x");

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        over_leading(inputs, axes, |x| apply(self, &[x]))
    }
}

#[derive(Clone)]
struct Topk {
    k: usize,
}

impl Topk {
    /// All of the row in order, then its beginning.
    fn sorted(&self, x: &Array) -> Result<Vec<Array>> {
        let k = self.k as i32;
        let first = |a: &Array| a.index((crate::Ellipsis, 0..k));
        let indices = if wide_integers(x) {
            // Inverted bits turn the order round, without overflow.
            first(&x.bitwise_invert()?.argsort(-1)?)?
        } else {
            first(&choose::sortable(x)?.sort(-1)?)?.astype(Dtype::Uint32)?
        };
        Ok(vec![x.take_along_axis(&indices, -1)?, indices])
    }
}

impl Rules for Topk {
    fn name(&self) -> &str {
        "topk_lastdim"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let x = inputs[0];
        if x.size() > 0 && (self.k > MOST || wide_integers(x)) {
            return self.sorted(x);
        }
        Ok(choose::topk(x, self.k, Give::Values)?.into())
    }

    fn vjp(&self, p: &[Array], g: &[Array], outputs: &[Array]) -> Result<Vec<Array>> {
        let zeros = p[0].zeros_like()?;
        if !p[0].dtype().is_floating() {
            return Ok(vec![zeros]);
        }
        let indices = outputs[1].stop_gradient()?;
        Ok(vec![zeros.put_along_axis(&indices, &g[0], -1)?])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let x = &p[0];
        let (values, indices) = two(apply(self, &[x])?)?;
        let tangent = match tangents[0] {
            Some(t) if x.dtype().is_floating() => {
                t.take_along_axis(&indices.stop_gradient()?, -1)?
            }
            _ => values.zeros_like()?,
        };
        Ok(vec![tangent, indices.zeros_like()?])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        over_leading(inputs, axes, |x| apply(self, &[x]))
    }
}
