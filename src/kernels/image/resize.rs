//! Images in another size.

use super::image;
use super::kernel::{ImageKernel, Images};
use crate::transforms::rules::{Rules, apply, only};
use crate::{Array, Dtype, Result};

/// An interpolation between two sizes, or its transpose, which is its gradient: linear, so each is the derivative of the
/// other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resize {
    pub(super) from: [i32; 2],
    pub(super) to: [i32; 2],
    pub(super) back: bool,
}

impl Resize {
    #[track_caller]
    pub(super) fn call(self, x: &Array) -> Result<Array> {
        only(apply(&self, &[x])?, "outputs")
    }
}

impl Rules for Resize {
    fn name(&self) -> &str {
        "resize_bilinear"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        let x = inputs[0];
        let [height, width] = if self.back { self.from } else { self.to };
        let [number, _, _, channels] = image("x", x)?;
        let shape = [number, height, width, channels];
        if x.size() == 0 {
            return Ok(vec![Array::zeros(shape, x.dtype())?]);
        }
        // What the places of pixels are computed in has to hold them all.
        let long = (0..2).any(|i| {
            let axis = |n: i32| i64::from(n) + 2;
            2 * axis(self.from[i]) * axis(self.to[i]) > i64::from(i32::MAX)
        });
        let integer = if long { Dtype::Int64 } else { Dtype::Int32 };
        let kernel = match self.back {
            false => &RESIZE,
            true => &RESIZE_BACK,
        };
        Ok(vec![kernel.launch(&[x], shape, integer)?])
    }

    #[track_caller]
    fn vjp(&self, _: &[Array], cotangents: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let other = Resize {
            back: !self.back,
            ..*self
        };
        Ok(vec![other.call(&cotangents[0])?])
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        let zeros;
        let tangent = match tangents[0] {
            Some(t) => t,
            None => {
                zeros = primals[0].zeros_like()?;
                &zeros
            }
        };
        Ok(vec![self.call(tangent)?])
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        let more = Images::of(&inputs[0], axes[0].unwrap_or(0))?;
        Ok(vec![more.apart(&self.call(&more.together)?)?])
    }
}

static RESIZE: ImageKernel = ImageKernel::new(
    "resize_bilinear",
    &["x"],
    "kk_resize_row<I>(x, x_shape, out, I(size[0]), I(size[1])",
    "kk_resize_strip<I, COUNT, SURE, ROWS>(x, x_shape, out, I(size[0]), I(size[1])",
);
static RESIZE_BACK: ImageKernel = ImageKernel::new(
    "resize_bilinear_grad",
    &["x"],
    "kk_resize_back_row<I>(x, x_shape, out, I(size[0]), I(size[1])",
    "kk_resize_back_strip<I, ROWS>(x, x_shape, out, I(size[0]), I(size[1])",
);
