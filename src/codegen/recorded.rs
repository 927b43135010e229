//! Calls that save what their gradient needs again, and the gradient that reads it.

use crate::transforms::rules::{Rules, apply};
use crate::{Array, Dtype, Result};

use super::op::Operation;
use super::program::Span;
use super::rules::mapped;

/// A call within a gradient: what the gradient needs again is among the outputs.
#[derive(Clone)]
pub(super) struct Recorded {
    pub(super) op: Operation,
    pub(super) saving: Operation,
}

impl Rules for Recorded {
    fn name(&self) -> &str {
        self.op.op_name()
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        self.saving.forward(inputs)
    }

    #[track_caller]
    fn vjp(
        &self,
        primals: &[Array],
        cotangents: &[Array],
        outputs: &[Array],
    ) -> Result<Vec<Array>> {
        let visible = self.op.program().outputs.len();
        let (outputs, saved) = outputs.split_at(visible);
        // What is saved is a function of the primals, so nothing flows through it.
        self.op
            .pull(primals, &cotangents[..visible], outputs, saved)
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let mut all = self.op.jvp(primals, tangents)?;
        let outputs = &self.op.program().outputs;
        let hidden = self.saving.program().outputs.len() - outputs.len();
        let rows = match outputs[0].span {
            Span::Row => all[0].shape(),
            Span::Element | Span::Summed => &all[0].shape()[..all[0].ndim() - 1],
        };
        let none = Array::zeros(rows, Dtype::Float32)?;
        all.extend(std::iter::repeat_n(none, hidden));
        Ok(all)
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        mapped(&self.op, inputs, axes, |_, args| apply(self, args))
    }

    fn is_one_launch(&self) -> bool {
        self.saving.reads_and_writes_all()
    }
}

/// A vector-Jacobian product that reads what the call saved.
#[derive(Clone)]
pub(super) struct Backward {
    /// The same function of primals and cotangents alone.
    pub(super) plain: Operation,
    pub(super) reading: Operation,
}

impl Backward {
    fn independent(&self) -> usize {
        self.plain.program().inputs.len()
    }
}

impl Rules for Backward {
    fn name(&self) -> &str {
        self.plain.op_name()
    }

    #[track_caller]
    fn forward(&self, all: &[&Array]) -> Result<Vec<Array>> {
        self.reading.forward(all)
    }

    #[track_caller]
    fn vjp(&self, all: &[Array], cotangents: &[Array], outputs: &[Array]) -> Result<Vec<Array>> {
        let (independent, saved) = all.split_at(self.independent());
        let mut gradients = self.plain.pull(independent, cotangents, outputs, &[])?;
        for s in saved {
            gradients.push(s.zeros_like()?);
        }
        Ok(gradients)
    }

    #[track_caller]
    fn jvp(&self, all: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let n = self.independent();
        self.plain.jvp(&all[..n], &tangents[..n])
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        mapped(&self.reading, inputs, axes, |op, args| {
            let plain = match op.program().sums_rows() == self.plain.program().sums_rows() {
                true => self.plain.clone(),
                false => self.plain.unsummed()?,
            };
            let reading = op.clone();
            apply(&Backward { plain, reading }, args)
        })
    }

    fn is_one_launch(&self) -> bool {
        self.reading.reads_and_writes_all()
    }
}
