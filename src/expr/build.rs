//! Building expressions with Rust's operators and methods.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use super::Expr;
use super::functions;
use super::node::{Binary, Callee, Kind, Number, Space, Unary, make};
use super::token::single;

impl From<f64> for Expr {
    fn from(value: f64) -> Self {
        Expr::constant(value)
    }
}

/// The value is the decimal number that prints as this float: `0.1_f32` is 0.1.
impl From<f32> for Expr {
    fn from(value: f32) -> Self {
        Expr::constant(single(f64::from(value)))
    }
}

/// A float: `1` and `1.0` mean the same here, as divisions of integers would surprise.
impl From<i32> for Expr {
    fn from(value: i32) -> Self {
        Expr::constant(f64::from(value))
    }
}

impl From<&Expr> for Expr {
    fn from(value: &Expr) -> Self {
        value.clone()
    }
}

pub(super) fn constant(value: f64) -> Expr {
    make(Kind::Const(Number::float(value)), Vec::new())
}

impl Expr {
    /// An integer with this text.
    pub(crate) fn named_number(text: &str) -> Expr {
        make(Kind::Const(Number::new(0.0, true, Some(text))), Vec::new())
    }
}

pub(super) fn binary(op: Binary, a: Expr, b: Expr) -> Expr {
    make(Kind::Binary(op), vec![a, b])
}

pub(super) fn choose(condition: Expr, a: Expr, b: Expr) -> Expr {
    make(Kind::Select, vec![condition, a, b])
}

/// A call of a function of the table; of an unknown one if the table lacks it.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    let callee = match functions::lookup(name) {
        Some(f) => Callee::Known(f, Space::Default),
        None => Callee::Unknown(name.into()),
    };
    make(Kind::Call(callee, None), args)
}

macro_rules! operator {
    ($($trait:ident $method:ident $a:ident $b:ident $build:expr;)*) => {$(
        // One implementation for every right side: so the result's type is known before the
        // type of a literal is, and `(x * 2.0).exp()` compiles.
        impl<R: Into<Expr>> $trait<R> for Expr {
            type Output = Expr;
            fn $method(self, rhs: R) -> Expr {
                let ($a, $b) = (self, rhs.into());
                $build
            }
        }
        impl<R: Into<Expr>> $trait<R> for &Expr {
            type Output = Expr;
            fn $method(self, rhs: R) -> Expr {
                let ($a, $b) = (self.clone(), rhs.into());
                $build
            }
        }
        // No f32 here: with two float types `(1.0 + x).exp()` would be ambiguous.
        operator!(@left $trait $method Expr f64);
        operator!(@left $trait $method &Expr f64);
        operator!(@left $trait $method Expr i32);
        operator!(@left $trait $method &Expr i32);
    )*};
    (@left $trait:ident $method:ident Expr $scalar:ty) => {
        impl $trait<Expr> for $scalar {
            type Output = Expr;
            fn $method(self, rhs: Expr) -> Expr {
                Expr::from(self).$method(rhs)
            }
        }
    };
    (@left $trait:ident $method:ident &Expr $scalar:ty) => {
        impl $trait<&Expr> for $scalar {
            type Output = Expr;
            fn $method(self, rhs: &Expr) -> Expr {
                Expr::from(self).$method(rhs)
            }
        }
    };
}

operator! {
    Add add a b binary(Binary::Add, a, b);
    Sub sub a b binary(Binary::Sub, a, b);
    Mul mul a b binary(Binary::Mul, a, b);
    Div div a b binary(Binary::Div, a, b);
    // As in Rust, the remainder of floats.
    Rem rem a b call("fmod", vec![a, b]);
}

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        make(Kind::Unary(Unary::Neg), vec![self])
    }
}

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        -self.clone()
    }
}

