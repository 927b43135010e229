//! Calls of products with quantized matrices: what is asked for, and whether it fits.

use super::super::super::arguments::{check_float, check_shape};
use super::product::{Product, Then};
use super::weight::QuantizedWeight;
use crate::transforms::rules::{apply, only};
use crate::{Array, Dtype, Error, Result};

/// In which numbers a product may take the rows of x.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activations {
    /// As they are.
    #[default]
    Float,
    /// Rounded to signed bytes where that is faster: 32 neighbours of a row have a scale in float32, the largest of them in size over 127, and
    /// are multiplied with the codes as whole numbers. So each number is off by up to 1/254 of the largest among its neighbours. Neighbours that
    /// are not all finite give NaN; what is below 1e-36 counts as zero.
    ///
    /// It is done on a CPU for Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K and affine layouts of 4 and 8 bits. Everywhere else it is as
    /// [`Float`](Self::Float). Derivatives are those of the product without the rounding.
    Int8,
}

/// A call of [`quantized_matmul`](super::quantized_matmul) or [`gather_quantized_matmul`](super::gather_quantized_matmul).
///
/// ```
/// use zmlx::{Array, Dtype, kernels::quant::{QuantizedWeight, quantized_matmul}, ops::Quantization};
/// let ones = Array::ones((4, 64), Dtype::Float32)?.quantize(Quantization::affine(64, 4))?;
/// let w = QuantizedWeight::new(&ones)?;
/// let x = Array::ones((1, 64), Dtype::Float32)?;
/// // silu(64) is 64 to the last bit.
/// assert_eq!(quantized_matmul(&x, &w).silu().call()?.to_vec::<f32>()?, [64.0; 4]);
/// assert_eq!(quantized_matmul(&x, &w).swiglu(&w).call()?.to_vec::<f32>()?, [4096.0; 4]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct QuantizedMatmul<'a> {
    x: &'a Array,
    w: &'a QuantizedWeight,
    experts: Option<&'a Array>,
    bias: Option<&'a Array>,
    silu: bool,
    up: Option<&'a QuantizedWeight>,
    residual: Option<&'a Array>,
    activations: Activations,
}

impl<'a> QuantizedMatmul<'a> {
    pub(super) fn new(x: &'a Array, w: &'a QuantizedWeight) -> Self {
        QuantizedMatmul {
            x,
            w,
            experts: None,
            bias: None,
            silu: false,
            up: None,
            residual: None,
            activations: Activations::Float,
        }
    }

    pub(super) fn picked(x: &'a Array, w: &'a QuantizedWeight, experts: &'a Array) -> Self {
        QuantizedMatmul {
            experts: Some(experts),
            ..QuantizedMatmul::new(x, w)
        }
    }

    /// Adds `bias` to the product: (N,), or (E, N) with experts; float32, float16 or bfloat16.
    pub fn bias(mut self, bias: &'a Array) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Takes `z sigmoid(z)` of the product and bias z.
    pub fn silu(mut self) -> Self {
        self.silu = true;
        self
    }

    /// Takes `silu(z) (x up^T)`, where z are the product and bias: the middle of a SwiGLU. `up` has the shape of the first matrix.
    pub fn swiglu(mut self, up: &'a QuantizedWeight) -> Self {
        self.silu = true;
        self.up = Some(up);
        self
    }

    /// Adds `residual` in the end: of the shape of the result, float32, float16 or bfloat16.
    pub fn residual(mut self, residual: &'a Array) -> Self {
        self.residual = Some(residual);
        self
    }

    /// In which numbers it may take the rows of x (default [`Activations::Float`]).
    ///
    /// ```
    /// use zmlx::{Array, Dtype, kernels::quant::{Activations, QuantizedWeight, quantized_matmul}, ops::Quantization};
    /// let ones = Array::ones((4, 64), Dtype::Float32)?.quantize(Quantization::affine(64, 4))?;
    /// let w = QuantizedWeight::new(&ones)?;
    /// let x = Array::ones((1, 64), Dtype::Float32)?;
    /// let y = quantized_matmul(&x, &w).activations(Activations::Int8).call()?;
    /// assert!((y.max(..)?.item::<f32>()? - 64.0).abs() < 1e-3);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn activations(mut self, activations: Activations) -> Self {
        self.activations = activations;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] where the shapes do not fit each other, [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        check_float("x", self.x)?;
        let shape = self.w.shape();
        let (n, k) = match (shape, self.experts) {
            (&[n, k], None) | (&[_, n, k], Some(_)) => (n, k),
            _ => {
                let axes = ["(N, K)", "(E, N, K)"][usize::from(self.experts.is_some())];
                return Err(Error::shape(format!(
                    "`w`: expected shape {axes}, got {shape:?}"
                )));
            }
        };
        let leading = match self.x.shape() {
            [leading @ .., last] if *last == k => leading,
            found => {
                return Err(Error::shape(format!(
                    "`x`: expected shape (..., {k}) for a matrix of shape {shape:?}, got {found:?}"
                )));
            }
        };
        let mut out = leading.to_vec();
        let slots = self.slots(leading)?;
        out.extend(slots);
        out.push(n);
        let mut inputs = vec![self.x];
        if let Some(residual) = self.residual {
            check_float("residual", residual)?;
            check_shape("residual", residual, &out)?;
            inputs.push(residual);
        }
        inputs.extend(self.experts);
        if let Some(bias) = self.bias {
            check_float("bias", bias)?;
            check_shape("bias", bias, &shape[..shape.len() - 1])?;
            inputs.push(bias);
        }
        let mut parts = self.w.held()?;
        let mut formats = smallvec::smallvec![self.w.format()];
        if let Some(up) = self.up {
            if up.shape() != shape {
                return Err(Error::shape(format!(
                    "`up`: expected a matrix of shape {shape:?}, got {:?}",
                    up.shape()
                )));
            }
            parts.extend(up.held()?);
            formats.push(up.format());
        }
        inputs.extend(&parts);
        let product = Product {
            formats,
            shape: shape.into(),
            slots,
            then: Then {
                experts: self.experts.is_some(),
                bias: self.bias.is_some(),
                silu: self.silu,
                residual: self.residual.is_some(),
            },
            activations: self.activations,
        };
        only(apply(&product, &inputs)?, "outputs")
    }

    /// How many matrices a row is multiplied by, where the result has an axis for that.
    #[track_caller]
    fn slots(&self, leading: &[i32]) -> Result<Option<i32>> {
        let Some(experts) = self.experts else {
            return Ok(None);
        };
        if !experts.dtype().is_integral() || experts.dtype() == Dtype::Bool {
            return Err(Error::dtype(format!(
                "`experts`: expected integers, got {}",
                experts.dtype()
            )));
        }
        match experts.shape() {
            found if found == leading => Ok(None),
            [rows @ .., slots] if rows == leading => Ok(Some(*slots)),
            found => Err(Error::shape(format!(
                "`experts`: expected shape {leading:?}, or that and an axis, got {found:?}"
            ))),
        }
    }
}
