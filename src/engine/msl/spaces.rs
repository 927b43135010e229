//! Address spaces: takes the qualifiers out and marks the variables that need storage of their own.
//!
//! In MSL `threadgroup float x[8];` declares a variable that all threads of a threadgroup share,
//! while `threadgroup float* p` is a pointer that happens to point to such memory. The word is the
//! same; what follows tells them apart.

use std::collections::HashMap;

use super::{
    Target,
    edits::Edits,
    source::{Source, Stream},
};

/// The qualifiers that say where a value lives.
pub const SPACES: [&str; 6] = [
    "device",
    "constant",
    "threadgroup",
    "thread",
    "ray_data",
    "object_data",
];

/// Macros that stand for nothing but an address space, such as `#define TG threadgroup`.
pub type Aliases<'a> = HashMap<&'a str, &'a str>;

/// Finds the aliases of `source`. Their bodies are rewritten at each use instead.
pub fn aliases<'a>(source: &'a Source<'a>) -> Aliases<'a> {
    let mut aliases = Aliases::new();
    for definition in source.macros.iter().filter(|m| !m.function_like) {
        let words = definition.body.iter().map(|&t| source.str(t));
        let mut spaces = words.clone().filter(|word| SPACES.contains(word));
        if words
            .clone()
            .all(|word| SPACES.contains(&word) || word == "const")
            && let Some(space) = spaces.next()
        {
            aliases.insert(source.str(definition.name), space);
        }
    }
    aliases
}

/// Rewrites the address spaces of one stream.
pub fn rewrite(stream: Stream<'_>, aliases: &Aliases<'_>, target: &dyn Target, edits: &mut Edits) {
    // Open brackets around the current token; in round ones all declarations are parameters.
    let mut open: Vec<&str> = Vec::new();
    for at in 0..stream.len() {
        let word = stream.str(at);
        match word {
            "(" | "[" | "{" => open.push(word),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        let space = aliases.get(word).copied().unwrap_or(word);
        let token = stream.tokens[at];
        if !SPACES.contains(&space)
            || edits.touched(token)
            || matches!(stream.before(at), "." | "->" | "::")
        {
            continue;
        }
        let in_list = matches!(open.last(), Some(&"(" | &"["));
        let variable = !in_list && declares_variable(stream, at, aliases);
        match space {
            "threadgroup" if variable => {
                edits.replace(token, target.threadgroup_variable());
                split_pointers(stream, at, edits);
            }
            "constant" => edits.replace(token, constant(stream, at, variable)),
            _ => edits.blank(token),
        }
    }
}

/// `threadgroup T a[8], *p = a;` declares shared memory and a pointer that each thread has: they
/// become two declarations.
fn split_pointers(stream: Stream<'_>, at: usize, edits: &mut Edits) {
    let Some(first) =
        (at + 1..stream.len()).find(|&p| matches!(stream.str(p), "[" | "," | "=" | ";"))
    else {
        return;
    };
    let Some(name) = first.checked_sub(1).filter(|&name| name > at + 1) else {
        return;
    };
    let ty = stream.slice(at + 1, name).to_owned();
    let mut p = first;
    while p < stream.len() {
        match stream.str(p) {
            "(" | "[" | "{" => p = stream.close(p).unwrap_or(stream.len()),
            "," if stream.str(p + 1) == "*" => {
                edits.replace(stream.tokens[p], format!("; {ty} "));
                return;
            }
            "" | ";" | ")" | "]" | "}" => return,
            _ => {}
        }
        p += 1;
    }
}

/// `constant` values are read-only, and constants of a program are its own.
fn constant(stream: Stream<'_>, at: usize, variable: bool) -> &'static str {
    let specifiers = specifiers(stream, at);
    let has = |word: &str| specifiers.contains(&word);
    match (
        variable && !has("static") && !has("extern"),
        has("const") || has("constexpr"),
    ) {
        (true, true) => "static",
        (true, false) => "static const",
        (false, true) => " ",
        (false, false) => "const",
    }
}

/// The words around `at` that qualify the same declaration.
fn specifiers<'s>(stream: Stream<'s>, at: usize) -> Vec<&'s str> {
    let is_part = |p: usize| stream.is_ident(p) || matches!(stream.str(p), "::" | "]");
    let mut words: Vec<&str> = (0..at)
        .rev()
        .take_while(|&p| is_part(p))
        .map(|p| stream.str(p))
        .collect();
    let mut p = at + 1;
    while p < stream.len() {
        match stream.str(p) {
            "<" => match stream.close_angle(p) {
                Some(end) => p = end,
                None => break,
            },
            word if is_part(p) => words.push(word),
            _ => break,
        }
        p += 1;
    }
    words
}

/// Whether the declaration that `at` qualifies is of a variable in that space: a type, then a name,
/// with neither `*` nor `&` between.
pub(super) fn declares_variable(stream: Stream<'_>, at: usize, aliases: &Aliases<'_>) -> bool {
    // `typedef threadgroup T name;` and `using name = threadgroup T*;` declare no storage.
    let statement = (0..at)
        .rev()
        .take_while(|&p| stream.is_ident(p) || stream.str(p) == "=");
    if statement
        .into_iter()
        .any(|p| matches!(stream.str(p), "typedef" | "using"))
    {
        return false;
    }
    let mut words = 0;
    let mut p = at + 1;
    while p < stream.len() {
        let word = stream.str(p);
        match word {
            "<" => match stream.close_angle(p) {
                Some(end) => p = end,
                None => return false,
            },
            "::" => words -= 1,
            "const" | "constexpr" | "static" | "volatile" | "inline" | "struct" | "typename" => {}
            ";" | "=" | "[" | "," | "{" => return words >= 2,
            "(" | ")" | "*" | "&" | "&&" | ">" => return false,
            _ if SPACES.contains(&word) || aliases.contains_key(word) => {}
            _ if stream.is_ident(p) => words += 1,
            _ => return false,
        }
        p += 1;
    }
    words >= 2
}
