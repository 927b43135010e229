//! Definitions that macros write, where address spaces matter in them.
//!
//! `DEFINE(device) DEFINE(threadgroup)` defines a function once for each space, and so does one macro whose body has
//! all of them. Passes see a macro's body once and cannot tell such functions apart, so these lines are
//! replaced by what they stand for. Everything else stays as it is written, for the sake of places in errors.

use std::borrow::Cow;
use std::collections::HashMap;

use super::{
    functions::{Item, items},
    signature,
    source::{Macro, Source, Stream},
    spaces,
};

/// Macros that write macros, at most; and bytes that come of it.
const DEPTH: usize = 8;
const LONGEST: usize = 1 << 20;

/// The text with such definitions written out, on the lines where they were asked for.
pub fn definitions(text: &str) -> Cow<'_, str> {
    if !text.contains("#define") && !text.contains("# define") {
        return Cow::Borrowed(text);
    }
    let mut now = Cow::Borrowed(text);
    // Bytes of the text that macros wrote.
    let mut written: Vec<(usize, usize)> = Vec::new();
    for _ in 0..DEPTH {
        let Some(next) = once(&now, &mut written) else {
            break;
        };
        now = Cow::Owned(next);
    }
    match !written.is_empty() && matters(&now, &written) {
        true => now,
        false => Cow::Borrowed(text),
    }
}

/// Replaces each use of a macro outside of functions, before the kernel.
fn once(text: &str, written: &mut Vec<(usize, usize)>) -> Option<String> {
    let source = Source::new(text);
    let end = signature::find(&source).ok()?.start;
    let stream = source.cursor(&source.program);
    let macros = macros(&source);
    let mut out = String::new();
    let mut ranges = Vec::new();
    let mut copied = 0;
    let mut at = 0;
    while at < end {
        if stream.str(at) == "{" && !has_definitions(stream, at) {
            at = stream.close(at)?;
        }
        let used = macros.get(stream.str(at)).filter(|_| stream.is_ident(at));
        let Some((replacement, close)) = used.and_then(|m| replaced(&source, stream, at, m)) else {
            at += 1;
            continue;
        };
        let start = source.tokens[stream.tokens[at]].start;
        let stop = source.tokens[stream.tokens[close]].end;
        out.push_str(&text[copied..start]);
        let from = out.len();
        out.push_str(&replacement);
        ranges.push(((start, stop), (from, out.len())));
        // The lines that follow keep their numbers.
        out.extend(text[start..stop].chars().filter(|c| *c == '\n'));
        copied = stop;
        at = close + 1;
        if out.len() > LONGEST {
            return None;
        }
    }
    if ranges.is_empty() {
        return None;
    }
    out.push_str(&text[copied..]);
    moved(written, &ranges);
    Some(out)
}

/// Where something begins and ends, in the text before and in the text after.
type Ranges = ((usize, usize), (usize, usize));

/// The ranges where they are after replacements `(from, to)`, and those of the replacements.
fn moved(written: &mut Vec<(usize, usize)>, ranges: &[Ranges]) {
    let place = |byte: usize| {
        let last = ranges.iter().rev().find(|((start, _), _)| *start < byte);
        match last {
            // Within what was replaced: it goes as far as the replacement.
            Some(((_, stop), (_, to))) if byte <= *stop => *to,
            Some(((_, stop), (_, to))) => byte - stop + to,
            None => byte,
        }
    };
    for range in written.iter_mut() {
        *range = (place(range.0), place(range.1));
    }
    written.extend(ranges.iter().map(|(_, new)| *new));
}

/// Whether the bracket at `at` holds definitions: it is a structure's or a namespace's.
fn has_definitions(stream: Stream<'_>, at: usize) -> bool {
    let from = (0..at)
        .rev()
        .find(|&p| matches!(stream.str(p), ";" | "{" | "}"));
    (from.map_or(0, |p| p + 1)..at).any(|p| {
        matches!(
            stream.str(p),
            "struct" | "class" | "union" | "namespace" | "extern"
        )
    }) && !matches!(stream.before(at), ")" | "=")
}

