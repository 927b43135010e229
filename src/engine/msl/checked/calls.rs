//! Recursion, which Metal has not: cycles in the call graph, as far as names tell.

use std::collections::{HashMap, HashSet};

use crate::engine::msl::{reach::chunks, source::Stream};

/// A function, by the tokens of its body.
pub struct Function<'s> {
    pub name: &'s str,
    pub is_template: bool,
    body: (usize, usize),
    /// Defined more than once: a call may mean another overload, so nothing is known.
    overloaded: bool,
}

/// The position of a call that is part of a cycle, among the functions that count.
pub fn recursion<'s>(
    stream: Stream<'s>,
    end: usize,
    counts: impl Fn(&Function<'s>) -> bool,
) -> Option<usize> {
    let mut functions = functions(stream, end);
    functions.retain(|_, function| counts(function));
    let mut names: Vec<(&&str, &Function<'_>)> = functions.iter().collect();
    names.sort_by_key(|(_, f)| f.body);
    for (name, function) in names {
        let first = calls(stream, function.body, &functions);
        for (callee, at) in first {
            if reaches(stream, callee, name, &functions) {
                return Some(at);
            }
        }
    }
    None
}

/// Whether a call of `from` may lead to one of `target`.
fn reaches<'s>(
    stream: Stream<'s>,
    from: &'s str,
    target: &str,
    functions: &HashMap<&'s str, Function<'s>>,
) -> bool {
    let mut seen = HashSet::new();
    let mut queue = vec![from];
    while let Some(name) = queue.pop() {
        if name == target {
            return true;
        }
        if seen.insert(name)
            && let Some(function) = functions.get(name)
        {
            queue.extend(
                calls(stream, function.body, functions)
                    .into_iter()
                    .map(|c| c.0),
            );
        }
    }
    false
}

/// The calls of known functions within a body.
fn calls<'s>(
    stream: Stream<'s>,
    (from, to): (usize, usize),
    functions: &HashMap<&'s str, Function<'s>>,
) -> Vec<(&'s str, usize)> {
    (from..to)
        .filter(|&at| {
            // A call with template arguments ends at compile time, if at all.
            stream.str(at + 1) == "("
                && !matches!(stream.before(at), "." | "->" | "::")
                && !(stream.is_ident(at.wrapping_sub(1)) && stream.before(at) != "return")
                && functions.get(stream.str(at)).is_some_and(|f| !f.overloaded)
        })
        .map(|at| (stream.str(at), at))
        .collect()
}

fn functions<'s>(stream: Stream<'s>, end: usize) -> HashMap<&'s str, Function<'s>> {
    let mut functions: HashMap<&str, Function<'_>> = HashMap::new();
    for (from, to) in chunks(stream, 0, end) {
        let Some(open) = (from..to).find(|&at| stream.str(at) == "{") else {
            continue;
        };
        let is_type = (from..open).any(|at| matches!(stream.str(at), "struct" | "class" | "union"));
        let start = match stream.str(from) {
            "template" => stream.close_angle(from + 1).map_or(from, |close| close + 1),
            _ => from,
        };
        let name = (start..open).find(|&at| stream.str(at + 1) == "(" && stream.is_ident(at));
        let Some(name) = name.filter(|_| !is_type || stream.str(from) == "template") else {
            continue;
        };
        functions
            .entry(stream.str(name))
            .and_modify(|f| f.overloaded = true)
            .or_insert(Function {
                name: stream.str(name),
                is_template: stream.str(from) == "template",
                body: (open, to),
                overloaded: false,
            });
    }
    functions
}
