//! Attention of many queries: what it takes, and the checks.

use super::flash_op::{FLASH, Flash, Mask};
use super::options::{cap_of, check_sinks, scale_of, score_options, window_of, wrong_shape};
use crate::kernels::arguments::{
    check_broadcast, check_float, check_integers, check_shape, number,
};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, other};
use crate::{Array, Dtype, Error, Result};

/// Attention without an array of scores, forward and backward: `softmax(scale q k^T + mask) v` (T. Dao, "FlashAttention-2: Faster Attention with
/// Better Parallelism and Work Partitioning", 2023).
///
/// `q`: (B, H, N, D); `k`, `v`: (B, KV, L, D), where KV divides H, and H / KV heads in a row share keys and values; all of one dtype, float32, float16
/// or bfloat16. D is a multiple of 8 up to 256; N and L are free. Views are read where they lie. The result is like `q`. The softmax is computed in
/// float32; on a GPU weights are rounded to the dtype before they multiply values, as factors of tensor cores are. A query that sees no key gives 0.
///
/// Options: [`scale`](FlashAttention::scale), [`causal`](FlashAttention::causal), [`window`](FlashAttention::window),
/// [`mask`](FlashAttention::mask), [`softcap`](FlashAttention::softcap), [`sinks`](FlashAttention::sinks),
/// [`segments`](FlashAttention::segments). Another shape or value compiles nothing; D in steps of 32 or 64 does.
///
/// Gradients of `q`, `k` and `v` come from kernels that compute the scores once more, and are the same each time; those of sinks and of a mask of
/// floats, forward mode and further derivatives come from MLX's operations, with an array of scores. Cotangents of the logarithm of
/// [`call_with_lse`](FlashAttention::call_with_lse) count.
///
/// ```
/// use zmlx::kernels::attention::flash_attention;
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let q = random::normal((1, 4, 10, 64))?;
/// let k = random::normal((1, 2, 10, 64))?;
/// let y = flash_attention(&q, &k, &k).causal().call()?;
/// // The first query sees the first key alone.
/// let far = y.index((0, 0, 0))?.subtract(&k.index((0, 0, 0))?)?.abs()?.max(..)?;
/// assert!(far.item::<f32>()? < 1e-6);
/// # Ok(())
/// # }
/// ```
pub fn flash_attention<'a>(q: &'a Array, k: &'a Array, v: &'a Array) -> FlashAttention<'a> {
    FlashAttention {
        q,
        k,
        v,
        scale: None,
        causal: false,
        window: None,
        mask: None,
        softcap: None,
        sinks: None,
        segments: None,
    }
}

/// A call of [`flash_attention`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct FlashAttention<'a> {
    pub(super) q: &'a Array,
    pub(super) k: &'a Array,
    pub(super) v: &'a Array,
    pub(super) scale: Option<f32>,
    pub(super) causal: bool,
    pub(super) window: Option<i32>,
    pub(super) mask: Option<&'a Array>,
    pub(super) softcap: Option<f32>,
    pub(super) sinks: Option<&'a Array>,
    pub(super) segments: Option<[&'a Array; 2]>,
}

score_options!(FlashAttention, ", before a mask is added");

impl<'a> FlashAttention<'a> {
    /// Each query sees the keys up to its own; the last query is aligned with the last key.
    pub fn causal(mut self) -> Self {
        self.causal = true;
        self
    }