/// Macros of one definition, which puts no words into quotes.
fn macros<'s>(source: &'s Source<'_>) -> HashMap<&'s str, &'s Macro> {
    let mut found: HashMap<&str, Option<&Macro>> = HashMap::new();
    for definition in &source.macros {
        let name = source.str(definition.name);
        let plain = !makes_text(source, definition);
        found
            .entry(name)
            .and_modify(|known| *known = None)
            .or_insert(plain.then_some(definition));
    }
    let known = found.into_iter();
    known.filter_map(|(name, m)| Some((name, m?))).collect()
}

/// `#word`, or a list of arguments of any length.
fn makes_text(source: &Source<'_>, definition: &Macro) -> bool {
    let body: Vec<&str> = definition.body.iter().map(|&t| source.str(t)).collect();
    let mut at = 0;
    while at < body.len() {
        match (body[at], body.get(at + 1)) {
            ("#", Some(&"#")) => at += 2,
            ("#", _) | ("__VA_ARGS__" | "__VA_OPT__", _) => return true,
            _ => at += 1,
        }
    }
    false
}

/// What the use of `definition` at `at` stands for, and its last token.
fn replaced(
    source: &Source<'_>,
    stream: Stream<'_>,
    at: usize,
    definition: &Macro,
) -> Option<(String, usize)> {
    let (arguments, close) = match definition.function_like {
        false => (Vec::new(), at),
        true if stream.str(at + 1) == "(" => arguments(stream, at + 1)?,
        true => return None,
    };
    let params: Vec<&str> = definition.params.iter().map(|&t| source.str(t)).collect();
    if arguments.len() != params.len() && !(params.is_empty() && arguments == [""]) {
        return None;
    }
    let mut out = String::new();
    let body = &definition.body;
    let mut index = 0;
    while index < body.len() {
        let word = source.str(body[index]);
        if word == "#" {
            out.truncate(out.trim_end().len());
            index += 2;
            continue;
        }
        let position = params.iter().position(|p| *p == word);
        out.push_str(position.map_or(word, |p| arguments[p]));
        // What touches stays together: `>=`, `0.5f`.
        let pasted = body.get(index + 1).is_some_and(|&t| source.str(t) == "#");
        if !pasted {
            out.push(' ');
        }
        let joined = body.get(index + 1).is_some_and(|&next| {
            source.tokens[next].start == source.tokens[body[index]].end && word == ">"
        });
        if joined {
            out.pop();
        }
        index += 1;
    }
    Some((out, close))
}

/// The arguments between brackets, and where these close.
fn arguments<'s>(stream: Stream<'s>, open: usize) -> Option<(Vec<&'s str>, usize)> {
    let close = stream.close(open)?;
    let mut found = Vec::new();
    let (mut from, mut at) = (open + 1, open + 1);
    while at <= close {
        match stream.str(at) {
            "(" | "[" | "{" if at < close => at = stream.close(at)?,
            "," => {
                found.push(stream.slice(from, at));
                from = at + 1;
            }
            _ if at == close => found.push(stream.slice(from, at)),
            _ => {}
        }
        at += 1;
    }
    Some((found, close))
}

/// Whether macros wrote overloads that differ in address spaces, or constants of functions.
fn matters(text: &str, written: &[(usize, usize)]) -> bool {
    let source = Source::new(text);
    let Ok(signature) = signature::find(&source) else {
        return false;
    };
    let stream = source.cursor(&source.program);
    let aliases = spaces::aliases(&source);
    let by_macro = |at: usize| {
        let byte = source.tokens[stream.tokens[at]].start;
        written
            .iter()
            .any(|(from, to)| (*from..*to).contains(&byte))
    };
    if (0..signature.start).any(|at| stream.str(at) == "function_constant" && by_macro(at)) {
        return true;
    }
    let items = items(stream, signature.start, &aliases);
    let functions = items
        .iter()
        .filter(|item| item.is_function() && item.has_body(stream));
    let mut groups: HashMap<&str, Vec<&Item<'_>>> = HashMap::new();
    for item in functions {
        groups.entry(item.own_name()).or_default().push(item);
    }
    groups.values().any(|group| {
        group.iter().enumerate().any(|(n, a)| {
            group[..n].iter().any(|b| {
                (by_macro(a.span.0) || by_macro(b.span.0) || by_macro(a.parens.0)) && a.collides(b)
            })
        })
    })
}
