//! What an operation makes of itself when transforms need it: its derivatives, and the forms of both that save values.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Result;
use crate::metal::{Made, MetalKernel};

use super::derive;
use super::explicit::Explicit;
use super::op::Operation;
use super::program::Program;
use super::saved;

/// Operations made so far.
#[derive(Default)]
pub(super) struct Derived {
    vjp: Made<Operation>,
    /// With values of elements in place of sums over rows.
    unsummed: Made<Operation>,
    /// With values for the gradient as further outputs; none where there is nothing to save.
    saving: OnceLock<Option<Operation>>,
    jvps: Mutex<Vec<(Vec<bool>, Operation)>>,
    backward: Mutex<Vec<(Variant, Operation)>>,
}

/// A form of the vector-Jacobian product.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variant {
    /// How the gradient of each input that has one comes together.
    pub(super) gathered: Vec<Gathered>,
    /// Whether reductions come from the call.
    pub(super) saved: bool,
}

/// How much of a gradient's sum the kernel does itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gathered {
    /// Nothing: a value for each of the input.
    Not,
    /// All rows share the input, so its gradient is a sum over rows.
    OverRows,
    /// All elements share the input, so its gradient is a sum along each row, and then one over rows.
    AlongRows,
}

impl Derived {
    pub(super) fn kernels(&self) -> Vec<MetalKernel> {
        let mut ops: Vec<Operation> = Vec::new();
        ops.extend(self.vjp.get().cloned());
        ops.extend(self.unsummed.get().cloned());
        ops.extend(self.saving.get().cloned().flatten());
        let jvps = self.jvps.lock().unwrap_or_else(PoisonError::into_inner);
        ops.extend(jvps.iter().map(|(_, op)| op.clone()));
        drop(jvps);
        let backward = self.backward.lock().unwrap_or_else(PoisonError::into_inner);
        ops.extend(backward.iter().map(|(_, op)| op.clone()));
        drop(backward);
        ops.iter().flat_map(Operation::kernels).collect()
    }
}

impl Operation {
    /// The derived vector-Jacobian product.
    #[track_caller]
    pub(super) fn derived_vjp(&self) -> Result<&Operation> {
        self.derived().vjp.get_or_make(|| {
            let program = derive::vjp(self.program(), self.op_name())?;
            self.another("_vjp", program)
        })
    }

    /// The vector-Jacobian product that works everything out itself: derived or the author's.
    #[track_caller]
    fn plain_vjp(&self) -> Result<&Operation> {
        match self.explicit() {
            Some(e) => Ok(e.op()),
            None => self.derived_vjp(),
        }
    }

    /// The vector-Jacobian product in this form. Its inputs are the primals, the output if the author's gradients
    /// mention it, the cotangents, and what was saved.
    #[track_caller]
    pub(super) fn backward(&self, variant: &Variant) -> Result<Operation> {
        let gathered = &variant.gathered;
        if !variant.saved && gathered.iter().all(|g| *g == Gathered::Not) {
            return self.plain_vjp().cloned();
        }
        let made = || {
            let lock = self.derived().backward.lock();
            lock.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((_, op)) = made().iter().find(|(v, _)| v == variant) {
            return Ok(op.clone());
        }
        let program = match variant.saved {
            true => self.vjp_of_saved()?,
            false => self.plain_vjp()?.program().clone(),
        };
        let which = |wanted| gathered.iter().map(move |g| *g == wanted);
        let program = program.summed(which(Gathered::OverRows));
        let program = program.along_rows(which(Gathered::AlongRows));
        let op = self.another("_vjp", program)?;
        made().push((variant.clone(), op.clone()));
        Ok(op)
    }

    /// The vector-Jacobian product that reads reductions.
    #[track_caller]
    fn vjp_of_saved(&self) -> Result<Program> {
        match self.explicit() {
            Some(e) => Ok(saved::reading(e.op().program())),
            None => derive::vjp_of_saved(self.program(), self.op_name()),
        }
    }

    /// The operation with what its gradient needs again as further outputs, one value a row each; none where
    /// nothing is needed, or where it would not be what the gradient computes itself.
    pub(super) fn saving(&self) -> Option<&Operation> {
        let make = || {
            let program = self.program();
            if !saved::may_save(program) {
                return None;
            }
            // A derivative that there is not is an error once it is asked for.
            let names = saved::names(&self.vjp_of_saved().ok()?, program);
            if names.is_empty() {
                return None;
            }
            // Nor is anything saved where the kernel would have too many arrays.
            let variant = Variant {
                gathered: vec![Gathered::Not; program.inputs.len()],
                saved: true,
            };
            self.backward(&variant).ok()?;
            self.another("", saved::writing(program, &names)).ok()
        };
        self.derived().saving.get_or_init(make).as_ref()
    }

    /// The same operation with float32 values of elements in place of sums over rows.
    #[track_caller]
    pub(super) fn unsummed(&self) -> Result<Operation> {
        let made = &self.derived().unsummed;
        let op = made.get_or_make(|| self.another("", self.program().unsummed()))?;
        Ok(op.with_dtypes_of(self))
    }

    /// The Jacobian-vector product for tangents of these inputs.
    #[track_caller]
    pub(super) fn jvp_for(&self, varied: &[bool]) -> Result<Operation> {
        let made = || {
            let lock = self.derived().jvps.lock();
            lock.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((_, op)) = made().iter().find(|(v, _)| v == varied) {
            return Ok(op.clone());
        }
        let program = match self.explicit() {
            Some(e) => e.jvp(self.program(), self.op_name(), varied)?,
            None => derive::jvp(self.program(), self.op_name(), varied)?,
        };
        let op = self.another("_jvp", program)?;
        made().push((varied.to_vec(), op.clone()));
        Ok(op)
    }

    /// Whether the author's gradients mention the output.
    pub(super) fn uses_output(&self) -> bool {
        self.explicit().is_some_and(Explicit::uses_output)
    }
}
