//! Element-wise arithmetic, functions, comparison, logic and bit operations.

use super::macros::{binary, unary};
use crate::bridge::ops::elementwise::ffi;

unary! {
    /// Absolute value.
    abs;
    /// Negated value, `-x`.
    negative;
    /// Exponential, `e^x`. Integers give float32.
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
    /// `x * x`.
    square;
    /// Logistic sigmoid, `1 / (1 + e^-x)`.
    sigmoid;
}

binary! {
    /// Sum, `self + other`.
    add;
    /// Difference, `self - other`.
    subtract;
    /// Product, `self * other`.
    multiply;
    /// Quotient, `self / other`; integers give float32.
    divide;
}
