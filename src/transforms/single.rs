//! Transformations of functions of one array that give one array, as [`grad`](super::grad) has them.

use std::panic::Location;

use super::rules::only;
use super::{CustomFunction, compile, custom_function, vmap};
use crate::error::Here;
use crate::{Array, Result};

/// [`vmap`] of a function of one array: over the first axis of its input and of its output.
///
/// ```
/// use zmlx::{Array, vmap1};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let norms = vmap1(|row| row.square()?.sum(..))(&x)?;
/// assert_eq!(norms.to_vec::<f32>()?, [5.0, 25.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The function returned fails as [`Vmap::call`](super::Vmap::call) does.
#[track_caller]
pub fn vmap1<F>(f: F) -> impl Fn(&Array) -> Result<Array>
where
    F: Fn(&Array) -> Result<Array>,
{
    let at = Location::caller();
    let mapped = vmap(move |p: &[Array]| Ok(vec![f(&p[0])?]));
    move |x: &Array| {
        let outputs = mapped.call([x]).said_of(at)?;
        only(outputs, "function").said_of(at)
    }
}

/// [`compile`] of a function of one array.
///
/// ```
/// use zmlx::{Array, compile1};
/// # fn main() -> zmlx::Result<()> {
/// let double = compile1(|x| x.multiply(2.0))?;
/// assert_eq!(double(&Array::from(3.0))?.item::<f32>()?, 6.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The function returned gives what `f` returns as an error, unchanged.
#[track_caller]
pub fn compile1<F>(f: F) -> Result<impl Fn(&Array) -> Result<Array>>
where
    F: Fn(&Array) -> Result<Array> + 'static,
{
    let at = Location::caller();
    let compiled = compile(move |p: &[Array]| Ok(vec![f(&p[0])?]))?;
    Ok(move |x: &Array| {
        let outputs = compiled.call([x]).said_of(at)?;
        only(outputs, "function").said_of(at)
    })
}

/// [`custom_function`] of a function of one array.
///
/// ```
/// use zmlx::{Array, custom_function1, grad};
/// # fn main() -> zmlx::Result<()> {
/// // The derivative is held to 1.
/// let f = custom_function1(|x| x.square()).with_vjp(|x, cotangent, _y| cotangent.multiply(&x.minimum(0.5)?.multiply(2.0)?));
/// let dx = grad(move |x| f.call(x))(&Array::from(3.0))?;
/// assert_eq!(dx.item::<f32>()?, 1.0);
/// # Ok(())
/// # }
/// ```
pub fn custom_function1<F>(f: F) -> CustomFunction1
where
    F: Fn(&Array) -> Result<Array> + 'static,
{
    CustomFunction1(custom_function(move |p: &[Array]| Ok(vec![f(&p[0])?])))
}

/// A function of one array with rules of its own; made by [`custom_function1`]. Belongs to its thread.
pub struct CustomFunction1(CustomFunction);

impl CustomFunction1 {
    /// `rule(primal, cotangent, output)` gives the gradient, of the primal's shape and dtype.
    pub fn with_vjp<F>(self, rule: F) -> Self
    where
        F: Fn(&Array, &Array, &Array) -> Result<Array> + 'static,
    {
        CustomFunction1(
            self.0
                .with_vjp(move |p, c, o| Ok(vec![rule(&p[0], &c[0], &o[0])?])),
        )
    }

    /// `rule(primal, tangent)` gives the tangent of the output, of its shape and dtype.
    ///
    /// ```
    /// use zmlx::{Array, custom_function1, jvp};
    /// let square = custom_function1(|x| x.square())
    ///     .with_jvp(|x, tangent| x.multiply(tangent)?.multiply(2));
    /// let (one, x) = (Array::from(1.0f32), Array::from(3.0f32));
    /// let (_, slope) = jvp(|x| Ok(vec![square.call(&x[0])?]), [&x], [&one])?;
    /// assert_eq!(slope[0].item::<f32>()?, 6.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_jvp<F>(self, rule: F) -> Self
    where
        F: Fn(&Array, &Array) -> Result<Array> + 'static,
    {
        CustomFunction1(
            self.0
                .with_jvp(move |p, t, _| Ok(vec![rule(&p[0], &t[0])?])),
        )
    }

    /// `rule(input, axis)` gives the output and its mapped axis, for an input that is mapped along `axis`.
    ///
    /// ```
    /// use zmlx::{Array, custom_function1, vmap1};
    /// // A function of rows that takes a whole matrix at once.
    /// let sum = custom_function1(|x| x.sum(-1))
    ///     .with_vmap(|x, axis| Ok((x.moveaxis(axis, 0)?.sum(-1)?, 0)));
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(vmap1(|x| sum.call(x))(&x)?.to_vec::<i32>()?, [3, 7]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_vmap<F>(self, rule: F) -> Self
    where
        F: Fn(&Array, i32) -> Result<(Array, i32)> + 'static,
    {
        CustomFunction1(self.0.with_vmap(move |p, axes| {
            let (output, axis) = rule(&p[0], axes[0])?;
            Ok((vec![output], vec![axis]))
        }))
    }

    /// Calls the function: lazy, like every operation.
    ///
    /// # Errors
    /// What the function or one of its rules returns as an error, unchanged.
    #[track_caller]
    pub fn call(&self, x: &Array) -> Result<Array> {
        self.0.call1(x)
    }
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::CustomFunction1: Send, Sync);
}
