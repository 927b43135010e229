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

    /// The product of the factors, without the number. A square below the line is divided by twice: it could be too large
    /// or too small for a float.
    pub(crate) fn product(&self) -> Expr {
        let times = |all: &[Expr]| {
            all.iter()
                .cloned()
                .reduce(|a, b| a * b)
                .unwrap_or_else(|| Expr::from(1.0))
        };
        let mut product = times(&self.over);
        let mut under = self.under.clone();
        while !under.is_empty() {
            let mut again: Vec<Expr> = Vec::new();
            let mut once: Vec<Expr> = Vec::new();
            for e in under {
                match once.contains(&e) {
                    true => again.push(e),
                    false => once.push(e),
                }
            }
            product = product / times(&once);
            under = again;
        }
        product
    }

    /// The product of two terms.
    pub(crate) fn with(&self, other: &Term) -> Term {
        Term {
            number: self.number * other.number,
            over: self.over.iter().chain(&other.over).cloned().collect(),
            under: self.under.iter().chain(&other.under).cloned().collect(),
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

    pub(crate) fn same_factors(&self, other: &Term) -> bool {
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
    apart(e, None)
}

/// The same, but what is the same along the row stays beside what changes in a factor, too: `x - mean` has digits that
/// the difference of two sums has lost.
pub(crate) fn terms_of_rows(e: &Expr, same: &dyn Fn(&Expr) -> bool) -> Vec<Term> {
    apart(e, Some(same))
}

type Same<'a> = Option<&'a dyn Fn(&Expr) -> bool>;

fn apart(e: &Expr, same: Same<'_>) -> Vec<Term> {
    match e.part() {
        Part::Number(0.0) => Vec::new(),
        Part::Number(n) => vec![Term::one(n)],
        Part::Negative(a) => scaled(apart(&a, same), -1.0),
        Part::Sum(a, b) => {
            let mut all = apart(&a, same);
            all.extend(apart(&b, same));
            all
        }
        Part::Difference(a, b) => {
            let mut all = apart(&a, same);
            all.extend(scaled(apart(&b, same), -1.0));
            all
        }
        Part::Product(a, b) => times(e, &factors(&a, same), &factors(&b, same)),
        Part::Quotient(a, b) => {
            let below = factors(&b, same);
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
            times(e, &factors(&a, same), &inverse)
        }
        _ => vec![Term::factor(e)],
    }
}

/// The terms of a factor.
fn factors(e: &Expr, same: Same<'_>) -> Vec<Term> {
    let all = apart(e, same);
    let Some(same) = same else {
        return all;
    };
    let fixed = |t: &Term| t.over.iter().chain(&t.under).all(same);
    let Some(first) = all.iter().find(|t| !fixed(t)) else {
        return all;
    };
    if !all.iter().any(fixed) {
        return all;
    }
    // `mean - x` is `x - mean`, too.
    if first.number > 0.0 {
        return vec![Term::factor(e)];
    }
    let (fixed, mut ordered): (Vec<Term>, Vec<Term>) = all.into_iter().partition(fixed);
    ordered.extend(fixed);
    scaled(vec![Term::factor(&collect(scaled(ordered, -1.0)))], -1.0)
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
    many.iter().map(|t| t.with(one).cancel()).collect()
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
