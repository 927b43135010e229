//! Two codes of 4 bits a byte as floats.

use crate::codegen::blocks::as_on_gpu;
use crate::kernels::arguments::{number, two_axes};
use crate::metal::{LONGEST, lines};
use crate::metal::{Made, build_once};
use crate::ops::PadMode;
use crate::transforms::rules::each;
use crate::transforms::rules::{Rules, apply, only};
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// What a code of 4 bits stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Int4,
    Nf4,
}

/// Values of codes times scales, as an operation of bytes and scales: the lower half of a byte comes first. It is linear
/// in the scales, so it is its own derivative.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nibbles {
    pub(super) format: Format,
    /// Elements of a scale; one scale for all of them without.
    pub(super) block: Option<i32>,
    pub(super) dtype: Dtype,
}

/// How the scale of an element is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// There is one.
    One = 0,
    /// A line of the grid has one.
    Line = 1,
    /// By its number: a byte may belong to two blocks.
    Each = 2,
}

impl Nibbles {
    #[track_caller]
    pub(super) fn call(self, x: &Array, scales: &Array) -> Result<Array> {
        only(apply(&self, &[x, scales])?, "outputs")
    }

    /// The values of the codes themselves.
    #[track_caller]
    fn values(self, x: &Array) -> Result<Array> {
        let plain = Nibbles {
            block: None,
            dtype: Dtype::Float32,
            ..self
        };
        plain.call(x, &Array::ones(1, Dtype::Float32)?)
    }

    #[track_caller]
    fn launch(self, x: &Array, scales: &Array) -> Result<Array> {
        let shape = self.shape(x)?;
        let bytes = x.size();
        if bytes == 0 {
            return Array::zeros(shape, self.dtype);
        }
        let gpu = crate::stream::current().gpu;
        if self.format == Format::Nf4 && self.block.is_none() && !as_on_gpu(gpu) {
            return self.by_pairs(x, scales, &shape);
        }
        let (way, line) = match self.block {
            None => (Way::One, None),
            Some(b) if b % 2 == 0 => (Way::Line, Some(b as usize / 2)),
            Some(_) => (Way::Each, None),
        };
        // Bytes of a thread: on a GPU those whose floats are one store.
        let wide = 8 / self.dtype.size();
        let whole = bytes.is_multiple_of(wide) && line.is_none_or(|l| l.is_multiple_of(wide));
        let blocks = as_on_gpu(gpu) && whole && way != Way::Each && bytes >= 1024;
        let each = if blocks { wide } else { 1 };
        let threads = bytes / each;
        let (across, down) = match line {
            Some(l) => ((l / each) as i64, bytes.div_ceil(l) as i64),
            None => lines(threads as u64, LONGEST),
        };
        let kernel = kernel(self.format, blocks)?;
        let inputs = [x.reshape(two_axes(x.shape()))?, scales.reshape(-1)?];
        let block = number(i64::from(self.block.unwrap_or(1)))?;
        let read = [&inputs[0], &inputs[1], &*block];
        let mut launch = kernel.launch(&read);
        launch.set_template("O", self.dtype.into());
        launch.set_template("WAY", (way as i32).into());
        launch.set_template("EACH", (each as i32).into());
        let exact = across * down == threads as i64;
        launch.set_template("EXACT", exact.into());
        launch.set_output(&shape, self.dtype);
        launch.set_grid((across, down));
        let [y] = launch.add()?;
        Ok(y)
    }

    /// On a CPU, where a lookup for each element would take four times as long as one for both of a byte.
    #[track_caller]
    fn by_pairs(self, x: &Array, scale: &Array, shape: &[i32]) -> Result<Array> {
        static MADE: Made<MetalKernel> = Made::new();
        let kernel = build_once(&MADE, "dequantize_pairs", &["x", "scale"], &["out"], || {
            "const size_t from = size_t(thread_position_in_grid.x) * SPAN;\n\
             kk_nf4_pairs(x, out, float(scale[0]), from, metal::min(from + SPAN, size_t(x_shape[0]) * x_shape[1]));\n"
                .into()
        })?;
        let inputs = [x.reshape(two_axes(x.shape()))?, scale.reshape(-1)?];
        let read = [&inputs[0], &inputs[1]];
        let mut launch = kernel.launch(&read);
        launch.set_template("SPAN", SPAN.into());
        launch.set_output(shape, self.dtype);
        launch.set_grid((x.size().div_ceil(SPAN as usize) as i64, 1));
        let [y] = launch.add()?;
        Ok(y)
    }

