//! Computing what a plan says, and building the next computation meanwhile.

use super::batch::Batch;
use super::engine::Engine;
use super::model::Model;
use super::paged::PagedCache;
use super::sampling::{Choice, Chosen};
use super::schedule::{Schedule, Work};
use crate::engine::host;
use crate::{Array, Result};

/// The computation behind the one under way, built on its tokens while that one runs.
#[derive(Debug)]
pub(super) struct Ahead {
    plan: Vec<Work>,
    logits: Array,
    /// What becomes of the cache.
    cache: PagedCache,
}

impl Engine {
    /// The next tokens behind those parts that are last ones.
    pub(super) fn compute(&mut self, plan: &[Work]) -> Result<Vec<Chosen>> {
        let logits = match self.ahead.take() {
            Some(ahead) if ahead.plan == plan => {
                // Nobody holds the arrays of before any more, so they are changed in place.
                self.cache = ahead.cache;
                ahead.logits
            }
            _ => self.build_now(plan)?,
        };
        if !plan.iter().any(|w| w.last) {
            crate::eval(self.cache.arrays().collect::<Vec<_>>())?;
            return Ok(Vec::new());
        }
        let choice = Choice::new(&logits, self.samplers(plan))?;
        let pending = crate::async_eval(choice.arrays())?;
        let ahead = self.build_ahead(plan, choice.tokens());
        pending.wait()?;
        // What cannot be built is tried again, and told, when it is wanted.
        self.ahead = ahead.unwrap_or_default();
        choice.read()
    }

    /// The tokens of a plan, one after the other.
    fn tokens_of(&self, plan: &[Work]) -> Result<Vec<u32>> {
        let mut tokens = Vec::new();
        for work in plan {
            let (all, _) = self.schedule.sequence(work.id)?;
            tokens.extend(&all[work.range.clone()]);
        }
        Ok(tokens)
    }

    fn build_now(&mut self, plan: &[Work]) -> Result<Array> {
        let highest = self.pages_of(plan)?;
        if highest > self.cache.pages() {
            let limit = self.schedule.limits().pages;
            self.cache
                .reserve(highest.next_power_of_two().max(32).min(limit))?;
        }
        let tokens = Array::from_iter(self.tokens_of(plan)?)?;
        build(&self.model, &self.schedule, &mut self.cache, plan, &tokens)
    }

    /// What most likely comes behind `plan` and its tokens; nothing where that is not known, or there is no room in the cache yet.
    fn build_ahead(&self, plan: &[Work], tokens: &Array) -> Result<Option<Ahead>> {
        if !self.builds_ahead {
            return Ok(None);
        }
        let goes_on = |w: &Work| self.active.get(&w.id).is_some_and(|a| a.left > 1);
        // The tokens are in the order of the plan.
        let follows = |next: &Vec<Work>| next.iter().map(|w| w.id).eq(plan.iter().map(|w| w.id));
        let next = self.schedule.after(plan);
        let Some(plan) = next.filter(|next| next.iter().all(goes_on) && follows(next)) else {
            return Ok(None);
        };
        if self.pages_of(&plan)? > self.cache.pages() {
            return Ok(None);
        }
        let mut cache = self.cache.clone();
        let logits = build(&self.model, &self.schedule, &mut cache, &plan, tokens)?;
        Ok(Some(Ahead {
            plan,
            logits,
            cache,
        }))
    }

    /// How many pages of the cache the sequences of a plan need.
    fn pages_of(&self, plan: &[Work]) -> Result<usize> {
        let mut highest = 0;
        for work in plan {
            let (_, pages) = self.schedule.sequence(work.id)?;
            highest = pages.iter().fold(highest, |h, &p| h.max(p as usize + 1));
        }
        Ok(highest)
    }
}

/// Whether a processor is left beside those that kernels use. Without one, building a graph meanwhile would hold up a kernel's thread, which
/// the others wait for.
pub(super) fn processor_is_left() -> bool {
    let all = std::thread::available_parallelism().map_or(1, |n| n.get());
    !crate::stream::current().gpu && host::threads() < all
}

/// The logits behind the last tokens of `plan`, not computed yet, and the cache with the keys and values of all of them.
fn build(
    model: &Model,
    schedule: &Schedule,
    cache: &mut PagedCache,
    plan: &[Work],
    tokens: &Array,
) -> Result<Array> {
    let (mut places, mut rows) = (Vec::new(), Vec::new());
    for work in plan {
        let (_, pages) = schedule.sequence(work.id)?;
        places.extend(work.range.clone().map(|position| (position, pages)));
        if work.last {
            rows.push(places.len() as i32 - 1);
        }
    }
    let batch = Batch::new(&places)?;
    model.forward(tokens, &Array::from_iter(rows)?, &mut cache.with(&batch))
}
