//! Which tokens of which sequences are computed next: plain numbers, without any array.

use std::collections::VecDeque;
use std::ops::Range;

use super::pages::{Lease, Pages};
use crate::{Error, Result};

/// How much is done at once, and how much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pages of the cache.
    pub pages: usize,
    /// Sequences that run at once.
    pub running: usize,
    /// Sequences that wait for pages; more are refused.
    pub waiting: usize,
    /// Tokens of one computation: prompts are cut into parts, so that running sequences go on meanwhile.
    pub tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            pages: 1024,
            running: 64,
            waiting: 256,
            tokens: 256,
        }
    }
}

/// Names a sequence; no two have the same one.
pub type Id = u64;

/// A part of a sequence to compute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Whose it is.
    pub id: Id,
    /// Which of its tokens.
    pub range: Range<usize>,
    /// Whether these are its last tokens, so that the next one is to be chosen.
    pub last: bool,
}

/// Why a sequence was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// As many wait as may; later there may be room.
    Full,
    /// It may have more tokens than all pages hold: there will never be room.
    TooLong,
}

/// Sequences that run and those that wait, first come first served.
///
/// A sequence runs once there are pages for all the tokens that it may have, so that none has to stop half way.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    pages: Pages,
    waiting: VecDeque<Sequence>,
    running: Vec<Sequence>,
    next: Id,
    shared: u64,
}

#[derive(Debug)]
struct Sequence {
    id: Id,
    tokens: Vec<u32>,
    /// The most tokens that it may have.
    most: usize,
    /// How many of its tokens are in the cache.
    computed: usize,
    lease: Lease,
}

impl Schedule {
    /// With nothing to do, for a cache with pages of `slots` tokens.
    pub fn new(limits: Limits, slots: usize) -> Self {
        Schedule {
            pages: Pages::new(limits.pages, slots),
            limits: Limits {
                running: limits.running.max(1),
                tokens: limits.tokens.max(1),
                ..limits
            },
            waiting: VecDeque::new(),
            running: Vec::new(),
            next: 0,
            shared: 0,
        }
    }

    /// Takes a sequence that may grow by `more` tokens.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn submit(&mut self, tokens: Vec<u32>, more: usize) -> std::result::Result<Id, Refused> {
        let most = tokens.len() + more;
        if self.pages.needed(most) > self.limits.pages {
            return Err(Refused::TooLong);
        }
        // Those that run with the next step do not wait.
        let free = self.limits.running.saturating_sub(self.running.len());
        if self.waiting.len() >= self.limits.waiting.saturating_add(free) {
            return Err(Refused::Full);
        }
        let id = self.next;
        self.next += 1;
        self.waiting.push_back(Sequence {
            id,
            tokens,
            most,
            computed: 0,
            lease: Lease::default(),
        });
        Ok(id)
    }

    /// What to compute next; nothing where nobody runs or waits.
    pub fn plan(&mut self) -> Vec<Work> {
        self.admit();
        let mut left = self.limits.tokens;
        let mut plan = Vec::new();
        // Sequences with one token first: nobody who is read waits for another's long prompt.
        for one in [true, false] {
            for s in &self.running {
                let missing = s.tokens.len() - s.computed;
                let count = missing.min(left);
                if (missing == 1) != one || count == 0 {
                    continue;
                }
                left -= count;
                plan.push(Work {
                    id: s.id,
                    range: s.computed..s.computed + count,
                    last: count == missing,
                });
            }
        }
        plan
    }

    /// What [`plan`](Self::plan) will say after `plan` was computed, if nothing comes or ends meanwhile: one more token for each that runs.
    /// `None` where `plan` is something else than the last tokens of all of them.
    pub fn after(&self, plan: &[Work]) -> Option<Vec<Work>> {
        let whole = plan.len() == self.running.len() && plan.iter().all(|w| w.last);
        if !whole || plan.len() > self.limits.tokens {
            return None;
        }
        let next = |s: &Sequence| Work {
            id: s.id,
            range: s.tokens.len()..s.tokens.len() + 1,
            last: true,
        };
        Some(self.running.iter().map(next).collect())
    }

    fn admit(&mut self) {
        while self.running.len() < self.limits.running
            && let Some(first) = self.waiting.front()
        {
            let Some((lease, there)) = self.pages.take(&first.tokens, first.most) else {
                break;
            };
            let Some(mut sequence) = self.waiting.pop_front() else {
                break;
            };
            self.shared += there as u64;
            sequence.lease = lease;
            sequence.computed = there;
            self.running.push(sequence);
        }
    }

    /// Says that a part was computed; the token that comes behind its last one is added.
    pub fn computed(&mut self, work: &Work, token: Option<u32>) {
        let Some(sequence) = self.running.iter_mut().find(|s| s.id == work.id) else {
            return; // Cancelled meanwhile.
        };
        sequence.computed = work.range.end;
        let done = &sequence.tokens[..work.range.end];
        self.pages.written(&mut sequence.lease, done);
        sequence.tokens.extend(token);
    }

    /// Ends a sequence, whether it runs or waits; its pages are free at once. False where there is none of this name.
    pub fn end(&mut self, id: Id) -> bool {
        if let Some(at) = self.waiting.iter().position(|s| s.id == id) {
            self.waiting.remove(at);
            return true;
        }
        let Some(at) = self.running.iter().position(|s| s.id == id) else {
            return false;
        };
        let sequence = self.running.remove(at);
        self.pages.give_back(sequence.lease);
        true
    }

    /// The tokens and the pages of a running sequence.
    ///
    /// # Errors
    /// [`Error::Argument`] where it does not run.
    #[track_caller]
    pub fn sequence(&self, id: Id) -> Result<(&[u32], &[u32])> {
        match self.running.iter().find(|s| s.id == id) {
            Some(s) => Ok((&s.tokens, s.lease.pages())),
            None => Err(Error::argument("id", "a running sequence", id)),
        }
    }

    /// How many sequences run.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// How many sequences wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The account of the pages.
    pub fn pages(&self) -> &Pages {
        &self.pages
    }

    /// How many tokens of prompts did not have to be computed, as their pages were there.
    pub fn shared_tokens(&self) -> u64 {
        self.shared
    }

    /// Its limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Forgets the tokens of pages that nobody uses.
    pub fn forget(&mut self) {
        self.pages.forget();
    }
}
