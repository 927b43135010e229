//! Takes out definitions that differ from an earlier one in address spaces only.
//!
//! MSL lets a function be overloaded on where its pointer points. Without address spaces the
//! overloads are one function defined twice; they do the same, so the first one stays.

use std::collections::HashSet;

use super::{
    edits::Edits,
    reach::chunks,
    source::Stream,
    spaces::{Aliases, SPACES},
};

/// Blanks repeated definitions before token `end`.
pub fn unify(stream: Stream<'_>, end: usize, aliases: &Aliases<'_>, edits: &mut Edits) {
    unify_in(stream, 0, end, aliases, edits);
}

fn unify_in(stream: Stream<'_>, from: usize, end: usize, aliases: &Aliases<'_>, edits: &mut Edits) {
    let mut seen = HashSet::new();
    for (from, to) in chunks(stream, from, end) {
        let Some(open) = (from..to).find(|&at| stream.str(at) == "{") else {
            continue;
        };
        let has_spaces = |word: &str| SPACES.contains(&word) || aliases.contains_key(word);
        let head = head(stream, from, open, aliases);
        let repeated = !seen.insert(head);
        if repeated && (from..open).any(|at| has_spaces(stream.str(at))) {
            stream.tokens[from..to]
                .iter()
                .for_each(|&token| edits.erase(token));
        } else if (from..open).any(|at| matches!(stream.str(at), "struct" | "class")) {
            let close = stream.close(open).unwrap_or(to);
            unify_in(stream, open + 1, close, aliases, edits);
        }
    }
}

/// A definition up to its body, as it will look without address spaces.
fn head<'s>(stream: Stream<'s>, from: usize, open: usize, aliases: &Aliases<'s>) -> Vec<&'s str> {
    let mut head: Vec<&str> = Vec::new();
    for at in from..open {
        let word = stream.str(at);
        let word = match aliases.get(word).copied().unwrap_or(word) {
            "constant" => "const",
            space if SPACES.contains(&space) => continue,
            _ => word,
        };
        if word != "const" || head.last() != Some(&"const") {
            head.push(word);
        }
    }
    head
}
