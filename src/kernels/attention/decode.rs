//! Attention of a few new queries over the keys and values so far.

use super::cache::Cache;
use super::few::{FEW, Few};
use super::options::{
    cache_options, cap_of, check_sinks, narrow, scale_of, score_options, window_of, wrong_shape,
};
use crate::kernels::arguments::{check_float, check_integers, check_shape};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, other};
use crate::{Array, Error, Result};

/// Attention of a few queries over a long cache, as a language model needs it at each step: `softmax(scale q k^T) v`. Groups of
/// threads share the tokens of a sequence, and what they find is put together ("Flash-Decoding", T. Dao and others, 2023).
///
/// `q`: (B, H, N, D), N few, though any number works; `k`, `v`: (B, KV, L, D), where KV divides H, and H / KV heads in a row share keys and values; each
/// float32, float16 or bfloat16, or a [`QuantizedCache`](super::QuantizedCache) for both. Views are read where they lie: a part of a longer cache, or
/// transposed axes, are not copied. The result is like `q`. Computed in float32. A query that sees no token gives 0.
///
/// Options: [`scale`](DecodeAttention::scale), [`lens`](DecodeAttention::lens), [`causal`](DecodeAttention::causal),
/// [`window`](DecodeAttention::window), [`softcap`](DecodeAttention::softcap), [`sinks`](DecodeAttention::sinks). Another length,
/// number of sequences or value of an option compiles nothing.
///
/// Nothing beyond a sequence's length is read. What a mask hides from some of the queries only has to be finite.
///
/// Differentiable any number of times in `q`, floats `k` and `v`, scales and sinks; the derivatives come from MLX's operations.
///
/// ```
/// use zmlx::kernels::attention::{decode_attention, quantize_cache};
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let q = Array::ones((2, 4, 1, 32), F32)?;
/// let cache = Array::full((2, 2, 100, 32), 5.0, F32)?;
/// let lens = Array::from_slice(&[100, 0], 2)?;
/// let y = decode_attention(&q, &cache, &cache).lens(&lens).call()?;
/// assert_eq!(y.index((.., 0, 0, 0))?.to_vec::<f32>()?, [5.0, 0.0]);
/// let codes = quantize_cache(&cache, 8, 32)?;
/// let y = decode_attention(&q, &codes, &codes).lens(&lens).call()?;
/// assert!((y.index((0, 0, 0, 0))?.item::<f32>()? - 5.0).abs() < 0.01);
/// # Ok(())
/// # }
/// ```
pub fn decode_attention<'a>(
    q: &'a Array,
    k: impl Into<Cache<'a>>,
    v: impl Into<Cache<'a>>,
) -> DecodeAttention<'a> {
    DecodeAttention {
        q,
        caches: [k.into(), v.into()],
        lens: None,
        scale: None,
        causal: false,
        window: None,
        softcap: None,
        sinks: None,
    }
}

/// A call of [`decode_attention`].
///
/// ```
/// use zmlx::kernels::attention::decode_attention;
/// # use zmlx::prelude::*;
/// let q = Array::zeros((1, 1, 1, 32), F32)?;
/// let v = Array::full((1, 1, 3, 32), 6.0, F32)?;
/// let sinks = Array::from_iter([0.0f32])?;
/// // The window has two keys; together with the sink there are three equal scores.
/// let call = decode_attention(&q, &v, &v).causal().window(2).scale(0.5).softcap(50.0).sinks(&sinks);
/// assert!((call.call()?.index((0, 0, 0, 0))?.item::<f32>()? - 4.0).abs() < 1e-5);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct DecodeAttention<'a> {
    q: &'a Array,
    caches: [Cache<'a>; 2],
    lens: Option<&'a Array>,
    pub(super) scale: Option<f32>,
    pub(super) causal: bool,
    pub(super) window: Option<i32>,
    pub(super) softcap: Option<f32>,
    pub(super) sinks: Option<&'a Array>,
}

score_options!(DecodeAttention, "");
cache_options!(DecodeAttention);

