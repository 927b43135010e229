//! The address-of operator. `&x[i]` is `x + i`: it must neither test the element, which may be one
//! past the end, nor forget which buffer it belongs to.

use std::collections::HashSet;

use super::open_of;
use crate::engine::msl::{edits::Edits, source::Stream};

/// How an operand ends.
pub enum Last {
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
        let whole = operand(stream, at + 1);
        // In `&(x[i])` the operand is what stands within.
        let parens = matches!(whole, Some((_, Last::Name, _))) && stream.str(at + 1) == "(";
        let start = at + 1 + usize::from(parens);
        let found = if parens {
            operand(stream, start)
        } else {
            whole
        };
        let Some((end, last, through)) = found else {
            continue;
        };
        if parens && stream.str(end) != ")" {
            continue;
        }
        let operator = stream.tokens[at];
        // Brackets that are there already serve the call.
        let (open, close) = if parens { ("", "") } else { ("(", ")") };
        let root = root(stream, start);
        let shared = variables.contains(stream.str(start)) && stream.before(at) != "[";
        match last {
            _ if shared => {
                edits.replace(operator, format!("zmlx_tg_addr{open}"));
                edits.insert_after(stream.tokens[end - 1], close);
            }
            Last::Subscript(bracket) => {
                edits.replace(operator, format!("zmlx_addr<{root}>{open}"));
                edits.replace(stream.tokens[bracket], ", (");
                edits.replace(stream.tokens[end - 1], format!("){close}"));
            }
            Last::Member if through => {
                edits.replace(operator, format!("zmlx_addr_of<{root}>{open}"));
                edits.insert_after(stream.tokens[end - 1], close);
            }
            _ => {}
        }
    }
}

/// The type of the variable that the operand at `start` begins with: it tells in which space the rest is.
pub fn root(stream: Stream<'_>, start: usize) -> String {
    match stream.str(start + 1) {
        "->" | "." | "[" if stream.is_ident(start) => format!("decltype({})", stream.str(start)),
        _ => "void".to_owned(),
    }
}

/// Puts a function around what `->` is applied to: the operator itself cannot tell its line.
pub fn arrows(stream: Stream<'_>, edits: &mut Edits) {
    for at in (0..stream.len()).filter(|&at| stream.str(at) == "->") {
        if let Some(start) = operand_before(stream, at) {
            edits.insert_before(stream.tokens[start], "zmlx_arrow(");
            edits.insert_after(stream.tokens[at - 1], ")");
        }
    }
}

/// Where the operand of the `->` at `at` begins.
pub fn operand_before(stream: Stream<'_>, at: usize) -> Option<usize> {
    let mut end = at;
    loop {
        let last = end.checked_sub(1)?;
        let start = match stream.str(last) {
            ")" | "]" => open_of(stream, last)?,
            _ if stream.is_ident(last) => last,
            _ => return None,
        };
        match stream.before(start) {
            "." | "->" | "::" => end = start - 1,
            // A subscript or a call belongs to what stands before.
            _ if stream.str(start) == "[" => end = start,
            before if stream.str(start) == "(" => {
                if start > 0 && stream.is_ident(start - 1) && !is_keyword(before) {
                    end = start;
                } else if matches!(before, ")" | "]" | ">") {
                    return None;
                } else {
                    return Some(start);
                }
            }
            before => {
                // `auto f() -> T` says which type a function has.
                let declares = start > 0 && stream.is_ident(start - 1) && !is_keyword(before);
                return (!declares && stream.str(start) != "this").then_some(start);
            }
        }
    }
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "return" | "else" | "do" | "case")
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
pub fn operand(stream: Stream<'_>, start: usize) -> Option<(usize, Last, bool)> {
    let mut at = match stream.str(start) {
        "(" => stream.close(start)? + 1,
        _ if stream.is_ident(start) => start + 1,
        _ => return None,
    };
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