    /// A query sees no key further back than the last `keys` up to its own, which are counted as [`causal`](Self::causal) does. Without
    /// `causal` it also sees all later ones.
    ///
    /// ```
    /// use zmlx::kernels::attention::flash_attention;
    /// # use zmlx::prelude::*;
    /// let (q, v) = (Array::ones((1, 1, 3, 64), F32)?, random::normal((1, 1, 3, 64))?);
    /// // A window of one key: each query has the value of its own place.
    /// let y = flash_attention(&q, &q, &v).causal().window(1).call()?;
    /// assert!(y.allclose(&v, (1e-5, 1e-6))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn window(mut self, keys: i32) -> Self {
        self.window = Some(keys);
        self
    }

    /// What broadcasts to (B, H, N, L): bools, true where a query sees a key, or floats to add to the scores, minus infinity included.
    ///
    /// ```
    /// use zmlx::kernels::attention::flash_attention;
    /// # use zmlx::prelude::*;
    /// let (q, v) = (Array::ones((1, 1, 2, 64), F32)?, random::normal((1, 1, 2, 64))?);
    /// let mask = Array::from_iter([false, true])?; // nobody sees the first key
    /// let y = flash_attention(&q, &q, &v).mask(&mask).call()?;
    /// assert!(y.index((0, 0, 0))?.allclose(&v.index((0, 0, 1))?, (1e-5, 1e-6))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn mask(mut self, mask: &'a Array) -> Self {
        self.mask = Some(mask);
        self
    }

    /// Packed sequences: a query sees the keys with its own number. (B, N) and (B, L), integers of one dtype.
    ///
    /// ```
    /// use zmlx::kernels::attention::flash_attention;
    /// # use zmlx::prelude::*;
    /// let (q, v) = (Array::ones((1, 1, 2, 64), F32)?, random::normal((1, 1, 2, 64))?);
    /// let texts = Array::from_slice(&[0, 1], (1, 2))?; // two texts of one token each
    /// let y = flash_attention(&q, &q, &v).segments(&texts, &texts).call()?;
    /// assert!(y.allclose(&v, (1e-5, 1e-6))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn segments(mut self, of_queries: &'a Array, of_keys: &'a Array) -> Self {
        self.segments = Some([of_queries, of_keys]);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Dtype`] for arrays that do not fit, [`Error::Argument`] for a scale that is not finite, a window below 1 or a cap
    /// that is not above 0.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        Ok(self.all()?.0)
    }

    /// The same, and the logarithm of each query's sum of exponentials, sinks included: (B, H, N), float32; minus infinity for a query that sees no
    /// key. Results over parts of the keys are put together with it.
    ///
    /// ```
    /// use zmlx::kernels::attention::flash_attention;
    /// # use zmlx::prelude::*;
    /// let x = Array::zeros((1, 1, 4, 64), F32)?;
    /// let (_, lse) = flash_attention(&x, &x, &x).causal().call_with_lse()?;
    /// // Query i sees i + 1 scores of 0.
    /// assert!((lse.index((0, 0, 3))?.item::<f32>()? - 4f32.ln()).abs() < 1e-5);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`call`](Self::call).
    #[track_caller]
    pub fn call_with_lse(self) -> Result<(Array, Array)> {
        self.all()
    }

    /// Refuses what does not fit, D aside.
    #[track_caller]
    pub(super) fn check(&self) -> Result<()> {
        let FlashAttention { q, k, v, .. } = *self;
        for (name, a) in [("q", q), ("k", k), ("v", v)] {
            check_float(name, a)?;
            if a.dtype() != q.dtype() {
                let (own, theirs) = (a.dtype(), q.dtype());
                return Err(Error::dtype(format!(
                    "`{name}`: expected {theirs} like `q`, got {own}"
                )));
            }
        }
        let &[batch, heads, queries, width] = q.shape() else {
            return Err(wrong_shape("q", "(B, H, N, D)", q.shape()));
        };
        let shape = k.shape();
        let keys = match *shape {
            [b, kv, l, d] if b == batch && d == width && kv > 0 && heads % kv == 0 => l,
            _ => {
                let expected = format!("({batch}, a divisor of {heads}, L, {width})");
                return Err(wrong_shape("k", &expected, shape));
            }
        };
        check_shape("v", v, shape)?;
        if let Some(mask) = self.mask {
            if mask.dtype() != Dtype::Bool {
                check_float("mask", mask)?;
            }
            check_broadcast("mask", mask, &[batch, heads, queries, keys])?;
        }
        check_sinks(self.sinks, heads)?;
        if let Some([of_queries, of_keys]) = self.segments {
            check_integers("of_queries", of_queries)?;
            check_shape("of_queries", of_queries, &[batch, queries])?;
            check_shape("of_keys", of_keys, &[batch, keys])?;
            if of_keys.dtype() != of_queries.dtype() {
                let (own, theirs) = (of_keys.dtype(), of_queries.dtype());
                return Err(Error::dtype(format!(
                    "`of_keys`: expected {theirs} like `of_queries`, got {own}"
                )));
            }
        }
        Ok(())
    }

    #[track_caller]
    fn all(self) -> Result<(Array, Array)> {
        self.check()?;
        let FlashAttention { q, k, v, .. } = self;
        let width = q.shape()[3];
        if !(8..=256).contains(&width) || width % 8 != 0 {
            let expected = "(B, H, N, a multiple of 8 up to 256)";
            return Err(wrong_shape("q", expected, q.shape()));
        }
        let mut flash = Flash {
            scale: scale_of(self.scale, width)?,
            cap: cap_of(self.softcap)?,
            window: window_of(self.window)?,
            causal: self.causal,
            mask: Mask::None,
            sinks: self.sinks.is_some(),
            segments: self.segments.is_some(),
        };
        // In the place of what there is not.
        let none = number(0.0f32)?;
        let full;
        let mask = match self.mask {
            None => &*none,
            Some(mask) => {
                flash.mask = match mask.dtype() {
                    Dtype::Bool => Mask::Seen,
                    _ => Mask::Added,
                };
                let [batch, heads, queries] = [0, 1, 2].map(|i| q.shape()[i]);
                full = mask.broadcast_to((batch, heads, queries, k.shape()[2]))?;
                &full
            }
        };
        let [of_queries, of_keys] = self.segments.unwrap_or([&none, &none]);
        let sinks = self.sinks.unwrap_or(&none);
        let inputs = [q, k, v, mask, sinks, of_queries, of_keys];
        let outputs = FLASH.call(flash, &inputs)?;
        match <[Array; 2]>::try_from(outputs) {
            Ok([y, lse]) => Ok((y, lse)),
            Err(other) => Err(Error::argument("outputs", 2, other.len())),
        }
    }
}

