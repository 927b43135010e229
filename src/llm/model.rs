//! A decoder of the Llama family.

use super::config::{Activation, Config};
use super::linear::{Linear, Parts, Projections};
use super::matrix::{Matrix, Then};
use super::rope::Angles;
use super::share::Share;
use super::weights::Weights;
use crate::distributed::Group;
use crate::kernels::matrix::Way;
use crate::kernels::quant::Activations;
use crate::kernels::{norms, transformer};
use crate::{Array, Dtype, Error, Result, fast};

/// Where the attention of a layer finds keys and values, and keeps those of new tokens.
pub trait Attend {
    /// Attention of the new tokens in a layer: `queries` (T, heads, width of a head), `keys` and `values`
    /// (T, kv_heads, width of a head), none of them turned yet. The result is like `queries`.
    ///
    /// # Errors
    /// What the operations fail with.
    fn attend(
        &mut self,
        layer: usize,
        queries: &Array,
        keys: Array,
        values: Array,
    ) -> Result<Array>;

    /// The same for queries, keys and values one behind the other, (T, heads + 2 kv_heads, width of a head).
    ///
    /// # Errors
    /// Those of [`attend`](Self::attend).
    fn attend_together(&mut self, layer: usize, all: &Array, heads: i32) -> Result<Array> {
        let narrow = (all.shape()[1] - heads) / 2;
        let part = |from: i32, count: i32| all.index((.., from..from + count));
        let queries = part(0, heads)?;
        let (keys, values) = (part(heads, narrow)?, part(heads + narrow, narrow)?);
        self.attend(layer, &queries, keys, values)
    }
}

/// The weights of a model, and what they compute.
#[derive(Debug)]
pub struct Model {
    config: Config,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Array,
    /// None where the matrix of the tokens' vectors serves.
    head: Option<Matrix>,
    /// Whether norms and the like are MLX's own operations.
    plain: bool,
    activations: Activations,
    dtype: Dtype,
    /// What the file divides the rotary angles by.
    rope_factors: Option<Vec<f32>>,
    /// The part of this process, where several share the model.
    share: Option<Share>,
}

#[derive(Debug)]
struct Layer {
    attention_norm: Array,
    /// Queries, keys and values, by one product where their matrices are packed alike.
    attention: Projections,
    query_norm: Option<Array>,
    key_norm: Option<Array>,
    output: Linear,
    after_attention: Option<Array>,
    hidden_norm: Array,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    after_hidden: Option<Array>,
}

impl Model {
    /// A model of these weights.
    ///
    /// # Errors
    /// [`Error::Io`] for what is missing, [`Error::Shape`] for what has another shape than the configuration says.
    #[track_caller]
    pub fn new(config: Config, weights: Weights) -> Result<Self> {
        Model::of(config, weights, None)
    }

    /// This process's part of a model that the processes of a group share: each has some of the heads and of the elements of the feed-forward
    /// layers, and all get the same logits. Every process has to compute the same tokens. **Evaluates** the weights.
    ///
    /// [`config`](Self::config) tells the numbers of this process: its `heads`, `kv_heads` and `hidden` elements.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Argument`] for more processes than heads of keys and values, [`Error::Shape`] where a part of a packed
    /// matrix would be no whole blocks.
    #[track_caller]
    pub fn shared(config: Config, weights: Weights, group: &Group) -> Result<Self> {
        match group.size() {
            1 => Model::of(config, weights, None),
            _ => Model::of(config, weights, Some(group)),
        }
    }

