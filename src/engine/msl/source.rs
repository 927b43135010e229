//! A text seen as token streams: the program proper, and the body of each macro.
//!
//! Passes look at significant tokens only. The program's stream leaves preprocessor lines out, so
//! that a macro between two statements does not confuse a look-ahead; macro bodies are streams of
//! their own and are rewritten by the same passes.

use super::lexer::{Kind, Token, lex};

/// A macro definition.
#[derive(Clone, Debug)]
pub struct Macro {
    /// Token of the name.
    pub name: usize,
    /// Whether it takes arguments.
    pub function_like: bool,
    /// Tokens of the parameters' names.
    pub params: Vec<usize>,
    /// Tokens of the replacement.
    pub body: Vec<usize>,
}

/// A lexed text. Streams hold indices into `tokens`.
#[derive(Debug)]
pub struct Source<'a> {
    /// The text.
    pub text: &'a str,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// Significant tokens outside preprocessor lines.
    pub program: Vec<usize>,
    /// The macros, in order of definition.
    pub macros: Vec<Macro>,
    /// Tokens of each `#include` line.
    pub includes: Vec<Vec<usize>>,
    /// Tokens of all `#if` and `#elif` lines.
    pub conditions: Vec<usize>,
}

impl<'a> Source<'a> {
    /// Lexes `text` and finds its streams.
    pub fn new(text: &'a str) -> Self {
        let tokens = lex(text);
        let mut source = Self {
            text,
            tokens,
            program: Vec::new(),
            macros: Vec::new(),
            includes: Vec::new(),
            conditions: Vec::new(),
        };
        let mut line = Vec::new();
        for index in 0..source.tokens.len() {
            let token = source.tokens[index];
            if token.directive && token.kind == Kind::Newline {
                source.end_directive(std::mem::take(&mut line));
            } else if token.is_significant() {
                if token.directive {
                    &mut line
                } else {
                    &mut source.program
                }
                .push(index);
            }
        }
        source.end_directive(line);
        source
    }

    fn end_directive(&mut self, line: Vec<usize>) {
        let [hash, keyword, rest @ ..] = line.as_slice() else {
            return;
        };
        match (self.str(*hash), self.str(*keyword), rest) {
            ("#", "define", [name, rest @ ..]) => {
                // Only a bracket that touches the name makes the macro take arguments.
                let function_like = rest.first().is_some_and(|&open| {
                    self.str(open) == "(" && self.tokens[open].start == self.tokens[*name].end
                });
                let params = match function_like {
                    true => rest
                        .iter()
                        .position(|&t| self.str(t) == ")")
                        .map_or(rest.len(), |p| p + 1),
                    false => 0,
                };
                let body = rest[params..].to_vec();
                let params = rest[..params].iter().copied();
                let params = params.filter(|&t| self.tokens[t].kind == Kind::Ident);
                self.macros.push(Macro {
                    name: *name,
                    function_like,
                    params: params.collect(),
                    body,
                });
            }
            ("#", "include" | "import", _) => self.includes.push(line),
            ("#", "if" | "elif", rest) => self.conditions.extend_from_slice(rest),
            _ => {}
        }
    }

    /// The text of token `index`.
    pub fn str(&self, index: usize) -> &'a str {
        self.tokens
            .get(index)
            .map_or("", |t| &self.text[t.start..t.end])
    }

    /// A view of `stream` with look-ahead.
    pub fn cursor<'s>(&'s self, stream: &'s [usize]) -> Stream<'s> {
        Stream {
            source: self,
            tokens: stream,
        }
    }
}

/// A stream of significant tokens, addressed by position. Positions past the end read as empty.
#[derive(Clone, Copy)]
pub struct Stream<'s> {
    source: &'s Source<'s>,
    /// Indices into the source's tokens.
    pub tokens: &'s [usize],
}

impl<'s> Stream<'s> {
    /// Number of tokens.
    pub const fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The token's text at `at`, empty beyond either end.
    pub fn str(&self, at: usize) -> &'s str {
        self.tokens.get(at).map_or("", |&t| self.source.str(t))
    }

    /// The text just before `at`.
    pub fn before(&self, at: usize) -> &'s str {
        at.checked_sub(1).map_or("", |p| self.str(p))
    }

    /// The kind at `at`.
    pub fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|&t| self.source.tokens[t].kind)
    }

    /// Whether `at` is a word.
    pub fn is_ident(&self, at: usize) -> bool {
        self.kind(at) == Some(Kind::Ident)
    }

    /// Whether the token at `at` touches the next one.
    pub fn touches_next(&self, at: usize) -> bool {
        match (self.tokens.get(at), self.tokens.get(at + 1)) {
            (Some(&a), Some(&b)) => self.source.tokens[a].end == self.source.tokens[b].start,
            _ => false,
        }
    }

    /// Position of the bracket that closes the one at `open`.
    pub fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for at in open..self.len() {
            match self.str(at) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Position of the `>` that closes the template bracket at `open`, if it is one.
    pub fn close_angle(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        let mut at = open;
        while at < self.len() {
            match self.str(at) {
                "<" => depth += 1,
                ">" => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                "(" | "[" => at = self.close(at)?,
                ";" | "{" | "}" | ")" | "]" | "&&" | "||" => return None,
                _ => {}
            }
            at += 1;
        }
        None
    }

    /// Whether an attribute `[[` starts at `at`.
    pub fn opens_attribute(&self, at: usize) -> bool {
        self.str(at) == "[" && self.str(at + 1) == "["
    }

    /// The source text from token `from` up to, not including, token `to`, attributes included.
    pub fn slice(&self, from: usize, to: usize) -> &'s str {
        match (
            self.tokens.get(from),
            to.checked_sub(1).and_then(|l| self.tokens.get(l)),
        ) {
            (Some(&a), Some(&b)) if a <= b => {
                &self.source.text[self.source.tokens[a].start..self.source.tokens[b].end]
            }
            _ => "",
        }
    }
}
