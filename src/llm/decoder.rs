//! A language model as layers that can be trained.

use std::collections::BTreeMap;

use super::config::{Activation, Config};
use super::matrix::Matrix;
use super::rope::Angles;
use super::weights::Weights;
use crate::kernels::quant::{QuantFormat, QuantizedWeight};
use crate::nn::{self, Attention, AttentionConfig, Init, Module, ModuleExt};
use crate::{Array, Dtype, Error, Result};

/// The weights of a language model as layers of [`nn`](crate::nn), to train them or to fine-tune them by [`nn::Lora`].
///
/// Packed matrices stay packed; they are not trained, but products of low rank beside them are. What was learnt goes into a
/// [`Model`](super::Model) for generating by [`Lora::merge`](crate::nn::Lora::merge) and [`weights`](Self::weights).
///
/// ```no_run
/// use zmlx::nn::{self, Lora, ModuleExt, losses};
/// use zmlx::{llm, optim, prelude::*};
/// # fn main() -> zmlx::Result<()> {
/// let (mut model, language) = llm::load_decoder("SmolLM2-135M-Instruct.Q4_1.gguf")?;
/// Lora::add(&mut model, 8, 2.0, &mut nn::Init::seed(1), |name| name.contains(".attention."))?;
/// let tokens = language.tokenizer.encode("The whale is no fish.", true)?;
/// let count = tokens.len() as i32;
/// let tokens = Array::from_slice(&tokens, (1, tokens.len()))?;
/// let step = nn::value_and_grad(&model, |m, t: &Array| {
///     let logits = m.forward(&t.index((.., 0..count - 1))?)?;
///     losses::cross_entropy(&logits, &t.index((.., 1..count))?)?.mean(..)
/// });
/// let mut optimizer = optim::AdamW::new(1e-3);
/// for _ in 0..10 {
///     let (loss, grads) = step(&model, &tokens)?;
///     optimizer.update(&mut model, grads)?;
///     nn::eval_all((&model, &optimizer, &loss))?;
/// }
/// model.trained().save("adapters.safetensors")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct Decoder {
    /// A vector for each token.
    pub embedding: nn::Embedding,
    /// One after the other.
    pub layers: Vec<DecoderLayer>,
    /// The last norm.
    pub norm: nn::RmsNorm,
    /// What gives logits; none where the vectors of tokens serve.
    pub head: Option<nn::Linear>,
    #[module(skip)]
    config: Config,
}

/// A layer of a [`Decoder`].
#[derive(Clone, Debug, Module)]
pub struct DecoderLayer {
    /// Before the attention.
    pub attention_norm: nn::RmsNorm,
    /// The attention.
    pub attention: Attention,
    /// Behind the attention, where the family has one.
    pub after_attention: Option<nn::RmsNorm>,
    /// Before the feed-forward part.
    pub mlp_norm: nn::RmsNorm,
    /// The feed-forward part.
    pub mlp: nn::SwiGlu,
    /// Behind the feed-forward part, where the family has one.
    pub after_mlp: Option<nn::RmsNorm>,
}

impl DecoderLayer {
    /// (batch, tokens, width).
    #[track_caller]
    fn forward(&self, x: &Array) -> Result<Array> {
        let behind = |y: Array, norm: &Option<nn::RmsNorm>| match norm {
            Some(norm) => norm.forward(&y),
            None => Ok(y),
        };
        let y = self
            .attention
            .forward(&self.attention_norm.forward(x)?, None)?;
        let x = x.add(behind(y, &self.after_attention)?)?;
        let y = self.mlp.forward(&self.mlp_norm.forward(&x)?)?;
        x.add(behind(y, &self.after_mlp)?)
    }
}

impl Decoder {
    /// From weights as a file has them. Numbers that are not packed become float32.
    ///
    /// # Errors
    /// [`Error::Io`] for what is missing, [`Error::Shape`] for what has another shape than the configuration says.
    #[track_caller]
    pub fn new(config: Config, weights: Weights) -> Result<Self> {
        Reader {
            config: &config,
            weights,
        }
        .decoder()
    }

