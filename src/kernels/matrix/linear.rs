//! Linear layers with what follows, in one kernel where nothing is differentiated.

use super::launch::{self, End};
use super::product::Way;
use crate::kernels::activations;
use crate::kernels::arguments::{check_broadcast, check_float, check_shape, rows};
use crate::transforms::rules::traced;
use crate::{Array, Error, Result};

/// A function of a linear layer's result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activation {
    /// The result as it is.
    #[default]
    None,
    /// `x sigmoid(x)`.
    Silu,
    /// GELU by the hyperbolic tangent.
    GeluTanh,
    /// GELU by the error function.
    Gelu,
}

impl Activation {
    /// By operations.
    #[track_caller]
    fn of(self, z: Array) -> Result<Array> {
        match self {
            Activation::None => Ok(z),
            Activation::Silu => activations::silu(&z),
            Activation::GeluTanh => activations::gelu_tanh(&z),
            Activation::Gelu => activations::gelu(&z),
        }
    }
}

/// A call of [`linear`](super::linear()), ended by [`call`](Linear::call).
#[must_use = "nothing is computed before `call`"]
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    x: &'a Array,
    w: &'a Array,
    bias: Option<&'a Array>,
    activation: Activation,
    residual: Option<&'a Array>,
    way: Way,
}

impl<'a> Linear<'a> {
    pub(super) fn new(x: &'a Array, w: &'a Array) -> Self {
        Linear {
            x,
            w,
            bias: None,
            activation: Activation::None,
            residual: None,
            way: Way::Measured,
        }
    }

    /// Added to each row, (N,).
    pub fn bias(mut self, bias: &'a Array) -> Self {
        self.bias = Some(bias);
        self
    }

    /// Applied to product and bias.
    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    /// Added at the end: what broadcasts to (..., N).
    pub fn residual(mut self, residual: &'a Array) -> Self {
        self.residual = Some(residual);
        self
    }

    /// Who computes the product.
    pub fn way(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// The result.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, [`Error::Dtype`] for another dtype.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let (x, w) = (self.x, self.w);
        check_float("x", x)?;
        check_float("w", w)?;
        let Some((&k, leading)) = x.shape().split_last() else {
            return Err(Error::shape(
                "`x`: expected an array with at least one axis, got a scalar".into(),
            ));
        };
        let &[n, _] = w.shape() else {
            return Err(Error::shape(format!(
                "`w`: expected shape (N, {k}), got {:?}",
                w.shape()
            )));
        };
        check_shape("w", w, &[n, k])?;
        let shape = [leading, &[n]].concat();
        if let Some(bias) = self.bias {
            check_float("bias", bias)?;
            check_shape("bias", bias, &[n])?;
        }
        if let Some(residual) = self.residual {
            check_float("residual", residual)?;
            check_broadcast("residual", residual, &shape)?;
        }
        if let Some(y) = self.fused()? {
            return Ok(y);
        }
        let flat = x.reshape((rows("x", leading)?, k))?;
        let mut z = super::product(&flat, w)
            .transposed(false, true)
            .way(self.way)
            .call()?
            .reshape(shape)?;
        if let Some(bias) = self.bias {
            z = z.add(bias)?;
        }
        z = self.activation.of(z)?;
        if let Some(residual) = self.residual {
            z = z.add(residual)?;
        }
        z.astype(x.dtype())
    }

    /// The same by one kernel, where that is the way and nothing is differentiated. The arguments are right.
    #[track_caller]
    pub(in crate::kernels) fn fused(&self) -> Result<Option<Array>> {
        let (x, w) = (self.x, self.w);
        let tiles = match self.way {
            Way::Tiles => true,
            Way::Mlx => false,
            Way::Measured => !crate::stream::current().gpu,
        };
        let mut all = vec![x, w];
        all.extend(self.bias);
        all.extend(self.residual);
        if !tiles || x.size() == 0 || w.size() == 0 || traced(&all) {
            return Ok(None);
        }
        let (leading, n) = (&x.shape()[..x.ndim() - 1], w.shape()[0]);
        let shape = [leading, &[n]].concat();
        let flat = x.reshape((rows("x", leading)?, w.shape()[1]))?;
        let bias = self.bias.map(Array::contiguous).transpose()?;
        let residual = self
            .residual
            .map(|r| r.broadcast_to(shape.as_slice())?.contiguous());
        let residual = residual.transpose()?;
        let end = End {
            bias: bias.as_ref(),
            function: self.activation as i32,
            residual: residual.as_ref(),
        };
        let y = launch::product(&flat, w, [false, true], end, x.dtype())?;
        Ok(Some(y.reshape(shape)?))
    }
}
