//! Marks the alternatives of conditional expressions.
//!
//! In MSL `c ? h : 1.0f` with a half `h` is a float. Where half is a class, as on the host, C++
//! finds two ways to convert and refuses; a function around each alternative settles it, and is
//! the identity for all other types.

use std::collections::HashSet;

use super::{
    edits::Edits,
    lexer::Kind,
    source::Stream,
    templates,
    words::{is_assigned, is_small_literal},
};

/// Calls `function` on the alternatives of the conditional expressions of one stream. `templates` are the names
/// behind which `<` opens a list of arguments.
pub fn mark(stream: Stream<'_>, function: &str, templates: &HashSet<&str>, edits: &mut Edits) {
    // What is open around the current token, each with its end.
    let mut open: Vec<(usize, usize)> = Vec::new();
    for at in 0..stream.len() {
        while open.last().is_some_and(|&(_, end)| end <= at) {
            open.pop();
        }
        let end = match stream.str(at) {
            "(" | "[" | "{" => stream.close(at),
            "<" => templates::close(stream, at, templates),
            "?" if !stays(stream, at, open.last().copied()) => {
                alternatives(stream, at, function, edits);
                None
            }
            _ => None,
        };
        open.extend(end.map(|end| (at, end)));
    }
}

fn alternatives(stream: Stream<'_>, question: usize, function: &str, edits: &mut Edits) {
    let Some(colon) = colon(stream, question) else {
        return;
    };
    let end = end(stream, colon + 1);
    for (from, to) in [(question + 1, colon), (colon + 1, end)] {
        if from < to && !is_plain(stream, from, to) {
            edits.insert_before(stream.tokens[from], &format!("{function}("));
            edits.insert_after(stream.tokens[to - 1], ")");
        }
    }
}

/// Whether the conditional at `question` works as it is, and only so: among template arguments, which are
/// constants or types, and where an object is chosen, not a value.
fn stays(stream: Stream<'_>, question: usize, around: Option<(usize, usize)>) -> bool {
    let begin = around.map_or(0, |(open, _)| open + 1);
    match around {
        Some((open, _)) if stream.str(open) == "<" => return true,
        // `(c ? a : b) = x`, `&(c ? a : b)`, `++(c ? a : b)`
        Some((open, close)) if stream.str(open) == "(" => {
            let before = stream.before(open);
            let address = before == "&"
                && open.checked_sub(2).is_none_or(|p| {
                    matches!(stream.str(p), "(" | "," | "=" | "return" | "{" | ";")
                });
            if address || matches!(before, "++" | "--") || is_assigned(stream, close + 1) {
                return true;
            }
        }
        _ => {}
    }
    // `thread half& r = c ? a : b;`
    let assignment = (begin..question)
        .rev()
        .take_while(|&p| !matches!(stream.str(p), ";" | "{" | "}" | ","))
        .find(|&p| stream.str(p) == "=");
    assignment.is_some_and(|p| {
        p >= begin + 3
            && stream.is_ident(p - 1)
            && stream.str(p - 2) == "&"
            && (stream.is_ident(p - 3) || stream.str(p - 3) == ">")
            && !(begin..p)
                .rev()
                .take_while(|&q| !matches!(stream.str(q), ";" | "{" | "}" | "("))
                .any(|q| stream.str(q) == "const")
    })
}

/// Alternatives that convert without help, or that no function can take.
fn is_plain(stream: Stream<'_>, from: usize, to: usize) -> bool {
    let literal = match stream.kind(from) {
        Some(Kind::Number) => !is_small_literal(stream.str(from)),
        Some(Kind::Text) => true,
        _ => matches!(stream.str(from), "true" | "false" | "nullptr"),
    };
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
