//! Options that calls of attention share, and what they may be.

use crate::kernels::arguments::{check_float, check_shape, signed};
use crate::{Array, Dtype, Error, Result};

/// Options of scores. `$cap` is what else their documentation says of the cap.
macro_rules! score_options {
    ($call:ident, $cap:literal) => {
        impl<'a> $call<'a> {
            /// The factor on the products of query and key (default `1 / sqrt(D)`).
            pub fn scale(mut self, scale: f32) -> Self {
                self.scale = Some(scale);
                self
            }

            #[doc = concat!("Scores become `cap * tanh(score / cap)`", $cap, ".")]
            pub fn softcap(mut self, cap: f32) -> Self {
                self.softcap = Some(cap);
                self
            }

            /// A score of each head, (H,), that takes part in the softmax without a value.
            pub fn sinks(mut self, sinks: &'a Array) -> Self {
                self.sinks = Some(sinks);
                self
            }
        }
    };
}
pub(super) use score_options;

/// Numbers of tokens as a kernel reads them: as signed ones, of which those that are too large stay large.
pub(super) fn narrow(lens: &Array) -> Result<Array> {
    match lens.dtype() {
        Dtype::Uint64 => signed(lens),
        _ => Ok(lens.clone()),
    }
}

/// Which tokens of a cache a query sees.
macro_rules! cache_options {
    ($call:ident) => {
        impl $call<'_> {
            /// The queries are those of a sequence's last N tokens, and each sees the tokens up to its own.
            pub fn causal(mut self) -> Self {
                self.causal = true;
                self
            }

            /// A query sees no token further back than the last `tokens` up to its own, which are counted as [`causal`](Self::causal) does.
            pub fn window(mut self, tokens: i32) -> Self {
                self.window = Some(tokens);
                self
            }
        }
    };
}
pub(super) use cache_options;

/// Refuses scores that are not one for each head.
#[track_caller]
pub(super) fn check_sinks(sinks: Option<&Array>, heads: i32) -> Result<()> {
    let Some(sinks) = sinks else { return Ok(()) };
    check_float("sinks", sinks)?;
    check_shape("sinks", sinks, &[heads])
}

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

/// What is wrong with a shape.
#[track_caller]
pub(super) fn wrong_shape(name: &str, expected: &str, shape: &[i32]) -> Error {
    Error::shape(format!(
        "`{name}`: expected shape {expected}, got {shape:?}"
    ))
}
