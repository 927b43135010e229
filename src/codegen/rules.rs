//! What transforms make of an operation.

use crate::metal::Outputs;
use crate::transforms::differentiating;
use crate::transforms::rules::{Rules, apply, each, mapped_first, only, traced};
use crate::{Array, Dtype, Error, Result, keepdims};

use super::blocks;
use super::derived::{Gathered, Variant};
use super::kinds;
use super::layout::PART;
use super::op::Operation;
use super::program::{InputKind, Span};
use super::recorded::{Backward, Recorded};
use super::saved;

impl Rules for Operation {
    fn name(&self) -> &str {
        self.op_name()
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        self.launch(inputs).map(Outputs::into_vec)
    }

    #[track_caller]
    fn vjp(
        &self,
        primals: &[Array],
        cotangents: &[Array],
        outputs: &[Array],
    ) -> Result<Vec<Array>> {
        self.pull(primals, cotangents, outputs, &[])
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let values = self.program().inputs.iter().map(|i| i.is_value());
        let tangents = || tangents.iter().zip(values.clone());
        let varied: Vec<bool> = tangents().map(|(t, v)| v && t.is_some()).collect();
        let op = self.jvp_for(&varied)?;
        let moved = tangents().filter_map(|(t, value)| t.filter(|_| value));
        let args: Vec<&Array> = primals.iter().chain(moved).collect();
        apply(&op, &args)
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        mapped(self, inputs, axes, |op, args| apply(op, args))
    }

    fn is_one_launch(&self) -> bool {
        self.reads_and_writes_all()
    }
}

/// The outputs for inputs with a further axis each, which comes first in the outputs. `call` gets the operation, or that
/// without sums over rows: those are over the rows of one place of the mapped axis.
#[track_caller]
pub(super) fn mapped(
    op: &Operation,
    inputs: &[Array],
    axes: &[Option<usize>],
    call: impl Fn(&Operation, &[&Array]) -> Result<Vec<Array>>,
) -> Result<Vec<Array>> {
    if kinds::needs_calls(op.program(), axes) {
        return each(inputs, axes, |one| call(op, one));
    }
    let args = aligned(op, inputs, axes)?;
    let args: Vec<&Array> = args.iter().collect();
    if !op.program().sums_rows() {
        return call(op, &args);
    }
    let mut outputs = call(&op.unsummed()?, &args)?;
    for (i, output) in op.program().outputs.iter().enumerate() {
        if output.span == Span::Summed {
            let rows: Vec<i32> = (1..outputs[i].ndim() as i32 - 1).collect();
            outputs[i] = as_dtype(outputs[i].sum(rows)?, op.dtype(i, &args))?;
        }
    }
    Ok(outputs)
}

/// Inputs with the mapped axis in front of all others.
#[track_caller]
fn aligned(op: &Operation, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
    let moved = mapped_first(inputs, axes)?;
    // An input aligns with the others at its last axes; the mapped axis must stay in front of all.
    let spans = op.program().inputs.iter().map(|i| i.span);
    let deepest = moved
        .iter()
        .zip(spans.clone())
        .map(|((a, mapped), span)| a.ndim() - usize::from(*mapped) + usize::from(span == Span::Row))
        .max()
        .unwrap_or(0);
    let deepest = match op.program().by_rows {
        true => deepest.max(1),
        false => deepest,
    };
    let mut args = Vec::with_capacity(moved.len());
    for ((a, mapped), span) in moved.into_iter().zip(spans) {
        if !mapped {
            args.push(a);
            continue;
        }
        let own = a.ndim() - 1;
        let want = deepest - usize::from(span == Span::Row);
        args.push(match want.checked_sub(own) {
            None | Some(0) => a,
            Some(missing) => {
                let mut shape = vec![a.shape()[0]];
                shape.extend(std::iter::repeat_n(1, missing));
                shape.extend(&a.shape()[1..]);
                a.reshape(shape)?
            }
        });
    }
    Ok(args)
}

impl Operation {
    /// The operation's value or values: lazy, differentiable.
    #[track_caller]
    pub(crate) fn call(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        if self.has_parameters() {
            let all = kinds::arranged(self.op_name(), self.program(), inputs)?;
            let all: Vec<&Array> = all.iter().map(AsRef::as_ref).collect();
            return self.call_arranged(&all);
        }
        self.call_arranged(inputs)
    }

    #[track_caller]
    fn call_arranged(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let recorded = match differentiating() && traced(inputs) {
            true => self.recorded(inputs),
            false => None,
        };
        let Some(recorded) = recorded else {
            return apply(self, inputs);
        };
        let mut outputs = apply(&recorded, inputs)?;
        outputs.truncate(self.program().outputs.len());
        Ok(outputs)
    }

    /// The operation with what its gradient needs as further outputs, where that is worth it.
    fn recorded(&self, inputs: &[&Array]) -> Option<Recorded> {
        if !saved::is_floating(self.used(), inputs) {
            return None;
        }
        let gpu = blocks::as_on_gpu(crate::stream::current().gpu);
        if gpu && saved::is_reduced_again(self.program(), inputs) {
            return None;
        }
        let saving = self.saving()?.clone();
        let op = self.clone();
        Some(Recorded { op, saving })
    }

