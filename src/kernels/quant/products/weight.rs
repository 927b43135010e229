//! Quantized matrices, in MLX's layouts and in GGUF's.

use smallvec::SmallVec;

use super::super::super::arguments::number;
use super::super::super::held::held;
use super::unpack;
use crate::io::{GgufTensor, GgufType};
use crate::ops::{QuantMode, Quantization, Quantized};
use crate::{Array, Dtype, Error, Result};

/// How the elements of a matrix became bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuantFormat {
    /// One of MLX's layouts: packed elements, and scales in arrays of their own.
    Mlx(Quantization),
    /// The blocks of a GGUF file as they lie there: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K.
    Gguf(GgufType),
}

/// A quantized matrix, or stack of them: (..., N, K), whose rows are packed.
///
/// ```
/// use zmlx::{Array, Dtype, io::GgufType, kernels::quant::QuantizedWeight, ops::Quantization};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::linspace(-1.0..=1.0, 2 * 64, Dtype::Float32)?.reshape((2, 64))?;
/// let mlx = QuantizedWeight::new(&w.quantize(Quantization::affine(64, 4))?)?;
/// assert_eq!(mlx.shape(), [2, 64]);
/// // A block of Q8_0: the scale 0.5 as float16, then 32 elements.
/// let block = [&[0x00, 0x38][..], &[2u8; 32]].concat();
/// let gguf = QuantizedWeight::gguf(GgufType::Q8_0, &Array::from_slice(&block, (1, 34))?)?;
/// assert_eq!(gguf.dequantize(Dtype::Float32)?.to_vec::<f32>()?, [1.0; 32]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct QuantizedWeight {
    format: QuantFormat,
    /// The packed elements, then scales, biases or the scale of the whole, if the format has them.
    parts: SmallVec<[Array; 3]>,
    shape: Vec<i32>,
}

