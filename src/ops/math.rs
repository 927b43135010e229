//! Functions of one number. Integers become float32 where the result is not an integer.

use super::done;
use super::macros::unary;
use crate::array::fit::Number;
use crate::bridge::ops::elementwise::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

unary! {
    /// Absolute value; the magnitude of complex numbers (float32).
    abs;
    /// The same values, `+x`.
    positive;
    /// Negated value, `-x`.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for bool: use [`logical_not`](Array::logical_not).
    negative;
    /// -1, 0 or 1 by the sign; `z / |z|` for complex numbers.
    sign;
    /// `1 / x`.
    reciprocal;
    /// Largest whole number not above `x`, in the same type.
    floor;
    /// Smallest whole number not below `x`, in the same type.
    ceil;
    /// `x` without its fraction, in the same type.
    trunc;
    /// `x * x`.
    square;
    /// Square root.
    sqrt;
    /// `1 / sqrt(x)`.
    rsqrt;
    /// Exponential, `e^x`.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let y = zmlx::Array::from_slice(&[0.0f32, 1.0], 2)?.exp()?;
    /// let y = y.to_vec::<f32>()?;
    /// assert!(y[0] == 1.0 && (y[1] - std::f32::consts::E).abs() < 1e-6);
    /// # Ok(())
    /// # }
    /// ```
    exp;
    /// `e^x - 1`, exact for small `x`.
    expm1;
    /// Natural logarithm.
    log;
    /// Logarithm to base 2.
    log2;
    /// Logarithm to base 10.
    log10;
    /// `log(1 + x)`, exact for small `x`.
    log1p;
    /// Sine of radians.
    sin;
    /// Cosine of radians.
    cos;
    /// Tangent of radians.
    tan;
    /// Inverse sine, in radians.
    arcsin;
    /// Inverse cosine, in radians.
    arccos;
    /// Inverse tangent, in radians.
    arctan;
    /// Hyperbolic sine.
    sinh;
    /// Hyperbolic cosine.
    cosh;
    /// Hyperbolic tangent.
    tanh;
    /// Inverse hyperbolic sine.
    arcsinh;
    /// Inverse hyperbolic cosine.
    arccosh;
    /// Inverse hyperbolic tangent.
    arctanh;
    /// Radians as degrees.
    degrees;
    /// Degrees as radians.
    radians;
    /// Logistic sigmoid, `1 / (1 + e^-x)`.
    sigmoid;
    /// Error function, `2/sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`.
    erf;
    /// Inverse of the error function on (-1, 1).
    erfinv;
    /// True where `x` is NaN; false for integers.
    isnan;
    /// True where `x` is an infinity.
    isinf;
    /// True where `x` is neither infinite nor NaN.
    isfinite;
    /// True where `x` is positive infinity.
    isposinf;
    /// True where `x` is negative infinity.
    isneginf;
    /// True where `x` is zero or false.
    logical_not;
    /// All bits inverted; the opposite for bool.
    ///
    /// # Errors
    /// [`Error::Dtype`](crate::Error::Dtype) for floating-point and complex arrays.
    bitwise_invert;
}

impl Array {
    /// Rounded to `decimals` places (may be negative), halves to even.
    #[track_caller]
    pub fn round(&self, decimals: i32) -> Result<Array> {
        done(ffi::round(self.raw(), decimals, current()))
    }

    /// Finite numbers instead of NaN (`nan`) and the infinities. `None` stands for the
    /// type's largest and smallest finite number.
    ///
    /// # Errors
    /// [`Error::Dtype`](crate::Error::Dtype) for complex arrays; [`Error::Argument`](crate::Error::Argument) for a
    /// number that the type does not hold.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f32, posinf: Option<f32>, neginf: Option<f32>) -> Result<Array> {
        if self.dtype() == Dtype::Complex64 {
            return Err(Error::dtype(
                "[nan_to_num] expected real numbers, got complex64".into(),
            ));
        }
        if self.dtype().is_floating() {
            let given = [("nan", Some(nan)), ("posinf", posinf), ("neginf", neginf)];
            for (name, value) in given {
                if let Some(v) = value {
                    if v.is_nan() && name != "nan" {
                        return Err(Error::argument(name, "a number", v));
                    }
                    Number::Real(v.into()).check(name, self.dtype(), true)?;
                }
            }
        }
        done(ffi::nan_to_num(
            self.raw(),
            nan,
            posinf.unwrap_or(f32::NAN),
            neginf.unwrap_or(f32::NAN),
            current(),
        ))
    }
}
