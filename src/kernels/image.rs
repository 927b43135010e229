//! Images (N, H, W, C): their number, height, width and channels.
//!
//! Integers of 8 and 16 bits are images, too: results are rounded to the nearest integer, ties to even, and cut to what the
//! dtype holds. They have no derivative: asking for one is an [`Error::Argument`].

use super::arguments::{check_float, check_shape};
use super::catalog::{Entry, Kind, few_roundings, input};
use super::held::held;
use crate::codegen::blocks::as_on_gpu;
use crate::metal::{LONGEST, lines};
use crate::metal::{Made, build_once};
use crate::ops::{Conv, PadMode};
use crate::transforms::rules::each;
use crate::transforms::rules::{Rules, apply, only};
use crate::{Array, Dtype, Error, MetalKernel, Result};
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
    if height * width == 0 && rows > 0 && columns > 0 {
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

/// An interpolation between two sizes, or its transpose, which is its gradient: linear, so each is the derivative of the
/// other.
#[derive(Clone, Copy, Debug)]
struct Resize {
    from: [i32; 2],
    to: [i32; 2],
    back: bool,
}

impl Resize {
    #[track_caller]
    fn call(self, x: &Array) -> Result<Array> {
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

/// Images with a further axis as more images.
struct Images {
    together: Array,
    lead: [i32; 2],
}

impl Images {
    #[track_caller]
    fn of(x: &Array, axis: usize) -> Result<Images> {
        let x = x.moveaxis(axis as i32, 0)?;
        let lead = [x.shape()[0], x.shape()[1]];
        let shape = [&[lead[0] * lead[1]], &x.shape()[2..]].concat();
        Ok(Images {
            together: x.reshape(shape)?,
            lead,
        })
    }

    #[track_caller]
    fn apart(&self, y: &Array) -> Result<Array> {
        y.reshape([&self.lead, &y.shape()[1..]].concat())
    }
}

/// A convolution by channels. Its gradient with respect to the image is one with the weights turned around.
#[derive(Clone, Copy, Debug)]
struct Depthwise;

#[track_caller]
fn depthwise(x: &Array, w: &Array) -> Result<Array> {
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

/// A kernel that writes rows of pixels.
struct ImageKernel {
    name: &'static str,
    inputs: &'static [&'static str],
    /// What it calls; the row, where a thread begins in it and how far it goes on each time follow.
    call: &'static str,
    made: [Made<MetalKernel>; 2],
}

impl ImageKernel {
    const fn new(name: &'static str, inputs: &'static [&'static str], call: &'static str) -> Self {
        ImageKernel {
            name,
            inputs,
            call,
            made: [const { Made::new() }; 2],
        }
    }

    /// One lazy launch; places of pixels are computed in `integer`.
    #[track_caller]
    fn launch(&self, inputs: &[&Array], shape: [i32; 4], integer: Dtype) -> Result<Array> {
        let [number, height, width, channels] = shape;
        let dtype = inputs[0].dtype();
        // On a GPU neighbouring threads have neighbouring elements; on a CPU a thread has a row.
        let whole = !as_on_gpu(crate::stream::current().gpu);
        let elements = width as usize * channels as usize;
        let threads = match whole {
            true => 1,
            false => elements.next_multiple_of(32).min(1 << 16),
        };
        let size = Array::from_slice(&[height, width, threads as i32], 3)?;
        let read: Vec<&Array> = inputs.iter().copied().chain([&size]).collect();
        let rows = number as u64 * height as u64;
        let (line, count) = lines(rows, LONGEST / threads as u64);
        let mut launch = self.kernel(whole)?.launch(&read);
        launch.set_template("I", integer.into());
        launch.set_output(&shape, dtype);
        launch.set_grid((line * threads as i64, count));
        let [y] = launch.add()?;
        Ok(y)
    }

    fn kernel(&self, whole: bool) -> Result<&MetalKernel> {
        let made = &self.made[usize::from(whole)];
        let name = if whole {
            self.name.to_owned()
        } else {
            format!("{}_gpu", self.name)
        };
        let inputs: Vec<&str> = self.inputs.iter().copied().chain(["size"]).collect();
        build_once(made, &name, &inputs, &["out"], || {
            let whole = if whole { "true" } else { "false" };
            let call = self.call.replace("WHOLE", whole);
            format!(
                "const uint threads = {whole} ? 1u : uint(size[2]);\n\
                 const size_t line = threads_per_grid.x / threads;\n\
                 const size_t row = thread_position_in_grid.y * line + thread_position_in_grid.x / threads;\n\
                 if (row >= size_t(x_shape[0]) * size_t(size[0])) return;\n\
                 {call}, row, thread_position_in_grid.x % threads, threads);\n"
            )
        })
    }
}

static RESIZE: ImageKernel = ImageKernel::new(
    "resize_bilinear",
    &["x"],
    "kk_resize_row<I, WHOLE>(x, x_shape, out, I(size[0]), I(size[1])",
);
static RESIZE_BACK: ImageKernel = ImageKernel::new(
    "resize_bilinear_grad",
    &["x"],
    "kk_resize_back_row<I, WHOLE>(x, x_shape, out, I(size[0]), I(size[1])",
);
static DEPTHWISE: ImageKernel = ImageKernel::new(
    "depthwise_conv_3x3",
    &["x", "w"],
    "kk_depthwise_row<WHOLE>(x, w, x_shape, out",
);

/// Interpolation along an axis by MLX's operations.
fn along(x: &Array, axis: i32, to: i32) -> Result<Array> {
    let from = x.shape()[axis as usize];
    let places = (0..to).map(|i| (f64::from(i) + 0.5) * f64::from(from) / f64::from(to) - 0.5);
    let low: Vec<f64> = places.clone().map(f64::floor).collect();
    let share: Vec<f32> = places
        .zip(&low)
        .map(|(at, low)| (at - low) as f32)
        .collect();
    let inside = |n: f64| n.clamp(0.0, f64::from(from - 1)) as i32;
    let taken = |by: f64| {
        let at: Vec<i32> = low.iter().map(|n| inside(n + by)).collect();
        x.take(&Array::from_slice(&at, to)?, axis)
    };
    let mut shape = [1; 4];
    shape[axis as usize] = to;
    let share = Array::from_slice(&share, shape)?.astype(x.dtype())?;
    let rest = (1.0 - &share)?;
    (taken(0.0)? * rest)? + (taken(1.0)? * share)?
}

/// A size that is neither a multiple nor a part of the image's.
fn resized(x: &Array) -> (i32, i32) {
    let [_, height, width, _] = image("x", x).unwrap_or([1; 4]);
    (height, width / 2 * 3)
}

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "image::resize_bilinear",
        formula: "x at ((i + 1/2) H / H' - 1/2, (j + 1/2) W / W' - 1/2), between its neighbours",
        file: "image.metal",
        inputs: &[input("x", Kind::Image)],
        call: |p| Ok(vec![resize_bilinear(&p[0], resized(&p[0]))?]),
        composite: |p| {
            let (height, width) = resized(&p[0]);
            Ok(vec![along(&along(&p[0], 1, height)?, 2, width)?])
        },
        mlx: None,
        bytes: |rows, width, size| (rows * width + rows * width / 2 * 3) * size,
        roundings: few_roundings,
    },
    Entry {
        name: "image::depthwise_conv_3x3",
        formula: "sum of x[y + i, x + j, c] w[i, j, c] for i and j from -1 to 1",
        file: "image.metal",
        inputs: &[input("x", Kind::Image), input("w", Kind::Taps)],
        call: |p| Ok(vec![depthwise_conv_3x3(&p[0], &p[1])?]),
        composite: |p| {
            let channels = p[0].shape()[3];
            let w = p[1]
                .reshape((9, channels))?
                .transpose((1, 0))?
                .reshape((channels, 3, 3, 1))?;
            let conv = Conv::new().padding(1).groups(channels);
            Ok(vec![p[0].conv2d(&w, conv)?])
        },
        mlx: None,
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings: few_roundings,
    },
];
