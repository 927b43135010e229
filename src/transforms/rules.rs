//! Operations that bring their own transformation rules, as values.
//!
//! [`custom_function`] takes closures and belongs to a thread. An operation of the toolkit or of
//! the catalog is a value that any thread may call, so it states its rules as a trait and becomes
//! a custom function only where a transform can see it: outside of transforms a call costs
//! nothing beside the launch.

use crate::error::Here;
use crate::{Array, Error, Result};

use super::{alone, custom_function, exporting, pulling};

mod node;

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

    /// The outputs for inputs with a further axis each, which comes first in all outputs.
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>>;

    /// Whether the value is one launch, which reads all inputs, in their order, and gives all outputs. Then its node has the
    /// rules itself, and there is no custom function around it.
    fn is_one_launch(&self) -> bool {
        false
    }
}

/// Whether a transform sees any of the arrays, or may.
pub(crate) fn traced(inputs: &[&Array]) -> bool {
    super::watched() || inputs.iter().any(|a| a.is_tracer())
}

/// Calls an operation: lazy, and differentiable where a transform is under way.
#[track_caller]
pub(crate) fn apply<R: Rules>(op: &R, inputs: &[&Array]) -> Result<Vec<Array>> {
    if alone() || !traced(inputs) {
        return op.forward(inputs).here();
    }
    if op.is_one_launch() && !exporting() {
        let outputs = op.forward(inputs).here()?;
        if node::give(op, inputs.len(), &outputs).here()? {
            return Ok(outputs);
        }
    }
    let [forward, vjp, jvp, vmap] = std::array::from_fn(|_| op.clone());
    custom_function(move |p: &[Array]| forward.forward(&p.iter().collect::<Vec<_>>()))
        .with_vjp(move |p, cotangents, outputs| pulling(|| vjp.vjp(p, cotangents, outputs)))
        .with_jvp(move |p, tangents, argnums| {
            let moved = tangents.iter().collect::<Vec<_>>();
            jvp.jvp(p, &for_each(p.len(), &moved, argnums)?)
        })
        .with_vmap(move |inputs, axes| {
            let outputs = vmap.vmap(inputs, &known(axes))?;
            let front = vec![0; outputs.len()];
            Ok((outputs, front))
        })
        .derives_mapped()
        .call(inputs)
        .here()
}

/// The tangent of each of so many primals; `tangents[i]` belongs to primal `argnums[i]`.
fn for_each<'a>(
    primals: usize,
    tangents: &[&'a Array],
    argnums: &[i32],
) -> Result<Vec<Option<&'a Array>>> {
    let mut all = vec![None; primals];
    for (&tangent, &i) in tangents.iter().zip(argnums) {
        let slot = usize::try_from(i).ok().and_then(|i| all.get_mut(i));
        *slot.ok_or_else(|| Error::argument("argnums", "indices of primals", i))? = Some(tangent);
    }
    Ok(all)
}

/// The mapped axis of each input, if there is one.
fn known(axes: &[i32]) -> Vec<Option<usize>> {
    axes.iter().map(|&a| usize::try_from(a).ok()).collect()
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

/// How many values the mapped axis has; 0 where nothing is mapped.
fn size(moved: &[(Array, bool)]) -> i32 {
    let first = moved.iter().find(|(_, mapped)| *mapped);
    first.map_or(0, |(a, _)| a.shape()[0])
}

/// Inputs with the mapped axis first, of which the leading `count` have all one: those that are not mapped repeat.
#[track_caller]
pub(crate) fn repeated(
    count: usize,
    inputs: &[Array],
    axes: &[Option<usize>],
) -> Result<Vec<Array>> {
    let moved = mapped_first(inputs, axes)?;
    let size = size(&moved);
    let mut all = Vec::with_capacity(moved.len());
    for (i, (a, mapped)) in moved.into_iter().enumerate() {
        all.push(match mapped || i >= count {
            true => a,
            false => a.broadcast_to([&[size], a.shape()].concat())?,
        });
    }
    Ok(all)
}

/// Calls `f` for each index of the mapped axes; what it gives lies along a new first axis. Without any index a call with zeros
/// tells shapes and dtypes.
#[track_caller]
pub(crate) fn each(
    inputs: &[Array],
    axes: &[Option<usize>],
    f: impl Fn(&[&Array]) -> Result<Vec<Array>>,
) -> Result<Vec<Array>> {
    let moved = mapped_first(inputs, axes)?;
    let mut columns: Vec<Vec<Array>> = Vec::new();
    let size = size(&moved);
    for index in 0..size.max(1) {
        let mut one = Vec::with_capacity(moved.len());
        for (a, mapped) in &moved {
            one.push(match mapped {
                true if size == 0 => Array::zeros(&a.shape()[1..], a.dtype())?,
                true => a.index(index)?,
                false => a.clone(),
            });
        }
        let outputs = f(&one.iter().collect::<Vec<_>>())?;
        columns.resize_with(outputs.len(), Vec::new);
        for (column, y) in columns.iter_mut().zip(outputs) {
            column.push(y);
        }
    }
    let mut all = Vec::with_capacity(columns.len());
    for column in &columns {
        let stacked = crate::ops::stack(column, 0)?;
        all.push(match size {
            0 => Array::zeros([&[0], &stacked.shape()[1..]].concat(), stacked.dtype())?,
            _ => stacked,
        });
    }
    Ok(all)
}
