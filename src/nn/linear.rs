//! Linear layers.

use super::init::Init;
use super::lora::Lora;
use super::module::{Module, Node, Visit, VisitMut};
use super::param::Param;
use super::products::product_and_bias;
use super::weight::Weight;
use crate::ops::{Quantization, Quantized};
use crate::{Array, Error, Result};

/// `y = x W^T + b` over the last axis: rows of (..., inputs) become rows of (..., outputs).
///
/// The weight may be quantized ([`Weight`]); a [`Lora`] beside it adds a product of low rank.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2))?;
/// let layer = nn::Linear::from_weight(w, Some(Array::from_slice(&[10.0f32, 20.0], 2)?));
/// let y = layer.forward(&Array::from_slice(&[1.0f32, 1.0], (1, 2))?)?;
/// assert_eq!(y.to_vec::<f32>()?, [13.0, 27.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    /// (outputs, inputs).
    pub weight: Weight,
    /// (outputs,).
    pub bias: Option<Param>,
    /// What fine-tuning of low rank adds.
    pub lora: Option<Lora>,
}

impl Linear {
    /// A layer with a bias; weight and bias are uniform within `1 / sqrt(inputs)`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn new(inputs: i32, outputs: i32, init: &mut Init) -> Result<Self> {
        let bound = f64::from(inputs.max(1)).sqrt().recip();
        let layer = Linear::without_bias(inputs, outputs, init)?;
        let bias = Some(Param::new(init.uniform(&[outputs], bound)?));
        Ok(Linear { bias, ..layer })
    }

    /// The same without a bias.
    ///
    /// ```
    /// use zmlx::nn;
    /// let layer = nn::Linear::without_bias(4, 8, &mut nn::Init::seed(7))?;
    /// assert!(layer.bias.is_none());
    /// assert_eq!(layer.sizes(), (4, 8));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn without_bias(inputs: i32, outputs: i32, init: &mut Init) -> Result<Self> {
        let weight = Weight::new(&[outputs, inputs], init)?;
        Ok(Linear::from_weight(weight, None))
    }

    /// A layer of a weight (outputs, inputs), dense or quantized, and perhaps a bias (outputs,).
    pub fn from_weight(weight: impl Into<Weight>, bias: Option<Array>) -> Self {
        Linear {
            weight: weight.into(),
            bias: bias.map(Param::new),
            lora: None,
        }
    }

    /// How many numbers a row has that goes in, and one that comes out.
    pub fn sizes(&self) -> (i32, i32) {
        match self.weight.shape()[..] {
            [.., outputs, inputs] => (inputs, outputs),
            _ => (0, 0),
        }
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width; [`Error::Dtype`] for integers where the weight is quantized.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let mut y = match (&self.weight, &self.bias) {
            (Weight::Dense(weight), Some(bias)) if x.dtype() == weight.dtype() => {
                product_and_bias(x, weight, bias)?
            }
            (weight, Some(bias)) => weight.product(x)?.add(&**bias)?,
            (weight, None) => weight.product(x)?,
        };
        if let Some(lora) = &self.lora {
            y = y.add(lora.forward(x)?.astype(y.dtype())?)?;
        }
        Ok(y)
    }

    /// The layer without its bias.
    #[track_caller]
    pub(super) fn product(&self, x: &Array) -> Result<Array> {
        let y = self.weight.product(x)?;
        match &self.lora {
            Some(lora) => y.add(lora.forward(x)?.astype(y.dtype())?),
            None => Ok(y),
        }
    }
}

impl Module for Linear {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.flat(&self.weight);
        if let Some(bias) = &self.bias {
            to.field("bias", bias);
        }
        if let Some(lora) = &self.lora {
            to.field("lora", lora);
        }
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.node(Node::Linear(self));
        to.flat(&mut self.weight);
        if let Some(bias) = &mut self.bias {
            to.field("bias", bias);
        }
        if let Some(lora) = &mut self.lora {
            to.field("lora", lora);
        }
    }
}

/// A [`Linear`] whose weight is quantized from the start: what [`ModuleExt::quantize`](super::ModuleExt::quantize) makes of one.
///
/// ```
/// use zmlx::{Array, Dtype, nn, ops::Quantization};
/// # fn main() -> zmlx::Result<()> {
/// let w = Array::linspace(-1.0..=1.0, 3 * 64, Dtype::Float32)?.reshape((3, 64))?;
/// let layer = nn::QuantizedLinear::new(&w, None, Quantization::affine(32, 8))?;
/// let x = Array::ones((1, 64), Dtype::Float32)?;
/// assert!(layer.forward(&x)?.allclose(&x.matmul(&w.transpose(..)?)?, (1e-2, 0.2))?.item::<bool>()?);
/// # Ok(())
/// # }
/// ```
pub struct QuantizedLinear;

impl QuantizedLinear {
    /// Quantizes a weight (outputs, inputs).
    ///
    /// # Errors
    /// What [`Array::quantize`] fails with.
    #[track_caller]
    #[expect(
        clippy::new_ret_no_self,
        reason = "a linear layer is one type, whatever its weight is"
    )]
    pub fn new(weight: &Array, bias: Option<Array>, quantization: Quantization) -> Result<Linear> {
        Ok(Linear::from_weight(weight.quantize(quantization)?, bias))
    }

    /// A layer of parts, as a file has them.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn, ops};
    /// let w = Array::ones((2, 64), Dtype::Float32)?.quantize(ops::Quantization::affine(64, 4))?;
    /// let layer = nn::QuantizedLinear::from_parts(w, None)?;
    /// let y = layer.forward(&Array::ones((1, 64), Dtype::Float32)?)?;
    /// assert!(y.allclose(&Array::full((1, 2), 64, Dtype::Float32)?, (1e-3, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless the packed weight is a matrix.
    #[track_caller]
    pub fn from_parts(parts: Quantized, bias: Option<Array>) -> Result<Linear> {
        if parts.weight.ndim() != 2 {
            return Err(Error::shape(format!(
                "`parts`: expected a matrix (outputs, packed inputs), got shape {:?}",
                parts.weight.shape()
            )));
        }
        Ok(Linear::from_weight(parts, bias))
    }
}
