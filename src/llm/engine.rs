//! Many sequences through one model.

use std::collections::HashMap;

use super::ahead::{Ahead, processor_is_left};
use super::model::Model;
use super::options::EngineOptions;
use super::paged::{PagedCache, SLOTS};
use super::sampling::{Chosen, Sampler, Sampling};
use super::schedule::{Id, Refused, Schedule, Work};
use crate::{Error, Result};

/// What to generate.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The tokens of the prompt, at least one.
    pub prompt: Vec<u32>,
    /// How many tokens may come behind it, at least one.
    pub max_tokens: usize,
    /// How they are chosen.
    pub sampling: Sampling,
    /// Tokens that end the text.
    pub ends: Vec<u32>,
    /// Whether probabilities are told, and of how many of the most likely tokens with each.
    pub top: Option<usize>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It has as many tokens as it may.
    Length,
}

/// A new token of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whose it is.
    pub id: Id,
    /// The token.
    pub chosen: Chosen,
    /// Whether it is the last one.
    pub finish: Option<Finish>,
}

/// What an engine has done, and what it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Computations.
    pub steps: u64,
    /// Tokens of prompts that were computed.
    pub prompt_tokens: u64,
    /// Tokens of prompts that were in the cache already.
    pub shared_tokens: u64,
    /// Tokens that were generated.
    pub generated_tokens: u64,
    /// Sequences that run.
    pub running: usize,
    /// Sequences that wait.
    pub waiting: usize,
    /// Pages of the cache.
    pub pages: usize,
    /// Pages that no running sequence uses.
    pub free_pages: usize,
}

/// A model, its cache, and the sequences that go through them together.
///
/// Each [`step`](Self::step) computes a token for every sequence that runs, or a part of a prompt. It lives on one thread, as all
/// arrays do.
#[derive(Debug)]
pub struct Engine {
    pub(super) model: Model,
    pub(super) cache: PagedCache,
    pub(super) schedule: Schedule,
    pub(super) active: HashMap<Id, Active>,
    counts: Counts,
    pub(super) longest: usize,
    /// Whether the next computation is built while one runs.
    pub(super) builds_ahead: bool,
    pub(super) ahead: Option<Ahead>,
}

#[derive(Debug)]
pub(super) struct Active {
    sampler: Sampler,
    ends: Vec<u32>,
    pub(super) left: usize,
    top: Option<usize>,
    prompt: usize,
}

