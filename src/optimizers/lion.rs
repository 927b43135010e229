//! Lion.

use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::{moved, wide, zeros_like};
use crate::{Array, Result};

/// Lion (X. Chen and others, "Symbolic Discovery of Optimization Algorithms", 2023):
/// `p' = p - rate (sign(b1 m + (1 - b1) g) + decay p)`, `m' = b2 m + (1 - b2) g`. Its rate is to be three to ten times smaller than
/// AdamW's, its decay as much larger.
///
/// ```
/// use zmlx::{Array, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::from(1.0f32))]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from(5.0f32))]);
/// let mut optimizer = optim::Lion::new(0.125).betas(0.9, 0.99).weight_decay(0.0);
/// optimizer.update(&mut model, slope)?;
/// assert_eq!(model.get("w")?.item::<f32>()?, 0.875); // only the sign counts
/// # Ok::<(), zmlx::Error>(())
/// ```
pub type Lion = Optimizer<LionRule>;

/// The rule of [`Lion`].
#[derive(Clone, Debug)]
pub struct LionRule {
    betas: (f64, f64),
    decay: f64,
}

impl Optimizer<LionRule> {
    /// Betas 0.9 and 0.99, no decay.
    pub fn new(rate: f64) -> Self {
        let rule = LionRule {
            betas: (0.9, 0.99),
            decay: 0.0,
        };
        Optimizer::of(rule, rate)
    }

    /// How much of the moment counts for the direction, and how much of it stays: from 0 to 1, or updates are errors.
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.rule.betas = (first, second);
        self
    }

    /// How much of the parameter goes away, times the rate.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }
}

/// `b a + (1 - b) g`.
#[track_caller]
pub(super) fn mixed(a: &Array, g: &Array, b: f64) -> Result<Array> {
    a.multiply(b as f32)?.add(g.multiply((1.0 - b) as f32)?)
}

impl Rule for LionRule {
    fn slots(&self, _: &str, _: &Array) -> &'static [&'static str] {
        &["m"]
    }

    fn start(&self, _: &str, value: &Array) -> Result<Vec<Array>> {
        Ok(vec![zeros_like(value)?])
    }

    fn change(&self, _: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        let [m] = item.kept else {
            return Err(crate::Error::argument(
                "state",
                "one moment",
                item.kept.len(),
            ));
        };
        for beta in [self.betas.0, self.betas.1] {
            if !(0.0..=1.0).contains(&beta) {
                return Err(crate::Error::argument("betas", "numbers from 0 to 1", beta));
            }
        }
        let grad = wide(item.grad)?;
        let direction = mixed(m, &grad, self.betas.0)?.sign()?;
        let value = moved(item.value, &direction, self.decay, &step.rate)?;
        Ok((value, vec![mixed(m, &grad, self.betas.1)?]))
    }
}
