//! Attention.

use crate::array::maybe;
use crate::bridge::fast::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Error, Result};

/// Attention of several heads: `softmax(scale * q k^T + mask) v`, the softmax in float32.
///
/// Queries have the shape `(batch, heads, queries, d)`, keys `(batch, kv_heads, keys, d)` and
/// values `(batch, kv_heads, keys, dv)`. `heads` is a multiple of `kv_heads`: neighbouring heads
/// share a key head, and keys need no repetition. `scale` is usually `1 / sqrt(d)`.
pub fn scaled_dot_product_attention<'a>(
    queries: &'a Array,
    keys: &'a Array,
    values: &'a Array,
    scale: f32,
) -> Attention<'a> {
    Attention {
        queries,
        keys,
        values,
        scale,
        mask: Mask::None,
        sinks: None,
        force_fused: false,
    }
}

/// Options of [`scaled_dot_product_attention`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Attention<'a> {
    queries: &'a Array,
    keys: &'a Array,
    values: &'a Array,
    scale: f32,
    mask: Mask<'a>,
    sinks: Option<&'a Array>,
    force_fused: bool,
}

#[derive(Clone, Debug)]
enum Mask<'a> {
    None,
    Causal,
    Array(&'a Array),
}

impl<'a> Attention<'a> {
    /// Each query sees the keys up to its own; the last query is aligned with the last key.
    ///
    /// Replaces [`mask`](Self::mask).
    pub fn causal(mut self) -> Self {
        self.mask = Mask::Causal;
        self
    }

    /// Bools, true where a query sees a key, or numbers to add to the scores.
    ///
    /// It broadcasts to `(batch, heads, queries, keys)`. Replaces [`causal`](Self::causal).
    pub fn mask(mut self, mask: &'a Array) -> Self {
        self.mask = Mask::Array(mask);
        self
    }

    /// A score of each head, shape `(heads,)`, that takes part in the softmax without a value.
    pub fn sinks(mut self, sinks: &'a Array) -> Self {
        self.sinks = Some(sinks);
        self
    }

    /// Takes a fused kernel even where MLX thinks another way faster; an error where there is none.
    pub fn force_fused(mut self) -> Self {
        self.force_fused = true;
        self
    }

    /// The result, shape `(batch, heads, queries, dv)`, in the dtype the inputs promote to.
    ///
    /// # Errors
    /// [`Error::Shape`] or [`Error::Argument`] when the shapes do not fit, [`Error::Dtype`] when
    /// the dtype is no float or the mask's does not promote to it.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        // MLX divides by the number of key heads.
        if self.keys.ndim() == 4 && self.keys.shape()[1] == 0 {
            return Err(Error::shape(format!(
                "`keys`: expected at least one head, got shape {:?}",
                self.keys.shape()
            )));
        }
        let (causal, mask) = match self.mask {
            Mask::None => (false, None),
            Mask::Causal => (true, None),
            Mask::Array(mask) => (false, Some(mask)),
        };
        done(ffi::scaled_dot_product_attention(
            self.queries.raw(),
            self.keys.raw(),
            self.values.raw(),
            self.scale,
            causal,
            maybe(mask),
            maybe(self.sinks),
            self.force_fused,
            current(),
        ))
    }
}
