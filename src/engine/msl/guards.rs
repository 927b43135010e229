//! Counts the rounds of loops that could run for ever.
//!
//! A loop that counts a variable towards a bound ends by itself and stays as it is, so that the
//! compiler vectorizes it. Around every other loop goes a guard with a counter of its own; the
//! target's code behind it asks now and then whether the launch's time is up.

use super::{edits::Edits, lexer::Kind, source::Stream};

/// The code of a guard.
#[derive(Clone, Copy, Debug)]
pub struct LoopGuard {
    /// Written before the loop, a statement prefix that declares the counter.
    pub prefix: &'static str,
    /// Written before the loop's condition.
    pub tick: &'static str,
    /// Called on the step of a counting loop, which ends by itself unless that is zero.
    pub step: &'static str,
}

/// Puts `guard` around the loops of `stream` that do not obviously end.
pub fn insert(stream: Stream<'_>, guard: &LoopGuard, edits: &mut Edits) {
    // The `while` that ends a `do` has been dealt with together with it.
    let mut ends_do = Vec::new();
    for at in 0..stream.len() {
        match stream.str(at) {
            "while" if ends_do.contains(&at) => {}
            "while" => {
                // At a macro's end it may belong to a `do` outside.
                let close = stream.close(at + 1);
                if close.is_some_and(|c| c + 1 < stream.len()) {
                    guard_while(stream, at, at, guard, edits);
                }
            }
            "do" => {
                let end = statement_end(stream, at + 1, 0);
                if let Some(end) = end.filter(|&e| stream.str(e) == "while") {
                    ends_do.push(end);
                    guard_while(stream, at, end, guard, edits);
                }
            }
            "for" => guard_for(stream, at, guard, edits),
            _ => {}
        }
    }
}

/// Statements within statements that are followed. Deeper ones are left as they are.
const DEPTH: usize = 64;

/// One past the statement that begins at `at`.
fn statement_end(stream: Stream<'_>, at: usize, depth: usize) -> Option<usize> {
    if depth > DEPTH {
        return None;
    }
    let body = |at: usize| statement_end(stream, at, depth + 1);
    let after_head = || {
        let open = at + 1 + usize::from(stream.str(at + 1) == "constexpr");
        stream.close(open).filter(|_| stream.str(open) == "(")
    };
    match stream.str(at) {
        "" => None,
        "{" => Some(stream.close(at)? + 1),
        "if" => {
            let end = body(after_head()? + 1)?;
            match stream.str(end) {
                "else" => body(end + 1),
                _ => Some(end),
            }
        }
        "for" | "while" | "switch" => body(after_head()? + 1),
        "do" => {
            let end = body(at + 1)?;
            let close = stream.close(end + 1)?;
            (stream.str(end) == "while").then_some(close + 2)
        }
        _ => {
            let mut p = at;
            loop {
                match stream.str(p) {
                    "" | ")" | "]" | "}" => return None,
                    "(" | "[" | "{" => p = stream.close(p)?,
                    ";" => return Some(p + 1),
                    _ => {}
                }
                p += 1;
            }
        }
    }
}

/// Guards the loop that starts at `start` and whose `while (...)` stands at `at`.
fn guard_while(stream: Stream<'_>, start: usize, at: usize, guard: &LoopGuard, edits: &mut Edits) {
    let Some(close) = stream
        .close(at + 1)
        .filter(|&c| stream.str(at + 1) == "(" && c > at + 2)
    else {
        return;
    };
    // `do ... while (0)` is how macros group statements.
    let once = close == at + 3 && matches!(stream.str(at + 2), "0" | "false");
    // A condition that declares a variable cannot follow a comma.
    let declares =
        (at + 2..close).any(|p| stream.str(p) == "=" && stream.is_ident(p.saturating_sub(2)));
    if once || declares {
        return;
    }
    edits.insert_before(stream.tokens[start], guard.prefix);
    condition(stream, at + 2, close, guard, edits);
}