    #[track_caller]
    fn of(config: Config, mut weights: Weights, group: Option<&Group>) -> Result<Self> {
        let share = match group {
            Some(group) => Some(Share::new(&config, &weights, group)?),
            None => None,
        };
        let parts = Parts {
            share: share.as_ref(),
            head: config.head_width,
        };
        let c = &config;
        let (width, head) = (c.width, c.head_width);
        let (wide, narrow) = (c.heads * head, c.kv_heads * head);
        // A process takes its rows of each of the three.
        if share.is_none() {
            weights.join_projections(c)?;
            weights.lay_together()?;
        }
        let together = |n: usize| weights.has(&format!("blk.{n}.attn_qkv.weight"));
        let joined: Vec<bool> = (0..c.layers).map(together).collect();
        let w = &mut weights;
        let embedding = w.matrix("token_embd.weight", c.vocabulary, width)?;
        let one = |norm: Array| match c.norm_adds_one {
            true => norm.add(1.0),
            false => Ok(norm),
        };
        let maybe_one = |norm: Option<Array>| norm.map(one).transpose();
        let mut layers = Vec::new();
        for (number, joined) in joined.into_iter().enumerate() {
            let name = |part: &str| format!("blk.{number}.{part}");
            let mut linear = |part: &str, rows, columns| {
                let bias = w.optional(&name(&format!("{part}.bias")), rows)?;
                let matrix = w.matrix(&name(&format!("{part}.weight")), rows, columns)?;
                Ok::<_, Error>(Linear { matrix, bias })
            };
            let attention = match joined {
                true => Projections::Together(linear("attn_qkv", wide + 2 * narrow, width)?),
                false => {
                    let queries = parts.of_heads(linear("attn_q", wide, width)?, |s| &s.heads)?;
                    let keys = parts.of_heads(linear("attn_k", narrow, width)?, |s| &s.kv_heads)?;
                    let values =
                        parts.of_heads(linear("attn_v", narrow, width)?, |s| &s.kv_heads)?;
                    Projections::new([queries, keys, values])?
                }
            };
            let output = linear("attn_output", width, wide)?;
            let output = parts.behind_heads(&name("attn_output.weight"), output)?;
            let mut hidden = |part| w.matrix(&name(part), c.hidden, width);
            let gate = parts.of_hidden(hidden("ffn_gate.weight")?)?;
            let up = parts.of_hidden(hidden("ffn_up.weight")?)?;
            let down = w.matrix(&name("ffn_down.weight"), width, c.hidden)?;
            layers.push(Layer {
                attention_norm: one(w.vector(&name("attn_norm.weight"), width)?)?,
                attention,
                query_norm: maybe_one(w.optional(&name("attn_q_norm.weight"), head)?)?,
                key_norm: maybe_one(w.optional(&name("attn_k_norm.weight"), head)?)?,
                output,
                after_attention: maybe_one(
                    w.optional(&name("post_attention_norm.weight"), width)?,
                )?,
                hidden_norm: one(w.vector(&name("ffn_norm.weight"), width)?)?,
                gate,
                up,
                down: parts.behind_hidden(&name("ffn_down.weight"), down)?,
                after_hidden: maybe_one(w.optional(&name("post_ffw_norm.weight"), width)?)?,
            });
        }
        let norm = one(w.vector("output_norm.weight", width)?)?;
        let head = match w.has("output.weight") {
            true => Some(w.matrix("output.weight", c.vocabulary, width)?),
            false => None,
        };
        let head = parts.of_tokens(head, &embedding)?;
        let rope_factors = match w.optional("rope_freqs.weight", config.rope_dims / 2)? {
            Some(factors) => Some(factors.to_vec::<f32>()?),
            None => None,
        };
        let config = match &share {
            Some(share) => share.config(config),
            None => config,
        };
        Ok(Model {
            config,
            embedding,
            layers,
            norm,
            head,
            plain: false,
            activations: Activations::Int8,
            dtype: Dtype::Float32,
            rope_factors,
            share,
        })
    }

    /// In which numbers products with packed matrices take vectors: [`Activations::Int8`] unless said otherwise; see docs/SERVING.md.
    pub fn with_activations(mut self, activations: Activations) -> Self {
        self.activations = activations;
        self
    }

    /// The same model computed by MLX's operations alone, its weights in float32. **Evaluates** the weights.
    ///
    /// # Errors
    /// What the evaluation fails with.
    #[track_caller]
    pub fn plain(mut self) -> Result<Self> {
        self.plain = true;
        for matrix in self.matrices_mut() {
            *matrix = matrix.to_dense()?;
        }
        Ok(self)
    }

    fn matrices_mut(&mut self) -> impl Iterator<Item = &mut Matrix> {
        let layers = self.layers.iter_mut().flat_map(|l| {
            let others = [&mut l.output.matrix, &mut l.gate, &mut l.up, &mut l.down];
            l.attention.matrices_mut().chain(others)
        });
        layers.chain(&mut self.head).chain([&mut self.embedding])
    }

    /// Bytes of all matrices that a token's computation reads.
    pub fn nbytes(&self) -> usize {
        let layers = self.layers.iter().flat_map(|l| {
            let others = [&l.output.matrix, &l.gate, &l.up, &l.down];
            l.attention.matrices().chain(others)
        });
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        layers.chain([head]).map(Matrix::nbytes).sum()
    }

