//! A mixture of experts.

use super::init::Init;
use super::linear::Linear;
use super::module::{Visit, VisitMut};
use super::weight::Weight;
use crate::kernels::moe::{moe_dispatch, top2_gating_softmax};
use crate::kernels::transformer::swiglu2;
use crate::nn::Module;
use crate::{Array, Dtype, Error, Result};

/// One matrix for each expert, as a field of its own.
#[derive(Clone, Debug)]
pub struct Experts {
    /// (experts, outputs, inputs), dense or quantized.
    pub weight: Weight,
}

impl Experts {
    #[track_caller]
    fn new(shape: [i32; 3], init: &mut Init) -> Result<Self> {
        let weight = Weight::new(&shape, init)?;
        Ok(Experts { weight })
    }
}

impl Module for Experts {
    fn visit<'a>(&'a self, to: &mut Visit<'a, '_>) {
        to.flat(&self.weight);
    }

    fn visit_mut(&mut self, to: &mut VisitMut<'_>) {
        to.flat(&mut self.weight);
    }
}

/// SwiGLU layers of which each token goes to the `k` that a router scores highest, weighted by the softmax of their scores (N.
/// Shazeer and others, "Outrageously Large Neural Networks", 2017; the experts as in Mixtral).
///
/// Tokens are brought into the order of their experts, so that each product reads an expert's weights once. On the CPU float32 only,
/// unless the experts are quantized.
///
/// ```
/// use zmlx::{nn, random};
/// # fn main() -> zmlx::Result<()> {
/// let moe = nn::Moe::new(16, 32, 4, 2, &mut nn::Init::seed(7))?;
/// let (y, balance) = moe.forward_balanced(&random::normal((2, 5, 16))?)?;
/// assert_eq!(y.shape(), [2, 5, 16]);
/// assert!(balance.item::<f32>()? >= 0.5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct Moe {
    /// Scores: (experts, width).
    pub router: Linear,
    /// (experts, hidden, width).
    pub gate: Experts,
    /// (experts, hidden, width).
    pub up: Experts,
    /// (experts, width, hidden).
    pub down: Experts,
    experts: i32,
    k: i32,
}

impl Moe {
    /// Random weights.
    ///
    /// # Errors
    /// [`Error::Argument`] unless `1 <= k <= experts`, [`Error::Shape`] for a negative size.
    #[track_caller]
    pub fn new(width: i32, hidden: i32, experts: i32, k: i32, init: &mut Init) -> Result<Self> {
        if experts < 1 {
            return Err(Error::argument("experts", "one or more", experts));
        }
        if !(1..=experts).contains(&k) {
            let expected = format!("a number from 1 to the {experts} experts");
            return Err(Error::argument("k", expected, k));
        }
        let (gate, up, down) = (
            Experts::new([experts, hidden, width], init)?,
            Experts::new([experts, hidden, width], init)?,
            Experts::new([experts, width, hidden], init)?,
        );
        Ok(Moe {
            router: Linear::without_bias(width, experts, init)?,
            gate,
            up,
            down,
            experts,
            k,
        })
    }

    /// Applies the layer: (..., width) keeps its shape.
    ///
    /// ```
    /// use zmlx::{nn, random};
    /// let moe = nn::Moe::new(16, 32, 4, 2, &mut nn::Init::seed(7))?;
    /// assert_eq!(moe.forward(&random::normal((2, 5, 16))?)?.shape(), [2, 5, 16]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another width, [`Error::Dtype`] for a dtype that the device's products do not have.
    #[track_caller]
    pub fn forward(&self, x: &Array) -> Result<Array> {
        let (weights, indices) = self.choice(&self.router.forward(x)?)?;
        self.experts_of(x, &weights, &indices)
    }

    /// The same, and how unevenly the tokens went: `experts sum(f p)`, where `f` is an expert's share of the choices and `p` the mean
    /// of its probabilities; 1 where all are alike (W. Fedus and others, "Switch Transformers", 2021). Gradients flow through `p`. To be
    /// added to the loss with a small factor.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    #[track_caller]
    pub fn forward_balanced(&self, x: &Array) -> Result<(Array, Array)> {
        let scores = self.router.forward(x)?;
        let (weights, indices) = self.choice(&scores)?;
        let y = self.experts_of(x, &weights, &indices)?;
        let scores = scores.astype(Dtype::Float32)?.reshape((-1, self.experts))?;
        let chances = scores.softmax_precise(-1)?.mean(0)?;
        let slots = indices.reshape((-1, 1))?.astype(Dtype::Int32)?;
        let each = slots.equal(&Array::arange(self.experts)?)?;
        let shares = each.astype(Dtype::Float32)?.mean(0)?.stop_gradient()?;
        let balance = shares.multiply(&chances)?.sum(..)?.multiply(self.experts)?;
        Ok((y, balance))
    }

    /// The weights (..., k) and numbers (..., k) of each token's experts.
    #[track_caller]
    fn choice(&self, scores: &Array) -> Result<(Array, Array)> {
        if self.k == 2 {
            return top2_gating_softmax(scores);
        }
        let order = scores.negative()?.argsort(-1)?.stop_gradient()?;
        let shape = scores.shape();
        let mut ends = shape.to_vec();
        let starts = vec![0; ends.len()];
        if let Some(last) = ends.last_mut() {
            *last = self.k;
        }
        let indices = order.slice(starts, ends, vec![1; shape.len()])?;
        let best = scores.take_along_axis(&indices, -1)?;
        Ok((best.softmax_precise(-1)?, indices))
    }

    #[track_caller]
    fn experts_of(&self, x: &Array, weights: &Array, indices: &Array) -> Result<Array> {
        let sent = moe_dispatch(x, indices, self.experts as usize)?;
        let product = |rows: &Array, of: &Experts| of.weight.picked(rows, &sent.experts);
        let gate = product(&sent.rows, &self.gate)?;
        let hidden = swiglu2(&gate, &product(&sent.rows, &self.up)?)?;
        let rows = product(&hidden, &self.down)?;
        sent.combine(&rows, weights)
    }
}