impl QuantizedWeight {
    /// A matrix in one of MLX's layouts.
    ///
    /// # Errors
    /// Those of [`Quantized::dequantize`]; [`Error::Shape`] for rows that are no multiple of 32 elements (nvfp4 has such);
    /// [`Error::Dtype`] for scales in float64.
    #[track_caller]
    pub fn new(w: &Quantized) -> Result<Self> {
        w.check()?;
        let q = w.quantization;
        let mut shape = w.weight.shape().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = (i64::from(*last) * 32 / i64::from(q.bits)) as i32;
        }
        let mut parts = SmallVec::from_iter([w.weight.clone(), w.scales.clone()]);
        match q.mode {
            QuantMode::Affine => {
                super::super::super::arguments::check_float("scales", &w.scales)?;
                parts.extend(w.biases.clone());
            }
            QuantMode::Nvfp4 => parts.push(match &w.global_scale {
                Some(scale) => {
                    let reach = crate::ops::NVFP4_REACH;
                    scale.astype(Dtype::Float32)?.reshape(1)?.divide(reach)?
                }
                None => number(1.0f32)?.reshape(1)?,
            }),
            _ => {}
        }
        if q.mode != QuantMode::Affine && w.scales.dtype() != Dtype::Uint8 {
            return Err(Error::dtype(format!(
                "`scales`: expected uint8 for {}, got {}",
                q.mode.name(),
                w.scales.dtype()
            )));
        }
        QuantizedWeight::of(QuantFormat::Mlx(q), parts, shape)
    }

    /// Blocks as they lie in a GGUF file: uint8, (..., N, bytes of a row).
    ///
    /// # Errors
    /// [`Error::Argument`] for a type that is not packed; [`Error::Dtype`] for another dtype than uint8; [`Error::Shape`] for fewer than two
    /// axes and for rows that are no whole blocks.
    #[track_caller]
    pub fn gguf(kind: GgufType, blocks: &Array) -> Result<Self> {
        if kind.dtype().is_some() {
            let expected = "a type whose elements are packed in blocks";
            return Err(Error::argument("kind", expected, kind.name()));
        }
        if blocks.dtype() != Dtype::Uint8 {
            return Err(Error::dtype(format!(
                "`blocks`: expected uint8, got {}",
                blocks.dtype()
            )));
        }
        let mut shape = blocks.shape().to_vec();
        let bytes = kind.block_bytes() as i32;
        match shape.last_mut() {
            Some(last) if *last % bytes == 0 && blocks.ndim() >= 2 => {
                let elements = i64::from(*last / bytes) * kind.block_elements() as i64;
                *last = i32::try_from(elements).map_err(|_| {
                    Error::shape(format!(
                        "`blocks`: rows of {elements} elements are too long"
                    ))
                })?;
            }
            _ => {
                return Err(Error::shape(format!(
                    "`blocks`: expected shape (..., N, bytes) with a multiple of {bytes} bytes for {}, got {:?}",
                    kind.name(),
                    blocks.shape()
                )));
            }
        }
        let parts = SmallVec::from_iter([blocks.clone()]);
        QuantizedWeight::of(QuantFormat::Gguf(kind), parts, shape)
    }

    /// An array of a GGUF file.
    ///
    /// ```
    /// use zmlx::{Array, io::{GgufTensor, GgufType}, kernels::quant::QuantizedWeight};
    /// let block = [&[0x00, 0x38][..], &[2u8; 32]].concat(); // of Q8_0: a scale and 32 elements
    /// let data = Array::from_slice(&block, (1, 34))?;
    /// let tensor = GgufTensor { kind: GgufType::Q8_0, shape: vec![1, 32], data };
    /// assert_eq!(QuantizedWeight::from_gguf(&tensor)?.shape(), [1, 32]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`gguf`](Self::gguf).
    #[track_caller]
    pub fn from_gguf(tensor: &GgufTensor) -> Result<Self> {
        QuantizedWeight::gguf(tensor.kind, &tensor.data)
    }

    #[track_caller]
    fn of(format: QuantFormat, parts: SmallVec<[Array; 3]>, shape: Vec<i32>) -> Result<Self> {
        if shape.last().is_none_or(|&k| k == 0 || k % 32 != 0) {
            return Err(Error::shape(format!(
                "`w`: expected rows of a multiple of 32 elements, got shape {shape:?}"
            )));
        }
        Ok(QuantizedWeight {
            format,
            parts,
            shape,
        })
    }

    /// How it was packed.
    pub fn format(&self) -> QuantFormat {
        self.format
    }

    /// Its shape in elements: (..., N, K).
    pub fn shape(&self) -> &[i32] {
        &self.shape
    }

    /// Bytes of everything that it is made of.
    pub fn nbytes(&self) -> usize {
        self.parts.iter().map(Array::nbytes).sum()
    }

    /// The arrays that it is made of: packed elements, then scales and biases where the format has them, and for nvfp4 the scale of the
    /// whole, divided by 2688.
    pub fn arrays(&self) -> &[Array] {
        &self.parts
    }

    /// Its elements as numbers: (..., N, K), in `dtype`: float32, float16 or bfloat16. Nothing flows back into its parts.
    ///
    /// # Errors
    /// [`Error::Argument`] for another dtype.
    #[track_caller]
    pub fn dequantize(&self, dtype: Dtype) -> Result<Array> {
        if !matches!(dtype, Dtype::Float32 | Dtype::Float16 | Dtype::Bfloat16) {
            return Err(Error::argument(
                "dtype",
                "float32, float16 or bfloat16",
                dtype,
            ));
        }
        unpack::unpack(self.format, &self.held()?, &self.shape, dtype)
    }

    /// Its parts; asking for a derivative by them is an error.
    #[track_caller]
    pub(super) fn held(&self) -> Result<SmallVec<[Array; 3]>> {
        let mut all = SmallVec::new();
        for part in &self.parts {
            all.push(held("w", part)?.into_owned());
        }
        Ok(all)
    }
}
