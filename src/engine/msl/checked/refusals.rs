//! What Metal's compiler refuses although C++ takes it.

use std::collections::HashSet;

use super::{
    calls,
    pointers::{type_after, type_before},
};
use crate::engine::{
    error::{Location, Region},
    msl::{
        lexer::Kind,
        reach,
        scalars::is_scalar,
        signature,
        source::{Source, Stream},
        spaces::{self, Aliases, SPACES},
    },
};

/// Something that Metal has not, and where it stands.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub message: String,
    /// In the user's text.
    pub location: Option<Location>,
}

/// Words of C++ that MSL lacks.
const WORDS: [(&str, &str); 12] = [
    ("double", "Metal has no `double`"),
    ("double2", "Metal has no `double`"),
    ("double3", "Metal has no `double`"),
    ("double4", "Metal has no `double`"),
    ("goto", "Metal has no `goto`"),
    ("new", "Metal has no `new`"),
    ("delete", "Metal has no `delete`"),
    ("dynamic_cast", "Metal has no `dynamic_cast`"),
    ("typeid", "Metal has no `typeid`"),
    ("throw", "Metal has no exceptions"),
    ("try", "Metal has no exceptions"),
    ("thread_local", "Metal has no `thread_local`"),
];

/// The first thing in `text` that Metal refuses, if lexical means find one.
pub fn refuse(text: &str) -> Option<Refusal> {
    let source = Source::new(text);
    let signature = signature::find(&source).ok()?;
    let aliases = spaces::aliases(&source);
    let program = source.cursor(&source.program);
    let body = super::super::body_start(&source, *program.tokens.get(signature.body)?);
    let start = *program.tokens.get(signature.start)?;
    let found = |token: usize, message: String| Refusal {
        message,
        location: locate(&source, token, start, body),
    };

    let types = types(program);
    let conditional = conditional(&source);
    let used: HashSet<&str> = (source.macros.iter().flat_map(|m| &m.body))
        .chain(&source.program)
        .map(|&token| source.str(token))
        .collect();
    // In a macro, a name may stand for anything; and one that nobody uses may hold anything.
    let none = HashSet::new();
    let bodies = (source.macros.iter())
        .filter(|m| used.contains(source.str(m.name)))
        .map(|m| (m.body.as_slice(), m.params.as_slice(), &none));
    let mut first: Option<(usize, String)> = None;
    let program = (source.program.as_slice(), [].as_slice(), &types);
    for (tokens, params, types) in std::iter::once(program).chain(bodies) {
        let stream = source.cursor(tokens);
        for at in (0..stream.len()).filter(|&at| !conditional.contains(&stream.tokens[at])) {
            // A parameter of a macro may be the space: `S float* p`.
            let given = |p: usize| params.iter().any(|&t| source.str(t) == stream.str(p));
            let message = word(stream, at).or_else(|| pointer(stream, at, types, &aliases, &given));
            if let Some(message) = message {
                let token = stream.tokens[at];
                if first.as_ref().is_none_or(|(earlier, _)| token < *earlier) {
                    first = Some((token, message));
                }
                break;
            }
        }
    }
    if let Some((token, message)) = first {
        return Some(found(token, message));
    }
    let (token, message) = recursive(&source, signature.start, |_| true)?;
    Some(found(token, message))
}

/// The first function that calls itself, of those that the kernel uses, as far as names tell. A
/// template may call another instance of itself, and so end at compile time.
pub fn recursion(text: &str) -> Option<Refusal> {
    let source = Source::new(text);
    let signature = signature::find(&source).ok()?;
    let token = |position: usize| source.program.get(position).copied();
    let (start, body) = (token(signature.start)?, token(signature.body)?);
    let used = reach::words(&source, signature.start);
    let (at, message) = recursive(&source, signature.start, |f| {
        !f.is_template && used.contains(f.name)
    })?;
    let body = super::super::body_start(&source, body);
    Some(Refusal {
        message,
        location: locate(&source, at, start, body),
    })
}

