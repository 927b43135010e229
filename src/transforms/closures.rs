//! Functions of arrays as the bridge calls them: with lists of C++'s in place of Rust's.

use std::rc::Rc;

use crate::array::{pack, unpack};
use crate::bridge::callback::{Arrays, Callback, JvpFunction, List, VjpFunction, VmapFunction};
use crate::{Array, Result};

/// `outputs = f(inputs)`.
pub(super) type Function = dyn Fn(&[Array]) -> Result<Vec<Array>>;

fn listed(f: impl Fn(&[Array]) -> Result<Vec<Array>>) -> impl Fn(&List) -> Result<Arrays> {
    move |inputs| pack(&f(&unpack(inputs)?)?)
}

/// A function that MLX keeps.
pub(super) fn kept(f: impl Fn(&[Array]) -> Result<Vec<Array>> + 'static) -> Box<Callback> {
    Callback::new(Box::new(listed(f)))
}

/// A function that MLX keeps with its rules.
pub(super) fn forward(f: Rc<Function>) -> Rc<crate::bridge::callback::Function<'static>> {
    Rc::new(listed(move |inputs| f(inputs)))
}

/// Lends a function that borrows to one bridge call, which keeps nothing of it.
pub(super) fn lend<R>(
    f: &dyn Fn(&[Array]) -> Result<Vec<Array>>,
    call: impl FnOnce(Box<Callback>) -> R,
) -> R {
    Callback::lend(&listed(f), call)
}

/// `rule(primals, cotangents, outputs)`.
pub(super) fn vjp_rule(
    rule: impl Fn(&[Array], &[Array], &[Array]) -> Result<Vec<Array>> + 'static,
) -> Rc<VjpFunction> {
    Rc::new(move |primals, cotangents, outputs| {
        pack(&rule(
            &unpack(primals)?,
            &unpack(cotangents)?,
            &unpack(outputs)?,
        )?)
    })
}

/// `rule(primals, tangents, argnums)`.
pub(super) fn jvp_rule(
    rule: impl Fn(&[Array], &[Array], &[i32]) -> Result<Vec<Array>> + 'static,
) -> Rc<JvpFunction> {
    Rc::new(move |primals, tangents, argnums| {
        pack(&rule(&unpack(primals)?, &unpack(tangents)?, argnums)?)
    })
}

/// `rule(inputs, axes)` gives outputs and their axes.
pub(super) fn vmap_rule(
    rule: impl Fn(&[Array], &[i32]) -> Result<(Vec<Array>, Vec<i32>)> + 'static,
) -> Rc<VmapFunction> {
    Rc::new(move |inputs, axes| {
        let (outputs, axes) = rule(&unpack(inputs)?, axes)?;
        Ok((pack(&outputs)?, axes))
    })
}