impl<'a> DecodeAttention<'a> {
    /// How many tokens of each sequence count: (B,), integers. One below 0 is 0, one above L is L (also the default).
    pub fn lens(mut self, lens: &'a Array) -> Self {
        self.lens = Some(lens);
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Dtype`] for arrays that do not fit, [`Error::Argument`] for a scale that is not finite, a window
    /// below 1 or a cap that is not above 0.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let DecodeAttention { q, caches, .. } = self;
        check_float("q", q)?;
        let &[batch, heads, queries, width] = q.shape() else {
            return Err(wrong_shape("q", "(B, H, N, D)", q.shape()));
        };
        let shape = caches[0].shape("k")?;
        match *shape {
            [b, kv, _, d] if b == batch && d == width && kv > 0 && heads % kv == 0 => {}
            _ => {
                let expected = format!("({batch}, a divisor of {heads}, L, {width})");
                return Err(wrong_shape("k", &expected, &shape));
            }
        }
        check_same(&caches, &shape, ["k", "v"])?;
        if let Some(lens) = self.lens {
            check_integers("lens", lens)?;
            check_shape("lens", lens, &[batch])?;
        }
        check_sinks(self.sinks, heads)?;
        let few = Few {
            scale: scale_of(self.scale, width)?,
            cap: cap_of(self.softcap)?,
            window: window_of(self.window)?,
            // One query is the last one.
            causal: self.causal && queries > 1,
            sinks: self.sinks.is_some(),
            lens: self.lens.is_some(),
            paged: false,
            format: caches[0].format(),
        };
        let [k, v] = caches;
        let [key_scales, value_scales] = [k, v].map(|c| c.scales.unwrap_or(q));
        let lens = self.lens.map(narrow).transpose()?;
        let (lens, sinks) = (lens.as_ref().unwrap_or(q), self.sinks.unwrap_or(q));
        let inputs = [
            q,
            k.codes,
            v.codes,
            key_scales,
            value_scales,
            q,
            lens,
            sinks,
        ];
        FEW.call1(few, &inputs)
    }
}

/// Refuses values that are not like the keys.
#[track_caller]
pub(super) fn check_same(caches: &[Cache<'_>; 2], shape: &[i32], names: [&str; 2]) -> Result<()> {
    let [k, v] = caches;
    let [first, second] = names;
    let values = v.shape(second)?;
    if values != shape {
        return Err(wrong_shape(second, &format!("{shape:?}"), &values));
    }
    if k.codes.dtype() != v.codes.dtype() {
        let (own, theirs) = (v.codes.dtype(), k.codes.dtype());
        return Err(Error::dtype(format!(
            "`{second}`: expected {theirs} like `{first}`, got {own}"
        )));
    }
    let of = |c: &Cache<'_>| c.scales.map(|s| (s.shape().to_vec(), s.dtype()));
    if of(k) != of(v) {
        return Err(Error::shape(format!(
            "scales of `{second}`: expected those of `{first}` {:?}, got {:?}",
            of(k),
            of(v)
        )));
    }
    Ok(())
}

// In benchmarks: four heads of queries and two of keys, 64 tokens a sequence.
static QUERY: Other = floats(
    "(B, H, N, D)",
    &[Axes::Rows(1), Axes::Size(4), Axes::Size(1), Axes::Width],
);
static CACHE: Other = floats(
    "(B, KV, L, D)",
    &[Axes::Rows(1), Axes::Size(2), Axes::Size(64), Axes::Width],
);

pub(in crate::kernels) static TABLE: &[Entry] = &[Entry {
    name: "attention::decode_attention",
    formula: "softmax(q k^T / sqrt(D)) v over the tokens so far",
    file: "attention.metal",
    inputs: &[other("q", &QUERY), other("k", &CACHE), other("v", &CACHE)],
    call: |p| Ok(vec![decode_attention(&p[0], &p[1], &p[2]).call()?]),
    composite: |p| {
        let few = Few {
            scale: scale_of(None, p[0].shape()[3])?,
            cap: 0.0,
            window: 0,
            causal: false,
            sinks: false,
            lens: false,
            paged: false,
            format: 0,
        };
        let q = &p[0];
        let all = [q, &p[1], &p[2], q, q, q, q, q].map(Clone::clone);
        (FEW.composite)(&few, &all)
    },
    mlx: Some(|p| {
        let scale = scale_of(None, p[0].shape()[3])?;
        let y = crate::fast::scaled_dot_product_attention(&p[0], &p[1], &p[2], scale).call()?;
        Ok(vec![y])
    }),
    bytes: |rows, width, size| rows * width * size * (2 * 4 + 2 * 2 * 64),
    roundings: few_roundings,
}];
