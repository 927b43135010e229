//! Arrays in threadgroup memory and constant tables: each gets a checked pointer of its name.

use std::collections::HashSet;

use super::{is_struct_body, pointers::type_around};
use crate::engine::msl::{
    edits::Edits,
    source::Stream,
    spaces::{Aliases, declares_variable},
};

/// Renames the arrays and puts a handle after each declaration. Returns the names of variables in
/// threadgroup memory that are no arrays.
pub fn rewrite<'s>(
    stream: Stream<'s>,
    aliases: &Aliases<'_>,
    edits: &mut Edits,
) -> HashSet<&'s str> {
    let mut scalars = HashSet::new();
    // Arrays that got a handle, and the tokens among which their names mean it.
    let mut arrays: Vec<(&str, usize, usize)> = Vec::new();
    // For each open bracket, whether it is a structure's, and whether it is a function's.
    let mut open: Vec<(&str, bool, usize)> = Vec::new();
    for at in 0..stream.len() {
        let word = stream.str(at);
        match word {
            "{" => open.push((word, is_struct_body(stream, at), at)),
            "(" | "[" => open.push((word, false, at)),
            ")" | "]" | "}" => drop(open.pop()),
            _ => {}
        }
        let space = aliases.get(word).copied().unwrap_or(word);
        let class = match space {
            "threadgroup" => "zmlx::threadgroup_space",
            "constant" => "zmlx::constant_space",
            _ => continue,
        };
        let outside = open
            .last()
            .is_none_or(|&(bracket, structure, _)| bracket == "{" && !structure);
        if !outside
            || edits.touched(stream.tokens[at])
            || matches!(stream.before(at), "." | "->" | "::")
            || !declares_variable(stream, at, aliases)
        {
            continue;
        }
        let Some((_, name)) = type_around(stream, at, aliases) else {
            continue;
        };
        // A table may have to be a constant expression, threadgroup memory never is.
        let handle = match space {
            "constant" => "static constexpr auto",
            _ => "const auto",
        };
        for name in declarators(stream, name) {
            if stream.str(name + 1) != "[" || stream.opens_attribute(name + 1) {
                if space == "threadgroup" {
                    scalars.insert(stream.str(name));
                }
                continue;
            }
            let word = stream.str(name);
            let Some(end) = (name..stream.len()).find(|&p| stream.str(p) == ";") else {
                continue;
            };
            edits.replace(stream.tokens[name], format!("zmlx_v_{word}"));
            let block = open.last().and_then(|&(.., at)| stream.close(at));
            arrays.push((word, name, block.unwrap_or(stream.len())));
            edits.insert_after(
                stream.tokens[end],
                &format!(" {handle} {word} = zmlx::view<{class}>(zmlx_v_{word}, \"{word}\");"),
            );
        }
    }
    // The size is the array's, not that of its handle.
    for at in 0..stream.len() {
        let name = match (stream.str(at), stream.str(at + 1)) {
            ("sizeof", "(") if stream.str(at + 3) == ")" => at + 2,
            ("sizeof", _) => at + 1,
            _ => continue,
        };
        let word = stream.str(name);
        if arrays
            .iter()
            .any(|&(array, from, to)| array == word && (from..to).contains(&at))
        {
            edits.replace(stream.tokens[name], format!("zmlx_v_{word}"));
        }
    }
    scalars
}

/// The names that a declaration declares, of which the first stands at `name`.
pub fn declarators(stream: Stream<'_>, name: usize) -> Vec<usize> {
    let mut names = Vec::new();
    let mut at = name;
    if stream.is_ident(at) {
        names.push(at);
    }
    while at < stream.len() {
        match stream.str(at) {
            "(" | "[" | "{" => match stream.close(at) {
                Some(close) => at = close,
                None => return names,
            },
            "," if stream.is_ident(at + 1) => names.push(at + 1),
            ";" | ")" | "}" | "]" => return names,
            _ => {}
        }
        at += 1;
    }
    // Without an end there is no place for a handle.
    Vec::new()
}
