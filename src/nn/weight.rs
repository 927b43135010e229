//! A matrix of weights, as it is or quantized.

use super::init::Init;
use super::module::{Module, Node, Visit, VisitMut};
use super::param::Param;
use super::products;
use crate::io::GgufType;
use crate::kernels::quant::{QuantizedWeight, gather_quantized_matmul, quantized_matmul};
use crate::ops::{Pick, Quantization, Quantized};
use crate::{Array, Dtype, Error, Result};

/// A matrix of weights, or a stack of them: (..., outputs, inputs).
///
/// Its names are those of the layer that has it: `weight`, and where it is quantized `scales` and, for affine, `biases`, as files of MLX
/// and [`load_gguf`](crate::io::load_gguf) have them. What is quantized is not trained.
///
/// ```
/// use zmlx::{Array, Dtype, nn, ops};
/// let mut w = nn::Weight::new(&[8, 64], &mut nn::Init::seed(7))?;
/// let x = Array::ones((1, 64), Dtype::Float32)?;
/// let exact = w.product(&x)?;
/// assert!(w.quantize(ops::Quantization::affine(64, 8))?);
/// assert_eq!((w.is_quantized(), w.shape()), (true, vec![8, 64]));
/// assert!(w.product(&x)?.allclose(&exact, (0.0, 0.05))?.item::<bool>()?);
/// assert_eq!(w.rows(&Array::from_iter([3, 3])?)?.shape(), [2, 64]);
/// assert_eq!(w.dense()?.shape(), [8, 64]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Weight {
    /// Numbers as they are.
    Dense(Param),
    /// A few bits each, with a scale for each group of a row.
    Quantized(Quantized),
    /// Blocks as they lie in a GGUF file: uint8, (..., outputs, bytes of a row).
    Blocks {
        /// How numbers became bits.
        kind: GgufType,
        /// The bytes.
        blocks: Array,
    },
}

impl Weight {
    /// Random weights of this shape, uniform within `1 / sqrt(inputs)`.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two axes or a negative one.
    #[track_caller]
    pub fn new(shape: &[i32], init: &mut Init) -> Result<Self> {
        let &[.., _, inputs] = shape else {
            return Err(Error::shape(format!(
                "`shape`: expected (..., outputs, inputs), got {shape:?}"
            )));
        };
        let bound = f64::from(inputs.max(1)).sqrt().recip();
        Ok(Weight::Dense(Param::new(init.uniform(shape, bound)?)))
    }

    /// The shape that it has as numbers: (..., outputs, inputs).
    pub fn shape(&self) -> Vec<i32> {
        match self {
            Weight::Dense(weight) => weight.shape().to_vec(),
            Weight::Quantized(q) => {
                let mut shape = q.weight.shape().to_vec();
                if let Some(last) = shape.last_mut() {
                    *last = (i64::from(*last) * 32 / i64::from(q.quantization.bits.max(1))) as i32;
                }
                shape
            }
            Weight::Blocks { kind, blocks } => {
                let mut shape = blocks.shape().to_vec();
                if let Some(last) = shape.last_mut() {
                    let elements = i64::from(*last) / kind.block_bytes().max(1) as i64;
                    *last = (elements * kind.block_elements() as i64) as i32;
                }
                shape
            }
        }
    }

    /// Whether it is quantized.
    pub fn is_quantized(&self) -> bool {
        !matches!(self, Weight::Dense(_))
    }

    /// `x W^T`: rows of (..., inputs) become rows of (..., outputs).
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width; [`Error::Dtype`] for integers where it is quantized.
    #[track_caller]
    pub fn product(&self, x: &Array) -> Result<Array> {
        match self {
            Weight::Dense(weight) => products::product(x, weight),
            Weight::Quantized(quantized) => match by_kernels(x, quantized) {
                Some(packed) => quantized_matmul(x, &packed).call(),
                None => x.quantized_matmul(quantized, true),
            },
            Weight::Blocks { kind, blocks } => {
                quantized_matmul(x, &QuantizedWeight::gguf(*kind, blocks)?).call()
            }
        }
    }

    /// Rows of a matrix by number: integers of any shape become (..., inputs).
    ///
    /// # Errors
    /// [`Error::Dtype`] unless the numbers are integers; [`Error::Argument`] for one out of range that is known at the call.
    #[track_caller]
    pub fn rows(&self, numbers: &Array) -> Result<Array> {
        match self {
            Weight::Dense(weight) => weight.take(numbers, 0),
            Weight::Quantized(q) => {
                let biases = match &q.biases {
                    Some(biases) => Some(matrix_of(biases, numbers)?),
                    None => None,
                };
                let picked = Quantized {
                    weight: matrix_of(&q.weight, numbers)?,
                    scales: matrix_of(&q.scales, numbers)?,
                    biases,
                    ..q.clone()
                };
                match numbers.ndim() {
                    0 => picked.dequantize()?.squeeze(0),
                    _ => picked.dequantize(),
                }
            }
            Weight::Blocks { kind, blocks } => {
                let rows = blocks.take(numbers, 0)?;
                match numbers.ndim() {
                    0 => unpacked(*kind, &rows.expand_dims(0)?)?.squeeze(0),
                    _ => unpacked(*kind, &rows),
                }
            }
        }
    }

