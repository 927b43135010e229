//! Pointers into device, constant and threadgroup memory.

use crate::engine::msl::{
    edits::Edits,
    source::Stream,
    spaces::{Aliases, SPACES},
};

/// Words that qualify a type from either side.
const QUALIFIERS: [&str; 2] = ["const", "volatile"];

/// Words that a built-in type may consist of several of.
const MULTI: [&str; 6] = ["unsigned", "signed", "long", "short", "int", "char"];

/// The class template for a pointer into `space`.
fn class(space: &str) -> Option<&'static str> {
    match space {
        "device" => Some("zmlx_device_ptr<"),
        "constant" => Some("zmlx_constant_ptr<"),
        "threadgroup" => Some("zmlx_threadgroup_ptr<"),
        _ => None,
    }
}

/// Rewrites the pointer types, and array parameters, which are pointers too.
pub fn rewrite(stream: Stream<'_>, aliases: &Aliases<'_>, edits: &mut Edits) {
    let mut open: Vec<usize> = Vec::new();
    for at in 0..stream.len() {
        let word = stream.str(at);
        match word {
            "(" | "[" | "{" => open.push(at),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        let space = aliases.get(word).copied().unwrap_or(word);
        let Some(class) = class(space) else { continue };
        if edits.touched(stream.tokens[at]) || matches!(stream.before(at), "." | "->" | "::") {
            continue;
        }
        let Some((from, to)) = type_around(stream, at, aliases) else {
            continue;
        };
        // `for (device T *a, *b; ...)` declares variables, other round brackets parameters.
        let in_parens = open
            .last()
            .is_some_and(|&o| stream.str(o) == "(" && stream.before(o) != "for");
        if stream.str(to) == "*" {
            pointer(stream, class, (from, to), at, edits);
            if !in_parens {
                other_declarators(stream, to + 1, edits);
            }
        } else if in_parens && stream.is_ident(to) && stream.str(to + 1) == "[" {
            array_parameter(stream, class, (from, to), at, edits);
        } else if stream.str(to) == "("
            && matches!(stream.str(to + 1), "*" | "&")
            && stream.is_ident(to + 2)
            && stream.str(to + 3) == ")"
            && stream.str(to + 4) == "["
        {
            to_array(stream, class, (from, to), at, edits);
        }
    }
}

/// Rewrites the type `from..star` of a pointer and the star at its end.
fn pointer(
    stream: Stream<'_>,
    class: &str,
    (from, star): (usize, usize),
    space: usize,
    edits: &mut Edits,
) {
    edits.blank(stream.tokens[space]);
    // The pointer that `auto` stands for is one of these classes anyway.
    let deduced = (from..star).any(|p| stream.str(p) == "auto");
    for p in from..star {
        if stream.str(p) == "volatile" || (deduced && stream.str(p) == "const") {
            edits.blank(stream.tokens[p]);
        }
    }
    let mut after = star + 1;
    while matches!(
        stream.str(after),
        "const" | "volatile" | "restrict" | "__restrict" | "__restrict__"
    ) {
        if stream.str(after) != "const" {
            edits.blank(stream.tokens[after]);
        }
        after += 1;
    }
    if deduced {
        edits.blank(stream.tokens[star]);
    } else {
        edits.insert_before(stream.tokens[from], class);
        edits.replace(stream.tokens[star], "> ");
    }
}

/// In `device T *a, *b;` the second star goes: the class is the type of both.
fn other_declarators(stream: Stream<'_>, from: usize, edits: &mut Edits) {
    let mut at = from;
    while at < stream.len() {
        match stream.str(at) {
            // A function's body.
            "{" if matches!(stream.before(at), ")" | "const") => return,
            "(" | "[" | "{" => match stream.close(at) {
                Some(close) => at = close,
                None => return,
            },
            "<" => at = stream.close_angle(at).unwrap_or(at),
            ")" | "]" | "}" | ";" | ">" => return,
            "," if stream.str(at + 1) == "*" && stream.is_ident(at + 2) => {
                edits.blank(stream.tokens[at + 1]);
            }
            _ => {}
        }
        at += 1;
    }
}

/// `threadgroup T x[N]` as a parameter is a pointer to T, `x[N][M]` one to arrays of M.
fn array_parameter(
    stream: Stream<'_>,
    class: &str,
    (from, name): (usize, usize),
    space: usize,
    edits: &mut Edits,
) {
    let Some((close, end)) = dimensions(stream, name + 1) else {
        return;
    };
    edits.blank(stream.tokens[space]);
    let inner = stream.slice(close + 1, end);
    edits.insert_before(stream.tokens[from], class);
    edits.insert_before(stream.tokens[name], &format!("{inner}> "));
    (name + 1..end).for_each(|p| edits.blank(stream.tokens[p]));
}

/// `threadgroup T (*x)[N]` is a pointer to arrays of N; `T (&x)[N][M]`, a reference to a whole
/// array, becomes the pointer that stands for one.
fn to_array(
    stream: Stream<'_>,
    class: &str,
    (from, open): (usize, usize),
    space: usize,
    edits: &mut Edits,
) {
    let Some((close, end)) = dimensions(stream, open + 4) else {
        return;
    };
    let inner = match stream.str(open + 1) {
        "*" => stream.slice(open + 4, end),
        _ => stream.slice(close + 1, end),
    };
    edits.blank(stream.tokens[space]);
    edits.insert_before(stream.tokens[from], class);
    edits.replace(stream.tokens[open], format!("{inner}> "));
    [open + 1, open + 3]
        .into_iter()
        .chain(open + 4..end)
        .for_each(|p| edits.blank(stream.tokens[p]));
}

/// The brackets that begin at `open`: where the first closes, and one past the last.
fn dimensions(stream: Stream<'_>, open: usize) -> Option<(usize, usize)> {
    let close = stream.close(open)?;
    let mut end = close + 1;
    while stream.str(end) == "[" && !stream.opens_attribute(end) {
        end = stream.close(end)? + 1;
    }
    Some((close, end))
}

/// Casts that a class does not take become functions.
pub fn casts(stream: Stream<'_>, edits: &mut Edits) {
    for at in 0..stream.len() {
        if matches!(stream.str(at), "reinterpret_cast" | "const_cast")
            && let Some(close) = stream.close_angle(at + 1)
            && stream.before(close) != "&"
        {
            edits.replace(stream.tokens[at], "zmlx_pointer_cast");
        }
    }
}

/// The type that the space at `at` qualifies: from its first qualifier to what follows it.
pub fn type_around(stream: Stream<'_>, at: usize, aliases: &Aliases<'_>) -> Option<(usize, usize)> {
    let is_space =
        |p: usize| SPACES.contains(&stream.str(p)) || aliases.contains_key(stream.str(p));
    let qualifies = |p: usize| QUALIFIERS.contains(&stream.str(p)) || is_space(p);
    let mut to = at + 1;
    let specifies = |p: usize| matches!(stream.str(p), "constexpr" | "static" | "inline");
    while to < stream.len() && (qualifies(to) || specifies(to)) {
        to += 1;
    }
    let mut from = at;
    if matches!(stream.str(to), "*" | "&" | "&&") {
        while from > 0 && qualifies(from - 1) {
            from -= 1;
        }
        from = type_before(stream, from)?;
    } else {
        to = type_after(stream, to)?;
        while to < stream.len() && qualifies(to) {
            to += 1;
        }
    }
    while from > 0 && qualifies(from - 1) {
        from -= 1;
    }
    Some((from, to))
}

/// One past the type that begins at `from`.
pub fn type_after(stream: Stream<'_>, from: usize) -> Option<usize> {
    let mut at = from;
    if matches!(stream.str(at), "typename" | "struct" | "enum") {
        at += 1;
    }
    if !stream.is_ident(at) {
        return None;
    }
    if MULTI.contains(&stream.str(at)) {
        while MULTI.contains(&stream.str(at)) {
            at += 1;
        }
        return Some(at);
    }
    if stream.str(at) == "decltype" {
        return stream.close(at + 1).map(|close| close + 1);
    }
    at += 1;
    loop {
        match stream.str(at) {
            "<" => at = stream.close_angle(at)? + 1,
            "::" => {
                at += 1;
                if stream.str(at) == "template" {
                    at += 1;
                }
                if !stream.is_ident(at) {
                    return None;
                }
                at += 1;
            }
            _ => return Some(at),
        }
    }
}

/// The first token of the type that ends before `end`.
pub fn type_before(stream: Stream<'_>, end: usize) -> Option<usize> {
    let mut at = end.checked_sub(1)?;
    if stream.str(at) == ">" {
        let mut depth = 0usize;
        loop {
            match stream.str(at) {
                ">" => depth += 1,
                "<" => depth = depth.checked_sub(1)?,
                ";" | "{" | "}" => return None,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            at = at.checked_sub(1)?;
        }
        at = at.checked_sub(1)?;
    }
    if !stream.is_ident(at) {
        return None;
    }
    while at > 0 && MULTI.contains(&stream.str(at)) && MULTI.contains(&stream.str(at - 1)) {
        at -= 1;
    }
    while at >= 2 && stream.str(at - 1) == "::" && stream.is_ident(at - 2) {
        at -= 2;
    }
    if at > 0 && matches!(stream.str(at - 1), "typename" | "struct") {
        at -= 1;
    }
    Some(at)
}
