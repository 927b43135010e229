//! What becomes of a custom function under `vmap`: a custom function again, whose rules are mapped as it is.

use std::rc::Rc;

use super::closures::{Function, vmap_rule};
use super::{custom_function, vmap};
use crate::array::{pack, unpack};
use crate::bridge::callback::{JvpFunction, VjpFunction, VmapFunction};
use crate::{Array, Result};

/// A function and its rules.
#[derive(Clone)]
pub(super) struct Ruled {
    pub(super) forward: Rc<Function>,
    pub(super) vjp: Option<Rc<VjpFunction>>,
    pub(super) jvp: Option<Rc<JvpFunction>>,
    pub(super) vmap: Option<Rc<VmapFunction>>,
}

/// The axis of each of so many inputs, if it is mapped.
fn known(axes: &[i32], count: usize) -> Vec<Option<i32>> {
    let axis = |i: usize| axes.get(i).copied().filter(|&a| a >= 0);
    (0..count).map(axis).collect()
}

impl Ruled {
    /// The rule for `vmap` of a function with derivatives of its own. MLX's would map the function, and forget them.
    pub(super) fn rule(self) -> Rc<VmapFunction> {
        vmap_rule(move |inputs, axes| {
            let outputs = self.mapped(inputs, axes)?;
            let front = vec![0; outputs.len()];
            Ok((outputs, front))
        })
    }

    /// The outputs for mapped inputs; their mapped axis is the first.
    fn mapped(&self, inputs: &[Array], axes: &[i32]) -> Result<Vec<Array>> {
        let count = inputs.len();
        let axes = known(axes, count);
        let (forward, vmapped, at) = (self.forward.clone(), self.vmap.clone(), axes.clone());
        let mut function = custom_function(move |p: &[Array]| match &vmapped {
            None => vmap(|q: &[Array]| forward(q)).in_axes(at.clone()).call(p),
            Some(rule) => {
                let numbers: Vec<i32> = at.iter().map(|a| a.unwrap_or(-1)).collect();
                let (outputs, front) = rule(&*pack(p)?, &numbers)?;
                let outputs = unpack(&outputs)?.into_iter().zip(front);
                outputs.map(|(y, axis)| y.moveaxis(axis, 0)).collect()
            }
        });
        if let Some(rule) = self.vjp.clone() {
            let axes = axes.clone();
            function = function.with_vjp(move |p, cotangents, outputs| {
                let given = cotangents.len();
                let pulled = |q: &[Array]| {
                    let (p, rest) = q.split_at(count);
                    let (cotangents, outputs) = rest.split_at(given);
                    unpack(&*rule(&*pack(p)?, &*pack(cotangents)?, &*pack(outputs)?)?)
                };
                let behind = given + outputs.len();
                let all = axes
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(Some(0), behind));
                let gradients = vmap(pulled)
                    .in_axes(all)
                    .call([p, cotangents, outputs].concat())?;
                // What is not mapped is an input of all: its gradients add up.
                let each = gradients.into_iter().zip(&axes);
                each.map(|(g, axis)| match axis {
                    Some(axis) => g.moveaxis(0, *axis),
                    None => g.sum(0),
                })
                .collect()
            });
        }
        if let Some(rule) = self.jvp.clone() {
            function = function.with_jvp(move |p, tangents, argnums| {
                let pushed = |q: &[Array]| {
                    let (p, tangents) = q.split_at(count);
                    unpack(&*rule(&*pack(p)?, &*pack(tangents)?, argnums)?)
                };
                let of = |&i: &i32| axes.get(i as usize).copied().flatten();
                let all = axes.iter().copied().chain(argnums.iter().map(of));
                vmap(pushed).in_axes(all).call([p, tangents].concat())
            });
        }
        function.call(inputs)
    }
}