    /// The shape of the result: the last axis has two elements for each byte.
    #[track_caller]
    fn shape(self, x: &Array) -> Result<Vec<i32>> {
        let mut shape = x.shape().to_vec();
        match shape.last_mut() {
            None => shape.push(2),
            Some(last) => match last.checked_mul(2) {
                Some(twice) => *last = twice,
                None => {
                    return Err(Error::shape(format!(
                        "`x`: expected fewer than 2^30 bytes a row, got {:?}",
                        x.shape()
                    )));
                }
            },
        }
        Ok(shape)
    }
}

impl Rules for Nibbles {
    fn name(&self) -> &str {
        "dequantize"
    }

    #[track_caller]
    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        Ok(vec![self.launch(inputs[0], inputs[1])?])
    }

    #[track_caller]
    fn vjp(&self, primals: &[Array], cotangents: &[Array], _: &[Array]) -> Result<Vec<Array>> {
        let (x, scales) = (&primals[0], &primals[1]);
        let terms = (cotangents[0].astype(Dtype::Float32)? * self.values(x)?)?;
        let sums = match self.block {
            None => terms.sum(..)?,
            Some(block) => {
                let missing =
                    (scales.size() as i64 * i64::from(block) - terms.size() as i64) as i32;
                let terms = terms
                    .reshape(-1)?
                    .pad((0, missing), PadMode::Constant(0.0))?;
                terms.reshape((scales.size() as i32, block))?.sum(-1)?
            }
        };
        let sums = sums.reshape(scales.shape())?.astype(scales.dtype())?;
        Ok(vec![x.zeros_like()?, sums])
    }

    #[track_caller]
    fn jvp(&self, primals: &[Array], tangents: &[Option<&Array>]) -> Result<Vec<Array>> {
        Ok(vec![match tangents[1] {
            Some(t) => self.call(&primals[0], t)?,
            None => Array::zeros(self.shape(&primals[0])?, self.dtype)?,
        }])
    }

    #[track_caller]
    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        let outputs = match axes {
            // An axis more changes nothing; a scalar would lose its two elements.
            [Some(axis), None] if self.block.is_none() && inputs[0].ndim() > 1 => {
                vec![self.call(&inputs[0].moveaxis(*axis as i32, 0)?, &inputs[1])?]
            }
            _ => each(inputs, axes, |one| apply(self, one))?,
        };
        Ok(outputs)
    }
}

/// Bytes of a thread that makes a table of all bytes first.
const SPAN: i32 = 8192;

const NAMES: [&str; 3] = ["x", "scales", "block"];

fn kernel(format: Format, blocks: bool) -> Result<&'static MetalKernel> {
    static MADE: [[Made<MetalKernel>; 2]; 2] = [const { [const { Made::new() }; 2] }; 2];
    let (name, made) = match format {
        Format::Int4 => ("int4", &MADE[0]),
        Format::Nf4 => ("nf4", &MADE[1]),
    };
    let kind = if blocks {
        "dequantize_blocks"
    } else {
        "dequantize"
    };
    let made = &made[usize::from(blocks)];
    build_once(made, &format!("{kind}_{name}"), &NAMES, &["out"], || {
        source(&format!("kk_{name}"), blocks)
    })
}

fn source(value: &str, blocks: bool) -> String {
    let head = "const size_t at = size_t(thread_position_in_grid.y) * threads_per_grid.x + \
         thread_position_in_grid.x;\n\
         if (!EXACT && at >= size_t(x_shape[0]) * x_shape[1] / EACH) return;\n\
         const size_t line = thread_position_in_grid.y;\n";
    if blocks {
        return format!(
            "{head}const float scale = float(scales[WAY == 1 ? line : 0]);\n\
             const auto codes = kk_load<EACH>(x, at);\n\
             kk_block<O, 2 * EACH> y;\n\
             for (int k = 0; k < EACH; ++k) {{\n\
             const uint code = codes.v[k];\n\
             y.v[2 * k] = O({value}(code & 15u) * scale);\n\
             y.v[2 * k + 1] = O({value}(code >> 4) * scale);\n}}\n\
             kk_store_block(out, at, y);\n"
        );
    }
    format!(
        "{head}const uint code = x[at];\n\
         const size_t i = WAY == 2 ? 2 * at / size_t(block) : WAY == 1 ? line : 0;\n\
         const size_t j = WAY == 2 ? (2 * at + 1) / size_t(block) : i;\n\
         out[2 * at] = O({value}(code & 15u) * float(scales[i]));\n\
         out[2 * at + 1] = O({value}(code >> 4) * float(scales[j]));\n"
    )
}
