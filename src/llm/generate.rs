//! A model with its tokenizer, and the options of a text.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::chat::Message;
use super::engine::{Counts, Engine, Event, Request};
use super::language::Language;
use super::model::Model;
use super::options::EngineOptions;
use super::sampling::Sampling;
use super::schedule::Id;
use super::stream::Stream;
use super::text::TextOut;
use crate::{Error, Result};

/// A language model: weights, tokenizer, cache.
#[derive(Debug)]
pub struct Llm {
    pub(super) engine: RefCell<Engine>,
    pub(super) language: Arc<Language>,
    /// Tokens that were computed for a stream while another one was read.
    pub(super) events: RefCell<HashMap<Id, VecDeque<Event>>>,
}

impl Llm {
    /// From its parts.
    ///
    /// # Errors
    /// What the operations fail with.
    #[track_caller]
    pub fn new(
        model: Model,
        language: Language,
        options: impl Into<EngineOptions>,
    ) -> Result<Self> {
        Ok(Llm {
            engine: RefCell::new(Engine::new(model, options)?),
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
        Stream::new(self.llm, started, TextOut::new(self.stops))
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
        if room == 0 && self.max_tokens.is_none() {
            let expected = format!("fewer than {} tokens", engine.longest());
            return Err(Error::argument("prompt", expected, prompt.len()));
        }
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
