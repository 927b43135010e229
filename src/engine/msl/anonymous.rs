//! Structures without a name within others: `union { struct { half d; half m; }; half2 dm; };`
//!
//! The small floats and the vectors are classes with constructors here, and g++ takes such members of a nameless
//! structure only where their type depends on a template's argument. So the structure around becomes a template
//! with one argument that says nothing, and its name that of the one instance. Within a function, where no
//! template may stand, a generic lambda does the same.

use super::{
    checked::type_after,
    edits::Edits,
    scalars::is_no_class,
    source::Stream,
    spaces::{Aliases, SPACES},
};

/// Rewrites the structures of the program. `typed`: pointers into address spaces are classes, too.
pub fn rewrite(stream: Stream<'_>, aliases: &Aliases<'_>, typed: bool, edits: &mut Edits) {
    // For each open bracket, whether a function's body or something else that holds statements.
    let mut statements: Vec<bool> = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        match stream.str(at) {
            "{" => {
                let before = stream.before(at);
                let inside = statements.last() == Some(&true);
                let body = matches!(
                    before,
                    ")" | "const"
                        | "else"
                        | "do"
                        | "thread"
                        | "device"
                        | "threadgroup"
                        | "constant"
                );
                statements.push(inside || body);
            }
            "(" | "[" => statements.push(statements.last() == Some(&true)),
            ")" | "]" | "}" => drop(statements.pop()),
            "struct" | "union" => {
                let local = statements.last() == Some(&true);
                if let Some(end) = outermost(stream, at, aliases, typed, local, edits) {
                    at = end;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// Rewrites the structure at `at` if it is of this kind. Returns where its body ends.
fn outermost(
    stream: Stream<'_>,
    at: usize,
    aliases: &Aliases<'_>,
    typed: bool,
    local: bool,
    edits: &mut Edits,
) -> Option<usize> {
    let (name, open) = head(stream, at)?;
    let close = stream.close(open)?;
    let fields = fields(stream, open, close, aliases, typed);
    if fields.is_empty() {
        return None;
    }
    let argument = match stream.before(at) {
        // Members of a template may depend on what is there.
        ">" => template_argument(stream, at - 1)?,
        _ => "zmlx_D".to_owned(),
    };
    let member = stream.before(at) == ">";
    let typedef = stream.before(at) == "typedef";
    let begins = typedef || matches!(stream.before(at), "" | ";" | "{" | "}" | ")");
    if !begins && !member {
        return None;
    }
    for (from, last) in fields {
        edits.insert_before(stream.tokens[from], "typename zmlx::dependent<");
        edits.insert_after(stream.tokens[last], &format!(", {argument}>::type"));
    }
    if member {
        return Some(close);
    }
    let number = stream.tokens[at];
    let own = format!("zmlx_a{number}");
    match name {
        Some(name) => (at + 1..close)
            .filter(|&p| {
                stream.str(p) == stream.str(name) && !matches!(stream.before(p), "." | "->" | "::")
            })
            .for_each(|p| edits.replace(stream.tokens[p], own.clone())),
        None => edits.insert_after(stream.tokens[at], &format!(" {own}")),
    }
    let (begin, instance) = match local {
        true => (
            format!("auto zmlx_m{number} = [](auto zmlx_d) {{ typedef decltype(zmlx_d) zmlx_D; "),
            format!("; return {own}(); }}; typedef decltype(zmlx_m{number}(0)) "),
        ),
        false => (
            "template <class zmlx_D> ".to_owned(),
            format!("; typedef {own}<void> "),
        ),
    };
    if typedef {
        edits.replace(stream.tokens[at - 1], " ");
    }
    edits.insert_before(stream.tokens[at], &begin);
    let named = name.map(|name| stream.str(name));
    let rest = match (named, typedef) {
        (Some(name), true) => format!("{instance}{name}; typedef {name}"),
        (Some(name), false) if stream.str(close + 1) == ";" => format!("{instance}{name}"),
        (Some(name), false) => format!("{instance}{name}; {name}"),
        (None, true) => instance,
        (None, false) => format!("{instance}zmlx_t{number}; zmlx_t{number}"),
    };
    edits.insert_after(stream.tokens[close], &rest);
    Some(close)
}

/// The name of the structure at `at`, if it has one, and where its body opens.
fn head(stream: Stream<'_>, at: usize) -> Option<(Option<usize>, usize)> {
    let mut p = at + 1;
    let mut name = None;
    loop {
        match stream.str(p) {
            "{" => return Some((name, p)),
            "[" => p = stream.close(p)?,
            "alignas" | "__attribute__" => p = stream.close(p + 1)?,
            _ if stream.is_ident(p) => name = Some(p),
            _ => return None,
        }
        p += 1;
    }
}

/// The types of the members of nameless structures between two brackets: first and last token. None are returned
/// if no structure, as opposed to a union, has any.
fn fields(
    stream: Stream<'_>,
    open: usize,
    close: usize,
    aliases: &Aliases<'_>,
    typed: bool,
) -> Vec<(usize, usize)> {
    let mut fields = Vec::new();
    let mut in_struct = false;
    let mut at = open + 1;
    while at < close {
        let nameless = matches!(stream.str(at), "struct" | "union") && stream.str(at + 1) == "{";
        if nameless && let Some(end) = stream.close(at + 1).filter(|&end| end < close) {
            let inner = members(stream, at + 1, end, aliases, typed);
            in_struct |= stream.str(at) == "struct" && !inner.is_empty();
            fields.extend(inner);
        }
        at += 1;
    }
    fields.sort_unstable();
    fields.dedup();
    if in_struct { fields } else { Vec::new() }
}

/// The types of the members that stand directly between two brackets.
fn members(
    stream: Stream<'_>,
    open: usize,
    close: usize,
    aliases: &Aliases<'_>,
    typed: bool,
) -> Vec<(usize, usize)> {
    let mut members = Vec::new();
    let mut at = open + 1;
    while at < close {
        let mut from = at;
        let is_space =
            |p: usize| SPACES.contains(&stream.str(p)) || aliases.contains_key(stream.str(p));
        let mut in_space = false;
        while is_space(from) || matches!(stream.str(from), "const" | "volatile" | "alignas" | "[") {
            in_space |= is_space(from);
            from = match stream.str(from) {
                "alignas" => stream.close(from + 1).map_or(close, |c| c + 1),
                "[" => stream.close(from).map_or(close, |c| c + 1),
                _ => from + 1,
            };
        }
        let end = type_after(stream, from).filter(|&end| end < close);
        if let Some(end) = end
            && !is_no_class(stream.str(from))
        {
            match stream.str(end) {
                // Pointers are classes where they know their address space.
                "*" if typed && in_space => members.push((at, end)),
                _ if stream.is_ident(end) => members.push((from, end - 1)),
                _ => {}
            }
        }
        // On to the next member.
        while at < close && stream.str(at) != ";" {
            at = match stream.str(at) {
                "{" | "(" | "[" => stream.close(at).unwrap_or(close),
                _ => at,
            } + 1;
        }
        at += 1;
    }
    members
}

/// A name on which types may depend, of the template list that closes at `close`.
fn template_argument(stream: Stream<'_>, close: usize) -> Option<String> {
    let open = (0..close).rev().find(|&at| {
        stream.str(at) == "<"
            && stream.before(at) == "template"
            && stream.close_angle(at) == Some(close)
    })?;
    let name = (open + 1..=close).find(|&at| matches!(stream.str(at), "," | "=" | ">"))? - 1;
    let word = stream.str(name);
    if !stream.is_ident(name) || name == open + 1 {
        return None;
    }
    Some(match stream.str(open + 1) {
        "typename" | "class" => word.to_owned(),
        _ => format!("metal::integral_constant<bool, ({word}, true)>"),
    })
}
