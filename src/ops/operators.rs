//! `+ - * /` and unary `-` on references.
//!
//! They are fallible like every operation, so they give a `Result`. A chain stays
//! readable because a `Result` on either side is an operand too:
//! `let y = (&x * 2.0 + &b)?;`.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::{Array, Result};

macro_rules! operators {
    ($($op:ident $method:ident $call:ident;)*) => {$(
        impl $op<&Array> for &Array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: &Array) -> Result<Array> {
                self.$call(rhs)
            }
        }
        impl $op<&Array> for Result<Array> {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: &Array) -> Result<Array> {
                self?.$call(rhs)
            }
        }
        impl $op<Result<Array>> for &Array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: Result<Array>) -> Result<Array> {
                self.$call(&rhs?)
            }
        }
        operators!(@scalar $op $method $call f32);
        operators!(@scalar $op $method $call i32);
    )*};
    (@scalar $op:ident $method:ident $call:ident $ty:ty) => {
        impl $op<$ty> for &Array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: $ty) -> Result<Array> {
                self.$call(rhs)
            }
        }
        impl $op<&Array> for $ty {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: &Array) -> Result<Array> {
                use crate::Operand;
                self.operand(rhs)?.$call(rhs)
            }
        }
    };
}

operators! {
    Add add add;
    Sub sub subtract;
    Mul mul multiply;
    Div div divide;
}

impl Neg for &Array {
    type Output = Result<Array>;
    #[track_caller]
    fn neg(self) -> Result<Array> {
        self.negative()
    }
}