impl Engine {
    /// An engine for a model; the cache grows up to the limit as sequences need it, unless the options say that it has all pages from the
    /// start.
    ///
    /// # Errors
    /// What the operations fail with; [`Error::Argument`] where pages of few bits do not fit the width of the model's heads.
    #[track_caller]
    pub fn new(model: Model, options: impl Into<EngineOptions>) -> Result<Self> {
        let EngineOptions {
            limits,
            pages,
            preallocate,
            build_ahead,
        } = options.into();
        let longest = limits.pages.saturating_mul(SLOTS);
        let longest = longest.min(model.config().context as usize);
        let mut cache = PagedCache::of(&model, longest, pages)?;
        if preallocate {
            cache.reserve(limits.pages)?;
        }
        Ok(Engine {
            cache,
            schedule: Schedule::new(limits, SLOTS),
            active: HashMap::new(),
            counts: Counts::default(),
            longest,
            builds_ahead: build_ahead.unwrap_or_else(processor_is_left),
            ahead: None,
            model,
        })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The cache.
    pub fn cache(&self) -> &PagedCache {
        &self.cache
    }

    /// The most tokens of a sequence, its prompt included.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Computes a few tokens, in the sizes that later ones have, so that all kernels are compiled before the first text is waited for.
    ///
    /// # Errors
    /// What the operations fail with; [`Error::Argument`] where sequences run already.
    #[track_caller]
    pub fn warm_up(&mut self) -> Result<()> {
        if !self.is_idle() {
            return Err(Error::argument(
                "engine",
                "no sequence that runs",
                self.active.len(),
            ));
        }
        let before = self.counts;
        let most = self
            .schedule
            .limits()
            .tokens
            .min(self.longest.saturating_sub(4));
        for count in [1, 2, 9, most] {
            for _ in 0..2 {
                let request = Request {
                    prompt: vec![0; count.max(1)],
                    max_tokens: 3,
                    // So that what tells probabilities is compiled, too.
                    top: Some(1),
                    ..Request::default()
                };
                // What there is no room for needs no kernel either.
                let _ = self.submit(request);
            }
            while !self.is_idle() {
                self.step()?;
            }
            self.forget();
        }
        self.counts = before;
        Ok(())
    }

    /// Takes a sequence; `None` where as many wait as may.
    ///
    /// # Errors
    /// [`Error::Argument`] for a prompt without tokens, with tokens that the model does not have, or with more tokens than the
    /// model or the cache takes; for no tokens to generate, and for what [`Sampling::check`] refuses.
    #[track_caller]
    pub fn submit(&mut self, request: Request) -> Result<Option<Id>> {
        let (count, known) = (request.prompt.len(), self.model.config().vocabulary);
        if count == 0 {
            return Err(Error::argument("prompt", "at least one token", 0));
        }
        if let Some(token) = request.prompt.iter().find(|&&t| t >= known as u32) {
            return Err(Error::argument(
                "prompt",
                format_args!("tokens below {known}"),
                token,
            ));
        }
        if request.max_tokens == 0 {
            return Err(Error::argument("max_tokens", "at least 1", 0));
        }
        request.sampling.check()?;
        if count.saturating_add(request.max_tokens) > self.longest {
            let longest = self.longest;
            return Err(Error::argument(
                "max_tokens",
                format_args!("at most {longest} tokens together with the prompt"),
                format_args!("{} and a prompt of {count}", request.max_tokens),
            ));
        }
        let sampler = Sampler::new(request.sampling, &request.prompt);
        match self.schedule.submit(request.prompt, request.max_tokens) {
            Ok(id) => {
                self.active.insert(
                    id,
                    Active {
                        sampler,
                        ends: request.ends,
                        left: request.max_tokens,
                        top: request.top,
                        prompt: count,
                    },
                );
                Ok(Some(id))
            }
            Err(Refused::Full) => Ok(None),
            Err(Refused::TooLong) => Err(Error::argument(
                "max_tokens",
                format_args!("what {} pages hold", self.schedule.limits().pages),
                request.max_tokens,
            )),
        }
    }

    /// Ends a sequence; its pages are free at once.
    pub fn cancel(&mut self, id: Id) {
        self.schedule.end(id);
        self.active.remove(&id);
    }

    /// Forgets the tokens that were kept for later sequences.
    pub fn forget(&mut self) {
        self.schedule.forget();
    }

    /// Whether nothing runs or waits.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        Counts {
            running: self.schedule.running(),
            waiting: self.schedule.waiting(),
            pages: self.schedule.pages().len(),
            free_pages: self.schedule.pages().available(),
            shared_tokens: self.schedule.shared_tokens(),
            ..self.counts
        }
    }

    /// Computes the next tokens of all sequences that run. **Evaluates** them. Nothing where none runs or waits.
    ///
    /// # Errors
    /// What the operations fail with. All sequences of that computation are ended then, as their caches are not what they should be.
    #[track_caller]
    pub fn step(&mut self) -> Result<Vec<Event>> {
        let plan = self.schedule.plan();
        if plan.is_empty() {
            return Ok(Vec::new());
        }
        match self.compute(&plan) {
            Ok(chosen) => {
                self.counts.steps += 1;
                Ok(self.take(&plan, chosen))
            }
            Err(e) => {
                let all: Vec<Id> = self.active.keys().copied().collect();
                all.into_iter().for_each(|id| self.cancel(id));
                self.schedule.forget();
                // Arrays of the failed computation are gone for good.
                self.ahead = None;
                let kind = self.cache.kind();
                self.cache = PagedCache::of(&self.model, self.longest, kind)?;
                Err(e)
            }
        }
    }

    /// How the next tokens of a plan are chosen, in the order of its last parts.
    pub(super) fn samplers(&self, plan: &[Work]) -> Vec<(&Sampler, Option<usize>)> {
        let last = plan.iter().filter(|w| w.last);
        let active = last.filter_map(|w| self.active.get(&w.id));
        active.map(|a| (&a.sampler, a.top)).collect()
    }

    /// Goes on behind the tokens that were chosen.
    fn take(&mut self, plan: &[Work], chosen: Vec<Chosen>) -> Vec<Event> {
        let mut chosen = chosen.into_iter();
        let mut events = Vec::new();
        for work in plan {
            let Some(active) = self.active.get_mut(&work.id) else {
                continue;
            };
            let prompt = active.prompt.saturating_sub(work.range.start);
            self.counts.prompt_tokens += prompt.min(work.range.len()) as u64;
            if !work.last {
                self.schedule.computed(work, None);
                continue;
            }
            let Some(chosen) = chosen.next() else {
                break;
            };
            active.sampler.took(chosen.token);
            self.schedule.computed(work, Some(chosen.token));
            self.counts.generated_tokens += 1;
            active.left -= 1;
            let finish = match active.ends.contains(&chosen.token) {
                true => Some(Finish::Stop),
                false if active.left == 0 => Some(Finish::Length),
                false => None,
            };
            if finish.is_some() {
                self.cancel(work.id);
            }
            events.push(Event {
                id: work.id,
                chosen,
                finish,
            });
        }
        events
    }
}
