//! What is known about functions: one table, a row each.

mod metal;
mod own;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::Expr;

/// The derivative by argument `i`, from the arguments and the call itself. What it gives is
/// built from the table's functions, so it can be differentiated again.
pub(super) type Partial = fn(x: &[Expr], y: &Expr, i: usize) -> Expr;

/// A row of the table.
pub(super) struct Function {
    /// Without a namespace: `exp`, `kk_sigmoid`.
    pub name: &'static str,
    pub arity: usize,
    /// None: constant between jumps, so the derivative is 0.
    pub partial: Option<Partial>,
    /// The value in f64.
    pub evaluate: fn(&[f64]) -> f64,
    /// Also for integers: the result's type is the arguments'.
    pub generic: bool,
    /// The result is an integer or a truth value.
    pub integer: bool,
}

impl Function {
    /// One of Metal's, in the namespace `metal`.
    pub fn in_metal(&self) -> bool {
        !self.name.starts_with("kk_")
    }
}

/// Every row.
pub(super) fn rows() -> impl Iterator<Item = &'static Function> {
    metal::TABLE.iter().chain(own::TABLE)
}

/// The row of a function by its name without namespace.
pub(super) fn lookup(name: &str) -> Option<&'static Function> {
    static BY_NAME: LazyLock<HashMap<&'static str, &'static Function>> =
        LazyLock::new(|| rows().map(|f| (f.name, f)).collect());
    BY_NAME.get(name).copied()
}

/// A function of floats.
const fn float(
    name: &'static str,
    arity: usize,
    evaluate: fn(&[f64]) -> f64,
    partial: Partial,
) -> Function {
    Function {
        name,
        arity,
        partial: Some(partial),
        evaluate,
        generic: false,
        integer: false,
    }
}

/// A function of floats with jumps.
const fn steps(name: &'static str, arity: usize, evaluate: fn(&[f64]) -> f64) -> Function {
    Function {
        name,
        arity,
        partial: None,
        evaluate,
        generic: false,
        integer: false,
    }
}

/// A function of floats or integers.
const fn generic(
    name: &'static str,
    arity: usize,
    evaluate: fn(&[f64]) -> f64,
    partial: Partial,
) -> Function {
    Function {
        generic: true,
        ..float(name, arity, evaluate, partial)
    }
}

/// A question, or what else gives an integer.
const fn integer(name: &'static str, arity: usize, evaluate: fn(&[f64]) -> f64) -> Function {
    Function {
        integer: true,
        ..steps(name, arity, evaluate)
    }
}
