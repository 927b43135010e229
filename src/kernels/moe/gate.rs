//! The two largest of a row and their weights.

use super::wide;
use crate::kernels::choose::{self, Give};
use crate::kernels::selection::{over_leading, two};
use crate::ops::{concatenate, where_};
use crate::transforms::rules::{Rules, apply};
use crate::{Array, Result};

#[derive(Clone)]
pub(super) struct Gate;

impl Gate {
    /// The weights of the values of two in float32: sigmoids of their difference.
    fn weights(values: &Array) -> Result<Array> {
        let halves = values.split(2, -1)?;
        let (first, second) = (&halves[0], &halves[1]);
        // The difference of equal infinities is no number.
        let both = first.equal(second)?.multiply(first.isinf()?)?;
        let zero = first.zeros_like()?;
        let difference = where_(&both, &zero, first)?.subtract(&where_(&both, &zero, second)?)?;
        concatenate(
            [difference.sigmoid()?, difference.negative()?.sigmoid()?],
            -1,
        )
    }
}

impl Rules for Gate {
    fn name(&self) -> &str {
        "top2_gating_softmax"
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        Ok(choose::topk(inputs[0], 2, Give::Weights)?.into())
    }

    fn vjp(&self, p: &[Array], g: &[Array], outputs: &[Array]) -> Result<Vec<Array>> {
        let (x, indices) = (&p[0], &outputs[1].stop_gradient()?);
        let weights = Gate::weights(&wide(&x.take_along_axis(indices, -1)?)?)?;
        let g = wide(&g[0])?;
        let mean = weights.multiply(&g)?.sum(crate::keepdims(-1))?;
        let chosen = weights.multiply(&g.subtract(&mean)?)?.astype(x.dtype())?;
        Ok(vec![x.zeros_like()?.put_along_axis(indices, &chosen, -1)?])
    }

    fn jvp(&self, p: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let x = &p[0];
        let (values, indices) = two(apply(self, &[x])?)?;
        let Some(t) = tangents[0] else {
            return Ok(vec![values.zeros_like()?, indices.zeros_like()?]);
        };
        let held = indices.stop_gradient()?;
        let weights = Gate::weights(&wide(&x.take_along_axis(&held, -1)?)?)?;
        let t = wide(&t.take_along_axis(&held, -1)?)?;
        let mean = weights.multiply(&t)?.sum(crate::keepdims(-1))?;
        let tangent = weights.multiply(&t.subtract(&mean)?)?.astype(x.dtype())?;
        Ok(vec![tangent, indices.zeros_like()?])
    }

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        over_leading(inputs, axes, |x| apply(self, &[x]))
    }
}