    /// Its shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Logits behind each token: (batch, tokens) becomes (batch, tokens, vocabulary), float32.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of axes, [`Error::Dtype`] unless tokens are integers.
    #[track_caller]
    pub fn forward(&self, tokens: &Array) -> Result<Array> {
        let mut x = self.embedding.forward(tokens)?.astype(Dtype::Float32)?;
        if self.config.embedding_scale != 1.0 {
            x = x.multiply(self.config.embedding_scale)?;
        }
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        let x = self.norm.forward(&x)?;
        match &self.head {
            Some(head) => head.forward(&x),
            None => self.embedding.as_head(&x),
        }
    }

    /// Its weights under the names of GGUF files, for [`Model::new`](super::Model::new).
    ///
    /// # Errors
    /// [`Error::Argument`] where products of low rank are still beside the weights ([`Lora::merge`](crate::nn::Lora::merge)), and for weights in
    /// MLX's packed layouts that no kernel takes.
    #[track_caller]
    pub fn weights(&self) -> Result<Weights> {
        let mut all = BTreeMap::new();
        let mut lora = false;
        self.each(|name, _| lora |= name.contains(".lora."));
        if lora {
            let expected = "a decoder whose products of low rank are merged";
            return Err(Error::argument("self", expected, "one with some beside"));
        }
        let mut put = |name: String, matrix| all.insert(name, matrix);
        put("token_embd.weight".into(), matrix(&self.embedding.weight)?);
        put("output_norm.weight".into(), self.norm_of(&self.norm)?);
        if let Some(head) = &self.head {
            put("output.weight".into(), matrix(&head.weight)?);
        }
        for (number, layer) in self.layers.iter().enumerate() {
            let name = |part: &str, kind: &str| format!("blk.{number}.{part}.{kind}");
            let (a, mlp) = (&layer.attention, &layer.mlp);
            for (part, linear) in [
                ("attn_q", &a.q),
                ("attn_k", &a.k),
                ("attn_v", &a.v),
                ("attn_output", &a.o),
                ("ffn_gate", &mlp.gate),
                ("ffn_up", &mlp.up),
                ("ffn_down", &mlp.down),
            ] {
                put(name(part, "weight"), matrix(&linear.weight)?);
                if let Some(bias) = &linear.bias {
                    put(name(part, "bias"), Matrix::Dense((**bias).clone()));
                }
            }
            for (part, norm) in [
                ("attn_norm", Some(&layer.attention_norm)),
                ("attn_q_norm", a.q_norm.as_ref()),
                ("attn_k_norm", a.k_norm.as_ref()),
                ("post_attention_norm", layer.after_attention.as_ref()),
                ("ffn_norm", Some(&layer.mlp_norm)),
                ("post_ffw_norm", layer.after_mlp.as_ref()),
            ] {
                if let Some(norm) = norm {
                    put(name(part, "weight"), self.norm_of(norm)?);
                }
            }
        }
        Ok(Weights::from_matrices(all))
    }

    /// The weight of a norm as files of the family have it.
    #[track_caller]
    fn norm_of(&self, norm: &nn::RmsNorm) -> Result<Matrix> {
        Ok(Matrix::Dense(match self.config.norm_adds_one {
            true => norm.weight.subtract(1.0)?,
            false => (*norm.weight).clone(),
        }))
    }
}

/// A layer's weight as a model takes it.
#[track_caller]
fn matrix(weight: &nn::Weight) -> Result<Matrix> {
    Ok(match weight {
        nn::Weight::Dense(dense) => Matrix::Dense((**dense).clone()),
        nn::Weight::Quantized(quantized) => Matrix::Packed(QuantizedWeight::new(quantized)?),
        nn::Weight::Blocks { kind, blocks } => {
            Matrix::Packed(QuantizedWeight::gguf(*kind, blocks)?)
        }
    })
}

/// Takes weights by their names in GGUF files.
struct Reader<'a> {
    config: &'a Config,
    weights: Weights,
}

