//! Address spaces: takes the qualifiers out and marks the variables that need storage of their own.
//!
//! In MSL `threadgroup float x[8];` declares a variable that all threads of a threadgroup share,
//! while `threadgroup float* p` is a pointer that happens to point to such memory. The word is the
//! same; what follows tells them apart.

use std::collections::HashMap;
use std::fmt::Write as _;

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

/// Rewrites the address spaces of one stream: the program, or the body of a macro.
pub fn rewrite(
    stream: Stream<'_>,
    in_macro: bool,
    aliases: &Aliases<'_>,
    target: &dyn Target,
    edits: &mut Edits,
) {
    let shared = target.shared().filter(|_| !in_macro);
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
            "threadgroup" if variable => match shared.zip(declarators(stream, at)) {
                Some((function, (names, end))) => {
                    typed(stream, at, &names, end, function, edits);
                }
                None => {
                    let aligned = says_alignment(stream, at);
                    edits.replace(token, target.threadgroup_variable(aligned));
                    split_pointers(stream, at, edits);
                }
            },
            "constant" => edits.replace(token, constant(stream, at, variable)),
            _ => edits.blank(token),
        }
    }
}

/// The names that `threadgroup` at `at` declares, and where the list of them ends: at the `;`, or at the
/// comma before a pointer. None for declarations of forms that are seldom: those with an alignment, an
/// initializer or `static`.
fn declarators(stream: Stream<'_>, at: usize) -> Option<(Vec<usize>, usize)> {
    let before = stream.before(at);
    let plain = |word: &str| !matches!(word, "static" | "extern" | "constexpr" | "alignas");
    if matches!(before, ")" | "]") || !specifiers(stream, at).into_iter().all(plain) {
        return None;
    }
    let mut p = at + 1;
    loop {
        match stream.str(p) {
            "<" => p = stream.close_angle(p)?,
            "{" => p = stream.close(p)?,
            "[" | "," | ";" => break,
            "::" => {}
            _ if stream.is_ident(p) => {}
            _ => return None,
        }
        p += 1;
    }
    let mut names = vec![p.checked_sub(1).filter(|&name| stream.is_ident(name))?];
    loop {
        match stream.str(p) {
            "[" => p = stream.close(p)? + 1,
            ";" => return Some((names, p)),
            "," if stream.str(p + 1) == "*" => return Some((names, p)),
            "," if stream.is_ident(p + 1) => {
                names.push(p + 1);
                p += 2;
            }
            _ => return None,
        }
    }
}

/// Whether the declaration at `at` says how its variables are aligned, or has words in front that may say so.
fn says_alignment(stream: Stream<'_>, at: usize) -> bool {
    let begins = matches!(
        stream.before(at),
        "" | ";" | "{" | "}" | ":" | "static" | "const"
    );
    let own = |word: &str| matches!(word, "alignas" | "__attribute__");
    !begins || specifiers(stream, at).into_iter().any(own)
}

/// Names the types of what is declared instead, and has the target's macro make the variables: it gets
/// the type, the name and a number of its own.
fn typed(
    stream: Stream<'_>,
    at: usize,
    names: &[usize],
    end: usize,
    function: &str,
    edits: &mut Edits,
) {
    edits.replace(stream.tokens[at], "typedef");
    split_pointers(stream, at, edits);
    let mut variables = String::new();
    for &name in names {
        let token = stream.tokens[name];
        // Where spaces are types, the name is a handle's.
        let name = edits
            .replacement(token)
            .unwrap_or(stream.str(name))
            .to_owned();
        edits.insert_before(token, "zmlx_t_");
        let _ = write!(variables, " {function}(zmlx_t_{name}, {name}, {token});");
    }
    if stream.str(end) == ";" {
        edits.insert_behind(stream.tokens[end], &variables);
    } else {
        edits.insert_before(stream.tokens[end], &format!(";{variables}"));
    }
}

/// `threadgroup T a[8], *p = a;` declares shared memory and a pointer that each thread has: they
/// become two declarations.
fn split_pointers(stream: Stream<'_>, at: usize, edits: &mut Edits) {
    let mut first = at + 1;
    loop {
        match stream.str(first) {
            "[" | "," | "=" | ";" => break,
            "<" => first = stream.close_angle(first).unwrap_or(first),
            "" => return,
            _ => {}
        }
        first += 1;
    }
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
    let member = is_member(stream, at);
    match (
        variable && !has("static") && !has("extern") && !member,
        has("const") || has("constexpr"),
    ) {
        (true, true) => "static",
        (true, false) => "static const",
        (false, true) => " ",
        (false, false) => "const",
    }
}

/// Whether the declaration at `at` defines what a structure has declared: `constant T S<N>::table[4];`
fn is_member(stream: Stream<'_>, at: usize) -> bool {
    let mut words = 0;
    let mut p = at + 1;
    while p < stream.len() {
        match stream.str(p) {
            "<" => match stream.close_angle(p) {
                Some(close) => p = close,
                None => return false,
            },
            "const" | "constexpr" | "static" => {}
            // A type, then a name that is not a type's second half.
            "::" => words -= 1,
            _ if stream.is_ident(p) => words += 1,
            _ => return words >= 2 && stream.is_ident(p - 1) && stream.str(p - 2) == "::",
        }
        p += 1;
    }
    false
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
            "alignas" => match stream.close(p + 1) {
                Some(end) => p = end,
                None => return false,
            },
            "const" | "constexpr" | "static" | "volatile" | "inline" | "struct" | "union"
            | "typename" => {}
            // A type that is defined on the spot, perhaps without a name.
            "{" if words < 2 => match stream.close(p) {
                Some(end) => {
                    words += i32::from(matches!(stream.before(p), "struct" | "union"));
                    p = end;
                }
                None => return false,
            },
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
