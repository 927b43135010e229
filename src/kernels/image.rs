//! Images (N, H, W, C): their number, height, width and channels.
//!
//! Integers of 8 and 16 bits are images, too: results are rounded to the nearest integer, ties to even, and cut to what the
//! dtype holds. They have no derivative: asking for one is an [`Error::Argument`].

mod depthwise;
mod kernel;
mod resize;
mod table;

pub(super) use table::TABLE;

use depthwise::Depthwise;
use resize::Resize;

use super::arguments::{check_float, check_shape};
use super::held::held;
use crate::transforms::rules::{apply, only};
use crate::{Array, Dtype, Error, Result};
use std::borrow::Cow;

/// The image in another size, by bilinear interpolation: each pixel is a mean of the four nearest ones, weighted by how
/// near their centres are; images end with their outermost pixels. There is no filter against aliases.
///
/// `x`: (N, H, W, C), float32, float16, bfloat16 or integers of 8 or 16 bits; `output_shape`: the new height and
/// width. The result is like `x`; integers are rounded, not cut off. Computed in float32. Differentiable any number of times
/// for floats. A pixel without weight does not count, even if it is NaN.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 4.0], (1, 1, 2, 1))?;
/// let y = kernels::image::resize_bilinear(&x, (1, 4))?;
/// assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 3.0, 4.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for another number of axes, and for an image without pixels where the result has some;
/// [`Error::Dtype`] for another dtype; [`Error::Argument`] for a negative height or width.
#[track_caller]
pub fn resize_bilinear(x: &Array, output_shape: (i32, i32)) -> Result<Array> {
    let [_, height, width, _] = image("x", x)?;
    let (rows, columns) = output_shape;
    if rows < 0 || columns < 0 {
        let got = format!("{output_shape:?}");
        return Err(Error::argument(
            "output_shape",
            "a height and a width from 0 on",
            got,
        ));
    }
    if (height == 0 || width == 0) && rows > 0 && columns > 0 {
        return Err(Error::shape(format!(
            "`x`: expected an image with pixels, got shape {:?}",
            x.shape()
        )));
    }
    let resize = Resize {
        from: [height, width],
        to: [rows, columns],
        back: false,
    };
    only(apply(&resize, &[&*differentiable(x)?])?, "outputs")
}

/// The sum of the 9 neighbours of each pixel, weighted, by channels: a cross-correlation of stride 1, beyond whose ends
/// pixels are 0.
///
/// `x`: (N, H, W, C), float32, float16, bfloat16 or integers of 8 or 16 bits; `w`: (3, 3, C), the weights from above to
/// below and left to right, float32, float16 or bfloat16. The result is like `x`; integers are rounded and cut to what they
/// hold, and NaN is their lowest. Computed in float32. Differentiable any number of times in `w` and in `x` of floats.
///
/// ```
/// use zmlx::{Array, Dtype, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0], (1, 1, 3, 1))?;
/// let y = kernels::image::depthwise_conv_3x3(&x, &Array::ones((3, 3, 1), Dtype::Float32)?)?;
/// assert_eq!(y.to_vec::<f32>()?, [3.0, 6.0, 5.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for another number of axes or another shape of `w`, [`Error::Dtype`] for another dtype.
#[track_caller]
pub fn depthwise_conv_3x3(x: &Array, w: &Array) -> Result<Array> {
    let [.., channels] = image("x", x)?;
    check_float("w", w)?;
    check_shape("w", w, &[3, 3, channels])?;
    only(apply(&Depthwise, &[&*differentiable(x)?, w])?, "outputs")
}

/// The image, of which integers refuse to be differentiated by.
#[track_caller]
fn differentiable(x: &Array) -> Result<Cow<'_, Array>> {
    match x.dtype().is_floating() {
        true => Ok(Cow::Borrowed(x)),
        false => held("x", x),
    }
}

/// The axes of an image.
#[track_caller]
fn image(name: &str, x: &Array) -> Result<[i32; 4]> {
    use Dtype::{Bfloat16, Float16, Float32, Int8, Int16, Uint8, Uint16};
    match x.dtype() {
        Float32 | Float16 | Bfloat16 | Int8 | Int16 | Uint8 | Uint16 => {}
        other => {
            return Err(Error::dtype(format!(
                "`{name}`: expected float32, float16, bfloat16 or integers of 8 or 16 bits, got {other}{}",
                crate::codegen::dtypes::remedy(other)
            )));
        }
    }
    match x.shape().try_into() {
        Ok(shape) => Ok(shape),
        Err(_) => Err(Error::shape(format!(
            "`{name}`: expected shape (N, H, W, C), got {:?}",
            x.shape()
        ))),
    }
}
