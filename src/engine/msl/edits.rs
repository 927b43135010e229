//! Replacements of tokens, and the map from the resulting text back to the original.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    lexer::{Kind, Token},
    source::{Source, Stream},
};

/// What the passes want changed, by token index.
#[derive(Debug)]
pub struct Edits {
    replaced: Vec<Option<Cow<'static, str>>>,
    before: BTreeMap<usize, String>,
    after: BTreeMap<usize, String>,
    erased: Vec<bool>,
}

impl Edits {
    /// No change yet.
    pub fn new(source: &Source<'_>) -> Self {
        Self {
            replaced: vec![None; source.tokens.len()],
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            erased: vec![false; source.tokens.len()],
        }
    }

    /// Writes `text` instead of the token.
    pub fn replace(&mut self, token: usize, text: impl Into<Cow<'static, str>>) {
        self.replaced[token] = Some(text.into());
    }

    /// Takes the token out. A blank stays, so that its neighbours do not run together.
    pub fn blank(&mut self, token: usize) {
        self.replace(token, " ");
    }

    /// Takes the token out together with what any pass writes around it.
    pub fn erase(&mut self, token: usize) {
        self.blank(token);
        self.erased[token] = true;
    }

    /// Whether a pass has changed the token already.
    pub fn touched(&self, token: usize) -> bool {
        self.replaced[token].is_some()
    }

    /// Writes `text` before the token, ahead of what already stands there.
    pub fn insert_before(&mut self, token: usize, text: &str) {
        self.before.entry(token).or_default().insert_str(0, text);
    }

    /// Writes `text` after the token, behind what already stands there.
    pub fn insert_after(&mut self, token: usize, text: &str) {
        self.after.entry(token).or_default().push_str(text);
    }

    /// What `from..to` of a stream have become, on one line.
    pub fn render(
        &self,
        source: &Source<'_>,
        stream: Stream<'_>,
        (from, to): (usize, usize),
    ) -> String {
        let span = stream.tokens.get(from..to).unwrap_or_default();
        let mut out = Output::default();
        if let (Some(&first), Some(&last)) = (span.first(), span.last()) {
            for index in first..=last {
                match source.tokens[index].kind {
                    Kind::Comment | Kind::Newline | Kind::Continuation => out.text.push(' '),
                    _ => self.write(source, index, index + 1, &mut out),
                }
            }
        }
        out.text.trim().to_owned()
    }

    /// Writes `text` right after the token, ahead of what already stands there.
    pub fn insert_behind(&mut self, token: usize, text: &str) {
        self.after.entry(token).or_default().insert_str(0, text);
    }

    /// What a pass has made of the token.
    pub fn replacement(&self, token: usize) -> Option<&str> {
        self.replaced[token].as_deref()
    }

    /// Appends the edited tokens `from..to` to `out`.
    pub fn write(&self, source: &Source<'_>, from: usize, to: usize, out: &mut Output) {
        for index in from..to {
            let Some(token) = source.tokens.get(index) else {
                return;
            };
            if self.erased[index] {
                out.token(token, " ");
                continue;
            }
            if let Some(text) = self.before.get(&index) {
                out.text.push_str(text);
            }
            out.token(
                token,
                self.replaced[index]
                    .as_deref()
                    .unwrap_or_else(|| source.str(index)),
            );
            if let Some(text) = self.after.get(&index) {
                out.text.push_str(text);
            }
        }
    }
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Output {
    /// The text so far.
    pub text: String,
    /// Where each significant token went: offset in the text, offset in the original.
    pub map: Vec<(usize, usize)>,
}

impl Output {
    fn token(&mut self, token: &Token, text: &str) {
        if token.is_significant() {
            self.map.push((self.text.len(), token.start));
        }
        self.text.push_str(text);
    }

    /// Begins a new line.
    pub fn line(&mut self, text: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str(text);
        self.text.push('\n');
    }
}
