//! Stochastic gradient descent.

use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::{moved, wide, zeros_like};
use crate::{Array, Result};

/// Gradient descent, with momentum if asked for: `v' = momentum v + g + decay p`, `p' = p - rate v'` (I. Sutskever and others, "On the
/// importance of initialization and momentum in deep learning", 2013, in PyTorch's form); with Nesterov's form
/// `p' = p - rate (g + decay p + momentum v')`.
///
/// ```
/// use zmlx::{Array, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::from(1.0f32))]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from(2.0f32))]);
/// let mut optimizer = optim::Sgd::new(0.125).momentum(0.5).nesterov(false).weight_decay(0.0);
/// optimizer.update(&mut model, slope.clone())?; // by 0.125 * 2
/// optimizer.update(&mut model, slope)?; // by 0.125 * (0.5 * 2 + 2)
/// assert_eq!(model.get("w")?.item::<f32>()?, 0.375);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub type Sgd = Optimizer<SgdRule>;

/// The rule of [`Sgd`].
#[derive(Clone, Debug)]
pub struct SgdRule {
    momentum: f64,
    nesterov: bool,
    decay: f64,
}

impl Optimizer<SgdRule> {
    /// Without momentum and decay.
    pub fn new(rate: f64) -> Self {
        let rule = SgdRule {
            momentum: 0.0,
            nesterov: false,
            decay: 0.0,
        };
        Optimizer::of(rule, rate)
    }

    /// How much of the velocity stays.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.rule.momentum = momentum;
        self
    }

    /// Whether the gradient is taken where the momentum leads (Y. Nesterov, 1983).
    pub fn nesterov(mut self, nesterov: bool) -> Self {
        self.rule.nesterov = nesterov;
        self
    }

    /// How much of the parameter is added to its gradient.
    pub fn weight_decay(mut self, decay: f64) -> Self {
        self.rule.decay = decay;
        self
    }
}

impl Rule for SgdRule {
    fn slots(&self, _: &str, _: &Array) -> &'static [&'static str] {
        match self.momentum == 0.0 {
            true => &[],
            false => &["v"],
        }
    }

    fn start(&self, _: &str, value: &Array) -> Result<Vec<Array>> {
        match self.momentum == 0.0 {
            true => Ok(Vec::new()),
            false => Ok(vec![zeros_like(value)?]),
        }
    }

    fn change(&self, _: &str, item: &Item<'_>, step: &Step) -> Result<Changed> {
        let mut grad = wide(item.grad)?;
        if self.decay != 0.0 {
            grad = grad.add(wide(item.value)?.multiply(self.decay as f32)?)?;
        }
        let v = match item.kept {
            [v] => v.clone(),
            // Momentum was asked for behind the first step.
            _ if self.momentum != 0.0 => zeros_like(item.value)?,
            _ => return Ok((moved(item.value, &grad, 0.0, &step.rate)?, Vec::new())),
        };
        let momentum = self.momentum as f32;
        let v = v.multiply(momentum)?.add(&grad)?;
        let update = match self.nesterov {
            true => grad.add(v.multiply(momentum)?)?,
            false => v.clone(),
        };
        Ok((moved(item.value, &update, 0.0, &step.rate)?, vec![v]))
    }
}
