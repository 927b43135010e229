//! Expressions of scalars, as values: what an element-wise kernel computes.
//!
//! An expression comes from MSL text or from Rust operators and methods. It knows its
//! derivatives and prints itself as MSL again.
//!
//! ```
//! use zmlx::expr::Expr;
//!
//! let silu = Expr::parse("x * kk_sigmoid(x)", &["x"])?;
//! let x = Expr::var("x");
//! assert_eq!(silu, &x * x.sigmoid());
//! assert_eq!(
//!     silu.derivative("x")?.to_msl(),
//!     "kk_sigmoid(x) + x * (kk_sigmoid(x) * (1.0f - kk_sigmoid(x)))",
//! );
//! # Ok::<(), zmlx::Error>(())
//! ```
//!
//! # Language
//! Numbers and Metal's named constants, declared variables, `+ - * / %`, comparisons, `&& || !`,
//! `c ? a : b`, bit operators and shifts, calls, conversions (`float(x)`, `T(x)`, `(float)x`,
//! `static_cast<float>(x)`, `as_type<uint>(x)`), elements and members of variables (`a[i]`, `v.x`).
//! A function that the table of functions lacks is accepted, it may come from the kernel's
//! header, but has no derivative.
//!
//! # Types
//! A number with a point, and each number from Rust, is a 32-bit float; others are integers as in
//! MSL, so `1 / 2` is 0. Variables are floats (of 16 or 32 bits) unless they are declared with
//! a type: `["x", "uint row"]`. Simplification and derivatives rely on it.

mod build;
mod derivative;
mod evaluate;
mod formula;
mod functions;
mod into;
mod node;
mod parse;
mod parts;
mod print;
mod rows;
mod share;
mod simplify;
mod special;
#[cfg(test)]
mod tests;
mod token;
mod whole;

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use build::select;
pub(crate) use formula::{Extent, Formula};
pub use into::{IntoExpr, Traced, trace};
pub(crate) use parts::Part;
pub(crate) use rows::{Language, read};
pub(crate) use share::share_in_pieces;
pub use share::{Shared, share};

use crate::{Error, Result};
use node::{Callee, Kind, Node, postorder};
use token::Problem;

/// An expression of scalars. Cheap to clone, and equal expressions are one value in memory.
#[derive(Clone)]
pub struct Expr(Arc<Node>);

/// The names of all functions that are known here, without namespaces.
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    functions::rows().map(|f| f.name)
}