fn guard_for(stream: Stream<'_>, at: usize, guard: &LoopGuard, edits: &mut Edits) {
    let Some(close) = stream.close(at + 1).filter(|_| stream.str(at + 1) == "(") else {
        return;
    };
    let mut parts = [0usize; 2];
    let mut found = 0;
    let mut p = at + 2;
    while p < close {
        match stream.str(p) {
            "(" | "[" | "{" => p = stream.close(p).unwrap_or(close),
            ";" => {
                if found == 2 {
                    return;
                }
                parts[found] = p;
                found += 1;
            }
            _ => {}
        }
        p += 1;
    }
    // A range-based loop has no semicolon, and ends.
    if found < 2 {
        return;
    }
    if let Some(step) = counts(stream, at, parts, close) {
        if let Some((from, to)) = step {
            edits.insert_before(stream.tokens[from], &format!("{}(", guard.step));
            edits.insert_before(stream.tokens[to], ")");
        }
        return;
    }
    edits.insert_before(stream.tokens[at], guard.prefix);
    if parts[0] + 1 == parts[1] {
        edits.insert_before(stream.tokens[parts[1]], guard.tick);
    } else {
        condition(stream, parts[0] + 1, parts[1], guard, edits);
    }
}

/// Makes `tick` part of the condition `from..to`.
fn condition(stream: Stream<'_>, from: usize, to: usize, guard: &LoopGuard, edits: &mut Edits) {
    edits.insert_before(stream.tokens[from], " && (");
    edits.insert_before(stream.tokens[from], guard.tick);
    edits.insert_before(stream.tokens[to], ")");
}

/// Whether the `for` at `at`, with its semicolons at `parts`, counts one variable to a bound, and if
/// so, which tokens must not be zero for it to end.
fn counts(
    stream: Stream<'_>,
    at: usize,
    parts: [usize; 2],
    close: usize,
) -> Option<Option<(usize, usize)>> {
    let ups = ["<", "<=", "!="];
    let downs = [">", "!="];
    let (from, step) = (parts[0] + 1, parts[1]);
    let variable = stream.str(from);
    let mut relation = from + 1;
    let mut operator = stream.str(relation).to_owned();
    if operator == ">" && stream.str(relation + 1) == "=" && stream.touches_next(relation) {
        relation += 1;
        operator.push('=');
    }
    let simple_bound =
        (relation + 1..step).all(|p| !matches!(stream.str(p), "," | "=" | "&&" | "||" | "?"));
    let single_step = (step + 1..close).all(|p| stream.str(p) != ",");
    if !stream.is_ident(from)
        || !simple_bound
        || !single_step
        || changes(stream, variable, close + 1)
    {
        return None;
    }
    let (first, second) = (stream.str(step + 1), stream.str(step + 2));
    let (name, change) = if matches!(first, "++" | "--") {
        (second, first)
    } else {
        (first, second)
    };
    // How much it steps by; `>>=` comes in pieces.
    let amount = step + if change == ">" { 5 } else { 3 };
    let literal = (amount + 1 == close && stream.kind(amount) == Some(Kind::Number)).then(|| {
        stream
            .str(amount)
            .trim_end_matches(['u', 'U', 'l', 'L', 'f'])
    });
    let starts_above_zero = stream.str(parts[0] - 2) == "="
        && stream.kind(parts[0] - 1) == Some(Kind::Number)
        && stream
            .str(parts[0] - 1)
            .starts_with(|c: char| ('1'..='9').contains(&c))
        && at + 2 < parts[0];
    // `i >= 0` holds for ever when `i` is unsigned, so `>=` is never obvious.
    let (ends, needs_step) = match change {
        "++" => (ups.contains(&operator.as_str()), false),
        "--" => (downs.contains(&operator.as_str()), false),
        "+=" => (ups.contains(&operator.as_str()), literal.is_none()),
        "-=" => (downs.contains(&operator.as_str()), literal.is_none()),
        "<<=" | "*=" => {
            let grows = literal.is_some_and(|l| !matches!(l, "0" | "1") || change == "<<=");
            (
                ups.contains(&operator.as_str()) && grows && starts_above_zero,
                false,
            )
        }
        "/=" | ">" => {
            let shrinks = literal.is_some_and(|l| l != "1" || change == ">");
            (downs.contains(&operator.as_str()) && shrinks, false)
        }
        _ => (false, false),
    };
    let ends = ends && name == variable && literal != Some("0");
    ends.then(|| (needs_step && amount < close).then_some((amount, close)))
}

/// Whether the statement at `body` assigns to `variable`.
fn changes(stream: Stream<'_>, variable: &str, body: usize) -> bool {
    let end = statement_end(stream, body, 0).unwrap_or(body);
    (body..end).any(|p| {
        stream.str(p) == variable
            && !matches!(stream.before(p), "." | "->" | "::")
            && (matches!(stream.before(p), "++" | "--")
                || matches!(
                    stream.str(p + 1),
                    "=" | "+="
                        | "-="
                        | "*="
                        | "/="
                        | "%="
                        | "&="
                        | "|="
                        | "^="
                        | "<<="
                        | "++"
                        | "--"
                ))
    })
}
