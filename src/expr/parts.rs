//! What an expression is made of, for those who take sums and products apart.

use super::Expr;
use super::node::{Binary, Callee, Class, Kind, Unary};

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

/// `p > q ? p : q` and its kind.
fn chosen(condition: &Expr, a: &Expr, b: &Expr) -> Part {
    let (Kind::Binary(op), [p, q]) = (&condition.0.kind, condition.0.args.as_slice()) else {
        return Part::Other;
    };
    let straight = p == a && q == b;
    if !(straight || p == b && q == a) {
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