    /// The rotary angles of layers that see all tokens, or of those with a window.
    pub(super) fn angles(&self, window: bool) -> Angles {
        Angles::new(&self.config, window, self.rope_factors.as_deref())
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The dtype that it computes in.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Whether it is computed by MLX's operations alone.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Logits (rows, vocabulary), float32, behind the tokens of the numbers `rows` among the new `tokens` (T,).
    ///
    /// # Errors
    /// What the operations fail with.
    #[track_caller]
    pub fn forward(&self, tokens: &Array, rows: &Array, attend: &mut dyn Attend) -> Result<Array> {
        let c = &self.config;
        let mut x = self.embedding.rows(tokens, self.dtype)?;
        if c.embedding_scale != 1.0 {
            x = x.multiply(c.embedding_scale)?;
        }
        for (number, layer) in self.layers.iter().enumerate() {
            x = self.attention(number, layer, x, attend)?;
            x = self.hidden(layer, x)?;
        }
        let x = self.norm(&x.take(rows, 0)?, &self.norm)?;
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let logits = head.apply_then(&x, self.then(None))?;
        let logits = logits.astype(Dtype::Float32)?;
        match &self.share {
            Some(share) => share.gather(&logits),
            None => Ok(logits),
        }
    }

    /// What follows a product.
    fn then<'a>(&self, residual: Option<&'a Array>) -> Then<'a> {
        Then {
            activations: self.activations,
            way: match self.plain {
                true => Way::Mlx,
                false => Way::Measured,
            },
            bias: None,
            residual,
        }
    }

    /// `x` plus the attention of its norm.
    fn attention(
        &self,
        number: usize,
        layer: &Layer,
        x: Array,
        attend: &mut dyn Attend,
    ) -> Result<Array> {
        let c = &self.config;
        let (tokens, wide) = (x.shape()[0], c.heads * c.head_width);
        let heads = |y: &Array, heads: i32, norm: &Option<Array>| {
            let y = y.reshape((tokens, heads, c.head_width))?;
            self.maybe_norm(y, norm.as_ref())
        };
        let y = self.norm(&x, &layer.attention_norm)?;
        let y = match &layer.attention {
            Projections::Together(all)
                if layer.query_norm.is_none() && layer.key_norm.is_none() =>
            {
                let y = all.apply(&y, self.then(None))?;
                let y = y.reshape((tokens, c.heads + 2 * c.kv_heads, c.head_width))?;
                attend.attend_together(number, &y, c.heads)?
            }
            several => {
                let narrow = c.kv_heads * c.head_width;
                let [q, k, v] = several.apply(&y, self.then(None), wide, narrow)?;
                let queries = heads(&q, c.heads, &layer.query_norm)?;
                let keys = heads(&k, c.kv_heads, &layer.key_norm)?;
                let values = heads(&v, c.kv_heads, &None)?;
                attend.attend(number, &queries, keys, values)?
            }
        };
        let y = y.reshape((tokens, wide))?;
        self.added(x, layer.after_attention.as_ref(), |x| {
            layer.output.apply(&y, self.then(x))
        })
    }

    /// `x` plus the feed-forward part of its norm.
    fn hidden(&self, layer: &Layer, x: Array) -> Result<Array> {
        let y = self.norm(&x, &layer.hidden_norm)?;
        let y = self.between(layer, &y)?;
        self.added(x, layer.after_hidden.as_ref(), |residual| {
            layer.down.apply_then(&y, self.then(residual))
        })
    }

    /// `x` plus a product, which takes the sum along unless a norm stands between, or other processes have parts of it.
    fn added(
        &self,
        x: Array,
        norm: Option<&Array>,
        product: impl FnOnce(Option<&Array>) -> Result<Array>,
    ) -> Result<Array> {
        let y = match (&self.share, norm) {
            (None, None) => return product(Some(&x)),
            (None, Some(_)) => product(None)?,
            (Some(share), _) => share.sum(&product(None)?)?,
        };
        x.add(self.maybe_norm(y, norm)?)
    }

    fn between(&self, layer: &Layer, x: &Array) -> Result<Array> {
        if self.config.activation == Activation::Silu
            && let Some(y) = Matrix::swiglu(&layer.gate, &layer.up, x, self.activations)?
        {
            return Ok(y);
        }
        let then = self.then(None);
        let (gate, up) = (
            layer.gate.apply_then(x, then)?,
            layer.up.apply_then(x, then)?,
        );
        match (self.config.activation, self.plain) {
            (Activation::Silu, false) => transformer::swiglu2(&gate, &up),
            (Activation::Gelu, false) => transformer::geglu2(&gate, &up),
            (Activation::Silu, true) => gate.multiply(&gate.sigmoid()?)?.multiply(&up),
            (Activation::Gelu, true) => gelu(&gate)?.multiply(&up),
        }
    }

    fn norm(&self, x: &Array, weight: &Array) -> Result<Array> {
        match self.plain {
            true => fast::rms_norm(x, weight, self.config.epsilon),
            false => norms::rmsnorm(x, weight).eps(self.config.epsilon).call(),
        }
    }

    fn maybe_norm(&self, x: Array, weight: Option<&Array>) -> Result<Array> {
        match weight {
            Some(weight) => self.norm(&x, weight),
            None => Ok(x),
        }
    }
}

/// `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
fn gelu(x: &Array) -> Result<Array> {
    let cubed = x.square()?.multiply(x)?.multiply(0.044_715)?;
    let angle = x
        .add(&cubed)?
        .multiply((2.0 / std::f32::consts::PI).sqrt())?;
    x.multiply(0.5)?.multiply(&angle.tanh()?.add(1.0)?)
}
