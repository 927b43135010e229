//! What options of attention may be.

use crate::{Array, Error, Result};

/// The factor on products: `1 / sqrt(D)` by default.
#[track_caller]
pub(super) fn scale_of(scale: Option<f32>, width: i32) -> Result<f32> {
    let scale = scale.unwrap_or_else(|| 1.0 / (width.max(1) as f32).sqrt());
    match scale.is_finite() {
        true => Ok(scale),
        false => Err(Error::argument("scale", "a finite number", scale)),
    }
}

/// The cap of scores, 0 for none.
#[track_caller]
pub(super) fn cap_of(cap: Option<f32>) -> Result<f32> {
    match cap {
        None => Ok(0.0),
        Some(cap) if cap.is_finite() && cap > 0.0 => Ok(cap),
        Some(cap) => Err(Error::argument("softcap", "a finite number above 0", cap)),
    }
}

/// The tokens of a window, 0 for all.
#[track_caller]
pub(super) fn window_of(window: Option<i32>) -> Result<i64> {
    match window {
        None => Ok(0),
        Some(n) if n > 0 => Ok(n.into()),
        Some(n) => Err(Error::argument("window", "at least 1", n)),
    }
}

/// Refuses what is no integer.
#[track_caller]
pub(super) fn check_integers(name: &str, a: &Array) -> Result<()> {
    if a.dtype().is_integral() {
        return Ok(());
    }
    Err(Error::dtype(format!(
        "`{name}`: expected integers, got {}",
        a.dtype()
    )))
}

/// What is wrong with a shape.
#[track_caller]
pub(super) fn wrong_shape(name: &str, expected: &str, shape: &[i32]) -> Error {
    Error::shape(format!(
        "`{name}`: expected shape {expected}, got {shape:?}"
    ))
}
