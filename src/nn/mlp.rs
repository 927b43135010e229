//! Feed-forward layers.

use super::activation::Activation;
use super::init::Init;
use super::linear::Linear;
use crate::kernels::transformer::{geglu2, swiglu2};
use crate::nn::Module;
use crate::{Array, Result};

/// `down(activation(up(x)))`.
///
/// ```
/// use zmlx::{Array, Dtype, nn};
/// # fn main() -> zmlx::Result<()> {
/// let mlp = nn::Mlp::new(8, 32, &mut nn::Init::seed(7))?.activation(nn::Activation::Relu);
/// assert_eq!(mlp.forward(&Array::ones((2, 8), Dtype::Float32)?)?.shape(), [2, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct Mlp {
    /// (hidden, width).
    pub up: Linear,
    /// (width, hidden).
    pub down: Linear,
    #[module(skip)]
    activation: Activation,
}

impl Mlp {
    /// Linear layers with a bias, and GELU by the hyperbolic tangent between them.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a negative size.
    #[track_caller]
    pub fn new(width: i32, hidden: i32, init: &mut Init) -> Result<Self> {
        Ok(Mlp {
            up: Linear::new(width, hidden, init)?,
            down: Linear::new(hidden, width, init)?,
            activation: Activation::GeluTanh,
        })
    }

    /// Another activation.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// As [`Linear::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let hidden = self.activation.forward(&self.up.forward(x)?)?;
        self.down.forward(&hidden)
    }
}

/// `down(silu(gate(x)) up(x))`, without biases (N. Shazeer, "GLU Variants Improve Transformer", 2020); with
/// [`gelu`](SwiGlu::gelu) in place of SiLU the form of Gemma.
///
/// ```
/// use zmlx::{Array, Dtype, nn};
/// # fn main() -> zmlx::Result<()> {
/// let mlp = nn::SwiGlu::new(8, 32, &mut nn::Init::seed(7))?;
/// assert_eq!(mlp.forward(&Array::ones((2, 8), Dtype::Float32)?)?.shape(), [2, 8]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct SwiGlu {
    /// (hidden, width).
    pub gate: Linear,
    /// (hidden, width).
    pub up: Linear,
    /// (width, hidden).
    pub down: Linear,
    gelu: bool,
}

impl SwiGlu {
    /// A layer with random weights.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a negative size.
    #[track_caller]
    pub fn new(width: i32, hidden: i32, init: &mut Init) -> Result<Self> {
        Ok(SwiGlu {
            gate: Linear::without_bias(width, hidden, init)?,
            up: Linear::without_bias(width, hidden, init)?,
            down: Linear::without_bias(hidden, width, init)?,
            gelu: false,
        })
    }

    /// Whether the gate is GELU by the hyperbolic tangent in place of SiLU.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mlp = nn::SwiGlu::new(8, 32, &mut nn::Init::seed(7))?;
    /// let x = Array::ones((1, 8), Dtype::Float32)?;
    /// let silu = mlp.forward(&x)?;
    /// let gelu = mlp.gelu(true).forward(&x)?;
    /// assert!(!silu.allclose(&gelu, (1e-5, 1e-6))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn gelu(mut self, gelu: bool) -> Self {
        self.gelu = gelu;
        self
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// As [`Linear::forward`]; [`Error::Dtype`](crate::Error::Dtype) unless float32, float16 or bfloat16.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let (gate, up) = (self.gate.forward(x)?, self.up.forward(x)?);
        let hidden = match self.gelu {
            true => geglu2(&gate, &up)?,
            false => swiglu2(&gate, &up)?,
        };
        self.down.forward(&hidden)
    }
}
