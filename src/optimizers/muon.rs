//! Muon.

use std::rc::Rc;

use super::adam::{AdamWRule, MOMENTS};
use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::{moved, wide, zeros_like};
use crate::{Array, Result};

/// Muon (K. Jordan, "Muon: An optimizer for hidden layers in neural networks", 2024): momentum whose matrix is replaced by one with
/// about the same directions and lengths near 1. `v' = momentum v + g`, `u = g + momentum v'`,
/// `p' = p - rate (sqrt(max(1, rows / columns)) newton_schulz(u) + decay p)`.
///
/// Arrays of one axis, and those whose names [`adam_for`](Optimizer::adam_for) accepts (embeddings and output heads), are changed by
/// AdamW, at a rate of their own. Of more than two axes, those behind the first count as one.
///
/// ```
/// use zmlx::{Array, Dtype, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::zeros((2, 2), Dtype::Float32)?)]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from_slice(&[5.0f32, 0.0, 0.0, 9.0], (2, 2))?)]);
/// let mut optimizer = optim::Muon::new(0.1)
///     .momentum(0.9)
///     .nesterov(true)
///     .weight_decay(0.0)
///     .adam_for(|name| name == "head", 0.1);
/// optimizer.update(&mut model, slope)?;
/// // Both directions count about alike, although their slopes differ.
/// let change = model.get("w")?.diag(0)?.to_vec::<f32>()?;
/// assert!(change.iter().all(|c| (-0.13..-0.06).contains(c)));
/// # Ok::<(), zmlx::Error>(())
/// ```
pub type Muon = Optimizer<MuonRule>;

/// The rule of [`Muon`].
#[derive(Clone)]
pub struct MuonRule {
    momentum: f64,
    nesterov: bool,
    decay: f64,
    rounds: usize,
    adam: AdamWRule,
    /// AdamW's rate over Muon's.
    adam_factor: f64,
    adam_for: Rc<dyn Fn(&str) -> bool>,
}

impl Optimizer<MuonRule> {
    /// Momentum 0.95 in Nesterov's form, five rounds, no decay; AdamW at the hundredth of the rate.
    pub fn new(rate: f64) -> Self {
        let rule = MuonRule {
            momentum: 0.95,
            nesterov: true,
            decay: 0.0,
            rounds: 5,
            adam: AdamWRule::new(0.0),
            adam_factor: 0.01,
            adam_for: Rc::new(|name| name.contains("embed") || name.contains("head")),
        };
        Optimizer::of(rule, rate)
    }

    /// How much of the velocity stays.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// Whether the gradient is taken where the momentum leads.
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }

    /// How much of a matrix goes away, times the rate.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }

    /// Which matrices AdamW changes, and at which part of Muon's rate. (Unless said: those with `embed` or `head` in their names, at
    /// 0.01.)
    pub fn adam_for(mut self, chosen: impl Fn(&str) -> bool + 'static, part: f64) -> Self {
        self.rule.adam_for = Rc::new(chosen);
        self.rule.adam_factor = part;
        self
    }
}

/// `U V^T` of `g = U S V^T`, about: five rounds of a polynomial whose coefficients bring lengths from 0.001 to 1 into 0.7 to 1.2.
#[track_caller]
fn newton_schulz(g: &Array, rounds: usize) -> Result<Array> {
    const A: f32 = 3.4445;
    const B: f32 = -4.7750;
    const C: f32 = 2.0315;
    let tall = g.shape()[0] > g.shape()[1];
    let x = if tall { g.transpose(..)? } else { g.clone() };
    let length = x.square()?.sum(..)?.sqrt()?.add(1e-7f32)?;
    let mut x = x.divide(&length)?;
    for _ in 0..rounds {
        let squares = x.matmul(&x.transpose(..)?)?;
        let inner = squares
            .multiply(B)?
            .add(squares.matmul(&squares)?.multiply(C)?)?;
        x = x.multiply(A)?.add(inner.matmul(&x)?)?;
    }
    if tall { x.transpose(..) } else { Ok(x) }
}

impl MuonRule {
    fn is_adam(&self, name: &str, value: &Array) -> bool {
        value.ndim() < 2 || (self.adam_for)(name)
    }
}

impl Rule for MuonRule {
    fn slots(&self, name: &str, value: &Array) -> &'static [&'static str] {
        match self.is_adam(name, value) {
            true => MOMENTS,
            false => &["momentum"],
        }
    }

    fn start(&self, name: &str, value: &Array) -> Result<Vec<Array>> {
        let slots = self.slots(name, value).iter();
        slots.map(|_| zeros_like(value)).collect()
    }

    fn change(&self, name: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        let [v] = item.kept else {
            let rate = step.rate.times(self.adam_factor)?;
            return self.adam.step(
                item,
                &Step {
                    rate,
                    ..step.clone()
                },
            );
        };
        let grad = wide(item.grad)?;
        let momentum = self.momentum as f32;
        let v = v.multiply(momentum)?.add(&grad)?;
        let update = match self.nesterov {
            true => grad.add(v.multiply(momentum)?)?,
            false => v.clone(),
        };
        if update.size() == 0 {
            return Ok((item.value.clone(), vec![v]));
        }
        let rows = update.shape()[0];
        let matrix = update.reshape((rows, -1))?;
        let ratio = f64::from(rows) / f64::from(matrix.shape()[1]);
        let turned = newton_schulz(&matrix, self.rounds)?;
        let scaled = turned.multiply(ratio.max(1.0).sqrt() as f32)?;
        let update = scaled.reshape(item.value.shape())?;
        debug_assert!(!self.is_adam(name, item.value));
        Ok((moved(item.value, &update, self.decay, &step.rate)?, vec![v]))
    }
}
