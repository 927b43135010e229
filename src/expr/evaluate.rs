//! Values in f64: the reference for tests, and for constants.

use std::collections::HashMap;

use super::Expr;
use super::node::{Binary, Callee, Class, Conversion, Kind, Unary, postorder};
use crate::{Error, Result};

/// A value, and whether it is an integer.
#[derive(Clone, Copy)]
struct Value(f64, bool);

impl Expr {
    /// The value in f64, given the variables' values; `values` is asked for elements and members by
    /// their text, such as `v.x`.
    ///
    /// Nothing is rounded to 32 bits. Integers divide as integers.
    ///
    /// # Errors
    /// [`Error::Expression`] if a variable has no value, for functions that are not in the table,
    /// and for `as_type`.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let e = Expr::parse("sqrt(x * x + 9)", &["x"])?;
    /// assert_eq!(e.evaluate(&|_| Some(4.0))?, 5.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn evaluate(&self, values: &dyn Fn(&str) -> Option<f64>) -> Result<f64> {
        let mut known: HashMap<Expr, Value> = HashMap::new();
        for node in postorder([self]) {
            let args: Vec<Value> = node
                .0
                .args
                .iter()
                // The base of an element has no value of its own.
                .map(|a| known.get(a).copied().unwrap_or(Value(f64::NAN, false)))
                .collect();
            match value(&node, &args, values) {
                Ok(value) => known.insert(node, value),
                Err(_) if is_base(self, &node) => None,
                Err(what) => {
                    return Err(Error::expression(format!(
                        "expression `{}`: {what}",
                        self.excerpt()
                    )));
                }
            };
        }
        Ok(known.get(self).map_or(f64::NAN, |v| v.0))
    }
}

/// Whether the node is used as what has elements or members, within the root.
fn is_base(root: &Expr, node: &Expr) -> bool {
    matches!(node.0.kind, Kind::Var(..) | Kind::Index | Kind::Member(_))
        && root != node
        && postorder([root]).iter().any(|e| {
            matches!(e.0.kind, Kind::Index | Kind::Member(_)) && e.0.args.first() == Some(node)
        })
}

fn value(
    node: &Expr,
    args: &[Value],
    values: &dyn Fn(&str) -> Option<f64>,
) -> Result<Value, String> {
    let flag = |b: bool| Value(f64::from(u8::from(b)), true);
    let asked = |name: &str| match values(name) {
        Some(v) => Ok(Value(v, node.0.class == Class::Int)),
        None => Err(format!("no value for `{name}`")),
    };
    Ok(match (&node.0.kind, args) {
        (Kind::Const(n), _) => Value(n.value(), n.int),
        (Kind::Var(name, _), _) => asked(name)?,
        (Kind::Index | Kind::Member(_), _) => asked(&node.to_msl())?,
        (Kind::Unary(Unary::Neg), [a]) => Value(-a.0, a.1),
        (Kind::Unary(Unary::Not), [a]) => flag(a.0 == 0.0),
        (Kind::Unary(Unary::BitNot), [a]) => Value(!(a.0 as i64) as f64, true),
        (Kind::Binary(op), [a, b]) => self::binary(*op, *a, *b),
        (Kind::Select, [c, a, b]) => {
            let chosen = if c.0 != 0.0 { a } else { b };
            Value(chosen.0, a.1 && b.1)
        }
        (Kind::Cast(name, how), [a]) => match how {
            Conversion::Float => Value(a.0, false),
            Conversion::Int => Value(a.0.trunc(), true),
            Conversion::Bool => flag(a.0 != 0.0),
            Conversion::Bits => return Err(format!("`{name}` cannot be evaluated")),
        },
        (Kind::Call(Callee::Known(f, _), _), args) => {
            let plain: Vec<f64> = args.iter().map(|v| v.0).collect();
            let integral = f.integer || f.generic && args.iter().all(|v| v.1);
            Value((f.evaluate)(&plain), integral)
        }
        (Kind::Call(Callee::Unknown(name), _), _) => {
            return Err(format!("the function `{name}` cannot be evaluated"));
        }
        _ => Value(f64::NAN, false),
    })
}

fn binary(op: Binary, a: Value, b: Value) -> Value {
    let int = a.1 && b.1;
    let (x, y) = (a.0, b.0);
    let (m, n) = (x as i64, y as i64);
    let flag = |b: bool| Value(f64::from(u8::from(b)), true);
    let whole = |v: i64| Value(v as f64, true);
    match op {
        Binary::Add => Value(x + y, int),
        Binary::Sub => Value(x - y, int),
        Binary::Mul => Value(x * y, int),
        Binary::Div if int => whole(m.checked_div(n).unwrap_or(0)),
        Binary::Div => Value(x / y, false),
        Binary::Rem => whole(m.checked_rem(n).unwrap_or(0)),
        Binary::Shl => whole(m.checked_shl(n as u32).unwrap_or(0)),
        Binary::Shr => whole(m.checked_shr(n as u32).unwrap_or(0)),
        Binary::BitAnd => whole(m & n),
        Binary::BitOr => whole(m | n),
        Binary::BitXor => whole(m ^ n),
        Binary::Lt => flag(x < y),
        Binary::Le => flag(x <= y),
        Binary::Gt => flag(x > y),
        Binary::Ge => flag(x >= y),
        Binary::Eq => flag(x == y),
        Binary::Ne => flag(x != y),
        Binary::And => flag(x != 0.0 && y != 0.0),
        Binary::Or => flag(x != 0.0 || y != 0.0),
    }
}