impl Reader<'_> {
    #[track_caller]
    fn decoder(mut self) -> Result<Decoder> {
        let c = self.config;
        let embedding = self.weight("token_embd.weight", c.vocabulary, c.width)?;
        let factors = match self
            .weights
            .optional("rope_freqs.weight", c.rope_dims / 2)?
        {
            Some(factors) => Some(factors.to_vec::<f32>()?),
            None => None,
        };
        let layers = (0..c.layers).map(|number| self.layer(number, factors.as_deref()));
        let layers = layers.collect::<Result<_>>()?;
        let norm = self.need_norm("output_norm.weight", c.width)?;
        let head = match self.weights.has("output.weight") {
            true => Some(nn::Linear::from_weight(
                self.weight("output.weight", c.vocabulary, c.width)?,
                None,
            )),
            false => None,
        };
        Ok(Decoder {
            embedding: nn::Embedding::from_weight(embedding),
            layers,
            norm,
            head,
            config: c.clone(),
        })
    }

    #[track_caller]
    fn layer(&mut self, number: usize, factors: Option<&[f32]>) -> Result<DecoderLayer> {
        let c = self.config;
        let name = |part: &str| format!("blk.{number}.{part}");
        let (wide, narrow) = (c.heads * c.head_width, c.kv_heads * c.head_width);
        let shape = AttentionConfig::new(c.width, c.heads)
            .kv_heads(c.kv_heads)
            .head_dim(c.head_width)
            .scale(c.attention_scale)
            .window(c.window_of(number));
        // All weights are replaced, so none is made.
        let mut none = Init::zeros_only();
        let mut attention = Attention::new(shape, &mut none)?;
        attention.q = self.linear(&name("attn_q"), wide, c.width)?;
        attention.k = self.linear(&name("attn_k"), narrow, c.width)?;
        attention.v = self.linear(&name("attn_v"), narrow, c.width)?;
        attention.o = self.linear(&name("attn_output"), c.width, wide)?;
        attention.q_norm = self.norm(&name("attn_q_norm.weight"), c.head_width)?;
        attention.k_norm = self.norm(&name("attn_k_norm.weight"), c.head_width)?;
        let angles = Angles::new(c, c.window_of(number).is_some(), factors);
        let rope = nn::Rope::new(c.rope_dims).traditional(c.rope_neighbours);
        attention.rope = Some(rope.frequencies(angles.to_vec()));
        let gelu = c.activation == Activation::Gelu;
        let mut mlp = nn::SwiGlu::new(c.width, c.hidden, &mut none)?.gelu(gelu);
        mlp.gate = self.linear(&name("ffn_gate"), c.hidden, c.width)?;
        mlp.up = self.linear(&name("ffn_up"), c.hidden, c.width)?;
        mlp.down = self.linear(&name("ffn_down"), c.width, c.hidden)?;
        Ok(DecoderLayer {
            attention_norm: self.need_norm(&name("attn_norm.weight"), c.width)?,
            attention,
            after_attention: self.norm(&name("post_attention_norm.weight"), c.width)?,
            mlp_norm: self.need_norm(&name("ffn_norm.weight"), c.width)?,
            mlp,
            after_mlp: self.norm(&name("post_ffw_norm.weight"), c.width)?,
        })
    }

    #[track_caller]
    fn linear(&mut self, name: &str, rows: i32, columns: i32) -> Result<nn::Linear> {
        let bias = self.weights.optional(&format!("{name}.bias"), rows)?;
        let weight = self.weight(&format!("{name}.weight"), rows, columns)?;
        Ok(nn::Linear::from_weight(weight, bias))
    }

    #[track_caller]
    fn weight(&mut self, name: &str, rows: i32, columns: i32) -> Result<nn::Weight> {
        Ok(match self.weights.matrix(name, rows, columns)? {
            Matrix::Dense(dense) => dense.astype(Dtype::Float32)?.into(),
            Matrix::Packed(packed) => match (packed.format(), packed.arrays()) {
                (QuantFormat::Gguf(kind), [blocks]) => nn::Weight::Blocks {
                    kind,
                    blocks: blocks.clone(),
                },
                _ => packed.dequantize(Dtype::Float32)?.into(),
            },
        })
    }

    #[track_caller]
    fn norm(&mut self, name: &str, width: i32) -> Result<Option<nn::RmsNorm>> {
        let Some(weight) = self.weights.optional(name, width)? else {
            return Ok(None);
        };
        let weight = match self.config.norm_adds_one {
            true => weight.add(1.0)?,
            false => weight,
        };
        let norm = nn::RmsNorm::from_weight(weight);
        Ok(Some(norm.eps(self.config.epsilon)))
    }

    #[track_caller]
    fn need_norm(&mut self, name: &str, width: i32) -> Result<nn::RmsNorm> {
        match self.norm(name, width)? {
            Some(norm) => Ok(norm),
            None => Err(Error::io(format!("the model has no `{name}`"))),
        }
    }
}
