//! Sums along the row, in derivatives: as few reductions as one would write by hand.

use crate::expr::Expr;

use super::derive::Build;
use super::names::fresh;
use super::program::{Fold, Program, Reduction};
use super::terms::{self, Term, add, collect, is_zero, mul, variable, zero};

impl Build<'_> {
    /// The sum along the row: further reductions, and an expression of their values.
    ///
    /// Factors that are the same along the row are taken out, so that a sum can be done in an earlier pass, and that
    /// sums are found to be the same.
    pub(super) fn sum(&mut self, e: &Expr) -> Expr {
        let of = |made: &Program| terms::terms_of_rows(e, &|f| made.is_row_level(f));
        let (mut sum, mut open) = (zero(), Vec::new());
        for part in self.parts(of(&self.made)) {
            match self.known_sum(&part.changing) {
                Some(value) => sum = add(sum, mul(collect(part.fixed), value)),
                None => open.push(part),
            }
        }
        let levels = self.made.levels();
        let level = |e: &Expr| {
            let names: Vec<String> = e.variables().into_iter().collect();
            self.made.level_of(&names, &levels)
        };
        // As it is, where nothing is taken out.
        let alone = matches!(open.as_slice(), [p] if p.is_bare());
        if is_zero(&sum) && alone {
            return variable(&self.reduction("t", e.simplify()));
        }
        let together = open.iter().fold(zero(), |sum, part| add(sum, part.whole()));
        let apart = open.iter().map(|part| level(&part.changing.product()));
        let gains = apart.max().unwrap_or(0) < level(&together);
        if open.len() > 1 && (open.len() > MOST_PARTS || !gains) {
            let rest = match is_zero(&sum) {
                true => e,
                false => &together,
            };
            return add(sum, variable(&self.reduction("t", rest.simplify())));
        }
        for part in open {
            let value = self.reduction("t", part.changing.product().simplify());
            sum = add(sum, mul(collect(part.fixed), variable(&value)));
        }
        sum
    }

    /// Terms, those with the same changing factors together.
    fn parts(&self, all: Vec<Term>) -> Vec<Summand> {
        let mut parts: Vec<Summand> = Vec::new();
        for t in all {
            let (fixed, changing) = t.split(|f| self.made.is_row_level(f));
            match parts
                .iter_mut()
                .find(|p| p.changing.same_factors(&changing))
            {
                Some(p) => p.fixed.push(fixed),
                None => parts.push(Summand {
                    fixed: vec![fixed],
                    changing,
                }),
            }
        }
        parts
    }

    /// The sum along the row of what changes, if no further reduction is needed for it.
    fn known_sum(&self, changing: &Term) -> Option<Expr> {
        if changing.over.is_empty() && changing.under.is_empty() {
            return Some(variable("D"));
        }
        let product = changing.product();
        if let Some(name) = self.find_sum(&product) {
            return Some(variable(&name));
        }
        let parts = self.parts(terms::terms(&product));
        if parts.len() < 2 {
            return None;
        }
        let mut sum = zero();
        for part in parts {
            let value = self.known_sum(&part.changing)?;
            sum = add(sum, mul(collect(part.fixed), value));
        }
        Some(sum)
    }

    /// The sum of this, or of the same factors in another order.
    fn find_sum(&self, value: &Expr) -> Option<String> {
        let single = |e: &Expr| match terms::terms(e).as_slice() {
            [t] => Some(t.clone()),
            _ => None,
        };
        let wanted = single(value);
        let same = |e: &Expr| {
            e == value
                || wanted.as_ref().is_some_and(|w| {
                    single(e).is_some_and(|t| t.number == w.number && t.same_factors(w))
                })
        };
        // Also those that were saved.
        let mut all = self.made.reductions.iter().chain(&self.of.reductions);
        all.find(|r| r.fold == Fold::Sum && same(&r.value))
            .map(|r| r.name.clone())
    }

    /// The name of the sum of this, which may be there already.
    pub(super) fn reduction(&mut self, wanted: &str, value: Expr) -> String {
        if let Some(name) = self.find_sum(&value) {
            return name;
        }
        let name = fresh(wanted, &mut self.taken);
        self.made.reductions.push(Reduction {
            name: name.clone(),
            fold: Fold::Sum,
            value,
        });
        name
    }
}

/// A part of what is summed along the row.
struct Summand {
    /// Factors that are the same along the row, of some terms.
    fixed: Vec<Term>,
    /// The factors that are not; they are the same in all terms.
    changing: Term,
}

impl Summand {
    /// Whether nothing stands before what changes.
    fn is_bare(&self) -> bool {
        matches!(self.fixed.as_slice(), [f] if f.number == 1.0 && f.over.is_empty() && f.under.is_empty())
    }

    fn whole(&self) -> Expr {
        collect(self.fixed.iter().map(|f| self.changing.with(f)).collect())
    }
}

/// Sums that one sum may become.
const MOST_PARTS: usize = 6;
