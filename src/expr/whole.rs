//! Expressions of floats as the same expressions of integers.

use std::collections::HashMap;

use super::Expr;
use super::build::{binary, call, choose};
use super::node::{Binary, Callee, Class, Conversion, Kind, Number, Unary, make, postorder};

/// From here on not every integer is an f64.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Expr {
    /// The expression computed in the integral type of this name, if it has the same meaning there: sums, differences, products,
    /// comparisons, choices, bits, minima and maxima of whole numbers. None for quotients (a quotient that is the whole
    /// expression is one of integers where the result is `stored` as an integer), other functions and fractions.
    ///
    /// `counts` are variables of another integral type, which are converted.
    pub(crate) fn in_integers(&self, ty: &str, counts: &[&str], stored: bool) -> Option<Expr> {
        let mut new: HashMap<Expr, Expr> = HashMap::new();
        for node in postorder([self]) {
            let args: Vec<Expr> = node.0.args.iter().map(|a| new[a].clone()).collect();
            let whole_quotient = stored && node == *self;
            let made = match &node.0.kind {
                Kind::Binary(Binary::Div) if whole_quotient => make(node.0.kind.clone(), args),
                // Signed, so that they can be compared with an index below 0.
                Kind::Var(name, _) if counts.contains(&&**name) => {
                    let signed = if ty == "uint64_t" { "int64_t" } else { ty };
                    cast(signed, node.clone())
                }
                _ => in_integers(&node, args, ty)?,
            };
            new.insert(node, made);
        }
        new.remove(self)
    }
}

fn cast(ty: &str, e: Expr) -> Expr {
    make(Kind::Cast(ty.into(), Conversion::Int), vec![e])
}

fn number(value: f64) -> Expr {
    make(Kind::Const(Number::new(value, true, None)), Vec::new())
}

fn in_integers(node: &Expr, args: Vec<Expr>, ty: &str) -> Option<Expr> {
    let same = |args| Some(make(node.0.kind.clone(), args));
    match &node.0.kind {
        Kind::Const(n) if n.int => Some(node.clone()),
        Kind::Const(n) => {
            let v = n.value();
            (n.text.is_none() && v.fract() == 0.0 && v.abs() < EXACT).then(|| number(v + 0.0))
        }
        Kind::Binary(Binary::Div) if node.0.class != Class::Int => None,
        Kind::Var(..) | Kind::Unary(Unary::Neg | Unary::Not | Unary::BitNot) | Kind::Binary(_) => {
            same(args)
        }
        Kind::Select | Kind::Cast(_, Conversion::Int | Conversion::Bool) => same(args),
        // `T`, the type of the arithmetic.
        Kind::Cast(name, Conversion::Float) if **name == *"T" => args.into_iter().next(),
        Kind::Call(Callee::Known(f, _), None) => function(f.name, args, ty),
        _ => None,
    }
}

/// A function of integers that gives the same as that of floats.
fn function(name: &str, args: Vec<Expr>, ty: &str) -> Option<Expr> {
    // Overloads want arguments of one type.
    let of_type = |args: Vec<Expr>| args.into_iter().map(|a| cast(ty, a)).collect::<Vec<_>>();
    Some(match (name, args.as_slice()) {
        ("floor" | "ceil" | "round" | "rint" | "trunc", [x]) => x.clone(),
        ("abs" | "fabs", [x]) if ty.starts_with('u') => x.clone(),
        ("abs" | "fabs", [x]) => choose(x.lt(number(0.0)), -x, x.clone()),
        ("min" | "fmin", _) => call("min", of_type(args)),
        ("max" | "fmax", _) => call("max", of_type(args)),
        ("min3" | "fmin3", [a, b, c]) => {
            let first = call("min", of_type(vec![a.clone(), b.clone()]));
            call("min", of_type(vec![first, c.clone()]))
        }
        ("max3" | "fmax3", [a, b, c]) => {
            let first = call("max", of_type(vec![a.clone(), b.clone()]));
            call("max", of_type(vec![first, c.clone()]))
        }
        ("clamp", [x, low, high]) => {
            let above = call("max", of_type(vec![x.clone(), low.clone()]));
            call("min", of_type(vec![above, high.clone()]))
        }
        ("select", [a, b, c]) => choose(c.clone(), b.clone(), a.clone()),
        ("fma", [a, b, c]) => a * b + c,
        ("sign", [x]) => choose(
            x.gt(number(0.0)),
            number(1.0),
            choose(x.lt(number(0.0)), number(-1.0), number(0.0)),
        ),
        ("kk_place", [x]) => call("kk_place", vec![x.clone()]),
        ("kk_relu", [x]) => choose(x.gt(number(0.0)), x.clone(), number(0.0)),
        ("pow", [x, p]) => match p.as_constant() {
            Some(1.0) => x.clone(),
            Some(2.0) => binary(Binary::Mul, x.clone(), x.clone()),
            Some(3.0) => x * x * x,
            _ => return None,
        },
        _ => return None,
    })
}
