//! What the toolkit takes where an expression is asked for.

use super::Expr;
use crate::{Error, Result};

/// What gives an expression of `N` variables: text, an [`Expr`], or a closure.
///
/// `M` only tells these apart and is always inferred. A closure states its arguments' type, as Rust does not
/// infer it where text is accepted, too: `|x: Expr| x.tanh()`; [`trace`] does without.
///
/// ```
/// use zmlx::expr::{Expr, IntoExpr, trace};
///
/// fn text<M>(e: impl IntoExpr<1, M>) -> zmlx::Result<String> {
///     Ok(e.into_expr(["x"])?.to_msl())
/// }
/// assert_eq!(text("x * exp(x)")?, "x * metal::exp(x)");
/// assert_eq!(text(|x: Expr| &x * x.exp())?, "x * metal::exp(x)");
/// assert_eq!(text(trace(|x| &x * x.exp()))?, "x * metal::exp(x)");
/// # Ok::<(), zmlx::Error>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no expression",
    note = "an expression is text, an `Expr`, or a closure that takes `Expr`s, one for each variable, and gives an `Expr`: \"x * exp(x)\", `|x: Expr| &x * x.exp()`"
)]
pub trait IntoExpr<const N: usize, M> {
    /// The expression in these variables.
    ///
    /// # Errors
    /// [`Error::Expression`] for bad text and for variables that are not among them.
    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr>;

    /// The text, if it is one. Who takes expressions may know further names in it.
    #[doc(hidden)]
    fn text(&self) -> Option<&str> {
        None
    }
}

/// Markers for [`IntoExpr`].
mod by {
    pub struct Text;
    pub struct Value;
    pub struct Closure;
    pub struct Traced;
}

impl<const N: usize> IntoExpr<N, by::Text> for &str {
    fn text(&self) -> Option<&str> {
        Some(self)
    }

    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr> {
        Expr::parse(self, &variables)
    }
}

impl<const N: usize> IntoExpr<N, by::Text> for String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }

    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr> {
        Expr::parse(&self, &variables)
    }
}

impl<const N: usize> IntoExpr<N, by::Text> for &String {
    fn text(&self) -> Option<&str> {
        Some(self)
    }

    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr> {
        Expr::parse(self, &variables)
    }
}

impl<const N: usize> IntoExpr<N, by::Value> for Expr {
    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr> {
        checked(self, &variables)
    }
}

impl<const N: usize> IntoExpr<N, by::Value> for &Expr {
    #[track_caller]
    fn into_expr(self, variables: [&str; N]) -> Result<Expr> {
        checked(self.clone(), &variables)
    }
}

/// Refuses variables that nobody declared.
#[track_caller]
fn checked(expr: Expr, variables: &[&str]) -> Result<Expr> {
    let used = expr.variables();
    let names: Vec<&str> = variables
        .iter()
        .map(|v| super::parse::declared(v).0)
        .collect();
    match used.iter().find(|name| !names.contains(&name.as_str())) {
        None => Ok(expr),
        Some(name) => Err(Error::expression(format!(
            "expression `{}`: undeclared variable `{name}` (declared: {})",
            expr.excerpt(),
            names.join(", ")
        ))),
    }
}

/// A closure as an expression, see [`trace`].
#[derive(Clone, Copy, Debug)]
pub struct Traced<F>(F);

/// A closure of one variable, its argument's type inferred.
///
/// ```
/// use zmlx::expr::{IntoExpr, trace};
/// let mish = trace(|x| x.clone() * x.softplus().tanh()).into_expr(["x"])?;
/// assert_eq!(mish.to_msl(), "x * metal::tanh(kk_softplus(x))");
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn trace<F: FnOnce(Expr) -> Expr>(closure: F) -> Traced<F> {
    Traced(closure)
}

impl<F: FnOnce(Expr) -> Expr> IntoExpr<1, by::Traced> for Traced<F> {
    #[track_caller]
    fn into_expr(self, variables: [&str; 1]) -> Result<Expr> {
        self.0.into_expr(variables)
    }
}

macro_rules! closure {
    ($n:literal: $($var:ident),+) => {
        impl<F> IntoExpr<$n, by::Closure> for F
        where
            F: FnOnce($(closure!(@type $var)),+) -> Expr,
        {
            #[track_caller]
            fn into_expr(self, [$($var),+]: [&str; $n]) -> Result<Expr> {
                let names = [$($var),+];
                checked(self($(Expr::var($var)),+), &names)
            }
        }
    };
    (@type $var:ident) => { Expr };
}

closure!(1: a);
closure!(2: a, b);
closure!(3: a, b, c);
closure!(4: a, b, c, d);
