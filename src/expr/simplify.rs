//! Simpler expressions of the same value.
//!
//! Rules look at one node whose arguments are simple already. None of them may turn an
//! expression of floats into one of integers: `1.0f * n / 2` is not `n / 2`. So a neutral float is dropped
//! only beside what is known to be a float.
//!
//! Values stay the same but for rounding in the last place (constant factors are merged) and the
//! sign of zero. Infinities and NaN stay, too: `0 * x` is kept. Only in derivatives, where such
//! products come from the rules themselves, it becomes 0.

use std::collections::HashMap;

use super::Expr;
use super::build::{binary, choose, constant};
use super::node::{Binary, Callee, Class, Kind, Unary, make, postorder_except};

impl Expr {
    /// A simpler expression: constants folded, neutral elements dropped, constant factors merged,
    /// `pow(x, 2)` as a product.
    ///
    /// Values stay the same but for rounding in the last place and the sign of zero. `0 * x` stays, as x may
    /// be infinite.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let e = Expr::parse("2.0f * (pow(x, 2) * 0.5f) - -y", &["x", "y"])?;
    /// assert_eq!(e.simplify().to_msl(), "x * x + y");
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[must_use]
    pub fn simplify(&self) -> Expr {
        Simplifier::default().simplify(self)
    }

    /// [`Expr::simplify`] for products of slopes, in which a factor 0 means that there is no
    /// dependence: `0 * x` is 0, and `(c ? 1 : 0) * g` is `c ? g : 0`, whatever x and g are.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let relu = Expr::parse("kk_relu(x)", &["x"])?;
    /// let vjp = Expr::var("g") * relu.derivative("x")?;
    /// assert_eq!(vjp.simplify_derivative().to_msl(), "x > 0.0f ? g : 0.0f");
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[must_use]
    pub fn simplify_derivative(&self) -> Expr {
        Simplifier::for_derivatives().simplify(self)
    }
}

/// Simplifies several expressions and remembers what it has seen.
#[derive(Default)]
pub(super) struct Simplifier {
    done: HashMap<Expr, Expr>,
    /// `0 * x` is 0.
    derivative: bool,
}

impl Simplifier {
    pub fn for_derivatives() -> Self {
        Simplifier {
            derivative: true,
            ..Self::default()
        }
    }

    pub fn simplify(&mut self, expr: &Expr) -> Expr {
        for node in postorder_except([expr], |e| self.done.contains_key(e)) {
            let args: Vec<Expr> = node.0.args.iter().map(|a| self.done[a].clone()).collect();
            let new = self.node(&node.0.kind, args);
            // What is simple stays as it is.
            self.done.insert(new.clone(), new.clone());
            self.done.insert(node, new);
        }
        self.done[expr].clone()
    }

    fn node(&mut self, kind: &Kind, args: Vec<Expr>) -> Expr {
        match (kind, args.as_slice()) {
            (Kind::Unary(Unary::Neg), [a]) => self.neg(a),
            (Kind::Binary(op), [a, b]) => match op {
                Binary::Add => self.add(a, b),
                Binary::Sub => self.sub(a, b),
                Binary::Mul => self.mul(a, b),
                Binary::Div => self.div(a, b),
                _ => make(kind.clone(), args),
            },
            (Kind::Select, [c, a, b]) => self.select(c, a, b),
            (Kind::Call(Callee::Known(f, _), None), [x, p]) if f.name == "pow" => {
                match literal(p) {
                    Some(1.0) => x.clone(),
                    Some(2.0) => self.mul(x, x),
                    Some(0.0) => constant(1.0),
                    _ => make(kind.clone(), args),
                }
            }
            _ => make(kind.clone(), args),
        }
    }

    fn neg(&mut self, a: &Expr) -> Expr {
        if let Some(value) = float(a) {
            return constant(-value);
        }
        match (&a.0.kind, a.0.args.as_slice()) {
            (Kind::Unary(Unary::Neg), [inner]) => return inner.clone(),
            (Kind::Binary(Binary::Sub), [x, y]) => return self.sub(y, x),
            (Kind::Binary(Binary::Mul), [c, x]) if float(c).is_some() => {
                let c = self.neg(c);
                return self.mul(&c, x);
            }
            _ => {}
        }
        -a
    }

