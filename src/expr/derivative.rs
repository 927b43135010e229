//! Derivatives: forward, a node at a time, with everything shared.

use std::collections::HashMap;

use super::Expr;
use super::build::{choose, constant};
use super::node::{Binary, Callee, Class, Conversion, Kind, Unary, postorder};
use super::simplify::Simplifier;
use crate::{Error, Result};

/// A derivative; none is 0 everywhere.
type Slope = Option<Expr>;

impl Expr {
    /// The derivative by a variable, simplified; it can be differentiated again.
    ///
    /// The other variables are constants. Rounding and comparisons have the derivative 0, `c ? a : b`
    /// has its branches', conversions to floating types are transparent. Of equal arguments of
    /// `min` and `max` the first one counts. `abs` and `kk_relu` have the derivative 0 at 0.
    ///
    /// A product with a constant 0 is taken for 0, also where the other factor may be infinite.
    ///
    /// # Errors
    /// [`Error::Expression`] if the variable goes through something without known derivative: a function that
    /// is not in the table, bits, `%`. Give the derivative explicitly then.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let e = Expr::parse("x * tanh(a * x)", &["x", "a"])?;
    /// let tanh = "metal::tanh(a * x)";
    /// assert_eq!(
    ///     e.derivative("x")?.to_msl(),
    ///     format!("{tanh} + x * ((1.0f - {tanh} * {tanh}) * a)"),
    /// );
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn derivative(&self, variable: &str) -> Result<Expr> {
        let mut d = Differentiator {
            simplifier: Simplifier::for_derivatives(),
            slopes: HashMap::new(),
            variable,
        };
        for node in postorder([self]) {
            let slope = match d.slope(&node) {
                Ok(slope) => slope,
                Err(what) => {
                    return Err(Error::expression(format!(
                        "expression `{}`: {what} has no known derivative by `{variable}`; \
                         give the derivative explicitly",
                        self.excerpt()
                    )));
                }
            };
            d.slopes.insert(node, slope);
        }
        let slope = d.slopes.remove(self).flatten();
        Ok(slope.unwrap_or_else(|| constant(0.0)))
    }
}

struct Differentiator<'a> {
    simplifier: Simplifier,
    slopes: HashMap<Expr, Slope>,
    variable: &'a str,
}

impl Differentiator<'_> {
    /// The slope of a node whose arguments have theirs.
    fn slope(&mut self, node: &Expr) -> Result<Slope, String> {
        let args = node.0.args.as_slice();
        let slopes: Vec<Slope> = args.iter().map(|a| self.slopes[a].clone()).collect();
        let constant_args = slopes.iter().all(Option::is_none);
        let opaque = |what: &str| match constant_args {
            true => Ok(None),
            false => Err(what.to_owned()),
        };
        Ok(match (&node.0.kind, args) {
            (Kind::Var(name, _), _) => (**name == *self.variable).then(|| constant(1.0)),
            (Kind::Cast(_, Conversion::Float), _) => slopes.into_iter().next().flatten(),
            (Kind::Cast(name, Conversion::Bits), _) => opaque(&format!("`{name}`"))?,
            (Kind::Cast(..), _) | (Kind::Unary(Unary::Not), _) => None,
            (Kind::Member(name), _) => opaque(&format!("the member `{name}`"))?,
            // An index is an integer, so it has no slope.
            (Kind::Index, _) => match slopes.first() {
                Some(Some(_)) => opaque("an element")?,
                _ => None,
            },
            (Kind::Binary(op), [a, b]) => match op {
                Binary::Add | Binary::Sub | Binary::Mul | Binary::Div => {
                    self.arithmetic(*op, a, b, slopes)
                }
                Binary::Rem
                | Binary::Shl
                | Binary::Shr
                | Binary::BitAnd
                | Binary::BitOr
                | Binary::BitXor => opaque(&format!("`{}`", op.symbol()))?,
                _ => None,
            },
            (Kind::Unary(Unary::BitNot), _) => opaque("`~`")?,
            (_, _) if constant_args => None,
            (Kind::Unary(Unary::Neg), _) => {
                let s = slopes.into_iter().next().flatten();
                s.map(|s| self.simplifier.simplify(&-s))
            }
            (Kind::Select, [c, ..]) => {
                let [_, a, b] = <[Slope; 3]>::try_from(slopes).unwrap_or_default();
                match (&a, &b) {
                    (None, None) => None,
                    _ => {
                        let or_zero = |s: Slope| s.unwrap_or_else(|| constant(0.0));
                        let raw = choose(c.clone(), or_zero(a), or_zero(b));
                        Some(self.simplifier.simplify(&raw))
                    }
                }
            }
            (Kind::Call(Callee::Known(f, _), _), args) => {
                let Some(partial) = f.partial else {
                    return Ok(None);
                };
                let mut sum = None;
                for (i, slope) in slopes.into_iter().enumerate() {
                    if let Some(slope) = slope {
                        let term = self.product(partial(args, node, i), slope);
                        sum = self.sum(sum, Some(term));
                    }
                }
                sum
            }
            (Kind::Call(Callee::Unknown(name), _), _) => {
                return Err(format!("the function `{name}`"));
            }
            _ => None,
        })
    }

    fn arithmetic(&mut self, op: Binary, a: &Expr, b: &Expr, slopes: Vec<Slope>) -> Slope {
        let [da, db] = <[Slope; 2]>::try_from(slopes).unwrap_or_default();
        match op {
            Binary::Add => self.sum(da, db),
            Binary::Sub => match (da, db) {
                (None, None) => None,
                (Some(da), None) => Some(da),
                (None, Some(db)) => Some(self.simplifier.simplify(&-db)),
                (Some(da), Some(db)) => Some(self.simplifier.simplify(&(da - db))),
            },
            Binary::Mul => {
                let left = da.map(|da| self.product(b.clone(), da));
                let right = db.map(|db| self.product(a.clone(), db));
                self.sum(left, right)
            }
            // a/b: (da - a/b db) / b, which has no square that may overflow.
            _ => {
                let right = db.map(|db| self.product(a / b, db));
                let over = match (da, right) {
                    (None, None) => return None,
                    (Some(da), None) => da,
                    (None, Some(right)) => -right,
                    (Some(da), Some(right)) => da - right,
                };
                Some(self.simplifier.simplify(&(over / b)))
            }
        }
    }

    /// A slope is always a float: of integers -n may wrap, and n/2 is not exact.
    fn product(&mut self, factor: Expr, slope: Expr) -> Expr {
        let raw = match (slope.as_constant(), factor.as_constant()) {
            (Some(1.0), Some(value)) if factor.0.class == Class::Int => constant(value),
            _ => factor * slope,
        };
        self.simplifier.simplify(&raw)
    }

    fn sum(&mut self, a: Slope, b: Slope) -> Slope {
        match (a, b) {
            (Some(a), Some(b)) => Some(self.simplifier.simplify(&(a + b))),
            (a, b) => a.or(b),
        }
    }
}
