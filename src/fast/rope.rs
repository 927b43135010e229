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
///
/// ```
/// use zmlx::{Array, fast};
/// let x = Array::from_slice(&[1.0f32, 0.0], (1, 1, 2))?;
/// // The token at position 2 turns by two radians.
/// let y = fast::rope(&x, 2).offset(2).call()?;
/// let want = Array::from_slice(&[-0.416147f32, 0.909297], (1, 1, 2))?;
/// assert!(y.allclose(&want, (1e-4, 1e-5))?.item::<bool>()?);
/// let other = fast::rope(&x, 2).offset(1).scale(2.0).base(500.0).traditional(true);
/// assert!(other.call()?.allclose(&want, (1e-4, 1e-5))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
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
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fast};
    /// let x = Array::ones((2, 1, 1, 4), Dtype::Float32)?;
    /// let places = Array::from_iter([0, 5])?; // one for each of the batch
    /// let y = fast::rope(&x, 4).offsets(&places).call()?;
    /// assert_eq!(y.index(0)?.to_vec::<f32>()?, [1.0; 4]); // position 0 turns nothing
    /// assert_ne!(y.index(1)?.to_vec::<f32>()?, [1.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn offsets(mut self, offsets: &'a Array) -> Self {
        self.offset = Offset::Each(offsets);
        self
    }

    /// Periods instead of a base, shape `(dims / 2,)`: pair `i` turns by `position / freqs[i]`.
    ///
    /// ```
    /// use zmlx::{Array, fast};
    /// let x = Array::from_slice(&[1.0f32, 0.0], (1, 1, 2))?;
    /// let period = Array::from_iter([2.0f32])?;
    /// let y = fast::rope(&x, 2).offset(2).freqs(&period).call()?; // 2 / 2 radians
    /// let want = Array::from_slice(&[0.540302f32, 0.841471], (1, 1, 2))?;
    /// assert!(y.allclose(&want, (1e-4, 1e-5))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
