//! What transforms make of an operation.

use crate::metal::Outputs;
use crate::transforms::rules::{Rules, apply, apply1, mapped_first, only, traced};
use crate::{Array, Axes, Dtype, Error, Result};

use super::kinds;
use super::op::Fused;
use super::program::{InputKind, Span};

impl Rules for Fused {
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
        let values = || self.program().inputs.iter().map(|i| i.is_value());
        if !values().any(|v| v) {
            return primals.iter().map(Array::zeros_like).collect();
        }
        let mut args: Vec<&Array> = primals.iter().collect();
        let op = match self.explicit() {
            Some(e) => {
                if e.uses_output() {
                    args.extend(outputs);
                }
                e.op()
            }
            None => self.derived_vjp()?,
        };
        args.extend(cotangents);
        // What was broadcast gets the sum of its gradients: in float32 until they are summed.
        let full: Vec<Vec<i32>> = self.spans(primals)?;
        let narrow = |a: &Array, full: &[i32]| a.shape() != full && a.dtype().is_floating();
        let dtypes: Vec<Option<Dtype>> = primals
            .iter()
            .zip(&full)
            .zip(values())
            .filter(|(_, value)| *value)
            .map(|((a, full), _)| narrow(a, full).then_some(Dtype::Float32))
            .collect();
        let wide;
        let op = if dtypes.iter().any(Option::is_some) {
            wide = op.with_dtypes(dtypes);
            &wide
        } else {
            op
        };
        let own = primals.iter().zip(values()).filter(|(_, value)| *value);
        let gradients = apply(op, &args)?.into_iter().zip(own);
        let summed = gradients.map(|(g, (primal, _))| sum_to(g, primal));
        kinds::with_zeros(self.program(), primals, summed)
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
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<(Vec<Array>, Vec<usize>)> {
        if kinds::needs_calls(self.program(), axes) {
            let outputs = kinds::call_each(self, inputs, axes)?;
            let front = vec![0; outputs.len()];
            return Ok((outputs, front));
        }
        let moved = mapped_first(inputs, axes)?;
        // An input aligns with the others at its last axes; the mapped axis must stay in front of all.
        let spans = self.program().inputs.iter().map(|i| i.span);
        let deepest = moved
            .iter()
            .zip(spans.clone())
            .map(|((a, mapped), span)| {
                a.ndim() - usize::from(*mapped) + usize::from(span == Span::Row)
            })
            .max()
            .unwrap_or(0);
        let deepest = match self.program().by_rows {
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
        let outputs = apply(self, &args.iter().collect::<Vec<_>>())?;
        let front = vec![0; outputs.len()];
        Ok((outputs, front))
    }
}

impl Fused {
    /// The operation's value or values: lazy, differentiable.
    #[track_caller]
    pub(crate) fn call(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        if self.has_parameters() {
            let all = kinds::arranged(self.op_name(), self.program(), inputs)?;
            let all: Vec<&Array> = all.iter().map(AsRef::as_ref).collect();
            return apply(self, &all);
        }
        apply(self, inputs)
    }

    fn has_parameters(&self) -> bool {
        let mut inputs = self.program().inputs.iter();
        inputs.any(|i| i.kind == InputKind::Parameter)
    }

    /// The value of an operation with one output.
    #[track_caller]
    pub(crate) fn call1(&self, inputs: &[&Array]) -> Result<Array> {
        if self.has_parameters() {
            return only(self.call(inputs)?, self.op_name());
        }
        if !traced(inputs)
            && let [_] = self.program().outputs.as_slice()
            && let Some(y) = self.launch(inputs)?.pop()
        {
            return Ok(y);
        }
        apply1(self, inputs)
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
            .map(|i| match i.span {
                Span::Element => layout.shape.to_vec(),
                Span::Row => layout.shape[..layout.lead].to_vec(),
            })
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
    let summed = gradient.sum(Axes {
        axes: Some(axes),
        keepdims: true,
    })?;
    as_dtype(summed.reshape(primal.shape())?, primal.dtype())
}

#[track_caller]
fn as_dtype(a: Array, dtype: Dtype) -> Result<Array> {
    match a.dtype() == dtype {
        true => Ok(a),
        false => a.astype(dtype),
    }
}
