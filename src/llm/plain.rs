//! Generation by MLX's own operations: what the kernels are compared with.

use super::model::{Attend, Model};
use crate::{Array, Dtype, Error, Result, fast, ops};

/// One sequence, computed by MLX's operations alone, its weights in float32: slow, and independent of this crate's kernels.
#[derive(Debug)]
pub struct Plain {
    model: Model,
    cache: PlainCache,
}

/// Keys and values of one sequence, which grow by concatenation.
#[derive(Debug)]
struct PlainCache {
    layers: Vec<Option<[Array; 2]>>,
    periods: [Array; 2],
    config: super::Config,
    length: i32,
}

impl Plain {
    /// The same weights in float32. **Evaluates** them.
    ///
    /// # Errors
    /// What the evaluation fails with.
    #[track_caller]
    pub fn new(model: Model) -> Result<Self> {
        let config = model.config().clone();
        let cache = PlainCache {
            layers: vec![None; config.layers],
            periods: [
                model.angles(false).periods()?,
                model.angles(true).periods()?,
            ],
            config,
            length: 0,
        };
        let model = model.plain()?;
        Ok(Plain { model, cache })
    }

    /// Forgets all tokens.
    pub fn clear(&mut self) {
        self.cache.length = 0;
        self.cache.layers.fill(None);
    }

    /// Adds tokens and gives the logits behind each of them, (tokens, vocabulary), float32. **Evaluates** them.
    ///
    /// # Errors
    /// [`Error::Argument`] without tokens; what the operations fail with.
    #[track_caller]
    pub fn logits(&mut self, tokens: &[u32]) -> Result<Array> {
        if tokens.is_empty() {
            return Err(Error::argument("tokens", "at least one", 0));
        }
        let rows = Array::arange(tokens.len() as i32)?;
        let tokens = Array::from_slice(tokens, tokens.len())?;
        let count = tokens.shape()[0];
        let logits = self.model.forward(&tokens, &rows, &mut self.cache)?;
        crate::eval([&logits])?;
        self.cache.length += count;
        Ok(logits)
    }

    /// The most likely next tokens, one after the other.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    #[track_caller]
    pub fn greedy(&mut self, prompt: &[u32], count: usize) -> Result<Vec<u32>> {
        self.clear();
        let mut next = prompt.to_vec();
        let mut out = Vec::new();
        while out.len() < count {
            let token = self.next_greedy(&next)?;
            out.push(token);
            next = vec![token];
        }
        Ok(out)
    }

    /// Adds tokens and gives the most likely one behind them.
    ///
    /// # Errors
    /// Those of [`logits`](Self::logits).
    #[track_caller]
    pub fn next_greedy(&mut self, tokens: &[u32]) -> Result<u32> {
        let logits = self.logits(tokens)?;
        let best = logits.index(-1)?.argmax(-1)?;
        best.astype(Dtype::Uint32)?.item()
    }
}

impl Attend for PlainCache {
    #[track_caller]
    fn attend(
        &mut self,
        layer: usize,
        queries: &Array,
        keys: Array,
        values: Array,
    ) -> Result<Array> {
        let c = &self.config;
        let window = c.window_of(layer);
        let [tokens, heads, width] = [0, 1, 2].map(|i| queries.shape()[i]);
        let periods = &self.periods[usize::from(window.is_some())];
        let by_head = |x: &Array| x.expand_dims(0)?.transpose([0, 2, 1, 3]);
        let turned = |x: &Array| {
            fast::rope(&by_head(x)?, c.rope_dims)
                .traditional(c.rope_neighbours)
                .freqs(periods)
                .offset(self.length)
                .call()
        };
        let queries = turned(queries)?;
        let mut all = [turned(&keys)?, by_head(&values)?];
        if let Some(before) = &self.layers[layer] {
            for (new, old) in all.iter_mut().zip(before) {
                *new = ops::concatenate([old, &*new], 2)?;
            }
        }
        let [k, v] = &all;
        // (tokens, keys): a token sees itself and what stands before it, up to the window.
        let count = self.length + tokens;
        let own = Array::arange(self.length..count)?.reshape((tokens, 1))?;
        let key = Array::arange(count)?;
        let mut seen = own.greater_equal(&key)?;
        if let Some(window) = window {
            seen = seen.logical_and(own.subtract(window)?.less(&key)?)?;
        }
        let scale = c.attention_scale;
        let attention = fast::scaled_dot_product_attention(&queries, k, v, scale).mask(&seen);
        let y = attention.call()?.transpose([0, 2, 1, 3])?;
        let y = y.reshape((tokens, heads, width))?;
        self.layers[layer] = Some(all);
        Ok(y)
    }
}