    /// `x[i] W[picks[i]]^T` of a stack of matrices: rows (n, inputs) become rows (n, outputs). `picks` are in ascending order.
    ///
    /// ```
    /// use zmlx::{Array, nn};
    /// let w = Array::from_slice(&[1.0f32, 10.0], (2, 1, 1))?; // two matrices of one number
    /// let x = Array::from_slice(&[3.0f32, 4.0], (2, 1))?;
    /// let picks = Array::from_iter([0u32, 1])?;
    /// let y = nn::Weight::from(w).picked(&x, &picks)?;
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 40.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width; [`Error::Dtype`] on the CPU unless float32 or quantized.
    #[track_caller]
    pub fn picked(&self, x: &Array, picks: &Array) -> Result<Array> {
        let pick = Pick {
            rhs: Some(picks),
            sorted: true,
            ..Pick::default()
        };
        let rows = x.expand_dims(1)?;
        let product = match self {
            Weight::Dense(weight) => rows.gather_mm(&weight.swapaxes(-1, -2)?, pick)?,
            Weight::Quantized(quantized) => rows.gather_qmm(quantized, pick, true)?,
            Weight::Blocks { kind, blocks } => {
                let packed = QuantizedWeight::gguf(*kind, blocks)?;
                return gather_quantized_matmul(x, &packed, picks).call();
            }
        };
        product.squeeze(1)
    }

    /// The numbers, those of a quantized matrix approximately.
    ///
    /// # Errors
    /// What [`Quantized::dequantize`] fails with.
    #[track_caller]
    pub fn dense(&self) -> Result<Array> {
        match self {
            Weight::Dense(weight) => Ok((**weight).clone()),
            Weight::Quantized(quantized) => quantized.dequantize(),
            Weight::Blocks { kind, blocks } => unpacked(*kind, blocks),
        }
    }

    /// Quantizes it, unless it is already; whether it did. One whose rows do not divide into groups stays as it is.
    ///
    /// # Errors
    /// What [`Array::quantize`] fails with.
    #[track_caller]
    pub fn quantize(&mut self, quantization: Quantization) -> Result<bool> {
        let Weight::Dense(weight) = &*self else {
            return Ok(false);
        };
        let width = weight.shape().last().copied().unwrap_or(0);
        if weight.ndim() < 2 || width % quantization.group_size.max(1) != 0 {
            return Ok(false);
        }
        *self = Weight::Quantized(weight.quantize(quantization)?);
        Ok(true)
    }
}

/// What the catalog's product takes, where it is the one to take and gives the dtype that MLX's would.
fn by_kernels(x: &Array, quantized: &Quantized) -> Option<QuantizedWeight> {
    let kept = x.dtype() == Dtype::Float32 || x.dtype() == quantized.scales.dtype();
    match kept && x.ndim() >= 1 && quantized.weight.ndim() == 2 && products::packed_by_kernels(x) {
        true => QuantizedWeight::new(quantized).ok(),
        false => None,
    }
}

/// The numbers of blocks, float32.
#[track_caller]
fn unpacked(kind: GgufType, blocks: &Array) -> Result<Array> {
    QuantizedWeight::gguf(kind, blocks)?.dequantize(Dtype::Float32)
}

impl From<Array> for Weight {
    fn from(weight: Array) -> Self {
        Weight::Dense(Param::new(weight))
    }
}

impl From<Quantized> for Weight {
    fn from(quantized: Quantized) -> Self {
        Weight::Quantized(quantized)
    }
}

impl Module for Weight {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        match self {
            Weight::Dense(weight) => to.field("weight", weight),
            Weight::Quantized(q) => {
                to.buffer("weight", &q.weight);
                to.buffer("scales", &q.scales);
                if let Some(biases) = &q.biases {
                    to.buffer("biases", biases);
                }
                if let Some(scale) = &q.global_scale {
                    to.buffer("global_scale", scale);
                }
            }
            Weight::Blocks { blocks, .. } => to.buffer("weight", blocks),
        }
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.node(Node::Weight(self));
        match self {
            Weight::Dense(weight) => to.field("weight", weight),
            Weight::Quantized(q) => {
                to.buffer("weight", &mut q.weight);
                to.buffer("scales", &mut q.scales);
                if let Some(biases) = &mut q.biases {
                    to.buffer("biases", biases);
                }
                if let Some(scale) = &mut q.global_scale {
                    to.buffer("global_scale", scale);
                }
            }
            Weight::Blocks { blocks, .. } => to.buffer("weight", blocks),
        }
    }
}

/// Rows by number; a single one is a matrix of one row.
#[track_caller]
fn matrix_of(a: &Array, numbers: &Array) -> Result<Array> {
    let rows = a.take(numbers, 0)?;
    match numbers.ndim() {
        0 => rows.expand_dims(0),
        _ => Ok(rows),
    }
}
