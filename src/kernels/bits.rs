//! Zeros and ones, eight in a byte.

mod table;

pub(super) use table::TABLE;

use super::arguments::two_axes;
use super::moving::{only, over};
use super::selection::{check_ordered, no_derivatives};
use crate::array::IntoShape;
use crate::codegen::blocks::as_on_gpu;
use crate::metal::{Made, build_once};
use crate::transforms::rules::{Rules, apply, each};
use crate::{Array, Dtype, Error, MetalKernel, Result};

/// Whether each element is other than 0, eight a byte: bit i of byte b says it of element 8 b + i in row-major order.
///
/// `x`: any shape whose number of elements is divisible by 8, any dtype but float64 and complex64. The result is
/// (size / 8,), uint8. NaN is not 0, and -0 is. It has no derivative.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1, 0, 0, 5, 0, 0, 0, -1], (2, 4))?;
/// assert_eq!(kernels::bits::pack_bits(&x)?.to_vec::<u8>()?, [0b1000_1001]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for another number of elements, [`Error::Dtype`] for float64 and complex64, [`Error::Argument`] in a gradient.
#[track_caller]
pub fn pack_bits(x: &Array) -> Result<Array> {
    check_ordered("x", x)?;
    if !x.size().is_multiple_of(8) {
        return Err(Error::shape(format!(
            "`x`: expected a number of elements divisible by 8, got {} in shape {:?}",
            x.size(),
            x.shape()
        )));
    }
    only(apply(&Bits::Pack, &[x])?)
}

/// The bits of each byte as 0 or 1, the lowest first: what [`pack_bits`] packed.
///
/// `x`: any shape, uint8. The result is (8 size,), uint8, or has the shape that
/// [`original_shape`](UnpackBits::original_shape) says.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0b1000_1001u8], 1)?;
/// let y = kernels::bits::unpack_bits(&x).original_shape((2, 4)).call()?;
/// assert_eq!(y.to_vec::<u8>()?, [1, 0, 0, 1, 0, 0, 0, 1]);
/// # Ok(())
/// # }
/// ```
pub fn unpack_bits(x: &Array) -> UnpackBits<'_> {
    UnpackBits { x, shape: None }
}

/// A call of [`unpack_bits`], ended by [`call`](UnpackBits::call).
#[must_use = "nothing is computed before `call`"]
pub struct UnpackBits<'a> {
    x: &'a Array,
    shape: Option<Result<Vec<i32>>>,
}

impl UnpackBits<'_> {
    /// The shape of the result, of exactly as many elements (default: one axis).
    #[track_caller]
    pub fn original_shape(mut self, shape: impl IntoShape) -> Self {
        self.shape = Some(shape.into_shape());
        self
    }

    /// The zeros and ones.
    ///
    /// # Errors
    /// [`Error::Dtype`] unless `x` is uint8, [`Error::Shape`] for a shape of another number of elements.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let x = self.x;
        if x.dtype() != Dtype::Uint8 {
            return Err(Error::dtype(format!(
                "`x`: expected uint8, got {}",
                x.dtype()
            )));
        }
        let size = 8 * x.size() as i64;
        let shape = match self.shape {
            Some(shape) => shape.map_err(|e| match e {
                Error::Shape { message, at } => Error::Shape {
                    message: message.replace("`shape`", "`original_shape`"),
                    at,
                },
                other => other,
            })?,
            None => match i32::try_from(size) {
                Ok(size) => vec![size],
                Err(_) => {
                    let expected = "a shape, as 2^31 bits or more are too long for one axis";
                    return Err(Error::argument("original_shape", expected, "none"));
                }
            },
        };
        let elements = crate::array::element_count(&shape).ok();
        if elements.and_then(|n| i64::try_from(n).ok()) != Some(size) {
            return Err(Error::shape(format!(
                "`original_shape`: expected {size} elements, got {shape:?}"
            )));
        }
        only(apply(&Bits::Unpack, &[x])?)?.reshape(shape)
    }
}

/// Eight bytes of bits, or those that are left, by a thread.
const WORDS: &str = "if (8 * i + 8 <= count) {\n\
      const ulong word = kk_pack_word(x + 64 * i);\n\
      for (int b = 0; b < 8; ++b) out[8 * i + b] = uchar(word >> (8 * b));\n\
    } else {\n\
      for (size_t b = 8 * i; b < count; ++b) out[b] = kk_pack_byte(x + 8 * b);\n\
    }";

/// One of the two, a thread a byte.
#[derive(Clone, Copy)]
enum Bits {
    Pack,
    Unpack,
}

impl Rules for Bits {
    fn name(&self) -> &str {
        match self {
            Bits::Pack => "pack_bits",
            Bits::Unpack => "unpack_bits",
        }
    }

    fn forward(&self, inputs: &[&Array]) -> Result<Vec<Array>> {
        static MADE: [Made<MetalKernel>; 3] = [const { Made::new() }; 3];
        let x = inputs[0].reshape(two_axes(inputs[0].shape()))?;
        // A byte is unpacked into eight at once.
        let (bytes, count, statement, dtype) = match self {
            Bits::Pack => {
                let count = "size_t(x_shape[0]) * x_shape[1] / 8";
                (x.size() / 8, count, "kk_pack_byte(x + 8 * i)", Dtype::Uint8)
            }
            Bits::Unpack => (
                x.size(),
                "size_t(x_shape[0]) * x_shape[1]",
                "kk_unpack_byte(x[i])",
                Dtype::Uint64,
            ),
        };
        if bytes == 0 {
            return Ok(vec![Array::zeros(0, Dtype::Uint8)?]);
        }
        let Ok(lines) = i32::try_from(bytes) else {
            let expected = "what has fewer than 2^31 bytes of bits";
            return Err(Error::argument("x", expected, bytes));
        };
        // A thread of a CPU packs eight bytes at once.
        let words = matches!(self, Bits::Pack) && !as_on_gpu(crate::stream::current().gpu);
        let (made, name) = match words {
            true => (&MADE[2], "pack_words"),
            false => (&MADE[*self as usize], self.name()),
        };
        let kernel = build_once(made, name, &["x"], &["out"], || {
            let each = match words {
                true => WORDS.to_owned(),
                false => format!("if (i < count) out[i] = {statement};"),
            };
            format!(
                "const size_t count = {count};\n\
                 const size_t i = size_t(thread_position_in_grid.y) * threads_per_grid.x + thread_position_in_grid.x;\n\
                 {each}"
            )
        })?;
        let inputs = [&x];
        // A line a byte, or a word of eight: the last axis grows when words are seen as bytes.
        let shape = [lines, 1];
        let mut launch = kernel.launch(&inputs);
        launch.set_output(&shape, dtype);
        over(&mut launch, if words { bytes.div_ceil(8) } else { bytes });
        let [out] = launch.add()?;
        let out = out.view(Dtype::Uint8)?;
        Ok(vec![match self {
            Bits::Pack => out.reshape(lines)?,
            Bits::Unpack => out,
        }])
    }

    no_derivatives!("x");

    fn vmap(&self, inputs: &[Array], axes: &[Option<usize>]) -> Result<Vec<Array>> {
        each(inputs, axes, |one| apply(self, one))
    }
}
