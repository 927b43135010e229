//! A text as a list of definitions, to take some of them out of it.

use super::lexer::{Kind, lex};
use super::reach::{chunks, names};
use super::source::Source;

/// A definition: of a function, a type, a constant.
pub struct Item {
    /// What it introduces.
    pub names: Vec<String>,
    /// What it mentions.
    pub words: Vec<String>,
    /// Its text, comments taken out.
    pub text: String,
}

/// The definitions of a text, in order. Preprocessor lines are no part of any.
pub fn items(text: &str) -> Vec<Item> {
    let source = Source::new(text);
    let stream = source.cursor(&source.program);
    chunks(stream, 0, stream.len())
        .into_iter()
        .map(|(from, to)| {
            let text = stream.slice(from, to);
            Item {
                names: names(stream, from, to)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
                words: words(text),
                text: without_comments(text),
            }
        })
        .collect()
}

/// All words of a text, each once.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = lex(text)
        .iter()
        .filter(|t| t.kind == Kind::Ident)
        .map(|t| text[t.start..t.end].to_owned())
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The tokens of a text that a parser sees, those of the preprocessor included.
pub fn tokens(text: &str) -> Vec<&str> {
    let seen = lex(text).into_iter().filter(|t| t.is_significant());
    seen.map(|t| &text[t.start..t.end]).collect()
}

/// A text without its comments and empty lines.
pub fn without_comments(text: &str) -> String {
    let kept: String = lex(text)
        .iter()
        .filter(|t| t.kind != Kind::Comment)
        .map(|t| &text[t.start..t.end])
        .collect();
    let lines = kept.lines().map(str::trim_end);
    lines
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}
