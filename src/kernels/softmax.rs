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

}