impl PartialEq for Expr {
    /// Whether both have the same structure. [`Expr::eq`] builds a comparison instead.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Expr {}

impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl Expr {
    /// Reads MSL text in which only these variables may occur: floats, or of the type before
    /// the name, as in `["x", "uint row", "uint3 position"]`.
    ///
    /// # Errors
    /// [`Error::Expression`] shows what is wrong and where: a name that is not declared, bad
    /// syntax, a wrong number of arguments, nesting deeper than 200 levels, more than 64 KiB.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let e = Expr::parse("a > 0 ? a : 0.01f * a", &["a"])?;
    /// assert_eq!(e.evaluate(&|_| Some(-2.0))?, -0.02);
    /// let error = Expr::parse("x * kk_sigmoid(y)", &["x"]).unwrap_err().to_string();
    /// assert!(error.contains("undeclared variable `y` (declared: x)"));
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn parse(text: &str, variables: &[&str]) -> Result<Expr> {
        Expr::parse_in(Language::Msl, text, variables)
    }

    /// [`parse`](Self::parse) of a text in one of the languages.
    #[track_caller]
    pub(crate) fn parse_in(language: Language, text: &str, variables: &[&str]) -> Result<Expr> {
        match parse::parse(text, variables, language) {
            Ok(expr) => Ok(expr),
            Err(problem) => Err(Error::expression(located(text, &problem))),
        }
    }

    /// A variable, declared as for [`Expr::parse`]: `x` is a float, `uint n` an integer.
    pub fn var(declaration: &str) -> Expr {
        let (name, class) = parse::declared(declaration);
        node::make(Kind::Var(name.into(), class), Vec::new())
    }

    /// A 32-bit float.
    pub fn constant(value: f64) -> Expr {
        build::constant(value)
    }

    /// The names of the variables in it.
    pub fn variables(&self) -> BTreeSet<String> {
        let names = postorder([self])
            .into_iter()
            .filter_map(|e| match &e.0.kind {
                Kind::Var(name, _) => Some(name.to_string()),
                _ => None,
            });
        names.collect()
    }

    /// The functions that it calls, without the namespaces of Metal's: `exp`, `kk_sigmoid`.
    pub fn functions(&self) -> BTreeSet<String> {
        let names = postorder([self])
            .into_iter()
            .filter_map(|e| match &e.0.kind {
                Kind::Call(Callee::Known(f, _), _) => Some(f.name.to_owned()),
                Kind::Call(Callee::Unknown(name), _) => Some(name.to_string()),
                _ => None,
            });
        names.collect()
    }

    /// Whether no variable is in it.
    pub fn is_constant(&self) -> bool {
        self.variables().is_empty()
    }

    /// The value of a literal, also of a negative one.
    pub fn as_constant(&self) -> Option<f64> {
        match (&self.0.kind, self.0.args.as_slice()) {
            (Kind::Const(n), _) => Some(n.value()),
            (Kind::Unary(node::Unary::Neg), [a]) => match &a.0.kind {
                Kind::Const(n) => Some(-n.value()),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether its value is an integer, by all that is known about it.
    pub(crate) fn is_integer(&self) -> bool {
        self.0.class == node::Class::Int
    }

    /// The number of different parts: what computing it costs at most.
    pub fn node_count(&self) -> usize {
        postorder([self]).len()
    }

    /// The expression with another in place of a variable.
    ///
    /// ```
    /// use zmlx::expr::Expr;
    /// let x = Expr::var("x");
    /// let e = (&x * 2.0).exp().substitute("x", &(&x + 1.0));
    /// assert_eq!(e.to_msl(), "metal::exp((x + 1.0f) * 2.0f)");
    /// ```
    #[must_use]
    pub fn substitute(&self, name: &str, by: &Expr) -> Expr {
        self.rebuild(|kind, args| match kind {
            Kind::Var(n, _) if **n == *name => by.clone(),
            _ => node::make(kind.clone(), args),
        })
    }

    /// The expression with integer literals beside floats written as floats where Metal would
    /// find a call ambiguous otherwise: `max(x, 0)` becomes `metal::max(x, 0.0f)`. For
    /// expressions whose variables are floats.
    #[must_use]
    pub fn with_float_arguments(&self) -> Expr {
        self.rebuild(|kind, mut args| {
            if let Kind::Call(Callee::Known(f, _), _) = kind {
                let values = args.iter_mut().take(match f.name {
                    "select" => 2,
                    // Integers stay exact.
                    "kk_place" | "kk_random" | "kk_random_bits" => 0,
                    _ => f.arity,
                });
                for arg in values {
                    if let (Some(value), node::Class::Int) = (arg.as_constant(), arg.0.class) {
                        *arg = Expr::constant(value);
                    }
                }
            }
            node::make(kind.clone(), args)
        })
    }

    /// Every node made anew from its kind and its new arguments.
    fn rebuild(&self, mut by: impl FnMut(&Kind, Vec<Expr>) -> Expr) -> Expr {
        let mut new = std::collections::HashMap::new();
        for node in postorder([self]) {
            let args = node.0.args.iter().map(|a| Expr::clone(&new[a])).collect();
            let made = by(&node.0.kind, args);
            new.insert(node, made);
        }
        new.remove(self).unwrap_or_else(|| self.clone())
    }
}

/// The problem with the line it is in and a caret below its column.
fn located(text: &str, problem: &Problem) -> String {
    const WIDTH: usize = 100;
    let offset = problem.offset.min(text.len());
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = text[start..].lines().next().unwrap_or("");
    let column = text[start..offset].chars().count();
    // Of a long line the part around the column.
    let skip = column.saturating_sub(WIDTH / 2);
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let part: String = line.chars().skip(skip).take(WIDTH).map(clean).collect();
    let mut head: String = text.chars().take(WIDTH).map(clean).collect();
    if text.chars().nth(WIDTH).is_some() {
        head.push_str("...");
    }
    let caret = " ".repeat(column - skip);
    format!(
        "expression `{head}`: {}\n    {part}\n    {caret}^",
        problem.message
    )
}
