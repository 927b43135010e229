//! Puts the target's word into divisions.
//!
//! An integer division by zero gives an arbitrary value on a GPU and ends the process on some
//! CPUs. Only the compiler knows which divisions are of integers, and where macros are in play also
//! where an operand ends. So operands are left alone and the operator gets company:
//! `a / b` becomes `a / !by / b`, which groups as before, and `a /= b` becomes `a /= by |= b`, as
//! assignments group from the right. This holds for an operator that a macro hands on as well,
//! and a preprocessor that meets it in a condition takes `!by` for 1.

use std::collections::HashSet;

use super::{
    edits::Edits,
    lexer::Kind,
    source::{Source, Stream},
};

/// What the divisions of one text become.
#[derive(Debug)]
pub struct Divisions<'s> {
    /// The target's word.
    by: &'static str,
    /// The operator between dividend and word: one that the text does not define itself, as it
    /// might take any operand.
    first: &'static str,
    /// Macros whose arguments name operators, so that an operator has to stay as it is.
    names_operators: HashSet<&'s str>,
    /// Macros that the preprocessor itself computes with.
    in_conditions: HashSet<&'s str>,
}

impl<'s> Divisions<'s> {
    /// Looks at the definitions of `source`.
    pub fn new(source: &'s Source<'s>, by: &'static str) -> Self {
        let own: HashSet<&str> = streams(source)
            .flat_map(|stream| (1..stream.len()).map(move |at| (stream.before(at), stream.str(at))))
            .filter(|(before, _)| *before == "operator")
            .map(|(_, word)| word)
            .collect();
        let first = ["/", "*", "%"];
        let first = first.into_iter().find(|op| !own.contains(op));
        let mut names_operators = HashSet::new();
        let mut in_conditions: HashSet<&str> =
            source.conditions.iter().map(|&t| source.str(t)).collect();
        // Until nothing changes: a macro that uses such a macro is one.
        loop {
            let before = (names_operators.len(), in_conditions.len());
            for m in &source.macros {
                let body = source.cursor(&m.body);
                let name = source.str(m.name);
                let params: Vec<&str> = m.params.iter().map(|&t| source.str(t)).collect();
                if own.contains(name) || hands_on(body, &params, &names_operators) {
                    names_operators.insert(name);
                }
                if in_conditions.contains(name) {
                    in_conditions.extend(m.body.iter().map(|&t| source.str(t)));
                }
            }
            if before == (names_operators.len(), in_conditions.len()) {
                break;
            }
        }
        Self {
            by,
            first: first.unwrap_or("/"),
            names_operators,
            in_conditions,
        }
    }

    /// Rewrites one stream: the program, or the body of the macro `name`.
    pub fn mark(&self, stream: Stream<'_>, name: Option<&str>, edits: &mut Edits) {
        // In a condition only a factor of 1 does no harm.
        if self.first == "%" && name.is_some_and(|name| self.in_conditions.contains(name)) {
            return;
        }
        for at in 0..stream.len() {
            let operator = stream.str(at);
            let text = match operator {
                "/" | "%" => format!("{} !{} {operator}", self.first, self.by),
                "/=" | "%=" => format!("{operator} {} |=", self.by),
                _ => continue,
            };
            let next = stream.str(at + 1);
            // `#` joins tokens, a list in braces has no type, and an attribute is gone.
            if matches!(stream.before(at), "operator" | "#")
                || matches!(next, "#" | "{")
                || divides_by_number(stream, at)
                || edits.touched(stream.tokens[at])
                || self.is_name(stream, at, name)
            {
                continue;
            }
            edits.replace(stream.tokens[at], text);
        }
    }

    /// Whether the operator at `at` becomes part of a name: `operator/`.
    fn is_name(&self, stream: Stream<'_>, at: usize, name: Option<&str>) -> bool {
        if stream.len() == 1 {
            return name.is_some_and(|name| self.names_operators.contains(name));
        }
        if !matches!(stream.before(at), "(" | ",") || !matches!(stream.str(at + 1), ")" | ",") {
            return false;
        }
        let mut depth = 0usize;
        for open in (0..at).rev() {
            match stream.str(open) {
                ")" | "]" | "}" => depth += 1,
                "(" | "[" | "{" if depth == 0 => {
                    return self.names_operators.contains(stream.before(open));
                }
                "(" | "[" | "{" => depth -= 1,
                _ => {}
            }
        }
        false
    }
}

/// The program and the bodies of its macros.
fn streams<'s>(source: &'s Source<'s>) -> impl Iterator<Item = Stream<'s>> {
    let bodies = source.macros.iter().map(|m| source.cursor(&m.body));
    std::iter::once(source.cursor(&source.program)).chain(bodies)
}

/// Whether a macro with these parameters makes a part of a word of one of them, or hands them to a
/// macro that may.
fn hands_on(body: Stream<'_>, params: &[&str], others: &HashSet<&str>) -> bool {
    (0..body.len()).any(|at| {
        let word = body.str(at);
        let joined = matches!(body.before(at), "operator" | "#") || body.str(at + 1) == "#";
        (joined && params.contains(&word)) || (!params.is_empty() && others.contains(word))
    })
}

/// Whether the operator at `at` has a divisor that is plainly a number and not zero.
fn divides_by_number(stream: Stream<'_>, at: usize) -> bool {
    if stream.kind(at + 1) != Some(Kind::Number) {
        return false;
    }
    let number = stream.str(at + 1).to_ascii_lowercase();
    match number.strip_prefix("0x") {
        Some(hex) => hex.contains(|c| matches!(c, '1'..='9' | 'a'..='f')),
        None => number.contains('.') || number.contains(|c| matches!(c, '1'..='9')),
    }
}
