//! Marks the divisors of `/` and `%`.
//!
//! An integer division by zero gives an arbitrary value on a GPU and ends the process on some
//! CPUs. Only the compiler knows which divisions are of integers, so every divisor is handed to a
//! function of the target, which leaves all other types alone and vanishes for constants.

use super::{
    edits::Edits,
    lexer::Kind,
    source::{Source, Stream},
};

/// Types whose constructors cannot give an integer.
const FLOATING: [&str; 7] = [
    "float", "half", "bfloat", "float2", "float3", "float4", "sizeof",
];

/// Calls `function` on the divisors of one stream.
pub fn mark(stream: Stream<'_>, function: &str, edits: &mut Edits) {
    for at in 0..stream.len() {
        let end = match stream.str(at) {
            "/" | "%" => operand_end(stream, at + 1),
            "/=" | "%=" => assigned_end(stream, at + 1),
            _ => continue,
        };
        let Some(end) = end else { continue };
        // `operator/` divides nothing, an attribute is gone, and `##` joins tokens.
        if stream.before(at) == "operator"
            || edits.touched(stream.tokens[at])
            || matches!(stream.str(end), "#" | "##")
        {
            continue;
        }
        edits.insert_before(stream.tokens[at + 1], &format!("{function}("));
        edits.insert_after(stream.tokens[end - 1], ")");
    }
}

/// Whether a conditional directive mentions the macro `name`: there the preprocessor itself divides.
pub fn in_condition(source: &Source<'_>, name: usize) -> bool {
    let name = source.str(name);
    source
        .conditions
        .iter()
        .any(|&token| source.str(token) == name)
}

/// One past the operand that begins at `at`, when it is worth a mark.
fn operand_end(stream: Stream<'_>, mut at: usize) -> Option<usize> {
    while matches!(
        stream.str(at),
        "-" | "+" | "!" | "~" | "*" | "&" | "++" | "--"
    ) {
        at += 1;
    }
    if stream.str(at) == "("
        && let Some(operand) = cast(stream, at)
    {
        return match FLOATING.contains(&stream.str(operand - 2)) {
            true => None,
            false => primary_end(stream, operand),
        };
    }
    primary_end(stream, at)
}

/// The operand of the cast that begins with the bracket at `open`, if it is a cast.
fn cast(stream: Stream<'_>, open: usize) -> Option<usize> {
    let close = stream.close(open)?;
    let is_type = (open + 1..close)
        .all(|p| stream.is_ident(p) || matches!(stream.str(p), "::" | "*" | "&" | "<" | ">" | ","));
    let operand_follows = stream.is_ident(close + 1)
        || matches!(stream.kind(close + 1), Some(Kind::Number))
        || stream.str(close + 1) == "(";
    (close > open + 1 && is_type && operand_follows).then_some(close + 1)
}

/// One past a name, call or bracket with what follows it. Nothing for a literal.
fn primary_end(stream: Stream<'_>, from: usize) -> Option<usize> {
    let mut at = from;
    if stream.str(at) == "(" {
        at = stream.close(at)? + 1;
    } else {
        if FLOATING.contains(&stream.str(at)) || stream.str(at) == "typename" {
            return None;
        }
        at = name_end(stream, at)?;
        if stream.str(at) == "{" {
            at = stream.close(at)? + 1;
        }
    }
    loop {
        match stream.str(at) {
            "(" | "[" => at = stream.close(at)? + 1,
            "." | "->" => at = name_end(stream, at + 1)?,
            "++" | "--" => at += 1,
            _ => return Some(at),
        }
    }
}

/// One past a name with its qualifiers and template arguments.
fn name_end(stream: Stream<'_>, mut at: usize) -> Option<usize> {
    if stream.str(at) == "::" {
        at += 1;
    }
    loop {
        if stream.str(at) == "template" {
            at += 1;
        }
        if !stream.is_ident(at) {
            return None;
        }
        at += 1;
        if stream.str(at) == "<"
            && let Some(close) = stream.close_angle(at)
            && matches!(stream.str(close + 1), "(" | "::" | "{")
        {
            at = close + 1;
        }
        if stream.str(at) != "::" {
            return Some(at);
        }
        at += 1;
    }
}

/// One past the expression that is assigned from `from` on. Nothing for a single literal.
fn assigned_end(stream: Stream<'_>, from: usize) -> Option<usize> {
    let mut conditionals = 0usize;
    let mut at = from;
    while at < stream.len() {
        match stream.str(at) {
            "(" | "[" | "{" => at = stream.close(at)?,
            ")" | "]" | "}" | ";" | "," => break,
            "?" => conditionals += 1,
            ":" if conditionals == 0 => break,
            ":" => conditionals -= 1,
            // A comma between template arguments ends nothing.
            "<" => {
                let close = stream.close_angle(at);
                at = close
                    .filter(|&c| matches!(stream.str(c + 1), "(" | "::" | "{"))
                    .unwrap_or(at);
            }
            _ => {}
        }
        at += 1;
    }
    let literal = at == from + 1 && stream.kind(from) == Some(Kind::Number);
    (at > from && !literal).then_some(at)
}