macro_rules! unary {
    ($($(#[$doc:meta])* $method:ident $name:literal;)*) => {
        /// Functions of one argument, by their names in Metal.
        impl Expr {$(
            $(#[$doc])*
            #[must_use]
            pub fn $method(&self) -> Expr {
                call($name, vec![self.clone()])
            }
        )*}
    };
}

unary! {
    /// `metal::exp(x)`.
    exp "exp";
    /// `metal::exp2(x)`.
    exp2 "exp2";
    /// `metal::log(x)`, the natural logarithm.
    log "log";
    /// `metal::log2(x)`.
    log2 "log2";
    /// `metal::log10(x)`.
    log10 "log10";
    /// `metal::sqrt(x)`.
    sqrt "sqrt";
    /// `metal::rsqrt(x)`: 1/sqrt(x).
    rsqrt "rsqrt";
    /// `metal::abs(x)`.
    abs "abs";
    /// `metal::sign(x)`: -1, 0 or 1.
    sign "sign";
    /// `metal::sin(x)`.
    sin "sin";
    /// `metal::cos(x)`.
    cos "cos";
    /// `metal::tan(x)`.
    tan "tan";
    /// `metal::asin(x)`.
    asin "asin";
    /// `metal::acos(x)`.
    acos "acos";
    /// `metal::atan(x)`.
    atan "atan";
    /// `metal::sinh(x)`.
    sinh "sinh";
    /// `metal::cosh(x)`.
    cosh "cosh";
    /// `metal::tanh(x)`.
    tanh "tanh";
    /// `metal::asinh(x)`.
    asinh "asinh";
    /// `metal::acosh(x)`.
    acosh "acosh";
    /// `metal::atanh(x)`.
    atanh "atanh";
    /// `metal::floor(x)`.
    floor "floor";
    /// `metal::ceil(x)`.
    ceil "ceil";
    /// `metal::round(x)`: halves away from zero.
    round "round";
    /// `metal::rint(x)`: halves to even.
    rint "rint";
    /// `metal::trunc(x)`.
    trunc "trunc";
    /// `metal::fract(x)`: x - floor(x).
    fract "fract";
    /// `kk_sigmoid(x)`: 1/(1+exp(-x)).
    sigmoid "kk_sigmoid";
    /// `kk_silu(x)`: x times its sigmoid.
    silu "kk_silu";
    /// `kk_gelu_tanh(x)`: GELU by the hyperbolic tangent.
    gelu_tanh "kk_gelu_tanh";
    /// `kk_gelu(x)`: GELU by the error function.
    gelu "kk_gelu";
    /// `kk_softplus(x)`: log(1+exp(x)).
    softplus "kk_softplus";
    /// `kk_mish(x)`: x times tanh of its softplus.
    mish "kk_mish";
    /// `kk_relu(x)`: max(x, 0); its derivative at 0 is 0.
    relu "kk_relu";
    /// `kk_erf(x)`, the error function.
    erf "kk_erf";
    /// `kk_expm1(x)`: exp(x)-1, also right near 0.
    expm1 "kk_expm1";
    /// `kk_log1p(x)`: log(1+x), also right near 0.
    log1p "kk_log1p";
}

macro_rules! further {
    ($($(#[$doc:meta])* $method:ident($($arg:ident),+) $name:literal;)*) => {
        /// Functions of several arguments, by their names in Metal.
        impl Expr {$(
            $(#[$doc])*
            #[must_use]
            pub fn $method(&self, $($arg: impl Into<Expr>),+) -> Expr {
                call($name, vec![self.clone(), $($arg.into()),+])
            }
        )*}
    };
}

further! {
    /// `metal::pow(x, exponent)`.
    pow(exponent) "pow";
    /// `metal::min(x, other)`; where both are equal the derivative is the first's.
    min(other) "min";
    /// `metal::max(x, other)`; where both are equal the derivative is the first's.
    max(other) "max";
    /// `metal::clamp(x, low, high)`.
    clamp(low, high) "clamp";
    /// `metal::fma(x, factor, summand)`.
    fma(factor, summand) "fma";
    /// `metal::atan2(y, x)`: the angle of the point (x, y).
    atan2(x) "atan2";
    /// `metal::copysign(x, sign)`.
    copysign(sign) "copysign";
    /// `kk_elu(x, alpha)`: x where positive, else alpha (exp(x)-1).
    elu(alpha) "kk_elu";
}

macro_rules! compare {
    ($($(#[$doc:meta])* $method:ident $op:ident;)*) => {
        /// Comparisons and logic; for use in [`select`].
        impl Expr {$(
            $(#[$doc])*
            #[must_use]
            pub fn $method(&self, other: impl Into<Expr>) -> Expr {
                binary(Binary::$op, self.clone(), other.into())
            }
        )*}
    };
}

compare! {
    /// `x < other`.
    lt Lt;
    /// `x <= other`.
    le Le;
    /// `x > other`.
    gt Gt;
    /// `x >= other`.
    ge Ge;
    /// `x == other`, an expression; whether two expressions are the same is `==` in Rust.
    eq Eq;
    /// `x != other`, an expression.
    ne Ne;
    /// `x && other`.
    and And;
    /// `x || other`.
    or Or;
}

impl Expr {
    /// `1 / x`.
    #[must_use]
    pub fn recip(&self) -> Expr {
        constant(1.0) / self
    }

    /// `x * x`.
    #[must_use]
    pub fn square(&self) -> Expr {
        self * self
    }
}

/// `condition ? a : b`.
///
/// ```
/// use zmlx::expr::{Expr, select};
/// let x = Expr::var("x");
/// assert_eq!(select(x.lt(1), &x, 1).to_msl(), "x < 1.0f ? x : 1.0f");
/// ```
#[must_use]
pub fn select(condition: impl Into<Expr>, a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
    choose(condition.into(), a.into(), b.into())
}