fn recursive(
    source: &Source<'_>,
    end: usize,
    counts: impl Fn(&calls::Function<'_>) -> bool,
) -> Option<(usize, String)> {
    let program = source.cursor(&source.program);
    let at = calls::recursion(program, end, counts)?;
    let message = format!("Metal has no recursion: `{}` calls itself", program.str(at));
    Some((program.tokens[at], message))
}

/// Words that Metal does not know.
fn word(stream: Stream<'_>, at: usize) -> Option<String> {
    if stream.kind(at) != Some(Kind::Ident) || matches!(stream.before(at), "." | "->") {
        return None;
    }
    let word = stream.str(at);
    if word == "std" && stream.str(at + 1) == "::" {
        return Some("Metal has no `std::`".to_owned());
    }
    // `= delete` and `::operator new` are no expressions.
    if matches!(stream.before(at), "=" | "operator") {
        return None;
    }
    WORDS
        .iter()
        .find(|(refused, _)| *refused == word)
        .map(|(_, message)| (*message).to_owned())
}

/// A `*` after a type that no address space qualifies.
fn pointer(
    stream: Stream<'_>,
    at: usize,
    types: &HashSet<&str>,
    aliases: &Aliases<'_>,
    given: &dyn Fn(usize) -> bool,
) -> Option<String> {
    if stream.str(at) != "*" {
        return None;
    }
    let is_space = |p: usize| {
        SPACES.contains(&stream.str(p)) || aliases.contains_key(stream.str(p)) || given(p)
    };
    let qualifies = |p: usize| matches!(stream.str(p), "const" | "volatile") || is_space(p);
    let mut end = at;
    let mut qualified = false;
    while end > 0 && qualifies(end - 1) {
        end -= 1;
        qualified |= is_space(end);
    }
    let mut from = type_before(stream, end)?;
    let name = last_name(stream, from, end);
    let known = types.contains(stream.str(name)) || is_builtin(stream.str(name));
    // `vec<float, 4>*`: the name begins the type, its last token is a bracket.
    if !known || type_after(stream, from) != Some(end) || stream.str(at + 1) == "=" {
        return None;
    }
    while from > 0 && qualifies(from - 1) {
        from -= 1;
        qualified |= is_space(from);
    }
    let preceding = stream.before(from);
    if qualified || matches!(preceding, "::" | "." | "->" | "operator") {
        return None;
    }
    let text = stream.slice(from, at + 1);
    Some(format!(
        "pointer type `{text}` must have an address space: device, constant, threadgroup or thread"
    ))
}

/// The name of the type `from..end` without what qualifies it and its template arguments.
fn last_name(stream: Stream<'_>, from: usize, end: usize) -> usize {
    let mut name = from;
    let mut depth = 0usize;
    for at in from..end {
        match stream.str(at) {
            "<" => depth += 1,
            ">" => depth = depth.saturating_sub(1),
            _ if depth == 0 && stream.is_ident(at) => name = at,
            _ => {}
        }
    }
    name
}

/// Tokens between `#if` and `#endif`, of which only the preprocessor knows whether they count.
pub(super) fn conditional(source: &Source<'_>) -> HashSet<usize> {
    let mut inside = HashSet::new();
    let mut depth = 0usize;
    // The last significant token, to tell a directive's name.
    let mut hash = false;
    for (index, token) in source.tokens.iter().enumerate() {
        if !token.is_significant() {
            continue;
        }
        match source.str(index) {
            "if" | "ifdef" | "ifndef" if token.directive && hash => depth += 1,
            "endif" if token.directive && hash => depth = depth.saturating_sub(1),
            _ if depth > 0 => drop(inside.insert(index)),
            _ => {}
        }
        hash = token.directive && source.str(index) == "#";
    }
    inside
}

fn is_builtin(word: &str) -> bool {
    let scalar = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x');
    let packed = scalar.strip_prefix("packed_").unwrap_or(scalar);
    is_scalar(word)
        || matches!(
            word,
            "vec" | "atomic" | "atomic_int" | "atomic_uint" | "atomic_float"
        )
        || (scalar != word && is_scalar(packed))
}

/// Types that the text itself names.
fn types<'s>(stream: Stream<'s>) -> HashSet<&'s str> {
    (0..stream.len())
        .filter(|&at| {
            stream.is_ident(at)
                && matches!(stream.before(at), "typename" | "struct" | "class" | "using")
                && !matches!(stream.str(at), "namespace" | "metal")
        })
        .map(|at| stream.str(at))
        .collect()
}

/// Where a token stands in the text that the user wrote.
pub(super) fn locate(
    source: &Source<'_>,
    token: usize,
    start: usize,
    body: usize,
) -> Option<Location> {
    let offset = source.tokens.get(token)?.start;
    let begin = |token: usize| {
        source
            .tokens
            .get(token)
            .map_or(source.text.len(), |t| t.start)
    };
    let (region, from) = match token {
        t if t >= body => (Region::Source, begin(body)),
        t if t >= start => (Region::Signature, begin(start)),
        _ => (Region::Header, 0),
    };
    let before = source.text.get(from..offset)?;
    let line_start = source.text[..offset].rfind('\n').map_or(0, |n| n + 1);
    let text = source.text[line_start..].lines().next().unwrap_or("");
    Some(Location {
        region,
        line: before.matches('\n').count() + 1,
        column: offset - line_start + 1,
        text: text.to_owned(),
    })
}
