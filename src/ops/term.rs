//! Long formulas: terms carry the first error to the end.

use std::iter::{Product, Sum};
use std::ops::{
    Add, AddAssign, BitAnd, BitAndAssign, BitOr, BitOrAssign, BitXor, BitXorAssign, Div, DivAssign,
    Mul, MulAssign, Neg, Not, Rem, RemAssign, Shl, ShlAssign, Shr, ShrAssign, Sub, SubAssign,
};

use half::{bf16, f16};
use num_complex::Complex32;

use crate::{Array, Operand, Result};

/// A part of a formula: an array, or the first error on the way to it.
///
/// An operator of arrays gives a `Result`, and Rust allows no operator between two of those, or one and a number. A term
/// has all operators, with arrays, numbers, results and terms on either side, and `+=` and its kin. It carries an error
/// along; [`get`](Term::get) gives the array or that error, whose place is the operator that failed.
///
/// ```
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let (x, y) = (Array::from(3.0), Array::from(2.0));
/// let z = ((x.term() * 2.0 + 1.0) / (y.term() - 0.25)).get()?;
/// assert_eq!(z.item::<f32>()?, 4.0);
///
/// let mut total = x.term();
/// total += &y;
/// total *= 0.5;
/// assert_eq!(total.get()?.item::<f32>()?, 2.5);
///
/// let wrong = Array::ones(2, F32)?.term() + Array::ones(3, F32)?;
/// assert!((wrong * 2.0).get().is_err());
/// # Ok(())
/// # }
/// ```
#[must_use = "a term is nothing before `get`"]
#[derive(Debug)]
pub struct Term(Result<Array>);

impl Term {
    /// The array.
    ///
    /// # Errors
    /// The first error of the formula.
    pub fn get(self) -> Result<Array> {
        self.0
    }

    /// The term of another operation: `x.term().map(Array::exp)`, `x.term().map(|x| x.sum(-1))`.
    ///
    /// ```
    /// use zmlx::prelude::*;
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from(2.0);
    /// let y = ((x.term() - 2.0).map(Array::exp) + 1.0).get()?;
    /// assert_eq!(y.item::<f32>()?, 2.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn map(self, f: impl FnOnce(&Array) -> Result<Array>) -> Term {
        Term(self.0.and_then(|a| f(&a)))
    }
}

impl Array {
    /// This array as a part of a long formula, see [`Term`].
    pub fn term(&self) -> Term {
        Term(Ok(self.clone()))
    }
}

impl From<Array> for Term {
    fn from(array: Array) -> Term {
        Term(Ok(array))
    }
}

impl From<&Array> for Term {
    fn from(array: &Array) -> Term {
        array.term()
    }
}

impl From<Result<Array>> for Term {
    fn from(array: Result<Array>) -> Term {
        Term(array)
    }
}

macro_rules! operators {
    ($($op:ident $method:ident $assign:ident $in_place:ident $call:ident;)*) => {$(
        impl<T: Operand> $op<T> for Term {
            type Output = Term;
            #[track_caller]
            fn $method(self, rhs: T) -> Term {
                let lhs = match self.0 {
                    Ok(lhs) => lhs,
                    wrong => return Term(wrong),
                };
                Term(Array::$call(&lhs, rhs))
            }
        }
        operators!(@right $op $method, Term, rhs => rhs.0);
        operators!(@right $op $method, Result<Array>, rhs => rhs);
        operators!(@left $op $method $call, &Array);
        operators!(@left $op $method $call, Array);
        operators!(@left $op $method $call, Result<Array>);
        operators!(@number $op $method $call, f32);
        operators!(@number $op $method $call, i32);
        operators!(@number $op $method $call, f16);
        operators!(@number $op $method $call, bf16);
        operators!(@number $op $method $call, Complex32);

        impl<T> $assign<T> for Term
        where
            Term: $op<T, Output = Term>,
        {
            #[track_caller]
            fn $in_place(&mut self, rhs: T) {
                // The operator takes its left side by value, so something else stands here until it has answered.
                let lhs = std::mem::replace(&mut self.0, Err(crate::Error::shape(String::new())));
                *self = $op::$method(Term(lhs), rhs);
            }
        }
    )*};
    (@right $op:ident $method:ident, $ty:ty, $rhs:ident => $array:expr) => {
        impl $op<$ty> for Term {
            type Output = Term;
            #[track_caller]
            fn $method(self, $rhs: $ty) -> Term {
                match (self.0, $array) {
                    (Ok(lhs), Ok(rhs)) => Term(Ok(lhs)).$method(rhs),
                    (Err(e), _) | (Ok(_), Err(e)) => Term(Err(e)),
                }
            }
        }
    };
    (@left $op:ident $method:ident $call:ident, $ty:ty) => {
        impl $op<Term> for $ty {
            type Output = Term;
            #[track_caller]
            fn $method(self, rhs: Term) -> Term {
                Term::from(self).$method(rhs)
            }
        }
    };
    (@number $op:ident $method:ident $call:ident, $ty:ty) => {
        impl $op<Term> for $ty {
            type Output = Term;
            #[track_caller]
            fn $method(self, rhs: Term) -> Term {
                let rhs = match rhs.0 {
                    Ok(rhs) => rhs,
                    wrong => return Term(wrong),
                };
                let lhs = match self.operand(rhs.dtype()) {
                    Ok(lhs) => lhs,
                    Err(e) => return Term(Err(e)),
                };
                Term(Array::$call(&lhs, &rhs))
            }
        }
    };
}

