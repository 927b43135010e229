//! Operations that bring their own transformation rules, as values.
//!
//! [`custom_function`] takes closures and belongs to a thread. An operation of the toolkit or of
//! the catalog is a value that any thread may call, so it states its rules as a trait and becomes
//! a custom function only where a transform can see it: outside of transforms a call costs
//! nothing beside the launch.

use crate::error::Here;
use crate::{Array, Error, Result};

use super::{alone, custom_function, pulling};

/// An operation on arrays with rules for `vjp`, `jvp` and `vmap`.
pub(crate) trait Rules: Clone + 'static {
    /// What the operation is called in errors.
    fn name(&self) -> &str;

    /// The value.
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>>;

    /// One gradient for each primal, of its shape and dtype. What the gradient does not use
    /// is never computed, so separate launches are better than one that does everything.
    fn vjp(&self, primals: &[Array], cotangents: &[Array], outputs: &[Array])
    -> Result<Vec<Array>>;

    /// One tangent for each output; a primal without tangent is held constant.
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>>;

    /// The outputs for inputs with a further axis each, and where that axis is in them.
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)>;
}

/// Whether a transform sees any of the arrays.
pub(crate) fn traced(inputs: &[&Array]) -> bool {
    inputs.iter().any(|a| a.is_tracer())
}

/// Calls an operation: lazy, and differentiable where a transform is under way.
#[track_caller]
pub(crate) fn apply<R: Rules>(op: &R, inputs: &[&Array]) -> Result<Vec<Array>> {
    if alone() || !traced(inputs) {
        return op.forward(inputs).here();
    }
    let [forward, vjp, jvp, vmap] = std::array::from_fn(|_| op.clone());
    custom_function(move |p: &[Array]| forward.forward(&p.iter().collect::<Vec<_>>()))
        .with_vjp(move |p, cotangents, outputs| pulling(|| vjp.vjp(p, cotangents, outputs)))
        .with_jvp(move |p, tangents, argnums| {
            let mut all = vec![None; p.len()];
            for (tangent, &i) in tangents.iter().zip(argnums) {
                let slot = usize::try_from(i).ok().and_then(|i| all.get_mut(i));
                *slot.ok_or_else(|| Error::argument("argnums", "indices of primals", i))? =
                    Some(tangent);
            }
            jvp.jvp(p, &all)
        })
        .with_vmap(move |inputs, axes| {
            let axes: Vec<_> = axes.iter().map(|&a| usize::try_from(a).ok()).collect();
            let (outputs, at) = vmap.vmap(inputs, &axes)?;
            Ok((outputs, at.into_iter().map(|a| a as i32).collect()))
        })
        .call(inputs)
        .here()
}

/// The one output of what has to have one.
#[track_caller]
pub(crate) fn only(mut outputs: Vec<Array>, whose: &str) -> Result<Array> {
    match (outputs.pop(), outputs.len()) {
        (Some(y), 0) => Ok(y),
        (last, rest) => Err(Error::argument(
            whose,
            "one output",
            rest + usize::from(last.is_some()),
        )),
    }
}

/// Inputs with the mapped axis first; `None` where an input is not mapped.
pub(crate) fn mapped_first(inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<(Array, bool)>> {
    inputs
        .iter()
        .zip(axes)
        .map(|(a, axis)| match axis {
            None => Ok((a.clone(), false)),
            Some(0) => Ok((a.clone(), true)),
            Some(n) => Ok((a.moveaxis(*n as i32, 0)?, true)),
        })
        .collect()
}
