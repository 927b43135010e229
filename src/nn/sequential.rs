//! Layers one after the other.

use super::activation::Activation;
use super::conv::{Conv1d, Conv2d};
use super::dropout::Dropout;
use super::embedding::Embedding;
use super::linear::Linear;
use super::mlp::{Mlp, SwiGlu};
use super::module::{Module, Visit, VisitMut};
use super::norm::{GroupNorm, LayerNorm, RmsNorm};
use crate::{Array, Result};

/// A module that makes one array of one array.
pub trait Layer: Module + LayerClone {
    /// Applies the layer.
    ///
    /// # Errors
    /// The layer's.
    #[track_caller]
    fn forward(&self, x: &Array) -> Result<Array>;
}

/// How a boxed layer is cloned; every layer that is `Clone` has it.
pub trait LayerClone {
    /// A clone in a box.
    fn boxed(&self) -> Box<dyn Layer>;
}

impl<L: Layer + Clone + 'static> LayerClone for L {
    fn boxed(&self) -> Box<dyn Layer> {
        Box::new(self.clone())
    }
}

macro_rules! layers {
    ($($ty:ident)*) => {$(
        impl Layer for $ty {
            #[track_caller]
            fn forward(&self, x: &Array) -> Result<Array> {
                $ty::forward(self, x)
            }
        }
    )*};
}
layers!(Linear Embedding RmsNorm LayerNorm GroupNorm Dropout Conv1d Conv2d Mlp SwiGlu Sequential);

impl Layer for Activation {
    #[track_caller]
    fn forward(&self, x: &Array) -> Result<Array> {
        Activation::forward(*self, x)
    }
}

/// Layers of any kind, each applied to what the one before made. Their names are their numbers.
///
/// ```
/// use zmlx::{Array, Dtype, nn::{self, ModuleExt}};
/// # fn main() -> zmlx::Result<()> {
/// let mut init = nn::Init::seed(7);
/// let model = nn::Sequential::new()
///     .then(nn::Linear::new(4, 16, &mut init)?)
///     .then(nn::Activation::Relu)
///     .then(nn::Linear::new(16, 2, &mut init)?);
/// assert_eq!(model.forward(&Array::ones((3, 4), Dtype::Float32)?)?.shape(), [3, 2]);
/// assert!(model.parameters().contains_key("2.weight"));
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<Box<dyn Layer>>,
}

impl Sequential {
    /// Without layers.
    pub fn new() -> Self {
        Sequential::default()
    }

    /// With one more layer.
    pub fn then(mut self, layer: impl Layer + 'static) -> Self {
        self.layers.push(Box::new(layer));
        self
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Applies all layers.
    ///
    /// # Errors
    /// The first error of a layer.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}

impl Clone for Sequential {
    fn clone(&self) -> Self {
        let layers = self.layers.iter().map(|l| (**l).boxed()).collect();
        Sequential { layers }
    }
}

impl Module for Sequential {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.flat(&self.layers);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.flat(&mut self.layers);
    }
}
