//! Attention of several heads.

use super::attend::{Mask, attend};
use super::cache::KvCache;
use super::init::Init;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::rope::Rope;
use crate::nn::Module;
use crate::{Array, Error, Result};

/// Causal attention with rotary positions and, where `kv_heads` is less than `heads`, shared keys and values (J. Ainslie and
/// others, "GQA", 2023): (batch, positions, width) keeps its shape.
///
/// Its linear layers are `q`, `k`, `v` and `o`.
///
/// ```
/// use zmlx::{nn, random};
/// # fn main() -> zmlx::Result<()> {
/// let mut init = nn::Init::seed(7);
/// let attention = nn::Attention::new(nn::AttentionConfig::new(32, 4).kv_heads(2), &mut init)?;
/// let x = random::normal((1, 6, 32))?;
/// let whole = attention.forward(&x, None)?;
/// // The same token by token.
/// let mut cache = nn::KvCache::growing();
/// let first = attention.forward(&x.index((.., 0..5))?, &mut cache)?;
/// let last = attention.forward(&x.index((.., 5..6))?, &mut cache)?;
/// assert!(last.allclose(&whole.index((.., 5..6))?, (1e-4, 1e-5))?.item::<bool>()?);
/// # let _ = first;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct Attention {
    /// Queries: (heads head_dim, width).
    pub q: Linear,
    /// Keys: (kv_heads head_dim, width).
    pub k: Linear,
    /// Values: (kv_heads head_dim, width).
    pub v: Linear,
    /// What comes out: (width, heads head_dim).
    pub o: Linear,
    /// Normalizes the heads of queries, if there.
    pub q_norm: Option<RmsNorm>,
    /// Normalizes the heads of keys, if there.
    pub k_norm: Option<RmsNorm>,
    /// The positions; none leaves them out.
    pub rope: Option<Rope>,
    #[module(skip)]
    config: AttentionConfig,
}

/// Sizes and options of an [`Attention`].
///
/// ```
/// use zmlx::nn;
/// let config = nn::AttentionConfig::new(32, 4)
///     .kv_heads(2)
///     .head_dim(16)
///     .scale(0.25)
///     .bias(true)
///     .output_bias(false)
///     .head_norm(true)
///     .rope_base(500_000.0)
///     .causal(true)
///     .window(128);
/// let attention = nn::Attention::new(config, &mut nn::Init::seed(7))?;
/// assert_eq!(attention.q.sizes(), (32, 4 * 16));
/// assert_eq!(attention.k.sizes(), (32, 2 * 16));
/// assert!(attention.k.bias.is_some() && attention.o.bias.is_none());
/// # Ok::<(), zmlx::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct AttentionConfig {
    width: i32,
    heads: i32,
    kv_heads: i32,
    head_dim: i32,
    scale: Option<f32>,
    bias: bool,
    output_bias: bool,
    head_norm: bool,
    rope_base: Option<f64>,
    causal: bool,
    window: Option<i32>,
}

impl AttentionConfig {
    /// `heads` heads of `width / heads` numbers, without bias, rotary positions to the base 10000, causal.
    pub fn new(width: i32, heads: i32) -> Self {
        AttentionConfig {
            width,
            heads,
            kv_heads: heads,
            head_dim: width / heads.max(1),
            scale: None,
            bias: false,
            output_bias: false,
            head_norm: false,
            rope_base: Some(10_000.0),
            causal: true,
            window: None,
        }
    }

    /// Heads of keys and values, which divide the heads.
    pub fn kv_heads(mut self, kv_heads: i32) -> Self {
        self.kv_heads = kv_heads;
        self
    }

    /// Numbers of a head.
    pub fn head_dim(mut self, head_dim: i32) -> Self {
        self.head_dim = head_dim;
        self
    }

    /// The factor on the scores (default `1 / sqrt(head_dim)`).
    pub fn scale(mut self, scale: f32) -> Self {
        self.scale = Some(scale);
        self
    }

    /// Whether queries, keys and values have a bias.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Whether what comes out has a bias.
    pub fn output_bias(mut self, bias: bool) -> Self {
        self.output_bias = bias;
        self
    }

