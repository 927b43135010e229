//! Adam and AdamW, by one kernel for a large parameter, and one for all small ones together (on a GPU, four of them).

use std::collections::BTreeMap;

use super::flat::{self, Flats};
use super::num::Num;
use super::optimizer::Optimizer;
use super::rule::{Changed, Item, Rule, Step};
use super::zeros_like;
use crate::codegen::blocks::as_on_gpu;
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

    /// Small arrays together, the others one by one.
    #[track_caller]
    fn steps(
        &self,
        items: &[(&str, Item<'_>)],
        step: &Step,
        flats: &mut Flats,
    ) -> Result<Vec<Changed>> {
        let mut changed: Vec<Option<Changed>> = items.iter().map(|_| None).collect();
        for those in flat::small(items, [&step.rate, &step.number]) {
            let some: Vec<&Item<'_>> = those.iter().map(|&i| &items[i].1).collect();
            let one = |[p, g, m, v]: [&Array; 4]| self.call(p, g, [m, v], step);
            let results = flats.change(&some, &one)?;
            for (i, [value, m, v]) in those.into_iter().zip(results) {
                changed[i] = Some((value, vec![m, v]));
            }
        }
        self.by_four(items, step, &mut changed)?;
        for ((_, item), changed) in items.iter().zip(&mut changed) {
            if changed.is_none() {
                *changed = Some(self.step(item, step)?);
            }
        }
        Ok(changed.into_iter().flatten().collect())
    }

    /// On a GPU, where putting arrays together is a launch for each, a kernel takes four at once.
    #[track_caller]
    fn by_four(
        &self,
        items: &[(&str, Item<'_>)],
        step: &Step,
        changed: &mut [Option<Changed>],
    ) -> Result<()> {
        let (Num::Known(rate), Num::Known(number)) = (&step.rate, &step.number) else {
            return Ok(());
        };
        // One by one they are checked.
        if !as_on_gpu(crate::stream::current().gpu) || !self.is_plain(*rate) {
            return Ok(());
        }
        let numbers = Numbers {
            rate: *rate,
            step: *number,
            betas: self.betas,
            eps: self.eps,
            decay: self.decay,
        };
        for four in fours(items, changed) {
            let arrays = four.map(|i| {
                let item = &items[i].1;
                [item.value, item.grad, &item.kept[0], &item.kept[1]]
            });
            for (i, [value, m, v]) in four.into_iter().zip(adamw_four(arrays, &numbers)?) {
                changed[i] = Some((value, vec![m, v]));
            }
        }
        Ok(())
    }

    /// Whether all numbers are such as [`adamw_step`] takes.
    fn is_plain(&self, rate: f64) -> bool {
        let beta = |b: f64| (0.0..1.0).contains(&b);
        let finite = |n: f64| (n as f32).is_finite();
        finite(rate)
            && finite(self.decay)
            && finite(self.eps)
            && self.eps >= 0.0
            && beta(self.betas.0)
            && beta(self.betas.1)
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
        let [value, m, v] = self.call(item.value, item.grad, [m, v], step)?;
        Ok((value, vec![m, v]))
    }

    #[track_caller]
    fn call(&self, p: &Array, g: &Array, [m, v]: [&Array; 2], step: &Step) -> Result<[Array; 3]> {
        let call = adamw_step(p, g, m, v, step.rate.scalar(), step.number.scalar());
        let call = call.beta1(self.betas.0).beta2(self.betas.1);
        call.eps(self.eps).wd(self.decay).call()
    }
}

/// What of a step can share a launch, in fours of like dtypes.
fn fours(items: &[(&str, Item<'_>)], changed: &[Option<Changed>]) -> Vec<[usize; FOUR]> {
    let mut like: BTreeMap<(Dtype, Dtype), Vec<usize>> = BTreeMap::new();
    for (i, (_, item)) in items.iter().enumerate() {
        if is_small(item.value.size()) && flat::is_plain(item) && changed[i].is_none() {
            let dtypes = (item.value.dtype(), item.grad.dtype());
            like.entry(dtypes).or_default().push(i);
        }
    }
    let chunks = like.values().flat_map(|all| all.chunks_exact(FOUR));
    chunks.filter_map(|c| c.try_into().ok()).collect()
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

    fn change_all(
        &self,
        items: &[(&str, Item<'_>)],
        step: &Step,
        flats: &mut Flats,
    ) -> Result<Vec<Changed>> {
        self.steps(items, step, flats)
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

    fn change_all(
        &self,
        items: &[(&str, Item<'_>)],
        step: &Step,
        flats: &mut Flats,
    ) -> Result<Vec<Changed>> {
        self.0.steps(items, step, flats)
    }
}
