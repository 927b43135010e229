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
///
/// ```
/// use zmlx::{Array, Dtype, fast};
/// let q = Array::ones((1, 2, 3, 8), Dtype::Float32)?; // two heads, three queries
/// let v = Array::arange(3)?.reshape((1, 1, 3, 1))?.astype(Dtype::Float32)?;
/// let k = Array::ones((1, 1, 3, 8), Dtype::Float32)?;
/// let y = fast::scaled_dot_product_attention(&q, &k, &v, 0.5).causal().call()?;
/// // Of equal scores each query has the mean of the values up to its own.
/// let want = Array::from_slice(&[0.0f32, 0.5, 1.0], (1, 1, 3, 1))?;
/// assert!(y.allclose(&want, (1e-4, 1e-6))?.item::<bool>()?);
/// # Ok::<(), zmlx::Error>(())
/// ```
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
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fast};
    /// let q = Array::ones((1, 1, 1, 8), Dtype::Float32)?;
    /// let k = Array::ones((1, 1, 2, 8), Dtype::Float32)?;
    /// let v = Array::from_slice(&[3.0f32, 5.0], (1, 1, 2, 1))?;
    /// let mask = Array::from_slice(&[false, true], (1, 2))?;
    /// let y = fast::scaled_dot_product_attention(&q, &k, &v, 1.0).mask(&mask).call()?;
    /// assert_eq!(y.item::<f32>()?, 5.0);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn mask(mut self, mask: &'a Array) -> Self {
        self.mask = Mask::Array(mask);
        self
    }

    /// A score of each head, shape `(heads,)`, that takes part in the softmax without a value.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fast};
    /// let q = Array::zeros((1, 1, 1, 8), Dtype::Float32)?;
    /// let v = Array::full((1, 1, 1, 8), 6.0, Dtype::Float32)?;
    /// let sinks = Array::from_iter([0.0f32])?;
    /// let y = fast::scaled_dot_product_attention(&q, &v, &v, 1.0).sinks(&sinks).call()?;
    /// // The sink has the score 0 as the only key has: half of the weight.
    /// assert!((y.index((0, 0, 0, 0))?.item::<f32>()? - 3.0).abs() < 1e-5);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn sinks(mut self, sinks: &'a Array) -> Self {
        self.sinks = Some(sinks);
        self
    }

    /// Takes a fused kernel even where MLX thinks another way faster; an error where there is none.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fast};
    /// let x = Array::ones((1, 1, 1, 64), Dtype::Float32)?;
    /// let call = fast::scaled_dot_product_attention(&x, &x, &x, 1.0).force_fused();
    /// match call.call().and_then(|y| y.index((0, 0, 0, 0))?.item::<f32>()) {
    ///     Ok(y) => assert_eq!(y, 1.0),
    ///     Err(error) => println!("no fused kernel here: {error}"),
    /// }
    /// # Ok::<(), zmlx::Error>(())
    /// ```
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
