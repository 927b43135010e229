//! The gated delta rule.

use crate::array::maybe;
use crate::bridge::fast::ffi;
use crate::ops::done_list;
use crate::stream::current;
use crate::{Array, Error, Result};

/// The gated delta rule of linear attention (Yang and others, "Gated Delta Networks", 2024).
///
/// With a state `S` of shape `(dv, dk)` for each batch and value head, each token does
/// `S = g S; S = S + beta (v - S k) k^T; y = S q`.
///
/// Queries and keys have the shape `(batch, tokens, key_heads, dk)`, values
/// `(batch, tokens, heads, dv)`, gates and beta `(batch, tokens, heads)`. `heads` is a multiple of
/// `key_heads`: neighbouring heads share a key head.
///
/// ```
/// use zmlx::{Array, Dtype, fast};
/// // One token, one head: the state is v k^T, and the output v (k . q).
/// let x = Array::ones((1, 1, 1, 2), Dtype::Float32)?;
/// let one = Array::ones((1, 1, 1), Dtype::Float32)?;
/// let (y, state) = fast::gated_delta_update(&x, &x, &x, &one, &one).call()?;
/// assert_eq!(y.to_vec::<f32>()?, [2.0, 2.0]);
/// assert_eq!(state.to_vec::<f32>()?, [1.0; 4]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn gated_delta_update<'a>(
    queries: &'a Array,
    keys: &'a Array,
    values: &'a Array,
    gates: &'a Array,
    beta: &'a Array,
) -> GatedDelta<'a> {
    GatedDelta {
        queries,
        keys,
        values,
        gates,
        beta,
        state: None,
        mask: None,
    }
}

/// Options of [`gated_delta_update`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct GatedDelta<'a> {
    queries: &'a Array,
    keys: &'a Array,
    values: &'a Array,
    gates: &'a Array,
    beta: &'a Array,
    state: Option<&'a Array>,
    mask: Option<&'a Array>,
}

impl<'a> GatedDelta<'a> {
    /// The state to begin with, shape `(batch, heads, dv, dk)`; zeros without it.
    pub fn state(mut self, state: &'a Array) -> Self {
        self.state = Some(state);
        self
    }

    /// Bools of shape `(batch, tokens)`: a token that is false leaves the state as it is.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, fast};
    /// let x = Array::ones((1, 1, 1, 2), Dtype::Float32)?;
    /// let one = Array::ones((1, 1, 1), Dtype::Float32)?;
    /// let before = Array::full((1, 1, 2, 2), 7.0, Dtype::Float32)?;
    /// let mask = Array::from_slice(&[false], (1, 1))?;
    /// let call = fast::gated_delta_update(&x, &x, &x, &one, &one).state(&before).mask(&mask);
    /// assert_eq!(call.call()?.1.to_vec::<f32>()?, [7.0; 4]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn mask(mut self, mask: &'a Array) -> Self {
        self.mask = Some(mask);
        self
    }

    /// The outputs, shape `(batch, tokens, heads, dv)`, and the last state.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not fit, [`Error::Dtype`] when an array but the
    /// mask is not a float one, or the mask not bool.
    #[track_caller]
    pub fn call(self) -> Result<(Array, Array)> {
        self.check()?;
        let both = done_list(ffi::gated_delta_update(
            self.queries.raw(),
            self.keys.raw(),
            self.values.raw(),
            self.gates.raw(),
            self.beta.raw(),
            maybe(self.state),
            maybe(self.mask),
            current(),
        ))?;
        let [outputs, state] = <[Array; 2]>::try_from(both)
            .map_err(|_| Error::other("MLX gave another number of results than two"))?;
        Ok((outputs, state))
    }

    /// MLX itself checks none of this.
    #[track_caller]
    fn check(&self) -> Result<()> {
        let (&[b, t, hk, dk], &[_, _, hv, dv]) = (self.keys.shape(), self.values.shape()) else {
            return Err(Error::shape(format!(
                "`keys`, `values`: expected four dimensions, got {:?} and {:?}",
                self.keys.shape(),
                self.values.shape()
            )));
        };
        if t == 0 || hk == 0 || hv % hk != 0 {
            return Err(Error::shape(format!(
                "`values`: expected at least one token and a multiple of {hk} heads, got {:?}",
                self.values.shape()
            )));
        }
        fits("queries", self.queries, &[b, t, hk, dk])?;
        fits("values", self.values, &[b, t, hv, dv])?;
        fits("keys", self.keys, &[b, t, hk, dk])?;
        fits("gates", self.gates, &[b, t, hv])?;
        fits("beta", self.beta, &[b, t, hv])?;
        if let Some(state) = self.state {
            fits("state", state, &[b, hv, dv, dk])?;
        }
        match self.mask {
            Some(mask) if mask.dtype() != crate::Dtype::Bool => Err(Error::dtype(format!(
                "`mask`: expected bool, got {}",
                mask.dtype()
            ))),
            Some(mask) => has_shape("mask", mask, &[b, t]),
            None => Ok(()),
        }
    }
}

#[track_caller]
fn fits(name: &str, array: &Array, shape: &[i32]) -> Result<()> {
    if !array.dtype().is_floating() {
        return Err(Error::dtype(format!(
            "`{name}`: expected a float dtype, got {}",
            array.dtype()
        )));
    }
    has_shape(name, array, shape)
}

#[track_caller]
fn has_shape(name: &str, array: &Array, shape: &[i32]) -> Result<()> {
    if array.shape() == shape {
        return Ok(());
    }
    Err(Error::shape(format!(
        "`{name}`: expected shape {shape:?}, got {:?}",
        array.shape()
    )))
}