// In benchmarks: four heads of queries and two of keys, 64 tokens a sequence.
static QUERY: Other = floats(
    "(B, H, N, D)",
    &[Axes::Rows(1), Axes::Size(4), Axes::Size(64), Axes::Head],
);
static KEYS: Other = floats(
    "(B, KV, L, D)",
    &[Axes::Rows(1), Axes::Size(2), Axes::Size(64), Axes::Head],
);

pub(in crate::kernels) static TABLE: &[Entry] = &[Entry {
    name: "attention::flash_attention",
    formula: "softmax(q k^T / sqrt(D)) v",
    file: "flash.metal",
    inputs: &[other("q", &QUERY), other("k", &KEYS), other("v", &KEYS)],
    call: |p| Ok(vec![flash_attention(&p[0], &p[1], &p[2]).call()?]),
    composite: |p| {
        let flash = Flash {
            scale: scale_of(None, p[0].shape()[3])?,
            cap: 0.0,
            window: 0,
            causal: false,
            mask: Mask::None,
            sinks: false,
            segments: false,
        };
        let q = &p[0];
        let all = [q, &p[1], &p[2], q, q, q, q].map(Clone::clone);
        // Without the logarithms.
        Ok((FLASH.composite)(&flash, &all)?[..1].to_vec())
    },
    mlx: Some(|p| {
        let scale = scale_of(None, p[0].shape()[3])?;
        let y = crate::fast::scaled_dot_product_attention(&p[0], &p[1], &p[2], scale).call()?;
        Ok(vec![y])
    }),
    bytes: |rows, width, size| rows * width * size * (2 * 4 + 2 * 2) * 64,
    roundings: few_roundings,
}];
