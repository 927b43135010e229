//! What an expression is made of, for those who take sums and products apart.

use std::collections::HashMap;

use super::Expr;
use super::node::{Binary, Callee, Class, Kind, Unary, make, postorder};

/// The outermost operation, as far as it is arithmetic of floats.
pub(crate) enum Part {
    Number(f64),
    Negative(Expr),
    Sum(Expr, Expr),
    Difference(Expr, Expr),
    Product(Expr, Expr),
    Quotient(Expr, Expr),
    /// The larger of two, by a call or by a condition.
    Larger(Expr, Expr),
    /// The smaller of two.
    Smaller(Expr, Expr),
    Other,
}

impl Expr {
    /// The outermost operation.
    pub(crate) fn part(&self) -> Part {
        let args = self.0.args.as_slice();
        match (&self.0.kind, args) {
            // A name such as M_PI_F keeps its spelling.
            (Kind::Const(n), _) if n.text.is_none() => Part::Number(n.value()),
            (Kind::Unary(Unary::Neg), [a]) => Part::Negative(a.clone()),
            (Kind::Binary(Binary::Add), [a, b]) => Part::Sum(a.clone(), b.clone()),
            (Kind::Binary(Binary::Sub), [a, b]) => Part::Difference(a.clone(), b.clone()),
            (Kind::Binary(Binary::Mul), [a, b]) => Part::Product(a.clone(), b.clone()),
            // The quotient of integers is no product with an inverse.
            (Kind::Binary(Binary::Div), [a, b]) if self.0.class != Class::Int => {
                Part::Quotient(a.clone(), b.clone())
            }
            (Kind::Call(Callee::Known(f, _), _), [a, b]) => match f.name {
                "max" | "fmax" => Part::Larger(a.clone(), b.clone()),
                "min" | "fmin" => Part::Smaller(a.clone(), b.clone()),
                _ => Part::Other,
            },
            (Kind::Select, [condition, a, b]) => chosen(condition, a, b),
            _ => Part::Other,
        }
    }
}

impl Expr {
    /// The first call of an unknown function of this name whose arguments have none, with its arguments.
    pub(crate) fn call_of(&self, name: &str) -> Option<(Expr, Vec<Expr>)> {
        let is =
            |e: &Expr| matches!(&e.0.kind, Kind::Call(Callee::Unknown(n), None) if **n == *name);
        // Arguments come before what uses them.
        let found = postorder([self]).into_iter().find(is)?;
        let arguments = found.0.args.clone();
        Some((found, arguments))
    }

    /// Comparisons of a variable that counts places with an integer that is `fixed`, as those with `kk_place` of it.
    pub(crate) fn with_places(&self, counter: &str, fixed: &dyn Fn(&Expr) -> bool) -> Expr {
        let counts = |e: &Expr| matches!(&e.0.kind, Kind::Var(name, _) if **name == *counter);
        let index = |e: &Expr| e.is_integer() && !e.is_constant() && fixed(e);
        let place = |e: &Expr| super::build::call("kk_place", vec![e.clone()]);
        let known = |e: &Expr| matches!(&e.0.kind, Kind::Call(Callee::Known(f, _), _) if f.name == "kk_place");
        self.rebuild(|kind, args| match (kind, args.as_slice()) {
            (Kind::Binary(Binary::Eq | Binary::Ne), [a, b])
                if counts(a) && index(b) && !known(b) =>
            {
                make(kind.clone(), vec![a.clone(), place(b)])
            }
            (Kind::Binary(Binary::Eq | Binary::Ne), [a, b])
                if counts(b) && index(a) && !known(a) =>
            {
                make(kind.clone(), vec![place(a), b.clone()])
            }
            _ => make(kind.clone(), args),
        })
    }

    /// What the outermost operation works on.
    pub(crate) fn arguments(&self) -> &[Expr] {
        &self.0.args
    }

    /// Every part of it once, itself last.
    pub(crate) fn parts(&self) -> Vec<Expr> {
        postorder([self])
    }

    /// The expression with `kk_times(a, inverse)` in place of each quotient `a / b` of floats for whose divisor there is an
    /// inverse.
    pub(crate) fn with_products(&self, mut inverse: impl FnMut(&Expr) -> Option<Expr>) -> Expr {
        let mut new: HashMap<Expr, Expr> = HashMap::new();
        for node in postorder([self]) {
            let args: Vec<Expr> = node.0.args.iter().map(|a| new[a].clone()).collect();
            let inverse = match (node.part(), args.as_slice()) {
                (Part::Quotient(..), [_, divisor]) => inverse(divisor),
                _ => None,
            };
            let made = match inverse {
                Some(inverse) => {
                    let times = Kind::Call(Callee::Unknown("kk_times".into()), None);
                    make(times, vec![args[0].clone(), inverse])
                }
                None => make(node.0.kind.clone(), args),
            };
            new.insert(node, made);
        }
        new.remove(self).unwrap_or_else(|| self.clone())
    }

    /// The expression with another in place of one of its parts.
    pub(crate) fn replace(&self, part: &Expr, by: &Expr) -> Expr {
        let mut new: HashMap<Expr, Expr> = HashMap::new();
        for node in postorder([self]) {
            let made = if node == *part {
                by.clone()
            } else {
                let args = node.0.args.iter().map(|a| new[a].clone()).collect();
                make(node.0.kind.clone(), args)
            };
            new.insert(node, made);
        }
        new.remove(self).unwrap_or_else(|| self.clone())
    }
}

/// `p > q ? p : q` and its kind.
fn chosen(condition: &Expr, a: &Expr, b: &Expr) -> Part {
    let (Kind::Binary(op), [p, q]) = (&condition.0.kind, condition.0.args.as_slice()) else {
        return Part::Other;
    };
    let straight = p == a && q == b;
    let crossed = p == b && q == a;
    if !(straight || crossed) {
        return Part::Other;
    }
    match op {
        Binary::Gt | Binary::Ge if straight => Part::Larger(a.clone(), b.clone()),
        Binary::Lt | Binary::Le if straight => Part::Smaller(a.clone(), b.clone()),
        Binary::Gt | Binary::Ge => Part::Smaller(a.clone(), b.clone()),
        Binary::Lt | Binary::Le => Part::Larger(a.clone(), b.clone()),
        _ => Part::Other,
    }
}
