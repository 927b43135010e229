//! Counts the rounds of loops that could run for ever.
//!
//! A loop that counts a variable towards a bound ends by itself and stays as it is, so that the
//! compiler vectorizes it. Around every other loop goes a guard with a counter of its own; the
//! target's code behind it asks now and then whether the launch's time is up.

use super::{edits::Edits, source::Stream};

/// The code of a guard.
#[derive(Clone, Copy, Debug)]
pub struct LoopGuard {
    /// Written before the loop, a statement prefix that declares the counter.
    pub prefix: &'static str,
    /// Written before the loop's condition.
    pub tick: &'static str,
}

/// Puts `guard` around the loops of `stream` that do not obviously end.
pub fn insert(stream: Stream<'_>, guard: &LoopGuard, edits: &mut Edits) {
    // The `while` that ends a `do` has been dealt with together with it.
    let mut ends_do = Vec::new();
    for at in 0..stream.len() {
        match stream.str(at) {
            "while" if ends_do.contains(&at) => {}
            "while" => guard_while(stream, at, at, guard, edits),
            "do" => {
                let end = stream.close(at + 1).filter(|_| stream.str(at + 1) == "{");
                if let Some(end) = end.map(|e| e + 1).filter(|&e| stream.str(e) == "while") {
                    ends_do.push(end);
                    guard_while(stream, at, end, guard, edits);
                }
            }
            "for" => guard_for(stream, at, guard, edits),
            _ => {}
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
    if found < 2 || counts(stream, parts[0] + 1, parts[1], close) {
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

/// Whether the condition `from..step` and the step up to `close` count one variable to a bound.
fn counts(stream: Stream<'_>, from: usize, step: usize, close: usize) -> bool {
    let ups = ["<", "<=", "!="];
    let downs = [">", "!="];
    let variable = stream.str(from);
    let mut relation = from + 1;
    let mut operator = stream.str(relation).to_owned();
    if operator == ">" && stream.str(relation + 1) == "=" && stream.touches_next(relation) {
        relation += 1;
        operator.push('=');
    }
    let simple_bound =
        (relation + 1..step).all(|p| !matches!(stream.str(p), "," | "=" | "&&" | "||" | "?"));
    if !stream.is_ident(from) || !simple_bound {
        return false;
    }
    let (first, second) = (stream.str(step + 1), stream.str(step + 2));
    let (name, change) = if matches!(first, "++" | "--") {
        (second, first)
    } else {
        (first, second)
    };
    let single_step = (step + 1..close).all(|p| stream.str(p) != ",");
    // `i >= 0` holds for ever when `i` is unsigned, so `>=` is never obvious.
    name == variable
        && single_step
        && match change {
            "++" | "+=" | "<<=" | "*=" => ups.contains(&operator.as_str()),
            "--" | "-=" | "/=" => downs.contains(&operator.as_str()),
            // `>>=` comes in pieces.
            ">" => downs.contains(&operator.as_str()),
            _ => false,
        }
}
