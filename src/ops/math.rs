//! Functions of one number. Integers become float32 where the result is not an integer.

use super::done;
use super::macros::unary;
use crate::array::fit::Number;
use crate::bridge::ops::elementwise::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, Result};

unary! {
    /// Absolute value; the magnitude of complex numbers (float32).
    abs: [-1.5f32, 2.0] => f32 [1.5, 2.0];
    /// The same values, `+x`.
    positive: [-1.5f32, 2.0] => f32 [-1.5, 2.0];
    /// Negated value, `-x`.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.5f32, -2.0])?;
    /// assert_eq!(x.negative()?.to_vec::<f32>()?, [-1.5, 2.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for bool: use [`logical_not`](Array::logical_not).
    negative;
    /// -1, 0 or 1 by the sign; `z / |z|` for complex numbers.
    sign: [-1.5f32, 0.0, 2.0] => f32 [-1.0, 0.0, 1.0];
    /// `1 / x`.
    reciprocal: [2.0f32, -4.0] => f32 [0.5, -0.25];
    /// Largest whole number not above `x`, in the same type.
    floor: [1.5f32, -1.5] => f32 [1.0, -2.0];
    /// Smallest whole number not below `x`, in the same type.
    ceil: [1.5f32, -1.5] => f32 [2.0, -1.0];
    /// `x` without its fraction, in the same type.
    trunc: [1.5f32, -1.5] => f32 [1.0, -1.0];
    /// `x * x`.
    square: [-3, 5] => i32 [9, 25];
    /// Square root.
    sqrt: [9.0f32, 0.25] => f32 [3.0, 0.5];
    /// `1 / sqrt(x)`.
    rsqrt: [4.0f32, 0.25] => near [0.5f32, 2.0];
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
    expm1: [0.0f32, 1e-6, 1.0] => near [0.0f32, 1e-6, 1.718282];
    /// Natural logarithm.
    log: [1.0f32, 10.0] => near [0.0f32, 2.302585];
    /// Logarithm to base 2.
    log2: [1.0f32, 8.0] => near [0.0f32, 3.0];
    /// Logarithm to base 10.
    log10: [1.0f32, 1000.0] => near [0.0f32, 3.0];
    /// `log(1 + x)`, exact for small `x`.
    log1p: [0.0f32, 1e-6, 1.0] => near [0.0f32, 1e-6, 0.693147];
    /// Sine of radians.
    sin: [0.0f32, 0.5] => near [0.0f32, 0.479426];
    /// Cosine of radians.
    cos: [0.0f32, 0.5] => near [1.0f32, 0.877583];
    /// Tangent of radians.
    tan: [0.0f32, 0.5] => near [0.0f32, 0.546302];
    /// Inverse sine, in radians.
    arcsin: [0.0f32, 1.0] => near [0.0f32, 1.570796];
    /// Inverse cosine, in radians.
    arccos: [1.0f32, 0.0] => near [0.0f32, 1.570796];
    /// Inverse tangent, in radians.
    arctan: [0.0f32, 1.0] => near [0.0f32, 0.785398];
    /// Hyperbolic sine.
    sinh: [0.0f32, 1.0] => near [0.0f32, 1.175201];
    /// Hyperbolic cosine.
    cosh: [0.0f32, 1.0] => near [1.0f32, 1.543081];
    /// Hyperbolic tangent.
    tanh: [0.0f32, 1.0] => near [0.0f32, 0.761594];
    /// Inverse hyperbolic sine.
    arcsinh: [0.0f32, 1.0] => near [0.0f32, 0.881374];
    /// Inverse hyperbolic cosine.
    arccosh: [1.0f32, 2.0] => near [0.0f32, 1.316958];
    /// Inverse hyperbolic tangent.
    arctanh: [0.0f32, 0.5] => near [0.0f32, 0.549306];
    /// Radians as degrees.
    degrees: [0.0f32, 3.141593] => near [0.0f32, 180.0];
    /// Degrees as radians.
    radians: [0.0f32, 180.0] => near [0.0f32, 3.141593];
    /// Logistic sigmoid, `1 / (1 + e^-x)`.
    sigmoid: [0.0f32, 1.0] => near [0.5f32, 0.731059];
    /// Error function, `2/sqrt(pi)` times the integral of `e^(-t^2)` from 0 to `x`.
    erf: [0.0f32, 1.0] => near [0.0f32, 0.842701];
    /// Inverse of the error function on (-1, 1).
    erfinv: [0.0f32, 0.5] => near [0.0f32, 0.476936];
    /// True where `x` is NaN; false for integers.
    isnan: [1.0, f32::NAN] => bool [false, true];
    /// True where `x` is an infinity.
    isinf: [f32::NAN, f32::NEG_INFINITY] => bool [false, true];
    /// True where `x` is neither infinite nor NaN.
    isfinite: [1.0, f32::NAN] => bool [true, false];
    /// True where `x` is positive infinity.
    isposinf: [f32::INFINITY, f32::NEG_INFINITY] => bool [true, false];
    /// True where `x` is negative infinity.
    isneginf: [f32::INFINITY, f32::NEG_INFINITY] => bool [false, true];
    /// True where `x` is zero or false.
    logical_not: [0, 1, 2] => bool [true, false, false];
    /// All bits inverted; the opposite for bool.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([0u8, 0b1111_0000])?;
    /// assert_eq!(x.bitwise_invert()?.to_vec::<u8>()?, [255, 0b0000_1111]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Dtype`](crate::Error::Dtype) for floating-point and complex arrays.
    bitwise_invert;
}

impl Array {
    /// Rounded to `decimals` places (may be negative), halves to even.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([2.5f32, 3.14159])?;
    /// assert_eq!(x.round(0)?.to_vec::<f32>()?, [2.0, 3.0]);
    /// assert_eq!(x.round(2)?.to_vec::<f32>()?, [2.5, 3.14]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    #[track_caller]
    pub fn round(&self, decimals: i32) -> Result<Array> {
        done(ffi::round(self.raw(), decimals, current()))
    }

    /// Finite numbers instead of NaN (`nan`) and the infinities. `None` stands for the
    /// type's largest and smallest finite number.
    ///
    /// ```
    /// # use zmlx::Array;
    /// let x = Array::from_iter([1.0, f32::NAN, f32::INFINITY])?;
    /// assert_eq!(x.nan_to_num(0.0, Some(9.0), None)?.to_vec::<f32>()?, [1.0, 0.0, 9.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
