//! Which names an expression may use, and what they stand for.

use crate::expr::{Expr, IntoExpr};
use crate::{Error, Result};

/// Declared names: variables, and names that stand for an expression.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    variables: Vec<String>,
    /// In terms of the variables.
    values: Vec<(String, Expr)>,
}

impl Scope {
    /// These variables.
    pub(crate) fn of<S: AsRef<str>>(names: &[S]) -> Scope {
        Scope {
            variables: names.iter().map(|n| n.as_ref().to_owned()).collect(),
            values: Vec::new(),
        }
    }

    /// Further variables.
    pub(crate) fn with<S: AsRef<str>>(mut self, names: &[S]) -> Scope {
        self.variables
            .extend(names.iter().map(|n| n.as_ref().to_owned()));
        self
    }

    /// A name for an expression, unless it is declared already.
    pub(crate) fn alias(self, name: &str, value: Expr) -> Scope {
        let known = self.variables.iter().any(|v| v == name);
        match known || self.values.iter().any(|(n, _)| n == name) {
            true => self,
            false => self.named(name, value),
        }
    }

    /// A name for an expression, whatever it stood for before.
    pub(crate) fn named(mut self, name: &str, value: Expr) -> Scope {
        self.variables.retain(|v| v != name);
        self.values.retain(|(n, _)| n != name);
        if value == Expr::var(name) {
            self.variables.push(name.to_owned());
        } else {
            self.values.push((name.to_owned(), value));
        }
        self
    }

    /// The expression of a text.
    #[track_caller]
    pub(crate) fn parse(&self, text: &str) -> Result<Expr> {
        let names: Vec<&str> = self
            .variables
            .iter()
            .chain(self.values.iter().map(|(n, _)| n))
            .map(String::as_str)
            .collect();
        let mut e = Expr::parse(text, &names)?;
        // In two steps: what a name stands for may contain a variable of another's name.
        let place = |i: usize| format!("zk_name_{i}");
        for (i, (name, _)) in self.values.iter().enumerate() {
            e = e.substitute(name, &Expr::var(&place(i)));
        }
        for (i, (_, value)) in self.values.iter().enumerate() {
            e = e.substitute(&place(i), value);
        }
        Ok(e)
    }

    /// The expression of a text with all names, or of a closure of some.
    #[track_caller]
    pub(crate) fn read<const N: usize, M>(
        &self,
        expr: impl IntoExpr<N, M>,
        closure: [&str; N],
    ) -> Result<Expr> {
        match expr.text() {
            Some(text) => self.parse(text),
            None => expr.into_expr(closure),
        }
    }

    /// Takes in declarations of the form `type name = expression;`.
    ///
    /// They are not copied into the kernel, but put in place of their names, so derivatives see
    /// through them.
    #[track_caller]
    pub(crate) fn prelude(mut self, argument: &str, text: &str) -> Result<Scope> {
        for statement in text.split(';') {
            let statement = statement.trim();
            if statement.is_empty() {
                continue;
            }
            let Some((ty, name, right)) = declaration(statement) else {
                return Err(Error::argument(
                    argument,
                    "declarations `type name = expression;` (functions belong into the header)",
                    format_args!("`{statement}`"),
                ));
            };
            let value = match ty {
                "auto" | "float" | "T" => self.parse(right)?,
                ty => self.parse(&format!("{ty}({right})"))?,
            };
            self = self.named(name, value);
        }
        Ok(self)
    }
}

/// Type, name and value of `const type name = value`.
fn declaration(statement: &str) -> Option<(&str, &str, &str)> {
    let (left, right) = statement.split_once('=')?;
    let mut words: Vec<&str> = left.split_whitespace().collect();
    let name = words.pop()?;
    words.retain(|w| *w != "const");
    let identifier = |s: &str| {
        let mut chars = s.chars();
        chars
            .next()
            .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match words.as_slice() {
        [ty] if identifier(name) && identifier(ty) => Some((ty, name, right)),
        _ => None,
    }
}