operators! {
    Add add AddAssign add_assign add;
    Sub sub SubAssign sub_assign subtract;
    Mul mul MulAssign mul_assign multiply;
    Div div DivAssign div_assign divide;
    Rem rem RemAssign rem_assign remainder;
    BitAnd bitand BitAndAssign bitand_assign bitwise_and;
    BitOr bitor BitOrAssign bitor_assign bitwise_or;
    BitXor bitxor BitXorAssign bitxor_assign bitwise_xor;
    Shl shl ShlAssign shl_assign left_shift;
    Shr shr ShrAssign shr_assign right_shift;
}

impl Neg for Term {
    type Output = Term;
    #[track_caller]
    fn neg(self) -> Term {
        match self.0 {
            Ok(a) => Term(a.negative()),
            wrong => Term(wrong),
        }
    }
}

impl Not for Term {
    type Output = Term;
    #[track_caller]
    fn not(self) -> Term {
        match self.0 {
            Ok(a) => Term(a.bitwise_invert()),
            wrong => Term(wrong),
        }
    }
}

/// All of an iterator by an operation of two; without any, this float32.
macro_rules! folds {
    ($($fold:ident $method:ident $op:ident $apply:ident $none:literal;)*) => {$(
        impl<T: Into<Term>> $fold<T> for Term {
            fn $method<I: Iterator<Item = T>>(terms: I) -> Term {
                let all = terms.map(Into::into).reduce($op::$apply);
                all.unwrap_or_else(|| Term(Array::scalar($none)))
            }
        }

        /// Elements are added or multiplied by broadcasting. Without arrays it is a float32 scalar, 0 or 1.
        impl $fold<Array> for Result<Array> {
            fn $method<I: Iterator<Item = Array>>(arrays: I) -> Result<Array> {
                arrays.$method::<Term>().get()
            }
        }

        impl<'a> $fold<&'a Array> for Result<Array> {
            fn $method<I: Iterator<Item = &'a Array>>(arrays: I) -> Result<Array> {
                arrays.$method::<Term>().get()
            }
        }
    )*};
}

folds! {
    Sum sum Add add 0.0f32;
    Product product Mul mul 1.0f32;
}

/// `+=` and kin of a result and an array: the first error stays.
macro_rules! in_place {
    ($($assign:ident $method:ident $call:ident;)*) => {$(
        in_place!(@of $assign $method $call, &Array);
        in_place!(@of $assign $method $call, Array);
    )*};
    (@of $assign:ident $method:ident $call:ident, $ty:ty) => {
        impl $assign<$ty> for Result<Array> {
            #[track_caller]
            fn $method(&mut self, rhs: $ty) {
                if let Ok(lhs) = self {
                    *self = Array::$call(lhs, rhs);
                }
            }
        }
    };
}

in_place! {
    AddAssign add_assign add;
    SubAssign sub_assign subtract;
    MulAssign mul_assign multiply;
    DivAssign div_assign divide;
    RemAssign rem_assign remainder;
    BitAndAssign bitand_assign bitwise_and;
    BitOrAssign bitor_assign bitwise_or;
    BitXorAssign bitxor_assign bitwise_xor;
}
