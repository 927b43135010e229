//! Which fold an update is.
//!
//! An author writes `acc + x * x` or `max(acc, x)`. Where that is recognised the fold is done in parallel
//! and has a derivative, whatever the initial value is.

use crate::Dtype;
use crate::expr::{Expr, Part};

use super::program::{Custom, Fold};
use super::terms::{add, is_zero};

/// A fold in its own terms, and what the author's accumulator is at its end.
pub(crate) struct Classified {
    pub(crate) fold: Fold,
    pub(crate) value: Expr,
    /// In terms of the variable `name` that the fold's result has.
    pub(crate) result: Expr,
}

/// The fold of an update of `acc`, started with `init`. `combine` joins `a` and `b`.
pub(crate) fn classify(
    name: &str,
    acc: &str,
    init: &Expr,
    update: &Expr,
    combine: Option<&Expr>,
    compute: Dtype,
) -> Classified {
    let result = Expr::var(name);
    let joins = |known: Known| match combine {
        None => true,
        Some(c) => recognise(c, "a").is_some_and(|(k, v)| k == known && v == Expr::var("b")),
    };
    if let Some((known, value)) = recognise(update, acc)
        && joins(known)
    {
        let value = value.simplify();
        return match known {
            Known::Sum => Classified {
                fold: Fold::Sum,
                value,
                result: if is_zero(init) {
                    result
                } else {
                    add(init.clone(), result)
                },
            },
            Known::Max => Classified {
                fold: Fold::Max,
                value,
                result: match is_infinite(init, -1.0) && compute.is_floating() {
                    true => result,
                    false => result.max(init),
                },
            },
            Known::Min => Classified {
                fold: Fold::Min,
                value,
                result: match is_infinite(init, 1.0) && compute.is_floating() {
                    true => result,
                    false => result.min(init),
                },
            },
        };
    }
    Classified {
        fold: Fold::Custom(Box::new(Custom {
            init: init.clone(),
            acc: acc.to_owned(),
            combine: combine.cloned(),
        })),
        value: update.clone(),
        result,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    Sum,
    Max,
    Min,
}

/// Whether the update is a sum, a maximum or a minimum.
pub(crate) fn is_known(update: &Expr, acc: &str) -> bool {
    recognise(update, acc).is_some()
}

fn is_infinite(e: &Expr, sign: f64) -> bool {
    e.as_constant() == Some(sign * f64::INFINITY)
}

fn mentions(e: &Expr, name: &str) -> bool {
    e.variables().iter().any(|n| n == name)
}

/// What is added to `acc`, or compared with it.
fn recognise(update: &Expr, acc: &str) -> Option<(Known, Expr)> {
    let free = |e: &Expr| !mentions(e, acc);
    let var = Expr::var(acc);
    let other = |a: Expr, b: Expr| {
        if a == var && free(&b) {
            Some(b)
        } else if b == var && free(&a) {
            Some(a)
        } else {
            None
        }
    };
    match update.part() {
        Part::Larger(a, b) => other(a, b).map(|e| (Known::Max, e)),
        Part::Smaller(a, b) => other(a, b).map(|e| (Known::Min, e)),
        _ => summand(update, acc).map(|e| (Known::Sum, e)),
    }
}

/// What a sum adds to the variable.
fn summand(e: &Expr, acc: &str) -> Option<Expr> {
    let zero = Expr::from(0.0);
    if *e == Expr::var(acc) {
        return Some(zero);
    }
    match e.part() {
        Part::Sum(a, b) => match (mentions(&a, acc), mentions(&b, acc)) {
            (true, false) => Some(add(summand(&a, acc)?, b)),
            (false, true) => Some(add(summand(&b, acc)?, a)),
            _ => None,
        },
        Part::Difference(a, b) if !mentions(&b, acc) => {
            let rest = summand(&a, acc)?;
            Some(if is_zero(&rest) { -b } else { rest - b })
        }
        // Anything else that has slope 1, such as `fma(x, x, acc)`.
        _ => {
            let slope = e.derivative(acc).ok()?.simplify();
            let rest = e.substitute(acc, &zero).simplify();
            (slope.as_constant() == Some(1.0) && !mentions(&rest, acc)).then_some(rest)
        }
    }
}
