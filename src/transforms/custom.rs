//! Functions with their own transformation rules.

use std::marker::PhantomData;

use crate::array::refs;
use crate::bridge::callback::{CustomRules, Rules, VmapFunction};
use crate::bridge::transforms::ffi;
use crate::error::{Here, Lift};
use crate::{Array, Result};

use super::closures::{forward, jvp_rule, kept, vjp_rule, vmap_rule};
use super::mapped::Ruled;
use super::one_list;

/// A function whose derivatives or vectorization you define.
///
/// A rule that you do not give is derived by MLX from the function itself, which needs every
/// operation in it to have that rule: a custom kernel has none. Under [`vmap`](super::vmap()) the rules for derivatives are mapped with the
/// function.
///
/// ```
/// use zmlx::{Array, custom_function, vjp};
/// # fn main() -> zmlx::Result<()> {
/// let f = custom_function(|p: &[Array]| Ok(vec![p[0].exp()?]))
///     .with_vjp(|_primals, cotangents, outputs| Ok(vec![cotangents[0].multiply(&outputs[0])?]));
/// let x: Array = 1.5.into();
/// let (y, dx) = vjp(|p| f.call(p), [&x], [&Array::from(1.0)])?;
/// assert_eq!(y[0].item::<f32>()?, dx[0].item::<f32>()?);
/// # Ok(())
/// # }
/// ```
pub fn custom_function<F>(f: F) -> CustomFunction
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    CustomFunction {
        ruled: Ruled {
            forward: std::rc::Rc::new(f),
            vjp: None,
            jvp: None,
            vmap: None,
        },
        derives_mapped: false,
        made: std::cell::OnceCell::new(),
        here: PhantomData,
    }
}

/// A function with rules of its own; made by [`custom_function`]. Belongs to its thread.
pub struct CustomFunction {
    ruled: Ruled,
    /// Whether what the rule for `vmap` gives has the right derivatives by itself.
    derives_mapped: bool,
    made: std::cell::OnceCell<cxx::UniquePtr<ffi::Function>>,
    here: PhantomData<*const ()>,
}

impl CustomFunction {
    /// `rule(primals, cotangents, outputs)` gives one gradient for each primal, of its shape and, where
    /// numbers have a derivative, its dtype. Anything else is an error of the transform.
    ///
    /// ```
    /// use zmlx::{Array, custom_function, grad};
    /// // Backward as if it were the identity: a straight-through estimator.
    /// let round = custom_function(|x: &[Array]| Ok(vec![x[0].round(0)?]))
    ///     .with_vjp(|_, cotangents, _| Ok(vec![cotangents[0].clone()]));
    /// let slope = grad(|x: &Array| round.call1(x))(&Array::from(1.4f32))?;
    /// assert_eq!(slope.item::<f32>()?, 1.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_vjp<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>> + 'static,
    {
        self.ruled.vjp = Some(vjp_rule(rule));
        self.made = std::cell::OnceCell::new();
        self
    }

    /// `rule(primals, tangents, argnums)` gives one tangent for each output, of its shape and dtype;
    /// `tangents[i]` belongs to primal `argnums[i]`. Anything else is an error of the transform.
    ///
    /// ```
    /// use zmlx::{Array, custom_function, jvp};
    /// let square = custom_function(|x: &[Array]| Ok(vec![x[0].square()?]))
    ///     .with_jvp(|x, tangents, _| Ok(vec![(&x[0] * &tangents[0])?.multiply(2)?]));
    /// let (one, x) = (Array::from(1.0f32), Array::from(3.0f32));
    /// let (_, slope) = jvp(|x| square.call(x), [&x], [&one])?;
    /// assert_eq!(slope[0].item::<f32>()?, 6.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_jvp<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[i32]) -> Result<Vec<Array>> + 'static,
    {
        self.ruled.jvp = Some(jvp_rule(rule));
        self.made = std::cell::OnceCell::new();
        self
    }