    /// Whether each head of queries and keys is normalized before it is turned.
    pub fn head_norm(mut self, head_norm: bool) -> Self {
        self.head_norm = head_norm;
        self
    }

    /// The base of the rotary positions; none leaves them out.
    pub fn rope_base(mut self, base: impl Into<Option<f64>>) -> Self {
        self.rope_base = base.into();
        self
    }

    /// Whether a position sees only those up to its own (default true).
    pub fn causal(mut self, causal: bool) -> Self {
        self.causal = causal;
        self
    }

    /// How many positions a position sees, its own included (default all before it).
    pub fn window(mut self, window: impl Into<Option<i32>>) -> Self {
        self.window = window.into();
        self
    }

    /// Whether it has a window.
    pub(super) fn has_window(&self) -> bool {
        self.window.is_some()
    }

    #[track_caller]
    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("width", self.width),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("window", self.window.unwrap_or(1)),
        ] {
            if value < 1 {
                return Err(Error::argument(name, "1 or more", value));
            }
        }
        if self.heads % self.kv_heads != 0 {
            let expected = format!("a divisor of the {} heads", self.heads);
            return Err(Error::argument("kv_heads", expected, self.kv_heads));
        }
        if self.window.is_some() && !self.causal {
            let expected = "none where positions see those behind them";
            return Err(Error::argument("window", expected, "one"));
        }
        Ok(())
    }
}

impl Attention {
    /// A layer with random weights.
    ///
    /// # Errors
    /// [`Error::Argument`] for sizes that do not fit each other.
    #[track_caller]
    pub fn new(config: AttentionConfig, init: &mut Init) -> Result<Self> {
        config.check()?;
        let (width, d) = (config.width, config.head_dim);
        let linear = |inputs, outputs, bias, init: &mut Init| match bias {
            true => Linear::new(inputs, outputs, init),
            false => Linear::without_bias(inputs, outputs, init),
        };
        let Some(all) = config.heads.checked_mul(d) else {
            let expected = format!("a width of which {} heads are below 2^31", config.heads);
            return Err(Error::argument("head_dim", expected, d));
        };
        let norm = |init: &Init| config.head_norm.then(|| RmsNorm::new(d, init)).transpose();
        Ok(Attention {
            q: linear(width, all, config.bias, init)?,
            k: linear(width, config.kv_heads * d, config.bias, init)?,
            v: linear(width, config.kv_heads * d, config.bias, init)?,
            o: linear(all, width, config.output_bias, init)?,
            q_norm: norm(init)?,
            k_norm: norm(init)?,
            rope: config.rope_base.map(|base| Rope::new(d).base(base)),
            config,
        })
    }

    /// The sizes and options it was made with.
    pub fn config(&self) -> &AttentionConfig {
        &self.config
    }

