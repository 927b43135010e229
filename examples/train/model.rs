//! A small transformer over bytes.

use zmlx::Result;
use zmlx::nn::{self, Init, losses};
use zmlx::prelude::*;

/// Sizes of the model.
#[derive(Clone, Copy)]
pub struct Config {
    pub width: i32,
    pub layers: usize,
    pub heads: i32,
    pub kv_heads: i32,
    pub hidden: i32,
}

impl Config {
    pub const SMALL: Config = Config {
        width: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        hidden: 192,
    };
}

#[derive(Clone, nn::Module)]
pub struct Block {
    norm: nn::RmsNorm,
    attention: nn::Attention,
    mlp_norm: nn::RmsNorm,
    mlp: nn::SwiGlu,
}

/// Bytes in, logits of the next byte out. The embedding is the output head, too.
#[derive(Clone, nn::Module)]
pub struct Transformer {
    embedding: nn::Embedding,
    layers: Vec<Block>,
    norm: nn::RmsNorm,
}

impl Block {
    fn new(c: &Config, init: &mut Init) -> Result<Self> {
        let attention = nn::AttentionConfig::new(c.width, c.heads).kv_heads(c.kv_heads);
        Ok(Block {
            norm: nn::RmsNorm::new(c.width, init)?,
            attention: nn::Attention::new(attention, init)?,
            mlp_norm: nn::RmsNorm::new(c.width, init)?,
            mlp: nn::SwiGlu::new(c.width, c.hidden, init)?,
        })
    }

    fn forward(&self, x: &Array) -> Result<Array> {
        let x = (x + self.attention.forward(&self.norm.forward(x)?, None)?)?;
        &x + self.mlp.forward(&self.mlp_norm.forward(&x)?)?
    }
}

impl Transformer {
    pub fn new(c: &Config, init: &mut Init) -> Result<Self> {
        let layers = (0..c.layers).map(|_| Block::new(c, init));
        Ok(Transformer {
            layers: layers.collect::<Result<_>>()?,
            embedding: nn::Embedding::new(256, c.width, init)?,
            norm: nn::RmsNorm::new(c.width, init)?,
        })
    }

    pub fn forward(&self, tokens: &Array) -> Result<Array> {
        let mut x = self.embedding.forward(tokens)?;
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        self.embedding.as_head(&self.norm.forward(&x)?)
    }

    /// The mean cross entropy of the next bytes.
    pub fn loss(&self, (tokens, targets): &(Array, Array)) -> Result<Array> {
        losses::cross_entropy(&self.forward(tokens)?, targets)?.mean(..)
    }
}
