//! Rules as the node of a launch holds them.

use crate::array::{pack, unpack};
use crate::bridge::callback::{Arrays, List, NodeRules, OfNode};
use crate::bridge::ruled::ffi;
use crate::error::Lift;
use crate::{Array, Result};

use super::{Rules, for_each, known, pulling};

struct Node<R> {
    rules: R,
    inputs: usize,
}

/// Gives the rules of an operation to the node that computes its outputs. False where that is none of ours.
pub(super) fn give<R: Rules>(rules: &R, inputs: usize, outputs: &[Array]) -> Result<bool> {
    let Some(first) = outputs.first() else {
        return Ok(false);
    };
    let rules = rules.clone();
    let rules = NodeRules::new(Box::new(Node { rules, inputs }));
    ffi::give_rules(first.raw(), outputs.len(), rules).lift()
}

impl<R: Rules> OfNode for Node<R> {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn vjp(&self, inputs: &List, cotangents: &List, outputs: &List) -> Result<Arrays> {
        let mut primals = unpack(inputs)?;
        primals.truncate(self.inputs);
        let (cotangents, outputs) = (unpack(cotangents)?, unpack(outputs)?);
        pack(&pulling(|| {
            self.rules.vjp(&primals, &cotangents, &outputs)
        })?)
    }

    fn jvp(&self, inputs: &List, tangents: &List, argnums: &[i32]) -> Result<Arrays> {
        let mut primals = unpack(inputs)?;
        primals.truncate(self.inputs);
        let tangents = unpack(tangents)?;
        let tangents: Vec<&Array> = tangents.iter().collect();
        let all = for_each(self.inputs, &tangents, argnums)?;
        pack(&self.rules.jvp(&primals, &all)?)
    }

    fn vmap(&self, inputs: &List, axes: &[i32]) -> Result<Arrays> {
        let mut args = unpack(inputs)?;
        args.truncate(self.inputs);
        let axes = known(axes.get(..self.inputs).unwrap_or(axes));
        pack(&self.rules.vmap(&args, &axes)?)
    }
}
