//! Further numbers as operands; see [`Operand`].

use std::borrow::Cow;

use half::{bf16, f16};
use num_complex::Complex32;

use super::fit::Number;
use super::{Array, Operand};
use crate::stream::current;
use crate::{Dtype, Error, Result};

/// A float in the dtype `like`: of integers and bool it makes float32, as in MLX.
#[track_caller]
fn float(value: f64, like: Dtype) -> Result<Cow<'static, Array>> {
    match like {
        Dtype::Float16 => Array::scalar(f16::from_f64(value)),
        Dtype::Bfloat16 => Array::scalar(bf16::from_f64(value)),
        Dtype::Float64 => Array::scalar(value),
        Dtype::Complex64 => Array::scalar(Complex32::new(value as f32, 0.0)),
        _ => Array::scalar(value as f32),
    }
    .map(Cow::Owned)
}

/// A whole number in the dtype `like`; of bool it makes int32 where that holds it.
#[track_caller]
fn whole(value: i128, like: Dtype) -> Result<Cow<'static, Array>> {
    macro_rules! fit {
        ($ty:ty) => {
            <$ty>::try_from(value).ok().map(Array::scalar)
        };
    }
    let fits = match like {
        Dtype::Bool => fit!(i32).or(fit!(i64)).or(fit!(u64)),
        Dtype::Uint8 => fit!(u8),
        Dtype::Uint16 => fit!(u16),
        Dtype::Uint32 => fit!(u32),
        Dtype::Uint64 => fit!(u64),
        Dtype::Int8 => fit!(i8),
        Dtype::Int16 => fit!(i16),
        Dtype::Int32 => fit!(i32),
        Dtype::Int64 => fit!(i64),
        _ => return float(value as f64, like),
    };
    match fits {
        Some(made) => made.map(Cow::Owned),
        None => Err(Error::argument(
            "number",
            format_args!("a number that {like} holds, as the array's dtype is {like}"),
            value,
        )),
    }
}

/// A float for a comparison with `like`.
#[track_caller]
pub(super) fn float_compared(value: f64, like: Dtype) -> Result<Cow<'static, Array>> {
    if like.is_integral() {
        return float_beside_integers(value, like);
    }
    if Number::Real(value).fits(like, true) {
        return float(value, like);
    }
    let single = value as f32;
    // Beyond float32 there is only float64, which a GPU does not have.
    match single.is_finite() || current().gpu {
        true => Array::scalar(single),
        false => Array::scalar(value),
    }
    .map(Cow::Owned)
}

/// A float for a comparison with integers, which float32 would round.
#[track_caller]
fn float_beside_integers(value: f64, like: Dtype) -> Result<Cow<'static, Array>> {
    // What no integer reaches is as far as infinity. Both bounds are exact.
    const ABOVE: f64 = 18_446_744_073_709_551_616.0;
    const BELOW: f64 = -9_223_372_036_854_775_808.0;
    let far = match value {
        v if v.is_nan() => Some(f32::NAN),
        v if v >= ABOVE => Some(f32::INFINITY),
        v if v < BELOW => Some(f32::NEG_INFINITY),
        _ => None,
    };
    match far {
        Some(far) => Array::scalar(far).map(Cow::Owned),
        None if value.fract() == 0.0 => whole_compared(value as i128, like),
        // A GPU has no float64.
        None if current().gpu => Array::scalar(value as f32).map(Cow::Owned),
        // A number with a fraction lies below 2^52, where float64 holds every integer.
        None => Array::scalar(value).map(Cow::Owned),
    }
}

/// A whole number for a comparison with `like`.
#[track_caller]
fn whole_compared(value: i128, like: Dtype) -> Result<Cow<'static, Array>> {
    if Number::Whole(value).fits(like, false) {
        return whole(value, like);
    }
    if !like.is_integral() {
        return Array::scalar(value as f32).map(Cow::Owned);
    }
    match i64::try_from(value) {
        Ok(value) => Array::scalar(value),
        // No operand is larger than u64.
        Err(_) => Array::scalar(value as u64),
    }
    .map(Cow::Owned)
}

macro_rules! operands {
    ($make:ident, $compared:ident($wide:ty): $($ty:ty),*) => {$(
        impl Operand for $ty {
            #[track_caller]
            fn operand(&self, like: Dtype) -> Result<Cow<'_, Array>> {
                $make(<$wide>::from(*self), like)
            }

            #[track_caller]
            fn compared(&self, like: Dtype) -> Result<Cow<'_, Array>> {
                $compared(<$wide>::from(*self), like)
            }
        }
    )*};
}

operands!(float, float_compared(f64): f64, f16, bf16);
operands!(whole, whole_compared(i128): u8, u16, u32, u64, i8, i16, i64);

macro_rules! sizes {
    ($($ty:ty)*) => {$(
        impl Operand for $ty {
            #[track_caller]
            fn operand(&self, like: Dtype) -> Result<Cow<'_, Array>> {
                whole(*self as i128, like)
            }

            #[track_caller]
            fn compared(&self, like: Dtype) -> Result<Cow<'_, Array>> {
                whole_compared(*self as i128, like)
            }
        }
    )*};
}
sizes!(usize isize);

impl Operand for Complex32 {
    #[track_caller]
    fn operand(&self, _like: Dtype) -> Result<Cow<'_, Array>> {
        Array::scalar(*self).map(Cow::Owned)
    }
}
