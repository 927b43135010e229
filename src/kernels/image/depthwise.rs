//! A convolution by channels.

use super::image;
use super::kernel::{ImageKernel, Images};
use crate::ops::PadMode;
use crate::transforms::rules::{Rules, apply, each, only};
use crate::{Array, Dtype, Result};

/// A convolution by channels. Its gradient with respect to the image is one with the weights turned around.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depthwise;

#[track_caller]
pub(super) fn depthwise(x: &Array, w: &Array) -> Result<Array> {
    only(apply(&Depthwise, &[x, w])?, "outputs")
}

impl Rules for Depthwise {
    fn name(&self) -> &str {
        "depthwise_conv_3x3"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let [x, w] = [inputs[0], inputs[1]];
        let shape = image("x", x)?;
        if x.size() == 0 {
            return Ok(vec![x.zeros_like()?]);
        }
        Ok(vec![DEPTHWISE.launch(
            &[x, &w.reshape(-1)?],
            shape,
            Dtype::Int32,
        )?])
    }

    #[track_caller]
    fn vjp(&self, primals: &[Array], cotangents: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let ([x, w], g) = ([&primals[0], &primals[1]], &cotangents[0]);
        let dx = match x.dtype().is_floating() {
            true => depthwise(g, &w.flip([0, 1])?)?,
            false => x.zeros_like()?,
        };
        Ok(vec![dx, weights(x, g)?.astype(w.dtype())?])
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let (x, w) = (&primals[0], &primals[1]);
        Ok(vec![match (tangents[0], tangents[1]) {
            (Some(dx), Some(dw)) => (depthwise(dx, w)? + depthwise(x, dw)?)?,
            (Some(dx), None) => depthwise(dx, w)?,
            (None, Some(dw)) => depthwise(x, dw)?,
            (None, None) => x.zeros_like()?,
        }])
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        let output = match axes {
            [Some(axis), None] => {
                let more = Images::of(&inputs[0], *axis)?;
                vec![more.apart(&depthwise(&more.together, &inputs[1])?)?]
            }
            _ => each(inputs, axes, |one| apply(self, one))?,
        };
        Ok(output)
    }
}

/// The gradient of the weights, by MLX's operations: for each the image, moved, times the gradient of the result.
#[track_caller]
fn weights(x: &Array, g: &Array) -> Result<Array> {
    let [_, height, width, channels] = image("x", x)?;
    let ring = [(0, 0), (1, 1), (1, 1), (0, 0)];
    let x = x
        .astype(Dtype::Float32)?
        .pad(&ring[..], PadMode::Constant(0.0))?;
    let g = g.astype(Dtype::Float32)?;
    let mut all = Vec::with_capacity(9);
    for dy in 0..3 {
        for dx in 0..3 {
            let moved = x.index((.., dy..dy + height, dx..dx + width))?;
            all.push((moved * &g)?.sum([0, 1, 2])?);
        }
    }
    crate::ops::stack(&all, 0)?.reshape((3, 3, channels))
}

static DEPTHWISE: ImageKernel = ImageKernel::new(
    "depthwise_conv_3x3",
    &["x", "w"],
    "kk_depthwise_row(x, w, x_shape, out",
    "kk_depthwise_strip<COUNT, SURE, ROWS>(x, w, x_shape, out",
);
