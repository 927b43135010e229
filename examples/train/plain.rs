//! The same model and the same steps by MLX's operations alone.

use zmlx::Result;
use zmlx::nn::{self, ModuleExt, Tree};
use zmlx::prelude::*;

use super::model::{Config, Transformer};
use super::run::{DECAY, MOST, Steps, rate};

/// Parameters and moments of AdamW, by name.
pub struct Plain {
    config: Config,
    pub parameters: Tree,
    first: Tree,
    second: Tree,
    step: i32,
}

impl Plain {
    pub fn new(config: Config, model: &Transformer) -> Result<Self> {
        let parameters = model.parameters();
        let zeros = parameters.map(|_, p| p.zeros_like())?;
        Ok(Plain {
            config,
            first: zeros.clone(),
            second: zeros,
            parameters,
            step: 0,
        })
    }
}

impl Steps for Plain {
    fn step(&mut self, batch: &(Array, Array)) -> Result<f32> {
        let config = self.config;
        let loss = move |p: &Tree, batch: &(Array, Array)| loss(&config, p, batch);
        let (value, grads) = nn::value_and_grad(&self.parameters, loss)(&self.parameters, batch)?;
        // Clipped, by the formula.
        let mut squares = Array::from(0.0f32);
        for g in grads.values() {
            squares = (squares + g.square()?.sum(..)?)?;
        }
        let factor = (Array::from(MOST) / squares.sqrt()?)?.minimum(1.0f32)?;
        let grads = grads.map(|_, g| g * &factor)?;
        self.first = self.first.zip(&grads, |_, m, g| (m * 0.9)? + (g * 0.1)?)?;
        self.second = self
            .second
            .zip(&grads, |_, v, g| (v * 0.999)? + (g.square()? * 0.001)?)?;
        let rate = rate(self.step as u64);
        self.step += 1;
        let (one, two) = (1.0 - 0.9f64.powi(self.step), 1.0 - 0.999f64.powi(self.step));
        let moves = self.first.zip(&self.second, |_, m, v| {
            (m / one)? / ((v / two)?.sqrt()? + 1e-8)?
        })?;
        self.parameters = self
            .parameters
            .zip(&moves, |_, p, u| p - ((u + (p * DECAY)?)? * rate)?)?;
        nn::eval_all((&self.parameters, &self.first, &self.second, &value))?;
        value.item()
    }
}

fn loss(c: &Config, p: &Tree, (tokens, targets): &(Array, Array)) -> Result<Array> {
    let &[batch, n] = tokens.shape() else {
        return Err(Error::other("tokens have two axes"));
    };
    let d = c.width / c.heads;
    let weight = |name: &str| p.get(name)?.transpose(..);
    let mut x = p.get("embedding.weight")?.take(tokens, 0)?;
    for i in 0..c.layers {
        let name = |part: &str| format!("layers.{i}.{part}.weight");
        let norm = fast::rms_norm(&x, p.get(&name("norm"))?, 1e-5)?;
        let heads = |part: &str| {
            let y = norm.matmul(&weight(&name(part))?)?;
            y.reshape((batch, n, -1, d))?.transpose([0, 2, 1, 3])
        };
        let q = fast::rope(&heads("attention.q")?, d).call()?;
        let k = fast::rope(&heads("attention.k")?, d).call()?;
        let v = heads("attention.v")?;
        let scale = (d as f32).sqrt().recip();
        let y = fast::scaled_dot_product_attention(&q, &k, &v, scale);
        let y = y.causal().call()?.transpose([0, 2, 1, 3])?;
        let y = y
            .reshape((batch, n, -1))?
            .matmul(&weight(&name("attention.o"))?)?;
        x = (x + y)?;
        let norm = fast::rms_norm(&x, p.get(&name("mlp_norm"))?, 1e-5)?;
        let gate = norm.matmul(&weight(&name("mlp.gate"))?)?;
        let up = norm.matmul(&weight(&name("mlp.up"))?)?;
        let hidden = ((&gate * gate.sigmoid()?)? * up)?;
        x = (x + hidden.matmul(&weight(&name("mlp.down"))?)?)?;
    }
    let x = fast::rms_norm(&x, p.get("norm.weight")?, 1e-5)?;
    let logits = x.matmul(&weight("embedding.weight")?)?;
    fast::cross_entropy(&logits, targets)?.mean(..)
}