    fn add(&mut self, a: &Expr, b: &Expr) -> Expr {
        if let Some(folded) = fold(a, b, |x, y| x + y) {
            return folded;
        }
        if literal(b) == Some(0.0) && droppable(b, a) {
            return a.clone();
        }
        if literal(a) == Some(0.0) && droppable(a, b) {
            return b.clone();
        }
        if let Some(minus) = self.negated(b) {
            return self.sub(a, &minus);
        }
        if let Some(minus) = negation(a) {
            return self.sub(b, &minus);
        }
        // What is 0 on one side of a condition and what is 0 on the other side.
        if let (Some([c, x, y]), Some([d, u, v])) = (choice(a), choice(b))
            && c == d
        {
            if literal(y) == Some(0.0) && literal(u) == Some(0.0) {
                return self.select(c, x, v);
            }
            if literal(x) == Some(0.0) && literal(v) == Some(0.0) {
                return self.select(c, u, y);
            }
        }
        let ((p, x), (q, y)) = (coefficient(a), coefficient(b));
        if x == y && is_float(x) {
            return self.mul(&constant(p + q), &x.clone());
        }
        binary(Binary::Add, a.clone(), b.clone())
    }

    fn sub(&mut self, a: &Expr, b: &Expr) -> Expr {
        if let Some(folded) = fold(a, b, |x, y| x - y) {
            return folded;
        }
        if literal(b) == Some(0.0) && droppable(b, a) {
            return a.clone();
        }
        if literal(a) == Some(0.0) && droppable(a, b) {
            return self.neg(b);
        }
        if let Some(plus) = self.negated(b) {
            return self.add(a, &plus);
        }
        let ((p, x), (q, y)) = (coefficient(a), coefficient(b));
        // With the same coefficient it is inf - inf perhaps.
        if x == y && p != q && is_float(x) {
            return self.mul(&constant(p - q), &x.clone());
        }
        binary(Binary::Sub, a.clone(), b.clone())
    }

    fn mul(&mut self, a: &Expr, b: &Expr) -> Expr {
        if let Some(folded) = fold(a, b, |x, y| x * y) {
            return folded;
        }
        // Constants first, so that they meet.
        if float(b).is_some() && float(a).is_none() {
            return self.mul(b, a);
        }
        match (negation(a), negation(b)) {
            (Some(x), Some(y)) => return self.mul(&x, &y),
            (Some(x), None) => {
                let product = self.mul(&x, b);
                return self.neg(&product);
            }
            (None, Some(y)) => {
                let product = self.mul(a, &y);
                return self.neg(&product);
            }
            (None, None) => {}
        }
        for (c, x) in [(a, b), (b, a)] {
            match literal(c) {
                Some(1.0) if droppable(c, x) => return x.clone(),
                Some(-1.0) if droppable(c, x) => return self.neg(x),
                Some(0.0) if self.derivative && droppable(c, x) => return constant(0.0),
                _ => {}
            }
            // (c ? 1 : 0) * x, without a product that may be 0 * inf.
            if self.derivative
                && let Some([condition, u, v]) = choice(c)
                && let (Some(p), Some(q)) = (float(u), float(v))
                && [p, q].iter().all(|k| *k == 0.0 || *k == 1.0)
                && is_float(x)
            {
                let part = |k: f64| if k == 0.0 { constant(0.0) } else { x.clone() };
                return self.select(condition, &part(p), &part(q));
            }
        }
        let (p, x) = coefficient(a);
        let (q, y) = coefficient(b);
        let split = (float(a).is_none() && p != 1.0) || q != 1.0;
        if split && (is_float(x) || is_float(y)) {
            let (x, y) = (x.clone(), y.clone());
            return match float(a) {
                Some(c) if normal(c * q) => self.mul(&constant(c * q), &y),
                None if normal(p * q) => {
                    let rest = self.mul(&x, &y);
                    self.mul(&constant(p * q), &rest)
                }
                _ => self.plain_mul(a, b),
            };
        }
        // x * (c / y)
        for (x, over) in [(a, b), (b, a)] {
            if let (Kind::Binary(Binary::Div), [c, y]) = (&over.0.kind, over.0.args.as_slice())
                && let Some(k) = float(c)
            {
                match float(x) {
                    Some(f) if normal(f * k) => return self.div(&constant(f * k), y),
                    None if k == 1.0 && is_float(x) => return self.div(x, y),
                    _ => {}
                }
            }
        }
        self.plain_mul(a, b)
    }

    fn plain_mul(&mut self, a: &Expr, b: &Expr) -> Expr {
        binary(Binary::Mul, a.clone(), b.clone())
    }

    fn div(&mut self, a: &Expr, b: &Expr) -> Expr {
        if literal(b) != Some(0.0)
            && let Some(folded) = fold_floats(a, b, |x, y| x / y)
        {
            return folded;
        }
        if literal(b) == Some(1.0) && droppable(b, a) {
            return a.clone();
        }
        if self.derivative && literal(a) == Some(0.0) && is_float(b) {
            return constant(0.0);
        }
        if let Some(minus) = negation(a)
            && (is_float(&minus) || is_float(b))
        {
            let quotient = self.div(&minus, b);
            return self.neg(&quotient);
        }
        let (p, x) = coefficient(a);
        if let Some(k) = float(b)
            && p != 1.0
            && float(a).is_none()
            && normal(p / k)
        {
            return self.mul(&constant(p / k), &x.clone());
        }
        binary(Binary::Div, a.clone(), b.clone())
    }

