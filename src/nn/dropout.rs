//! Dropout.

use super::module::{Module, Node, Visit, VisitMut};
use crate::kernels::transformer::dropout;
use crate::{Array, Error, Result};

/// While it is trained, sets each element to 0 with a probability and divides the others by what remains (N. Srivastava and
/// others, "Dropout", 2014); otherwise it changes nothing. [`ModuleExt::train`](super::ModuleExt::train) says which.
///
/// Each call draws anew from the thread's random numbers, which [`random::seed`](crate::random::seed) makes reproducible.
///
/// ```
/// use zmlx::{Array, Dtype, nn::{self, ModuleExt}};
/// # fn main() -> zmlx::Result<()> {
/// let mut dropout = nn::Dropout::new(0.25)?;
/// let x = Array::ones((100, 100), Dtype::Float32)?;
/// let kept = dropout.forward(&x)?.count_nonzero(..)?.item::<i32>()?;
/// assert!((7_000..8_000).contains(&kept));
/// dropout.train(false);
/// assert_eq!(dropout.forward(&x)?.count_nonzero(..)?.item::<i32>()?, 10_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    p: f32,
    trained: bool,
}

impl Dropout {
    /// Drops with probability `p`.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `0 <= p < 1`.
    #[track_caller]
    pub fn new(p: f32) -> Result<Self> {
        match (0.0..1.0).contains(&p) {
            true => Ok(Dropout { p, trained: true }),
            false => Err(Error::argument("p", "a probability below 1", p)),
        }
    }

    /// Applies the layer.
    ///
    /// # Errors
    /// [`Error::Dtype`] unless float32, float16 or bfloat16; [`Error::NotReady`] in a step that [`nn::compile`](super::compile()) traces,
    /// as all calls of it would drop the same elements.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        if !self.trained || self.p == 0.0 {
            return Ok(x.clone());
        }
        if super::compile::tracing() {
            return Err(Error::not_ready(
                "dropout in a compiled step would drop the same elements at each call",
            ));
        }
        dropout(x, self.p, crate::random::next_number())
    }
}

impl Module for Dropout {
    fn visit<'a>(&'a self, _to: &mut Visit<'a, '_>) {}

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.node(Node::Training(&mut self.trained));
    }
}
