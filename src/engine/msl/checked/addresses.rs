//! The address-of operator. `&x[i]` is `x + i`: it must neither test the element, which may be one
//! past the end, nor forget which buffer it belongs to.

use std::collections::HashSet;

use super::open_of;
use crate::engine::msl::{edits::Edits, source::Stream};

/// How an operand ends.
enum Last {
    /// With a subscript, whose bracket opens here.
    Subscript(usize),
    /// With a member.
    Member,
    /// It is a name.
    Name,
    /// With a call.
    Call,
}

/// Rewrites the operators of one stream. `variables` are single ones in threadgroup memory.
pub fn rewrite(stream: Stream<'_>, variables: &HashSet<&str>, edits: &mut Edits) {
    for at in (0..stream.len()).filter(|&at| stream.str(at) == "&") {
        if !is_unary(stream, at) {
            continue;
        }
        let parens = stream.str(at + 1) == "(";
        let start = at + 1 + usize::from(parens);
        let Some((end, last, through)) = operand(stream, start) else {
            continue;
        };
        if parens && stream.str(end) != ")" {
            continue;
        }
        let operator = stream.tokens[at];
        // Brackets that are there already serve the call.
        let (open, close) = if parens { ("", "") } else { ("(", ")") };
        let shared = variables.contains(stream.str(start)) && stream.before(at) != "[";
        match last {
            _ if shared => {
                edits.replace(operator, format!("zmlx_tg_addr{open}"));
                edits.insert_after(stream.tokens[end - 1], close);
            }
            Last::Subscript(bracket) => {
                edits.replace(operator, format!("zmlx_addr{open}"));
                edits.replace(stream.tokens[bracket], ", (");
                edits.replace(stream.tokens[end - 1], format!("){close}"));
            }
            Last::Member if through => {
                edits.replace(operator, format!("zmlx_addr_of{open}"));
                edits.insert_after(stream.tokens[end - 1], close);
            }
            _ => {}
        }
    }
}

/// Whether the `&` at `at` takes an address: no operand stands before it.
fn is_unary(stream: Stream<'_>, at: usize) -> bool {
    match stream.before(at) {
        "" | "(" | "," | "=" | "return" | "[" | "{" | "}" | ";" | "?" | ":" | "&&" | "||" | "!"
        | "+" | "-" | "*" | "/" | "==" | "!=" | "<=" | "+=" | "-=" => true,
        // After a cast to a pointer type.
        ")" => open_of(stream, at - 1).is_some_and(|open| {
            stream.str(at - 2) == "*" && open + 2 < at - 1 && stream.is_ident(open + 1)
        }),
        _ => false,
    }
}

/// The operand that begins at `start`: one past it, how it ends, and whether it goes through a
/// pointer or an array on its way.
fn operand(stream: Stream<'_>, start: usize) -> Option<(usize, Last, bool)> {
    if !stream.is_ident(start) {
        return None;
    }
    let mut at = start + 1;
    let mut last = Last::Name;
    let mut through = false;
    loop {
        match stream.str(at) {
            "::" if stream.is_ident(at + 1) => at += 2,
            "[" => {
                last = Last::Subscript(at);
                through = true;
                at = stream.close(at)? + 1;
            }
            "(" => {
                last = Last::Call;
                at = stream.close(at)? + 1;
            }
            "." | "->" if stream.is_ident(at + 1) => {
                through |= stream.str(at) == "->" && stream.str(at - 1) != "this";
                last = Last::Member;
                at += 2;
            }
            _ => return Some((at, last, through)),
        }
    }
}
