//! Which words a kernel can reach, through the functions and macros that it uses.
//!
//! Headers carry helpers for many kernels: a macro that reduces over a simdgroup must not turn an
//! elementwise kernel that never uses it into coroutines. A definition counts as used when its name
//! occurs in something used; what has no recognizable name counts as used always, so that the
//! answer errs on the side of more.

use std::collections::{HashMap, HashSet};

use super::{
    lexer::Kind,
    source::{Source, Stream},
    unused::is_instantiation,
};

/// All words that the tokens from `start` on use, directly or through definitions before `start`.
pub fn words<'a>(source: &'a Source<'a>, start: usize) -> HashSet<&'a str> {
    let stream = source.cursor(&source.program);
    let mut definitions: HashMap<&str, Vec<Vec<&str>>> = HashMap::new();
    let mut queue: Vec<&str> = idents(stream, start, stream.len()).collect();
    for (from, to) in chunks(stream, 0, start) {
        if is_instantiation(stream, from, to) {
            continue;
        }
        let body: Vec<&str> = idents(stream, from, to).collect();
        match names(stream, from, to) {
            names if names.is_empty() => queue.extend(body),
            names => {
                for name in names {
                    definitions.entry(name).or_default().push(body.clone());
                }
            }
        }
    }
    for definition in &source.macros {
        let body = source.cursor(&definition.body);
        definitions
            .entry(source.str(definition.name))
            .or_default()
            .push(idents(body, 0, body.len()).collect());
    }
    let mut reached = HashSet::new();
    while let Some(word) = queue.pop() {
        if reached.insert(word) {
            for body in definitions.remove(word).into_iter().flatten() {
                queue.extend(body);
            }
        }
    }
    reached
}

fn idents<'s>(stream: Stream<'s>, from: usize, to: usize) -> impl Iterator<Item = &'s str> {
    (from..to)
        .filter(move |&at| stream.kind(at) == Some(Kind::Ident))
        .map(move |at| stream.str(at))
}

/// The definitions between two tokens, those within namespaces one by one.
pub fn chunks(stream: Stream<'_>, start: usize, end: usize) -> Vec<(usize, usize)> {
    let mut chunks = Vec::new();
    let (mut from, mut at) = (start, start);
    while at < end {
        match stream.str(at) {
            "{" if is_namespace(stream, from, at) => from = at + 1,
            "{" => {
                at = stream.close(at).map_or(end, |c| c.min(end));
                // `struct S {...} s;` and `T x = {...};` go on to their semicolon.
                if !matches!(stream.str(at + 1), ";" | "," | "=") {
                    chunks.push((from, (at + 1).min(end)));
                    from = at + 1;
                }
            }
            "}" => from = at + 1,
            ";" => {
                chunks.push((from, at + 1));
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if from < end {
        chunks.push((from, end));
    }
    chunks
}

fn is_namespace(stream: Stream<'_>, from: usize, open: usize) -> bool {
    (from..open).any(|at| stream.str(at) == "namespace")
}

/// The names that a definition introduces: of a function, a type, a variable.
pub fn names<'s>(stream: Stream<'s>, from: usize, to: usize) -> Vec<&'s str> {
    let mut names = Vec::new();
    let mut at = from;
    if stream.str(at) == "template" && stream.str(at + 1) == "<" {
        at = stream.close_angle(at + 1).map_or(at, |end| end + 1);
    }
    while at < to {
        match stream.str(at) {
            // An operator is called without its name.
            "operator" => return Vec::new(),
            "[" => at = stream.close(at).unwrap_or(to),
            "struct" | "class" | "union" | "enum" | "using" if stream.is_ident(at + 1) => {
                names.push(stream.str(at + 1));
                if stream.str(at) != "enum" {
                    return names;
                }
            }
            // The enumerators of an enumeration, or a function's body.
            "{" => {
                if names.is_empty() {
                    return names;
                }
                names.extend(idents(stream, at, to));
                return names;
            }
            "(" if matches!(stream.before(at), "alignas" | "decltype" | "__attribute__") => {
                at = stream.close(at).unwrap_or(to);
            }
            "(" if at > from && stream.is_ident(at - 1) => {
                names.push(stream.before(at));
                match stream.close(at) {
                    // A macro's call, which needs no semicolon, and then something else.
                    Some(close) if goes_on(stream, close + 1, to) => at = close,
                    _ => return names,
                }
            }
            "=" | ";" if at > from => {
                // The declared name is the last word before; arrays have been skipped.
                names.extend(
                    (from..at)
                        .rev()
                        .find(|&p| stream.is_ident(p))
                        .map(|p| stream.str(p)),
                );
                return names;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// Whether a definition begins at `at`, behind a bracket that closes.
fn goes_on(stream: Stream<'_>, at: usize, to: usize) -> bool {
    const BEHIND: [&str; 9] = [
        "const",
        "volatile",
        "noexcept",
        "override",
        "final",
        "requires",
        "thread",
        "device",
        "threadgroup",
    ];
    at < to
        && (stream.is_ident(at)
            && !BEHIND.contains(&stream.str(at))
            && stream.str(at) != "constant"
            || (stream.opens_attribute(at) && stream.str(at + 2) == "kernel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(header: &str, body: &str, word: &str) -> bool {
        let text = format!("{header}\nKERNEL {{ {body} }}");
        let source = Source::new(&text);
        let start = source
            .program
            .iter()
            .position(|&t| source.str(t) == "KERNEL")
            .unwrap_or(0);
        words(&source, start).contains(word)
    }

    const HEADER: &str = "#define RED(x) simd_sum(x)\n\
        template <typename T> inline T total(T x) { return RED(x); }\n\
        namespace n { constant float table[2] = {1, 2}; float other(float x) { return total(x); } }\n\
        struct Sum { float operator()(float x) { return simd_max(x); } };";

    #[test]
    fn unused_helpers_do_not_count() {
        assert!(!reaches(HEADER, "out[0] = n::table[1];", "simd_sum"));
        assert!(!reaches(HEADER, "out[0] = n::table[1];", "simd_max"));
    }

    #[test]
    fn used_helpers_do() {
        assert!(reaches(HEADER, "RED(x);", "simd_sum"));
        assert!(reaches(HEADER, "n::other(x);", "simd_sum"));
        assert!(reaches(HEADER, "Sum s; s(x);", "simd_max"));
        let behind = "USE(x)\ninline float after(float x) { return simd_min(x); }\n";
        assert!(reaches(behind, "out[0] = after(1);", "simd_min"));
    }
}
