//! Adam and AdamW, by one kernel for a large parameter or four small ones.

use std::collections::BTreeMap;

use super::num::Num;
use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::zeros_like;
use crate::kernels::optimizers::adamw_step;
use crate::kernels::optimizers::many::{FOUR, Numbers, adamw_four, is_small};
use crate::{Array, Dtype, Result};

/// AdamW (I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019), with the bias correction of the paper. The
/// arithmetic is [`adamw_step`]'s.
///
/// ```
/// use zmlx::{Array, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::from(1.0f32))]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from(5.0f32))]);
/// let mut optimizer = optim::AdamW::new(0.125).betas(0.9, 0.99).eps(1e-8).weight_decay(0.5);
/// optimizer.update(&mut model, slope)?;
/// // The first step is as long as the rate, and 0.125 * 0.5 of the parameter goes away.
/// assert!((model.get("w")?.item::<f32>()? - 0.8125).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub type AdamW = Optimizer<AdamWRule>;

/// Adam (D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015): [`AdamW`] without decay.
///
/// ```
/// use zmlx::{Array, nn::Tree, optim};
/// let mut model = Tree::from_iter([("w".to_owned(), Array::from(1.0f32))]);
/// let slope = Tree::from_iter([("w".to_owned(), Array::from(5.0f32))]);
/// optim::Adam::new(0.125).update(&mut model, slope)?;
/// assert!((model.get("w")?.item::<f32>()? - 0.875).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
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

    /// Small arrays by four, the others one by one.
    #[track_caller]
    fn steps(&self, items: &[(&str, Item<'_>)], step: &Step) -> Result<Vec<Changed>> {
        let (Num::Known(rate), Num::Known(number)) = (&step.rate, &step.number) else {
            return items
                .iter()
                .map(|(_, item)| self.step(item, step))
                .collect();
        };
        let (mut together, mut alone) = fours(items);
        if !self.is_plain(*rate) {
            // One by one they are checked.
            alone.extend(together.drain(..).flatten());
        }
        let mut changed: Vec<Option<Changed>> = items.iter().map(|_| None).collect();
        for i in alone {
            changed[i] = Some(self.step(&items[i].1, step)?);
        }
        let numbers = Numbers {
            rate: *rate,
            step: *number,
            betas: self.betas,
            eps: self.eps,
            decay: self.decay,
        };
        for four in together {
            let arrays = four.map(|i| {
                let item = &items[i].1;
                [item.value, item.grad, &item.kept[0], &item.kept[1]]
            });
            for (i, [value, m, v]) in four.into_iter().zip(adamw_four(arrays, &numbers)?) {
                changed[i] = Some((value, vec![m, v]));
            }
        }
        Ok(changed.into_iter().flatten().collect())
    }

    /// Whether all numbers are such as [`adamw_step`] takes.
    fn is_plain(&self, rate: f64) -> bool {
        let beta = |b: f64| (0.0..1.0).contains(&b);
        let finite = rate.is_finite() && self.decay.is_finite() && self.eps.is_finite();
        finite && self.eps >= 0.0 && beta(self.betas.0) && beta(self.betas.1)
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

/// What of a step can share a launch, in fours of like dtypes; the numbers of the others.
fn fours(items: &[(&str, Item<'_>)]) -> (Vec<[usize; FOUR]>, Vec<usize>) {
    let mut like: BTreeMap<(Dtype, Dtype), Vec<usize>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (i, (_, item)) in items.iter().enumerate() {
        // What a run with another module left may have other shapes: alone it is refused.
        let moment = |a: &Array| a.dtype() == Dtype::Float32 && a.shape() == item.value.shape();
        let moments = item.kept.len() == 2 && item.kept.iter().all(moment);
        let dtypes = (item.value.dtype(), item.grad.dtype());
        let floats = [Dtype::Float32, Dtype::Float16, Dtype::Bfloat16];
        let known = floats.contains(&dtypes.0) && floats.contains(&dtypes.1);
        let plain = !item.value.is_tracer() && !item.grad.is_tracer();
        match is_small(item.value.size()) && moments && known && plain {
            true => like.entry(dtypes).or_default().push(i),
            false => alone.push(i),
        }
    }
    let mut together = Vec::new();
    for all in like.into_values() {
        let chunks = all.chunks_exact(FOUR);
        alone.extend(chunks.remainder());
        together.extend(chunks.filter_map(|c| <[usize; FOUR]>::try_from(c).ok()));
    }
    (together, alone)
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

    fn change_all(&self, items: &[(&str, Item<'_>)], step: &Step) -> Result<Vec<Changed>> {
        self.steps(items, step)
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

    fn change_all(&self, items: &[(&str, Item<'_>)], step: &Step) -> Result<Vec<Changed>> {
        self.0.steps(items, step)
    }
}
