//! Expressions as sums of products, to take out of a sum along the row what does not change along it.

use crate::expr::{Expr, Part};

/// A variable as an expression.
pub(crate) fn variable(name: &str) -> Expr {
    Expr::var(name)
}

/// A variable that is an integer.
pub(crate) fn integer(name: &str) -> Expr {
    Expr::var(&format!("long {name}"))
}

pub(crate) fn is_zero(e: &Expr) -> bool {
    e.as_constant() == Some(0.0)
}

pub(crate) fn zero() -> Expr {
    Expr::from(0.0)
}

/// The sum, without zeros.
pub(crate) fn add(a: Expr, b: Expr) -> Expr {
    match (is_zero(&a), is_zero(&b)) {
        (true, _) => b,
        (_, true) => a,
        _ => a + b,
    }
}

/// The product, without zeros and ones.
pub(crate) fn mul(a: Expr, b: Expr) -> Expr {
    if is_zero(&a) || is_zero(&b) {
        zero()
    } else if a.as_constant() == Some(1.0) {
        b
    } else if b.as_constant() == Some(1.0) {
        a
    } else {
        a * b
    }
}

/// A number times factors, over factors.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) number: f64,
    pub(crate) over: Vec<Expr>,
    pub(crate) under: Vec<Expr>,
}

impl Term {
    fn one(number: f64) -> Term {
        Term {
            number,
            over: Vec::new(),
            under: Vec::new(),
        }
    }

    fn factor(e: &Expr) -> Term {
        Term {
            over: vec![e.clone()],
            ..Term::one(1.0)
        }
    }

    /// Factors above and below the line go away in pairs.
    fn cancel(mut self) -> Term {
        let mut i = 0;
        while i < self.under.len() {
            match self.over.iter().position(|e| *e == self.under[i]) {
                Some(k) => {
                    self.over.remove(k);
                    self.under.remove(i);
                }
                None => i += 1,
            }
        }
        self
    }

    /// The product of the factors, without the number.
    pub(crate) fn product(&self) -> Expr {
        let times = |all: &[Expr]| {
            all.iter()
                .cloned()
                .reduce(|a, b| a * b)
                .unwrap_or_else(|| Expr::from(1.0))
        };
        if self.under.is_empty() {
            times(&self.over)
        } else {
            times(&self.over) / times(&self.under)
        }
    }

    /// What is the same along the row, with the number, and what is not.
    pub(crate) fn split(&self, same: impl Fn(&Expr) -> bool) -> (Term, Term) {
        let (over, changing_over) = self.over.iter().cloned().partition(&same);
        let (under, changing_under) = self.under.iter().cloned().partition(&same);
        let fixed = Term {
            number: self.number,
            over,
            under,
        };
        let changing = Term {
            number: 1.0,
            over: changing_over,
            under: changing_under,
        };
        (fixed, changing)
    }

    fn same_factors(&self, other: &Term) -> bool {
        let same = |a: &[Expr], b: &[Expr]| {
            let mut b = b.to_vec();
            a.len() == b.len()
                && a.iter().all(|e| {
                    b.iter()
                        .position(|o| o == e)
                        .map(|at| b.swap_remove(at))
                        .is_some()
                })
        };
        same(&self.over, &other.over) && same(&self.under, &other.under)
    }
}

/// The terms of an expression. Products of sums stay factors: multiplying them out could lose digits.
pub(crate) fn terms(e: &Expr) -> Vec<Term> {
    match e.part() {
        Part::Number(0.0) => Vec::new(),
        Part::Number(n) => vec![Term::one(n)],
        Part::Negative(a) => scaled(terms(&a), -1.0),
        Part::Sum(a, b) => {
            let mut all = terms(&a);
            all.extend(terms(&b));
            all
        }
        Part::Difference(a, b) => {
            let mut all = terms(&a);
            all.extend(scaled(terms(&b), -1.0));
            all
        }
        Part::Product(a, b) => times(e, &terms(&a), &terms(&b)),
        Part::Quotient(a, b) => {
            let below = terms(&b);
            let inverse = match below.as_slice() {
                [t] if t.number != 0.0 => vec![Term {
                    number: 1.0 / t.number,
                    over: t.under.clone(),
                    under: t.over.clone(),
                }],
                _ => vec![Term {
                    under: vec![b.clone()],
                    ..Term::one(1.0)
                }],
            };
            times(e, &terms(&a), &inverse)
        }
        _ => vec![Term::factor(e)],
    }
}

fn scaled(mut terms: Vec<Term>, by: f64) -> Vec<Term> {
    for t in &mut terms {
        t.number *= by;
    }
    terms
}

/// The product of two sums where one of them is a single term.
fn times(whole: &Expr, a: &[Term], b: &[Term]) -> Vec<Term> {
    let (one, many) = match (a, b) {
        ([one], many) | (many, [one]) => (one, many),
        ([], _) | (_, []) => return Vec::new(),
        _ => return vec![Term::factor(whole)],
    };
    many.iter()
        .map(|t| {
            Term {
                number: t.number * one.number,
                over: t.over.iter().chain(&one.over).cloned().collect(),
                under: t.under.iter().chain(&one.under).cloned().collect(),
            }
            .cancel()
        })
        .collect()
}

/// The sum of terms, those with the same factors as one.
pub(crate) fn collect(terms: Vec<Term>) -> Expr {
    let mut all: Vec<Term> = Vec::new();
    for t in terms {
        let t = t.cancel();
        match all.iter_mut().find(|o| o.same_factors(&t)) {
            Some(o) => o.number += t.number,
            None => all.push(t),
        }
    }
    let mut sum = zero();
    for t in all {
        if t.number == 0.0 {
            continue;
        }
        let bare = t.over.is_empty() && t.under.is_empty();
        let product = t.product();
        if bare {
            sum = add(sum, Expr::from(t.number));
        } else if t.number == 1.0 {
            sum = add(sum, product);
        } else if t.number == -1.0 && !is_zero(&sum) {
            sum = sum - product;
        } else if t.number == -1.0 {
            sum = -product;
        } else {
            sum = add(sum, Expr::from(t.number) * product);
        }
    }
    sum
}