    /// `rule(inputs, axes)` gives the outputs and the axis of each; an axis of -1 means that
    /// the array is not mapped. An output has the shape that the function gave it, with the length of the
    /// mapped axes at its axis, and the same dtype. Anything else is an error of the transform.
    ///
    /// ```
    /// use zmlx::{Array, custom_function, vmap};
    /// // A function of rows that takes a whole matrix at once.
    /// let sum = custom_function(|x: &[Array]| Ok(vec![x[0].sum(-1)?]))
    ///     .with_vmap(|x, axes| Ok((vec![x[0].moveaxis(axes[0], 0)?.sum(-1)?], vec![0])));
    /// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
    /// assert_eq!(vmap(|x| sum.call(x)).call([&x])?[0].to_vec::<i32>()?, [3, 7]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn with_vmap<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[i32]) -> Result<(Vec<Array>, Vec<i32>)> + 'static,
    {
        self.ruled.vmap = Some(vmap_rule(rule));
        self.made = std::cell::OnceCell::new();
        self
    }

    /// Says that what the rule for `vmap` gives has the right derivatives by itself.
    pub(crate) fn derives_mapped(mut self) -> Self {
        self.derives_mapped = true;
        self
    }

    /// The rule for `vmap`, where MLX's own would not do.
    fn mapping(&self) -> Option<std::rc::Rc<VmapFunction>> {
        if self.derives_mapped || (self.ruled.vjp.is_none() && self.ruled.jvp.is_none()) {
            return self.ruled.vmap.clone();
        }
        Some(self.ruled.clone().rule())
    }

    /// Calls the function: lazy, like every operation.
    ///
    /// # Errors
    /// What the function or one of its rules returns as an error, unchanged.
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        crate::stream::enter();
        if super::plain_export() {
            let inputs: Vec<Array> = inputs.as_ref().iter().map(|a| a.as_ref().clone()).collect();
            return (self.ruled.forward)(&inputs).here();
        }
        if self.made.get().is_none() {
            let rules = Rules {
                forward: forward(self.ruled.forward.clone()),
                vjp: self.ruled.vjp.clone(),
                jvp: self.ruled.jvp.clone(),
                vmap: self.mapping(),
            };
            let made = ffi::custom_function(CustomRules::new(rules)).lift()?;
            // Empty a moment ago, and this thread is the only one to fill it.
            let _ = self.made.set(made);
        }
        match self.made.get() {
            Some(f) => one_list(f.call(&refs(inputs.as_ref()))),
            None => Ok(Vec::new()),
        }
    }

    /// Calls a function of one array that gives one array.
    ///
    /// ```
    /// use zmlx::{Array, custom_function};
    /// let double = custom_function(|x: &[Array]| Ok(vec![x[0].multiply(2)?]));
    /// assert_eq!(double.call1(&Array::from(3))?.item::<i32>()?, 6);
    /// assert_eq!(double.call([&Array::from(3)])?.len(), 1);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`Error::Argument`](crate::Error::Argument) when it gives
    /// another number of arrays.
    #[track_caller]
    pub fn call1(&self, input: &Array) -> Result<Array> {
        super::rules::only(self.call([input])?, "function")
    }
}

/// A function that keeps nothing between its inputs and outputs for the gradient, but
/// computes it again when the gradient needs it: less memory, more time.
///
/// ```
/// use zmlx::{Array, checkpoint, grad};
/// let wide = checkpoint(|x: &[Array]| Ok(vec![x[0].exp()?.square()?]))?;
/// let slope = grad(|x: &Array| Ok(wide(&[x.clone()])?.remove(0)))(&Array::from(0.0f32))?;
/// assert_eq!(slope.item::<f32>()?, 2.0);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// The function returned gives what `f` returns as an error, unchanged.
#[track_caller]
pub fn checkpoint<F>(f: F) -> Result<impl Fn(&[Array]) -> Result<Vec<Array>>>
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    let made = ffi::checkpoint(kept(f)).lift()?;
    let at = std::panic::Location::caller();
    Ok(move |inputs: &[Array]| {
        crate::stream::enter();
        one_list(made.call(&refs(inputs))).said_of(at)
    })
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::CustomFunction: Send, Sync);
}
