//! Rotary position embedding.

use std::borrow::Cow;

use crate::array::maybe;
use crate::bridge::fast::ffi;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Result};

/// Rotary position embedding of the first `dims` features of `x`, shape `(batch, .., tokens, features)`.
///
/// Pairs of features turn by the angle `(token + offset) * scale * base^(-2i / dims)`, `i`
/// being the number of the pair. Pairs are `(i, i + dims / 2)`, or `(2i, 2i + 1)` if
/// [`traditional`](Rope::traditional). Defaults: base 10000, scale 1, offset 0.
pub fn rope(x: &Array, dims: i32) -> Rope<'_> {
    Rope {
        x,
        dims,
        traditional: false,
        base: 10_000.0,
        scale: 1.0,
        offset: Offset::Same(0),
        freqs: None,
    }
}

/// Options of [`rope`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Rope<'a> {
    x: &'a Array,
    dims: i32,
    traditional: bool,
    base: f32,
    scale: f32,
    offset: Offset<'a>,
    freqs: Option<&'a Array>,
}

#[derive(Clone, Debug)]
enum Offset<'a> {
    Same(i32),
    Each(&'a Array),
}

impl<'a> Rope<'a> {
    /// Whether neighbours are paired instead of halves.
    pub fn traditional(mut self, traditional: bool) -> Self {
        self.traditional = traditional;
        self
    }

    /// The base of the angles.
    pub fn base(mut self, base: f32) -> Self {
        self.base = base;
        self
    }

    /// A factor on the positions.
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self
    }

    /// The position of the first token.
    pub fn offset(mut self, offset: i32) -> Self {
        self.offset = Offset::Same(offset);
        self
    }

    /// The position of the first token as an integer array: one number, or one for each of the batch.
    pub fn offsets(mut self, offsets: &'a Array) -> Self {
        self.offset = Offset::Each(offsets);
        self
    }

    /// Periods instead of a base, shape `(dims / 2,)`: pair `i` turns by `position / freqs[i]`.
    pub fn freqs(mut self, freqs: &'a Array) -> Self {
        self.freqs = Some(freqs);
        self
    }

    /// The turned features, with the shape and dtype of `x`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) or [`Error::Argument`](crate::Error::Argument) when
    /// `x` has less than 3 dimensions, `dims` is odd, not positive or above the number of features,
    /// or an array has another shape; [`Error::Dtype`](crate::Error::Dtype) when `x` is no float array.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let offset = match self.offset {
            Offset::Same(n) => Cow::Owned(Array::scalar(n)?),
            Offset::Each(a) => Cow::Borrowed(a),
        };
        done(ffi::rope(
            self.x.raw(),
            self.dims,
            self.traditional,
            self.base,
            self.scale,
            offset.raw(),
            maybe(self.freqs),
            current(),
        ))
    }
}
