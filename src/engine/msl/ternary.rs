//! Marks the alternatives of conditional expressions.
//!
//! In MSL `c ? h : 1.0f` with a half `h` is a float. Where half is a class, as on the host, C++
//! finds two ways to convert and refuses; a function around each alternative settles it, and is
//! the identity for all other types.

use super::{edits::Edits, lexer::Kind, source::Stream};

/// Calls `function` on the alternatives of all conditional expressions of one stream.
pub fn mark(stream: Stream<'_>, function: &str, edits: &mut Edits) {
    for question in (0..stream.len()).filter(|&at| stream.str(at) == "?") {
        let Some(colon) = colon(stream, question) else {
            continue;
        };
        let end = end(stream, colon + 1);
        for (from, to) in [(question + 1, colon), (colon + 1, end)] {
            if from < to && !is_plain(stream, from, to) {
                edits.insert_before(stream.tokens[from], &format!("{function}("));
                edits.insert_after(stream.tokens[to - 1], ")");
            }
        }
    }
}

/// Alternatives that convert without help, or that no function can take.
fn is_plain(stream: Stream<'_>, from: usize, to: usize) -> bool {
    let literal = matches!(stream.kind(from), Some(Kind::Number | Kind::Text))
        || matches!(stream.str(from), "true" | "false" | "nullptr");
    let nothing = stream.str(from) == "throw"
        || (stream.str(from) == "("
            && stream.str(from + 1) == "void"
            && stream.str(from + 2) == ")");
    (literal && to == from + 1) || nothing
}

/// The `:` that belongs to the `?` at `question`.
fn colon(stream: Stream<'_>, question: usize) -> Option<usize> {
    let mut inner = 0usize;
    let mut at = question + 1;
    while at < stream.len() {
        match stream.str(at) {
            "(" | "[" | "{" => at = stream.close(at)?,
            ")" | "]" | "}" | ";" => return None,
            "?" => inner += 1,
            ":" if inner == 0 => return Some(at),
            ":" => inner -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// One past the last token of the alternative that begins at `from`.
fn end(stream: Stream<'_>, from: usize) -> usize {
    let mut inner = 0usize;
    let mut at = from;
    while at < stream.len() {
        match stream.str(at) {
            "(" | "[" | "{" => match stream.close(at) {
                Some(close) => at = close,
                None => return from,
            },
            // A comma between template arguments ends nothing.
            "<" if at > from && stream.is_ident(at - 1) => {
                let close = stream.close_angle(at);
                at = close
                    .filter(|&c| matches!(stream.str(c + 1), "(" | "::" | "{"))
                    .unwrap_or(at);
            }
            ")" | "]" | "}" | ";" | "," => return at,
            "?" => inner += 1,
            ":" if inner == 0 => return at,
            ":" => inner -= 1,
            _ => {}
        }
        at += 1;
    }
    stream.len()
}
