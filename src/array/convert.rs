//! Scalars as arrays, and operands that may be either.

use std::borrow::Cow;

use half::{bf16, f16};
use num_complex::Complex32;

use super::Array;
use super::fit::Number;
use crate::{Dtype, Result};

macro_rules! from_scalars {
    ($($ty:ty),*) => {$(
        impl From<$ty> for Array {
            /// A zero-dimensional array of the same type.
            fn from(value: $ty) -> Array {
                // One element always fits its shape, so what can fail is that the thread has given
                // MLX up, which is no reason to have no value, or that memory is missing.
                Array::scalar(value)
                    .ok()
                    .or_else(|| Array::plain(&value))
                    .unwrap_or_else(|| {
                        std::alloc::handle_alloc_error(std::alloc::Layout::new::<$ty>())
                    })
            }
        }
    )*};
}

// `f64` is left out on purpose: `3.0.into()` means a float32, as everywhere in
// MLX. `Array::scalar(3.0f64)` makes a float64.
from_scalars!(
    bool, u8, u16, u32, u64, i8, i16, i32, i64, f16, f32, bf16, Complex32
);

/// An array, or a number that takes the dtype of the array it meets.
///
/// Numbers are weakly typed, as in MLX, whatever their Rust type: `&x * 2.0`, `&x * 2.0f64` and `&x * 2usize` keep float16
/// if `x` is float16. A float that meets an integer array makes float32, also if it is an f64 or a half type; a number
/// of a dtype of its own is an array: `Array::scalar(2.0f64)`. A complex number makes complex64 of real arrays.
/// To the left of an operator stand f32, i32, f16, bf16, complex numbers and arrays. (With f64 there as well, the compiler
/// could not tell what `2.0` is before it knows the rest of the line.)
///
/// A float beyond the largest of the array's dtype is infinite there. A whole number that the integers of the array do not
/// reach is an [`Error::Argument`](crate::Error::Argument).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an array nor a number",
    note = "operands are `&Array`, `Array`, numbers and bool; a `Result<Array>` needs its `?` first"
)]
pub trait Operand {
    /// The operand as an array that suits an operation with an array of the dtype `like`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a number that the integers of `like` do not reach.
    #[track_caller]
    fn operand(&self, like: Dtype) -> Result<Cow<'_, Array>>;

    /// The operand for a comparison with an array of the dtype `like`: a number outside of what that holds keeps a
    /// type of its own, so that the answer is that of mathematics.
    #[track_caller]
    fn compared(&self, like: Dtype) -> Result<Cow<'_, Array>> {
        self.operand(like)
    }

    /// The array, if it is one.
    fn as_array(&self) -> Option<&Array> {
        None
    }
}

impl Operand for &Array {
    fn operand(&self, _like: Dtype) -> Result<Cow<'_, Array>> {
        Ok(Cow::Borrowed(self))
    }

    fn as_array(&self) -> Option<&Array> {
        Some(self)
    }
}

impl Operand for Array {
    fn operand(&self, _like: Dtype) -> Result<Cow<'_, Array>> {
        Ok(Cow::Borrowed(self))
    }

    fn as_array(&self) -> Option<&Array> {
        Some(self)
    }
}

impl Operand for f32 {
    #[track_caller]
    fn operand(&self, like: Dtype) -> Result<Cow<'_, Array>> {
        weak(*self, like)
    }

    #[track_caller]
    fn compared(&self, like: Dtype) -> Result<Cow<'_, Array>> {
        match like {
            d if d.is_integral() => super::numbers::float_compared(f64::from(*self), like),
            d if !Number::Real(f64::from(*self)).fits(d, true) => {
                Array::scalar(*self).map(Cow::Owned)
            }
            d => weak(*self, d),
        }
    }
}

impl Operand for i32 {
    #[track_caller]
    fn operand(&self, like: Dtype) -> Result<Cow<'_, Array>> {
        match like {
            Dtype::Bool => Array::scalar(*self).map(Cow::Owned),
            // Through f64: every i32 is exact there.
            d => {
                if d.is_integral() {
                    Number::Whole((*self).into()).check("number", d, false)?;
                }
                exact(f64::from(*self), d).map(Cow::Owned)
            }
        }
    }

    #[track_caller]
    fn compared(&self, like: Dtype) -> Result<Cow<'_, Array>> {
        match like {
            d if !Number::Whole((*self).into()).fits(d, false) => {
                if d.is_integral() {
                    Array::scalar(*self).map(Cow::Owned)
                } else {
                    Array::scalar(*self as f32).map(Cow::Owned)
                }
            }
            _ => self.operand(like),
        }
    }
}

impl Operand for bool {
    #[track_caller]
    fn operand(&self, _like: Dtype) -> Result<Cow<'_, Array>> {
        Array::scalar(*self).map(Cow::Owned)
    }
}

#[track_caller]
fn weak(value: f32, dtype: Dtype) -> Result<Cow<'static, Array>> {
    if dtype.is_integral() {
        return Array::scalar(value).map(Cow::Owned);
    }
    exact(f64::from(value), dtype).map(Cow::Owned)
}

/// A number that fits `dtype`, in it.
#[track_caller]
pub(crate) fn exact(value: f64, dtype: Dtype) -> Result<Array> {
    match dtype {
        Dtype::Bool => Array::scalar(value != 0.0),
        Dtype::Uint8 => Array::scalar(value as u8),
        Dtype::Uint16 => Array::scalar(value as u16),
        Dtype::Uint32 => Array::scalar(value as u32),
        Dtype::Uint64 => Array::scalar(value as u64),
        Dtype::Int8 => Array::scalar(value as i8),
        Dtype::Int16 => Array::scalar(value as i16),
        Dtype::Int32 => Array::scalar(value as i32),
        Dtype::Int64 => Array::scalar(value as i64),
        Dtype::Float16 => Array::scalar(f16::from_f64(value)),
        Dtype::Float32 => Array::scalar(value as f32),
        Dtype::Float64 => Array::scalar(value),
        Dtype::Bfloat16 => Array::scalar(bf16::from_f64(value)),
        Dtype::Complex64 => Array::scalar(Complex32::new(value as f32, 0.0)),
    }
}
