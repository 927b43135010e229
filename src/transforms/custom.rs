//! Functions with their own transformation rules.

use std::marker::PhantomData;

use crate::array::refs;
use crate::bridge::callback::{
    Callback, CustomRules, Function as FunctionObject, JvpFunction, Rules, VjpFunction,
    VmapFunction,
};
use crate::bridge::transforms::ffi;
use crate::error::Lift;
use crate::{Array, Result};

use super::one_list;

/// A function whose derivatives or vectorization you define.
///
/// A rule that you do not give is derived by MLX from the function itself, which needs every
/// operation in it to have that rule: a custom kernel has none.
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
        forward: std::rc::Rc::new(f),
        vjp: None,
        jvp: None,
        vmap: None,
        here: PhantomData,
    }
}

/// A function with rules of its own; made by [`custom_function`]. Belongs to its thread.
pub struct CustomFunction {
    forward: std::rc::Rc<FunctionObject<'static>>,
    vjp: Option<std::rc::Rc<VjpFunction>>,
    jvp: Option<std::rc::Rc<JvpFunction>>,
    vmap: Option<std::rc::Rc<VmapFunction>>,
    here: PhantomData<*const ()>,
}

impl CustomFunction {
    /// `rule(primals, cotangents, outputs)` gives one gradient for each primal, of its shape and dtype. What stands
    /// for a primal of integers or booleans, which has no gradient, may have any dtype.
    pub fn with_vjp<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>> + 'static,
    {
        self.vjp = Some(std::rc::Rc::new(rule));
        self
    }

    /// `rule(primals, tangents, argnums)` gives one tangent for each output, of its shape and dtype; `tangents[i]`
    /// belongs to primal `argnums[i]`.
    pub fn with_jvp<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[Array], &[i32]) -> Result<Vec<Array>> + 'static,
    {
        self.jvp = Some(std::rc::Rc::new(rule));
        self
    }

    /// `rule(inputs, axes)` gives the outputs and the axis of each, from 0 on; an axis of -1 means that
    /// the array is not mapped. An output has the shape and dtype that the function gave, and the mapped axis of the
    /// inputs where its axis says.
    pub fn with_vmap<F>(mut self, rule: F) -> Self
    where
        F: Fn(&[Array], &[i32]) -> Result<(Vec<Array>, Vec<i32>)> + 'static,
    {
        self.vmap = Some(std::rc::Rc::new(rule));
        self
    }

    /// Calls the function: lazy, like every operation.
    ///
    /// # Errors
    /// What the function or one of its rules returns as an error, unchanged. A rule that gives another number of
    /// arrays, other shapes or other dtypes than it has to ends the transform that called it with
    /// [`Error::Argument`](crate::Error::Argument), [`Error::Shape`](crate::Error::Shape) or
    /// [`Error::Dtype`](crate::Error::Dtype).
    #[track_caller]
    pub fn call<A: AsRef<Array>>(&self, inputs: impl AsRef<[A]>) -> Result<Vec<Array>> {
        crate::stream::enter();
        if super::plain_export() {
            let inputs: Vec<Array> = inputs.as_ref().iter().map(|a| a.as_ref().clone()).collect();
            return (self.forward)(&inputs);
        }
        // One object for each call: the rules of a node are held to what that call gave.
        let rules = Rules {
            forward: self.forward.clone(),
            vjp: self.vjp.clone(),
            jvp: self.jvp.clone(),
            vmap: self.vmap.clone(),
            outputs: std::cell::OnceCell::new(),
        };
        let made = ffi::custom_function(CustomRules::new(rules)).lift()?;
        one_list(made.call(&refs(inputs.as_ref())))
    }

    /// Calls a function of one array that gives one array.
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
pub fn checkpoint<F>(f: F) -> Result<impl Fn(&[Array]) -> Result<Vec<Array>>>
where
    F: Fn(&[Array]) -> Result<Vec<Array>> + 'static,
{
    let made = ffi::checkpoint(Callback::new(Box::new(f))).lift()?;
    Ok(move |inputs: &[Array]| {
        crate::stream::enter();
        one_list(made.call(&refs(inputs)))
    })
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::CustomFunction: Send, Sync);
}
