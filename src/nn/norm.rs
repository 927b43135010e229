//! Normalization layers.

use super::init::Init;
use super::param::Param;
use crate::kernels::norms;
use crate::nn::Module;
use crate::{Array, Error, Result};

/// [`norms::rmsnorm`] with a weight of its own: `x / sqrt(mean(x^2) + eps) weight` over the last axis.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let norm = nn::RmsNorm::new(2, &nn::Init::seed(0))?.eps(0.0);
/// let y = norm.forward(&Array::from_slice(&[3.0f32, 4.0], (1, 2))?)?.to_vec::<f32>()?;
/// assert!((y[0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct RmsNorm {
    /// (width,).
    pub weight: Param,
    eps: f32,
}

impl RmsNorm {
    /// Ones as the weight; eps is 1e-5.
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative width.
    #[track_caller]
    pub fn new(width: i32, init: &Init) -> Result<Self> {
        Ok(RmsNorm::from_weight(init.ones(&[width])?))
    }

    /// One with this weight, (width,).
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let norm = nn::RmsNorm::from_weight(Array::from_iter([1.0f32, 10.0])?).eps(0.0);
    /// let y = norm.forward(&Array::ones((1, 2), Dtype::Float32)?)?;
    /// assert!(y.allclose(&Array::from_iter([1.0f32, 10.0])?, (1e-5, 0.0))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn from_weight(weight: Array) -> Self {
        let weight = weight.into();
        RmsNorm { weight, eps: 1e-5 }
    }

    /// What is added to the mean of squares.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width, [`Error::Dtype`] unless float32, float16 or bfloat16.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        norms::rmsnorm(x, &self.weight).eps(self.eps).call()
    }
}

/// [`norms::layernorm`] with weight and bias of its own: `(x - mean(x)) / sqrt(var(x) + eps) weight + bias` over the last axis.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let norm = nn::LayerNorm::new(2, &nn::Init::seed(0))?.eps(0.0);
/// let y = norm.forward(&Array::from_slice(&[2.0f32, 4.0], (1, 2))?)?;
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct LayerNorm {
    /// (width,).
    pub weight: Param,
    /// (width,).
    pub bias: Param,
    eps: f32,
}

impl LayerNorm {
    /// Ones as the weight, zeros as the bias; eps is 1e-5.
    ///
    /// # Errors
    /// [`Error::Shape`] for a negative width.
    #[track_caller]
    pub fn new(width: i32, init: &Init) -> Result<Self> {
        Ok(LayerNorm {
            weight: init.ones(&[width])?.into(),
            bias: init.zeros(&[width])?.into(),
            eps: 1e-5,
        })
    }

    /// What is added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows of another width, [`Error::Dtype`] unless float32, float16 or bfloat16.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        norms::layernorm(x, &self.weight, &self.bias)
            .eps(self.eps)
            .call()
    }
}

/// Normalization of groups of channels, all positions of a group together (Y. Wu and K. He, "Group Normalization", 2018):
/// (batch, ..., channels) keeps its shape.
///
/// ```
/// use zmlx::{Array, nn};
/// # fn main() -> zmlx::Result<()> {
/// let norm = nn::GroupNorm::new(2, 4, &nn::Init::seed(0))?.eps(0.0);
/// let x = Array::from_slice(&[1.0f32, 3.0, 10.0, 30.0], (1, 1, 4))?;
/// assert_eq!(norm.forward(&x)?.to_vec::<f32>()?, [-1.0, 1.0, -1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct GroupNorm {
    /// (channels,).
    pub weight: Param,
    /// (channels,).
    pub bias: Param,
    groups: i32,
    eps: f32,
}

impl GroupNorm {
    /// Ones as the weight, zeros as the bias; eps is 1e-5. Neighbouring channels form a group, as in PyTorch.
    ///
    /// # Errors
    /// [`Error::Argument`] unless the groups divide the channels.
    #[track_caller]
    pub fn new(groups: i32, channels: i32, init: &Init) -> Result<Self> {
        if groups < 1 || channels < 1 || channels % groups != 0 {
            let expected = format!("a divisor of the {channels} channels");
            return Err(Error::argument("groups", expected, groups));
        }
        Ok(GroupNorm {
            weight: init.ones(&[channels])?.into(),
            bias: init.zeros(&[channels])?.into(),
            groups,
            eps: 1e-5,
        })
    }

    /// What is added to the variance.
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape, [`Error::Dtype`] unless float32, float16 or bfloat16.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let &[channels] = self.weight.shape() else {
            let shape = self.weight.shape();
            return Err(Error::shape(format!(
                "`weight`: expected one axis, got shape {shape:?}"
            )));
        };
        let (batch, positions) = match *x.shape() {
            [batch, ref positions @ .., last] if last == channels => {
                let positions: i64 = positions.iter().map(|&n| i64::from(n)).product();
                (batch, i32::try_from(positions).unwrap_or(i32::MAX))
            }
            ref shape => {
                return Err(Error::shape(format!(
                    "`x`: expected shape (batch, ..., {channels}), got {shape:?}"
                )));
            }
        };
        let size = channels / self.groups;
        let grouped = x.reshape((batch, positions, self.groups, size))?;
        let rows = grouped.transpose([0, 2, 1, 3])?;
        let rows = rows.reshape((batch, self.groups, positions * size))?;
        let normed = norms::layer_norm_no_weight(&rows).eps(self.eps).call()?;
        let normed = normed.reshape((batch, self.groups, positions, size))?;
        let y = normed.transpose([0, 2, 1, 3])?.reshape(x.shape())?;
        let scaled = y.multiply(self.weight.astype(x.dtype())?)?;
        scaled.add(self.bias.astype(x.dtype())?)
    }
}
