//! A text as it is computed.

use std::collections::VecDeque;

use super::engine::{Event, Finish};
use super::generate::Llm;
use super::schedule::Id;
use super::text::TextOut;
use crate::{Error, Result};

/// A text as it is computed, of [`Generate::stream`](super::Generate::stream). Dropping it ends the computation.
#[derive(Debug)]
pub struct Stream<'a> {
    llm: &'a Llm,
    id: Option<Id>,
    problem: Option<Error>,
    out: TextOut,
    tokens: Vec<u32>,
    finish: Option<Finish>,
}

impl<'a> Stream<'a> {
    /// A sequence that was submitted, or why not.
    pub(super) fn new(llm: &'a Llm, started: Result<Id>, out: TextOut) -> Self {
        let (id, problem) = match started {
            Ok(id) => (Some(id), None),
            Err(e) => (None, Some(e)),
        };
        Stream {
            llm,
            id,
            problem,
            out,
            tokens: Vec::new(),
            finish: None,
        }
    }

    /// The tokens so far.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Why it ended, once it has.
    pub fn finish(&self) -> Option<Finish> {
        self.finish
    }

    /// The next token of this text; others' wait for their streams.
    fn event(&self, id: Id) -> Result<Event> {
        let mut events = self.llm.events.borrow_mut();
        loop {
            let own = events.get_mut(&id).and_then(VecDeque::pop_front);
            if let Some(event) = own {
                return Ok(event);
            }
            let mut engine = self.llm.engine.borrow_mut();
            if engine.is_idle() {
                return Err(Error::worker("another text's computation failed".into()));
            }
            for event in engine.step()? {
                if let Some(queue) = events.get_mut(&event.id) {
                    queue.push_back(event);
                }
            }
        }
    }

    fn end(&mut self) {
        if let Some(id) = self.id.take() {
            self.llm.events.borrow_mut().remove(&id);
            self.llm.engine.borrow_mut().cancel(id);
        }
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<String>;

    /// The next piece of the text: never empty, always whole characters.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(problem) = self.problem.take() {
            return Some(Err(problem));
        }
        while let Some(id) = self.id {
            let event = match self.event(id) {
                Ok(event) => event,
                Err(e) => {
                    self.end();
                    return Some(Err(e));
                }
            };
            let language = &self.llm.language;
            self.tokens.push(event.chosen.token);
            let ends = event.finish == Some(Finish::Stop);
            let mut text = match ends {
                true => String::new(),
                false => self.out.push(language.tokenizer.bytes(event.chosen.token)),
            };
            self.finish = event.finish.or(self.out.stopped().then_some(Finish::Stop));
            if self.finish.is_some() {
                self.end();
                text.push_str(&self.out.finish());
            }
            if !text.is_empty() {
                return Some(Ok(text));
            }
        }
        None
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