    fn select(&mut self, c: &Expr, a: &Expr, b: &Expr) -> Expr {
        if a == b {
            return a.clone();
        }
        // A choice inside of one with the same condition is decided.
        let a = match choice(a) {
            Some([d, inner, _]) if c == d => inner,
            _ => a,
        };
        let b = match choice(b) {
            Some([d, _, inner]) if c == d => inner,
            _ => b,
        };
        if a == b {
            return a.clone();
        }
        choose(c.clone(), a.clone(), b.clone())
    }

    /// x for `-x`, -c for a negative constant c, and `c * x` for `-c * x`.
    fn negated(&mut self, e: &Expr) -> Option<Expr> {
        if let Some(x) = negation(e) {
            return Some(x);
        }
        if let Some(value) = float(e) {
            return (value < 0.0).then(|| constant(-value));
        }
        match (&e.0.kind, e.0.args.as_slice()) {
            (Kind::Binary(Binary::Mul), [c, x]) if float(c).is_some_and(|v| v < 0.0) => {
                let c = self.neg(c);
                Some(self.mul(&c, x))
            }
            _ => None,
        }
    }
}

fn is_float(e: &Expr) -> bool {
    e.0.class == Class::Float
}

/// Whether leaving out this literal beside `other` keeps the type.
fn droppable(literal: &Expr, other: &Expr) -> bool {
    literal.0.class == Class::Int || is_float(other)
}

fn negation(e: &Expr) -> Option<Expr> {
    match (&e.0.kind, e.0.args.as_slice()) {
        (Kind::Unary(Unary::Neg), [x]) => Some(x.clone()),
        _ => None,
    }
}

fn choice(e: &Expr) -> Option<[&Expr; 3]> {
    match (&e.0.kind, e.0.args.as_slice()) {
        (Kind::Select, [c, a, b]) => Some([c, a, b]),
        _ => None,
    }
}

/// The value of a literal.
fn literal(e: &Expr) -> Option<f64> {
    match &e.0.kind {
        Kind::Const(n) => Some(n.value()),
        _ => None,
    }
}

/// The value of a float literal that may be computed with: a finite one without a name or a
/// type of its own.
fn float(e: &Expr) -> Option<f64> {
    match &e.0.kind {
        Kind::Const(n) if !n.int && n.text.is_none() => Some(n.value()).filter(|v| v.is_finite()),
        _ => None,
    }
}

/// Neither 0 nor so large or small that a 32-bit float could not hold it.
fn normal(value: f64) -> bool {
    (value as f32).is_normal()
}

/// c and x for `c * x`; 1 and the expression for another.
fn coefficient(e: &Expr) -> (f64, &Expr) {
    match (&e.0.kind, e.0.args.as_slice()) {
        (Kind::Binary(Binary::Mul), [c, x]) => match float(c) {
            Some(c) if float(x).is_none() => (c, x),
            _ => (1.0, e),
        },
        _ => (1.0, e),
    }
}

/// Both operands are literals, one of them a float: the result, if a 32-bit float holds it.
fn fold_floats(a: &Expr, b: &Expr, op: impl Fn(f64, f64) -> f64) -> Option<Expr> {
    let value = match (float(a), float(b)) {
        (Some(x), Some(y)) => op(x, y),
        (Some(x), None) => op(x, plain_int(b)?),
        (None, Some(y)) => op(plain_int(a)?, y),
        (None, None) => return None,
    };
    (value == 0.0 || normal(value)).then(|| constant(value))
}

/// [`fold_floats`], also for two integers. Not for divisions.
fn fold(a: &Expr, b: &Expr, op: impl Fn(f64, f64) -> f64) -> Option<Expr> {
    if let (Some(x), Some(y)) = (plain_int(a), plain_int(b)) {
        let value = op(x, y);
        let fits = value >= 0.0 && value <= f64::from(i32::MAX);
        let number = super::node::Number::new(value, true, None);
        return fits.then(|| make(Kind::Const(number), Vec::new()));
    }
    fold_floats(a, b, op)
}

/// The value of an integer literal without suffix.
fn plain_int(e: &Expr) -> Option<f64> {
    match &e.0.kind {
        Kind::Const(n) if n.int && n.text.is_none() => Some(n.value()),
        _ => None,
    }
}
