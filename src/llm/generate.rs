//! A model with its tokenizer, and the texts that it generates.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::chat::{ChatTemplate, Message};
use super::engine::{Counts, Engine, Event, Finish, Request};
use super::model::Model;
use super::sampling::Sampling;
use super::schedule::{Id, Limits};
use super::text::TextOut;
use super::tokenizer::Tokenizer;
use crate::{Error, Result};

/// What turns texts into tokens; threads may share it.
#[derive(Debug)]
pub struct Language {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The text of conversations, where the model has one.
    pub chat: Option<ChatTemplate>,
}

/// A language model: weights, tokenizer, cache.
#[derive(Debug)]
pub struct Llm {
    engine: RefCell<Engine>,
    language: Arc<Language>,
    /// Tokens that were computed for a stream while another one was read.
    events: RefCell<HashMap<Id, VecDeque<Event>>>,
}

impl Llm {
    /// From its parts.
    ///
    /// # Errors
    /// What the operations fail with.
    #[track_caller]
    pub fn new(model: Model, language: Language, limits: Limits) -> Result<Self> {
        Ok(Llm {
            engine: RefCell::new(Engine::new(model, limits)?),
            language: Arc::new(language),
            events: RefCell::default(),
        })
    }

    /// What turns texts into tokens.
    pub fn language(&self) -> &Arc<Language> {
        &self.language
    }

    /// Its parts: for a server, which steps the engine itself.
    pub fn into_parts(self) -> (Engine, Arc<Language>) {
        (self.engine.into_inner(), self.language)
    }

    /// What was computed so far.
    pub fn counts(&self) -> Counts {
        self.engine.borrow().counts()
    }

    /// The text that follows `prompt`.
    ///
    /// ```no_run
    /// # fn main() -> zmlx::Result<()> {
    /// let model = zmlx::llm::load("SmolLM2-135M-Instruct.Q4_1.gguf")?;
    /// for piece in model.generate("Once upon a time").max_tokens(64).temperature(0.7).seed(1).stream() {
    ///     print!("{}", piece?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn generate(&self, prompt: impl Into<String>) -> Generate<'_> {
        Generate::new(self, Prompt::Text(prompt.into()))
    }

    /// The answer to a conversation.
    pub fn chat(&self, messages: impl Into<Vec<Message>>) -> Generate<'_> {
        Generate::new(self, Prompt::Chat(messages.into()))
    }

    /// The text that follows these tokens.
    pub fn generate_tokens(&self, prompt: impl Into<Vec<u32>>) -> Generate<'_> {
        Generate::new(self, Prompt::Tokens(prompt.into()))
    }
}

#[derive(Clone, Debug)]
enum Prompt {
    Text(String),
    Chat(Vec<Message>),
    Tokens(Vec<u32>),
}

/// Options of a text, of [`Llm::generate`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `stream` or `text`"]
pub struct Generate<'a> {
    llm: &'a Llm,
    prompt: Prompt,
    max_tokens: Option<usize>,
    sampling: Sampling,
    stops: Vec<String>,
}

impl<'a> Generate<'a> {
    fn new(llm: &'a Llm, prompt: Prompt) -> Self {
        Generate {
            llm,
            prompt,
            max_tokens: None,
            sampling: Sampling::default(),
            stops: Vec::new(),
        }
    }

    /// At most so many tokens (default 256, or what the model has room for).
    pub fn max_tokens(mut self, count: usize) -> Self {
        self.max_tokens = Some(count);
        self
    }

    /// All numbers of the choice at once.
    pub fn sampling(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// See [`Sampling::temperature`]; 0, the default, takes the most likely token.
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.sampling.temperature = temperature;
        self
    }

    /// See [`Sampling::top_k`].
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.sampling.top_k = top_k;
        self
    }

    /// See [`Sampling::top_p`].
    pub fn top_p(mut self, top_p: f32) -> Self {
        self.sampling.top_p = top_p;
        self
    }

    /// See [`Sampling::min_p`].
    pub fn min_p(mut self, min_p: f32) -> Self {
        self.sampling.min_p = min_p;
        self
    }

    /// See [`Sampling::repetition_penalty`].
    pub fn repetition_penalty(mut self, penalty: f32) -> Self {
        self.sampling.repetition_penalty = penalty;
        self
    }

    /// See [`Sampling::seed`].
    pub fn seed(mut self, seed: u64) -> Self {
        self.sampling.seed = seed;
        self
    }

    /// Ends the text before this one; may be said several times.
    pub fn stop(mut self, stop: impl Into<String>) -> Self {
        self.stops.push(stop.into());
        self
    }

    /// The text piece by piece, as it is computed. What fails comes as an item.
    #[track_caller]
    pub fn stream(self) -> Stream<'a> {
        let started = self.start();
        let (id, problem) = match started {
            Ok(id) => (Some(id), None),
            Err(e) => (None, Some(e)),
        };
        Stream {
            llm: self.llm,
            id,
            problem,
            out: TextOut::new(self.stops),
            tokens: Vec::new(),
            finish: None,
        }
    }

    /// The whole text.
    ///
    /// # Errors
    /// What [`Engine::submit`] refuses, and what the operations fail with.
    #[track_caller]
    pub fn text(self) -> Result<String> {
        self.stream().collect()
    }

    #[track_caller]
    fn start(&self) -> Result<Id> {
        let language = &self.llm.language;
        let prompt = match &self.prompt {
            Prompt::Tokens(tokens) => tokens.clone(),
            Prompt::Text(text) => language.tokenizer.encode(text, true)?,
            Prompt::Chat(messages) => language.chat_tokens(messages)?,
        };
        let mut engine = self.llm.engine.borrow_mut();
        let room = engine.longest().saturating_sub(prompt.len());
        let id = engine.submit(Request {
            max_tokens: self.max_tokens.unwrap_or(256.min(room)),
            prompt,
            sampling: self.sampling.clone(),
            ends: language.tokenizer.ends().to_vec(),
            top: None,
        })?;
        match id {
            Some(id) => {
                self.llm.events.borrow_mut().insert(id, VecDeque::new());
                Ok(id)
            }
            None => Err(Error::worker("too many texts are generated at once".into())),
        }
    }
}

impl Language {
    /// The tokens of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// [`Error::Argument`] where the model has no template of conversations, or it refuses this one.
    #[track_caller]
    pub fn chat_tokens(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let Some(chat) = &self.chat else {
            return Err(Error::argument(
                "messages",
                "a model with a chat template",
                "one without",
            ));
        };
        let text = chat.render(messages)?;
        let mut tokens = self.tokenizer.encode(&text, true)?;
        // Some templates begin with the token that the tokenizer puts before a text.
        if tokens.len() > 1 && tokens[0] == tokens[1] && Some(tokens[0]) == self.tokenizer.begin() {
            tokens.remove(0);
        }
        Ok(tokens)
    }
}

/// A text as it is computed, of [`Generate::stream`]. Dropping it ends the computation.
#[derive(Debug)]
pub struct Stream<'a> {
    llm: &'a Llm,
    id: Option<Id>,
    problem: Option<Error>,
    out: TextOut,
    tokens: Vec<u32>,
    finish: Option<Finish>,
}

impl Stream<'_> {
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