    /// Applies the layer to the next positions, (batch, positions, width). They see what the cache holds and are added to it; `None`
    /// stands for no cache.
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape; what the cache fails with.
    #[track_caller]
    pub fn forward<'c>(
        &self,
        x: &Array,
        cache: impl Into<Option<&'c mut KvCache>>,
    ) -> Result<Array> {
        self.forward_masked(x, cache, None)
    }

    /// The same with a mask of your own in place of the causal one, which broadcasts to (batch, heads, positions, keys): bools, true
    /// where a position sees a key, or numbers that are added to the scores.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn, random};
    /// let attention = nn::Attention::new(nn::AttentionConfig::new(8, 2), &mut nn::Init::seed(7))?;
    /// let x = random::normal((1, 3, 8))?;
    /// // The mask that `forward` has by itself.
    /// let mask = Array::tri(3, 3, 0, Dtype::Bool)?;
    /// let y = attention.forward_masked(&x, None, Some(&mask))?;
    /// assert!(y.allclose(&attention.forward(&x, None)?, (1e-4, 1e-5))?.item::<bool>()?);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and for a mask that does not fit.
    #[track_caller]
    pub fn forward_masked<'c>(
        &self,
        x: &Array,
        cache: impl Into<Option<&'c mut KvCache>>,
        mask: Option<&Array>,
    ) -> Result<Array> {
        let &[batch, positions, _] = x.shape() else {
            return Err(Error::shape(format!(
                "`x`: expected shape (batch, positions, {}), got {:?}",
                self.config.width,
                x.shape()
            )));
        };
        let cache = cache.into();
        let offset = cache.as_ref().map_or(0, |c| c.offset());
        let [q, k, v] = self.heads_of(x)?;
        let (q, k) = match &self.rope {
            Some(rope) => (rope.forward(&q, offset)?, rope.forward(&k, offset)?),
            None => (q, k),
        };
        let (keys, values, own) = match cache {
            Some(cache) => {
                let seen = cache.update_within(&k, &v, self.config.window)?;
                (seen.keys, seen.values, seen.mask)
            }
            None => (k, v, None),
        };
        let windowed;
        let mask = match (mask, &own) {
            (Some(mask), _) => Mask::Array(mask),
            (None, Some(own)) if self.config.causal => Mask::Array(own),
            (None, _) if !self.config.causal => Mask::None,
            (None, _) => match self.config.window.filter(|w| *w < keys.shape()[2]) {
                Some(window) => {
                    windowed = window_mask(positions, keys.shape()[2], window)?;
                    Mask::Array(&windowed)
                }
                // One query sees all there is.
                None if positions == 1 => Mask::None,
                None => Mask::Causal,
            },
        };
        let y = attend(&q, &keys, &values, self.scale(), mask)?;
        let y = y.transpose([0, 2, 1, 3])?;
        let width = self.config.heads * self.config.head_dim;
        self.o.forward(&y.reshape((batch, positions, width))?)
    }

    /// The factor on the scores.
    pub fn scale(&self) -> f32 {
        let usual = (self.config.head_dim as f32).sqrt().recip();
        self.config.scale.unwrap_or(usual)
    }

    /// Queries, keys and values of (batch, positions, width): (batch, heads, positions, head_dim), normalized, not yet turned.
    ///
    /// ```
    /// use zmlx::{nn, random};
    /// let attention = nn::Attention::new(nn::AttentionConfig::new(8, 2), &mut nn::Init::seed(7))?;
    /// let [q, k, v] = attention.heads_of(&random::normal((1, 3, 8))?)?;
    /// assert_eq!([q.shape(), k.shape(), v.shape()], [&[1, 2, 3, 4]; 3]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape.
    #[track_caller]
    pub fn heads_of(&self, x: &Array) -> Result<[Array; 3]> {
        let &[batch, positions, _] = x.shape() else {
            return Err(Error::shape(format!(
                "`x`: expected shape (batch, positions, {}), got {:?}",
                self.config.width,
                x.shape()
            )));
        };
        let AttentionConfig {
            heads,
            kv_heads,
            head_dim,
            ..
        } = self.config;
        let shape = |heads| [batch, positions, heads, head_dim];
        Ok([
            split(self.q.forward(x)?, shape(heads), self.q_norm.as_ref())?,
            split(self.k.forward(x)?, shape(kv_heads), self.k_norm.as_ref())?,
            split(self.v.forward(x)?, shape(kv_heads), None)?,
        ])
    }
}

/// Rows of all heads as (batch, heads, positions, head_dim), normalized.
#[track_caller]
fn split(y: Array, shape: [i32; 4], norm: Option<&RmsNorm>) -> Result<Array> {
    let y = y.reshape(shape)?;
    let y = match norm {
        Some(norm) => norm.forward(&y)?,
        None => y,
    };
    y.transpose([0, 2, 1, 3])
}

/// True where one of the last `queries` of `keys` positions sees a key: up to its own, and no further back than the window.
#[track_caller]
pub(super) fn window_mask(queries: i32, keys: i32, window: i32) -> Result<Array> {
    let at = Array::arange(keys - queries..keys)?.expand_dims(1)?;
    let key = Array::arange(keys)?.expand_dims(0)?;
    let back = at.subtract(&key)?;
    back.greater_equal(0)?.logical_and(back.less(window)?)
}
