//! `+ - * / % & | ^ << >>`, unary `-` and `!`, on arrays and references to them.
//!
//! They are fallible like every operation, so they give a `Result`. A chain stays
//! readable because a `Result` is an operand beside an array:
//! `let y = (&x * 2.0 + &b)?;`. Between two `Result`s, or a `Result` and a number, Rust
//! allows no implementation here: a `?` in between does it, or a [`Term`](super::Term).

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Rem, Shl, Shr, Sub};

use half::{bf16, f16};
use num_complex::Complex32;

use crate::{Array, Operand, Result};

macro_rules! operators {
    ($($op:ident $method:ident $call:ident;)*) => {$(
        operators!(@of $op $method $call, &Array);
        operators!(@of $op $method $call, Array);
    )*};
    (@of $op:ident $method:ident $call:ident, $array:ty) => {
        // One implementation for all operands: the compiler knows the result before it knows which
        // float `2.0` is.
        impl<T: Operand> $op<T> for $array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: T) -> Result<Array> {
                Array::$call(self.as_ref(), rhs)
            }
        }
        impl $op<$array> for Result<Array> {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: $array) -> Result<Array> {
                Array::$call(&self?, rhs)
            }
        }
        impl $op<Result<Array>> for $array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: Result<Array>) -> Result<Array> {
                Array::$call(self.as_ref(), &rhs?)
            }
        }
        operators!(@number $op $method $call, $array, f32);
        operators!(@number $op $method $call, $array, i32);
        operators!(@number $op $method $call, $array, f16);
        operators!(@number $op $method $call, $array, bf16);
        operators!(@number $op $method $call, $array, Complex32);
    };
    (@number $op:ident $method:ident $call:ident, $array:ty, $number:ty) => {
        impl $op<$array> for $number {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self, rhs: $array) -> Result<Array> {
                let rhs: &Array = rhs.as_ref();
                Array::$call(&*self.operand(rhs.dtype())?, rhs)
            }
        }
    };
}

operators! {
    Add add add;
    Sub sub subtract;
    Mul mul multiply;
    Div div divide;
    Rem rem remainder;
    BitAnd bitand bitwise_and;
    BitOr bitor bitwise_or;
    BitXor bitxor bitwise_xor;
    Shl shl left_shift;
    Shr shr right_shift;
}

macro_rules! prefixes {
    ($($op:ident $method:ident $call:ident $array:ty;)*) => {$(
        impl $op for $array {
            type Output = Result<Array>;
            #[track_caller]
            fn $method(self) -> Result<Array> {
                Array::$call(self.as_ref())
            }
        }
    )*};
}

prefixes! {
    Neg neg negative &Array;
    Neg neg negative Array;
    Not not bitwise_invert &Array;
    Not not bitwise_invert Array;
}