    /// Gradients of all primals, from what the call saved, if it did.
    #[track_caller]
    pub(super) fn pull(
        &self,
        primals: &[Array],
        cotangents: &[Array],
        outputs: &[Array],
        saved: &[Array],
    ) -> Result<Vec<Array>> {
        let values: Vec<bool> = self.program().inputs.iter().map(|i| i.is_value()).collect();
        if !values.contains(&true) {
            return primals.iter().map(Array::zeros_like).collect();
        }
        let full = self.spans(primals)?;
        let gathered = self.gathered(primals, &full);
        let mut args: Vec<&Array> = primals.iter().collect();
        if self.uses_output() {
            args.extend(outputs);
        }
        args.extend(cotangents);
        args.extend(saved);
        // What was broadcast in another way gets the sum of its gradients: in float32 until they are summed.
        let widened: Vec<Option<Dtype>> = primals
            .iter()
            .zip(&full)
            .zip(&values)
            .filter(|(_, value)| **value)
            .zip(&gathered)
            .map(|(((a, full), _), gathered)| {
                let summed = *gathered == Gathered::Not && a.shape() != full;
                (summed && a.dtype().is_floating()).then_some(Dtype::Float32)
            })
            .collect();
        let wide = |op: Operation| match widened.iter().any(Option::is_some) {
            true => op.with_dtypes(widened.clone()),
            false => op,
        };
        let variant = |saved| Variant {
            gathered: gathered.clone(),
            saved,
        };
        let plain = wide(self.backward(&variant(false))?);
        let gradients = match saved.is_empty() {
            true => apply(&plain, &args)?,
            false => {
                let reading = wide(self.backward(&variant(true))?);
                apply(&Backward { plain, reading }, &args)?
            }
        };
        let own = primals.iter().zip(values);
        let own = own.filter(|(_, value)| *value).zip(gathered);
        let summed = gradients
            .into_iter()
            .zip(own)
            .map(|(g, ((primal, _), gathered))| match gathered {
                Gathered::OverRows => as_dtype(g.reshape(primal.shape())?, primal.dtype()),
                Gathered::AlongRows => {
                    as_dtype(g.sum(..)?.reshape(primal.shape())?, primal.dtype())
                }
                Gathered::Not => sum_to(g, primal),
            });
        kinds::with_zeros(self.program(), primals, summed)
    }

    /// How the gradients of the primals that have one come together.
    fn gathered(&self, primals: &[Array], full: &[Vec<i32>]) -> Vec<Gathered> {
        let program = self.program();
        let all = program.inputs.iter().zip(primals.iter().zip(full));
        let own = all.filter(|(input, _)| input.is_value());
        own.map(|(input, (a, full))| {
            let Some((&width, lead)) = full.split_last() else {
                return Gathered::Not;
            };
            if input.span == Span::Row || !a.dtype().is_floating() {
                return Gathered::Not;
            }
            let number = a.size() == 1 && a.ndim() < 2 && a.shape() != full;
            if number && program.by_rows && program.compute.is_floating() {
                return Gathered::AlongRows;
            }
            let rows: u64 = lead.iter().map(|&d| d as u64).product();
            // Few long rows of an operation of elements are cut into parts, which rows are not.
            let cut = !program.by_rows && width as u64 > PART && rows < 64;
            let one_for_all = !cut
                && a.shape().last() == Some(&width)
                && a.size() as i64 == i64::from(width)
                && width > 1
                && (2..=u64::from(u32::MAX)).contains(&rows);
            match one_for_all {
                true => Gathered::OverRows,
                false => Gathered::Not,
            }
        })
        .collect()
    }

    fn has_parameters(&self) -> bool {
        let mut inputs = self.program().inputs.iter();
        inputs.any(|i| i.kind == InputKind::Parameter)
    }

    /// The value of an operation with one output.
    #[track_caller]
    pub(crate) fn call1(&self, inputs: &[&Array]) -> Result<Array> {
        if !self.has_parameters()
            && !traced(inputs)
            && let [_] = self.program().outputs.as_slice()
            && let Some(y) = self.launch(inputs)?.pop()
        {
            return Ok(y);
        }
        only(self.call(inputs)?, self.name())
    }

    /// The shape that each primal would have if nothing was broadcast.
    #[track_caller]
    fn spans(&self, primals: &[Array]) -> Result<Vec<Vec<i32>>> {
        let program = self.program();
        let same = primals
            .windows(2)
            .all(|w| w[0].shape() == w[1].shape() && !program.by_rows);
        if same {
            return Ok(primals.iter().map(|p| p.shape().to_vec()).collect());
        }
        let refs: Vec<&Array> = primals.iter().collect();
        let used = vec![true; primals.len()];
        let layout = super::layout::Layout::of(self.op_name(), program, &used, &refs)?;
        Ok(program
            .inputs
            .iter()
            .map(|i| layout.output(i.span.beside(), i.count()).into_owned())
            .collect())
    }
}

/// The gradient of an array that was broadcast.
#[track_caller]
fn sum_to(gradient: Array, primal: &Array) -> Result<Array> {
    if gradient.shape() == primal.shape() {
        return as_dtype(gradient, primal.dtype());
    }
    let extra = gradient
        .ndim()
        .checked_sub(primal.ndim())
        .ok_or_else(|| Error::shape("a gradient has fewer dimensions than its input".into()))?;
    let axes: Vec<i32> = (0..gradient.ndim())
        .filter(|&i| i < extra || (primal.shape()[i - extra] == 1 && gradient.shape()[i] != 1))
        .map(|i| i as i32)
        .collect();
    let summed = gradient.sum(keepdims(axes))?;
    as_dtype(summed.reshape(primal.shape())?, primal.dtype())
}

#[track_caller]
fn as_dtype(a: Array, dtype: Dtype) -> Result<Array> {
    match a.dtype() == dtype {
        true => Ok(a),
        false => a.astype(dtype),
    }
}
