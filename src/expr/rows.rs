//! Functions of a whole row in expressions: each stands for one value a row.

use std::collections::HashMap;

use super::Expr;
use super::build::call;
use super::functions;
use super::node::{Callee, Kind, make, postorder};
use super::token::{Problem, problem};
use crate::{Error, Result};

/// Which language a text is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// MSL.
    Msl,
    /// MSL with functions of a whole row: `sum(x)`, and `max` and `min` of one argument; `stop(x)`, which is x without a
    /// derivative; and `when(c, x)`, which is x, or 0 unless c.
    Rows,
    /// Formulas as books write them: functions of rows, too, `^` is the power, numbers are real numbers, and `pi` is
    /// known.
    Textbook,
}

/// Row functions of programs: those that become a reduction.
const PROGRAM: &[(&str, usize)] = &[("sum", 1), ("mean", 1), ("max", 1), ("min", 1)];

/// Row functions that only formulas have. `first` and `second` are the halves of a row; `at(x, i)` is the element of
/// the number i; `onehot(x, i)` is 1 there and 0 elsewhere; `stop(x)` is x without a derivative; `cumsum(x)` has the sum
/// up to each element.
const TEXTBOOK: &[(&str, usize)] = &[
    ("var", 1),
    ("prod", 1),
    ("logsumexp", 1),
    ("cumsum", 1),
    ("first", 1),
    ("second", 1),
    ("stop", 1),
    ("at", 2),
    ("onehot", 2),
];

/// How many arguments the row function of this name takes; none where a call with so many arguments is no row
/// function: `max` of two arguments is the larger of both.
pub(super) fn arity(name: &str, given: usize, language: Language) -> Option<usize> {
    if matches!(name, "max" | "min") && given != 1 {
        return None;
    }
    let more = match language {
        Language::Textbook => TEXTBOOK,
        _ => &[],
    };
    let row = PROGRAM.iter().chain(more).find(|(n, _)| *n == name);
    row.map(|(_, arity)| *arity)
}

/// A call of what only rows have, and of what books call by a shorter name.
pub(super) fn called(
    language: Language,
    name: &str,
    args: &[Expr],
    offset: usize,
) -> Option<Result<Expr, Problem>> {
    if language == Language::Msl {
        return None;
    }
    if let Some(arity) = arity(name, args.len(), language) {
        return Some(match args.len() == arity {
            true => Ok(make(
                Kind::Call(Callee::Unknown(name.into()), None),
                args.to_vec(),
            )),
            false => problem(
                format!("`{name}` takes {arity} argument(s), got {}", args.len()),
                offset,
            ),
        });
    }
    if language != Language::Textbook {
        return match (name, args) {
            ("stop", [_]) => Some(Ok(call("kk_stop", args.to_vec()))),
            ("when", [_, _]) => Some(Ok(call("kk_when", args.to_vec()))),
            _ => None,
        };
    }
    let own = format!("kk_{name}");
    let known = functions::lookup(name).or_else(|| functions::lookup(&own));
    Some(match known {
        Some(f) if f.arity == args.len() => Ok(call(f.name, args.to_vec())),
        Some(f) => problem(
            format!("`{name}` takes {} argument(s), got {}", f.arity, args.len()),
            offset,
        ),
        None => problem(format!("unknown function `{name}`"), offset),
    })
}

impl Expr {
    /// Whether the variable stands nowhere but as an argument of these functions.
    pub(crate) fn is_only_in(&self, variable: &str, functions: &[&str]) -> bool {
        let is_it = |e: &Expr| matches!(&e.0.kind, Kind::Var(name, _) if &**name == variable);
        !is_it(self)
            && postorder([self]).iter().all(|node| {
                let inside = matches!(&node.0.kind, Kind::Call(Callee::Known(f, _), _) if functions.contains(&f.name));
                inside || !node.0.args.iter().any(is_it)
            })
    }

    /// The expression with what `by` gives in place of each call of a function that is not in the table, from the
    /// innermost on: from its name and the call.
    #[track_caller]
    pub(crate) fn with_calls(
        &self,
        mut by: impl FnMut(&str, Expr) -> Result<Expr>,
    ) -> Result<Expr> {
        let mut new: HashMap<Expr, Expr> = HashMap::new();
        for node in postorder([self]) {
            let args: Vec<Expr> = node.0.args.iter().map(|a| new[a].clone()).collect();
            let made = make(node.0.kind.clone(), args);
            let made = match &node.0.kind {
                Kind::Call(Callee::Unknown(name), None) => by(name, made)?,
                _ => made,
            };
            new.insert(node, made);
        }
        Ok(new.remove(self).unwrap_or_else(|| self.clone()))
    }
}

/// The expressions of a text `name = value; ...; result, ...`, in which these names are known; each definition stands in
/// place of its name then.
#[track_caller]
pub(crate) fn read(language: Language, text: &str, names: &[&str]) -> Result<Vec<Expr>> {
    let mut names = names.to_vec();
    let mut known: Vec<(&str, Expr)> = Vec::new();
    let parsed = |text: &str, names: &[&str], known: &[(&str, Expr)]| -> Result<Expr> {
        let e = Expr::parse_in(language, text, names)?;
        Ok(known.iter().fold(e, |e, (name, v)| e.substitute(name, v)))
    };
    let mut statements: Vec<&str> = text.split(';').map(str::trim).collect();
    let results = statements.pop().unwrap_or_default();
    for statement in statements {
        let (name, value) = statement.split_once('=').unwrap_or((statement, ""));
        let name = name.trim();
        if names.contains(&name) {
            return Err(Error::expression(format!(
                "expression `{text}`: `{name}` has a meaning already"
            )));
        }
        let value = parsed(value, &names, &known)?;
        names.push(name);
        known.push((name, value));
    }
    let results = list(results).into_iter();
    results.map(|r| parsed(r, &names, &known)).collect()
}

/// The parts of a list between its outermost commas.
fn list(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}
