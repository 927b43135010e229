//! Softmax over the last axis.

use super::family::family;

family! { TABLE of "softmax":

/// Softmax over the last axis. A row of minus infinity only gives 0 (MLX's gives NaN).
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 3f32.ln()], 2)?;
/// let y = kernels::softmax::softmax_lastdim(&x)?.to_vec::<f32>()?;
/// assert!((y[0] - 0.25).abs() < 1e-6 && (y[1] - 0.75).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn softmax_lastdim(x: Rows) {
    formula: "shift = max(stop(x)); exp(x - shift) / sum(exp(x - shift))",
    // Any shift near the largest element will do. A whole number has no derivative, and the result does not depend
    // on the shift, so the derivatives are right without one. A denormal exponential does not count beside the
    // sum, so the fast one is exact enough.
    program: "
        most = max(x);
        shift = most == -INFINITY ? 0.0f : rint(most);
        e = metal::fast::exp(x - shift);
        total = sum(e);
        e / (total == 0 ? 1.0f : total)",
    mlx: |p| Ok(vec![p[0].softmax(-1)?]),
}


/// The logarithm of [`softmax_lastdim()`]: minus infinity in a row of minus infinity only, where the gradient is 0.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1e4f32, 1e4], 2)?;
/// let y = kernels::softmax::log_softmax_lastdim(&x)?.to_vec::<f32>()?;
/// assert!((y[0] + 2f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
fn log_softmax_lastdim(x: Rows) {
    formula: "shift = max(stop(x)); x - shift - log(sum(exp(x - shift)))",
    program: "
        most = max(x);
        shift = most == -INFINITY ? 0.0f : kk_stop(most);
        d = x - shift;
        total = sum(metal::fast::exp(d));
        total == 0 ? -INFINITY : d - log(total)",
    mlx: |p| Ok(vec![(&p[0] - p[0].logsumexp(crate::keepdims(-1))?)?]),
}

/// The gradient of [`softmax_lastdim()`] from its result `y` and the result's cotangent. The gradient that differentiating
/// `softmax_lastdim` gives starts from its input, so it does not suffer from the rounding of `y` to 16 bits.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let y = Array::from_slice(&[0.25f32, 0.75], 2)?;
/// let g = Array::from_slice(&[1.0f32, 0.0], 2)?;
/// let dx = kernels::softmax::softmax_grad(&y, &g)?.to_vec::<f32>()?;
/// assert_eq!(dx, [0.1875, -0.1875]);
/// # Ok(())
/// # }
/// ```
fn softmax_grad(y: Rows, cotan: Rows) {
    formula: "y * (cotan - sum(cotan * y))",
    program: "y * (cotan - sum(cotan * y))",
    // The whole may be near 0, where only a term is left to compare with, four times the spread of normal numbers. Parts of the sum
    // are as large as the root of the width times the spread, each addition rounds them, and the sum is multiplied by up to four.
    roundings: |width| 16.0 + 4.0 * (width as f64).sqrt(),
}

}
