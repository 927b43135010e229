//! Softmax over the elements that a mask keeps, and the logarithm of its sum.

use crate::kernels::catalog::{Entry, Kind, few_roundings, input};
use crate::kernels::family::family;
use crate::kernels::recipe::Kernel;
use crate::{Array, Error, Result};

family! { PLAIN of "attention":

/// The logarithm of the sum of exponentials of each row: minus infinity for a row of minus infinity only, where the
/// gradient is 0, and infinity for a row with infinity. The result is (...).
///
/// ```
/// use zmlx::{Array, kernels::attention};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1e4f32, 1e4, f32::NEG_INFINITY, f32::NEG_INFINITY], (2, 2))?;
/// let y = attention::logsumexp_lastdim(&x)?.to_vec::<f32>()?;
/// assert_eq!(y, [1e4 + 2f32.ln(), f32::NEG_INFINITY]);
/// # Ok(())
/// # }
/// ```
fn logsumexp_lastdim(x: Rows) {
    formula: "logsumexp(x)",
    // The result does not depend on the shift, so the derivatives are right without one.
    program: "
        most = max(x);
        shift = abs(most) == INFINITY ? 0.0f : kk_stop(most);
        total = sum(metal::fast::exp(x - shift));
        total == 0 ? -INFINITY : log(total) + shift",
    mlx: |p| Ok(vec![p[0].logsumexp(-1)?]),
}

/// Softmax over those elements of each row at which `mask` is not 0; the others are 0, whatever `x` is there, and so is a row
/// without any.
///
/// ```
/// use zmlx::{Array, kernels::attention};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 0.0, 7.0, 1.0, 2.0, 3.0], (2, 3))?;
/// let mask = Array::from_slice(&[1, 1, 0, 0, 0, 0], (2, 3))?;
/// let y = attention::masked_softmax(&x, &mask)?.to_vec::<f32>()?;
/// assert_eq!(y, [0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
/// # Ok(())
/// # }
/// ```
fn masked_softmax(x: Rows, mask: Mask) {
    formula: "e = mask != 0 ? exp(x - max(stop(x))) : 0; mask != 0 ? e / sum(e) : 0",
    // What is masked has the exponential 0, so that no derivative multiplies 0 by infinity.
    program: "
        z = select(-INFINITY, x, mask != 0);
        most = max(z);
        shift = most == -INFINITY ? 0.0f : kk_stop(most);
        e = metal::fast::exp(z - shift);
        total = sum(e);
        select(0.0f, e / (total == 0 ? 1.0f : total), mask != 0)",
    mlx: |p| {
        let least = Array::from(f32::NEG_INFINITY).astype(p[0].dtype())?;
        Ok(vec![crate::ops::where_(&p[1], &p[0], &least)?.softmax(-1)?])
    },
}

}

/// [`masked_softmax()`] of `x * scale`, which is computed in float32.
///
/// `x`: (..., D), float32, float16 or bfloat16; `mask`: what broadcasts to that, any dtype. The result is like `x`.
/// Differentiable any number of times in `x`. Another scale compiles nothing.
///
/// ```
/// use zmlx::{Array, kernels::attention};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[0.0f32, 2.0, 7.0], 3)?;
/// let mask = Array::from_slice(&[true, true, false], 3)?;
/// let y = attention::scale_mask_softmax(&x, &mask, 0.5)?.to_vec::<f32>()?;
/// assert!((y[1] - 0.731_058_6).abs() < 1e-6 && y[2] == 0.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] for a scale that is infinite or NaN, [`Error::Shape`] for another shape, [`Error::Dtype`] for another
/// dtype.
#[track_caller]
pub fn scale_mask_softmax(x: &Array, mask: &Array, scale: f32) -> Result<Array> {
    if !scale.is_finite() {
        return Err(Error::argument("scale", "a finite number", scale));
    }
    SCALED.call1(&[x, mask], &[scale])
}

static SCALED: Kernel = Kernel::new(
    "attention::scale_mask_softmax",
    INPUTS,
    &["scale"],
    "
    z = select(-INFINITY, x * scale, mask != 0);
    most = max(z);
    shift = most == -INFINITY ? 0.0f : kk_stop(most);
    e = metal::fast::exp(z - shift);
    total = sum(e);
    select(0.0f, e / (total == 0 ? 1.0f : total), mask != 0)",
    FORMULA,
);
const INPUTS: &[crate::kernels::Input] = &[input("x", Kind::Rows), input("mask", Kind::Mask)];
const FORMULA: &str =
    "z = x * scale; e = mask != 0 ? exp(z - max(stop(z))) : 0; mask != 0 ? e / sum(e) : 0";
/// The scale of tests and benchmarks.
const SCALE: f32 = 0.125;

static MORE: &[Entry] = &[Entry {
    name: "attention::scale_mask_softmax",
    formula: FORMULA,
    file: "",
    inputs: INPUTS,
    call: |p| Ok(vec![scale_mask_softmax(&p[0], &p[1], SCALE)?]),
    composite: |p| SCALED.reference(p, &[f64::from(SCALE)]),
    mlx: None,
    bytes: |rows, width, size| SCALED.bytes(rows, width, size),
    roundings: few_roundings,
}];

/// The rows of the table.
pub(in crate::kernels) static TABLES: [&[Entry]; 2] = [PLAIN, MORE];
