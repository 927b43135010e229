//! Adam and AdamW, by one kernel a parameter.

use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::zeros_like;
use crate::kernels::optimizers::adamw_step;
use crate::{Array, Result};

/// AdamW (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019), with the bias correction of the paper. The
/// arithmetic is [`adamw_step`]'s.
pub type AdamW = Optimizer<AdamWRule>;

/// Adam (D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015): [`AdamW`] without decay.
pub type Adam = Optimizer<AdamRule>;

/// The rule of [`AdamW`].
#[derive(Clone, Debug)]
pub struct AdamWRule {
    betas: (f64, f64),
    eps: f64,
    decay: f64,
}

/// The rule of [`Adam`].
#[derive(Clone, Debug)]
pub struct AdamRule(AdamWRule);

pub(super) const MOMENTS: &[&str] = &["m", "v"];

impl AdamWRule {
    pub(super) fn new(decay: f64) -> Self {
        AdamWRule {
            betas: (0.9, 0.999),
            eps: 1e-8,
            decay,
        }
    }

    #[track_caller]
    pub(super) fn step(&self, item: &Item<'_>, step: &Step) -> Result<Changed> {
        let [m, v] = item.kept else {
            return Err(crate::Error::argument(
                "state",
                "two moments",
                item.kept.len(),
            ));
        };
        let call = adamw_step(
            item.value,
            item.grad,
            m,
            v,
            step.rate.scalar(),
            step.number.scalar(),
        );
        let call = call.beta1(self.betas.0).beta2(self.betas.1);
        let [value, m, v] = call.eps(self.eps).wd(self.decay).call()?;
        Ok((value, vec![m, v]))
    }
}

impl Optimizer<AdamWRule> {
    /// Betas 0.9 and 0.999, eps 1e-8, a decay of 0.01.
    pub fn new(rate: f64) -> Self {
        Optimizer::of(AdamWRule::new(0.01), rate)
    }

    /// How much of the parameter goes away, times the rate.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }

    /// How much of the first and of the second moment stays.
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.rule.betas = (first, second);
        self
    }

    /// What is added to the root of the second moment.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.eps = eps;
        self
    }
}

impl Optimizer<AdamRule> {
    /// Betas 0.9 and 0.999, eps 1e-8.
    pub fn new(rate: f64) -> Self {
        Optimizer::of(AdamRule(AdamWRule::new(0.0)), rate)
    }

    /// How much of the first and of the second moment stays.
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.rule.0.betas = (first, second);
        self
    }

    /// What is added to the root of the second moment.
    pub fn eps(mut self, eps: f64) -> Self {
        self.rule.0.eps = eps;
        self
    }
}

impl Rule for AdamWRule {
    fn slots(&self, _: &str, _: &Array) -> &'static [&'static str] {
        MOMENTS
    }

    fn start(&self, _: &str, value: &Array) -> Result<Vec<Array>> {
        Ok(vec![zeros_like(value)?, zeros_like(value)?])
    }

    fn change(&self, _: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        self.step(item, step)
    }
}

impl Rule for AdamRule {
    fn slots(&self, name: &str, value: &Array) -> &'static [&'static str] {
        self.0.slots(name, value)
    }

    fn start(&self, name: &str, value: &Array) -> Result<Vec<Array>> {
        self.0.start(name, value)
    }

    fn change(&self, _: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        self.0.step(item, step)
    }
}
