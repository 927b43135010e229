//! Which `<` open lists of template arguments, as far as names tell.
//!
//! `S<t ? A : B>` and `s < t ? a : b > c` look alike; C++ tells them apart by whether the name is a template's.

use std::collections::HashSet;

use super::source::{Source, Stream};

/// Templates of the language and its library, and words that a list may follow.
const KNOWN: [&str; 33] = [
    "template",
    "vec",
    "packed_vec",
    "array",
    "atomic",
    "matrix",
    "simdgroup_matrix",
    "make_filled_simdgroup_matrix",
    "make_diagonal_simdgroup_matrix",
    "numeric_limits",
    "Limits",
    "complex_t",
    "enable_if",
    "enable_if_t",
    "conditional",
    "conditional_t",
    "ConditionalType",
    "integral_constant",
    "bool_constant",
    "is_same",
    "is_same_v",
    "is_convertible_v",
    "remove_cv_t",
    "remove_const_t",
    "remove_reference_t",
    "make_unsigned_t",
    "make_signed_t",
    "as_type",
    "static_cast",
    "reinterpret_cast",
    "const_cast",
    "elem_to_loc",
    "LoopedElemToLoc",
];

/// The names that are templates: those of the library and those that the text declares.
pub fn names<'a>(source: &'a Source<'a>) -> HashSet<&'a str> {
    let mut names: HashSet<&str> = KNOWN.into_iter().collect();
    let bodies = source.macros.iter().map(|m| m.body.as_slice());
    for tokens in std::iter::once(source.program.as_slice()).chain(bodies) {
        let stream = source.cursor(tokens);
        for at in (0..stream.len()).filter(|&at| stream.str(at) == "template") {
            names.extend(declared(stream, at));
        }
    }
    names
}

/// The name that the template at `at` declares, or that follows the word in `x.template f<..>`.
fn declared<'s>(stream: Stream<'s>, at: usize) -> Option<&'s str> {
    if stream.is_ident(at + 1) {
        return Some(stream.str(at + 1));
    }
    let mut at = stream.close_angle(at + 1)? + 1;
    loop {
        match stream.str(at) {
            "" | ";" | "{" | "}" | ")" | "operator" => return None,
            "struct" | "class" | "union" | "using" if stream.is_ident(at + 1) => {
                return Some(stream.str(at + 1));
            }
            "(" | "=" | ">" | "," => return Some(stream.before(at)),
            "<" => at = stream.close_angle(at)?,
            "[" => at = stream.close(at)?,
            _ => {}
        }
        at += 1;
    }
}

/// The end of the list that opens at `open`, if the name before it is a template's.
pub fn close(stream: Stream<'_>, open: usize, names: &HashSet<&str>) -> Option<usize> {
    let opens = |at: usize| stream.str(at) == "<" && names.contains(stream.before(at));
    if !opens(open) {
        return None;
    }
    let mut depth = 0usize;
    let mut at = open;
    while at < stream.len() {
        match stream.str(at) {
            "<" if opens(at) => depth += 1,
            ">" => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            "(" | "[" | "{" => at = stream.close(at)?,
            ")" | "]" | "}" | ";" => return None,
            _ => {}
        }
        at += 1;
    }
    None
}
