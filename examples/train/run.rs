//! Steps of training, their checkpoints, and fine-tuning of low rank.

use std::path::Path;

use zmlx::Result;
use zmlx::nn::{self, Init, Lora, Module, ModuleExt};
use zmlx::optim;
use zmlx::prelude::*;

use super::model::Transformer;

/// Gradients are cut to this norm.
pub const MOST: f32 = 1.0;
pub const DECAY: f64 = 0.1;
const RATE: f64 = 3e-3;

fn schedule() -> optim::Schedule {
    optim::warmup(20).then(optim::cosine(280).to(0.1))
}

/// The rate of a step, from 0.
pub fn rate(step: u64) -> f64 {
    RATE * schedule().factor(step)
}

/// What can do a step of training.
pub trait Steps {
    /// Does it and gives the loss before it.
    fn step(&mut self, batch: &(Array, Array)) -> Result<f32>;
}

/// A model and its optimizer.
pub struct Training<M> {
    pub model: M,
    pub optimizer: optim::AdamW,
}

impl<M: Module + Clone> Training<M> {
    pub fn new(model: M) -> Self {
        let optimizer = optim::AdamW::new(RATE)
            .weight_decay(DECAY)
            .schedule(schedule());
        Training { model, optimizer }
    }

    /// How many steps were done.
    pub fn done(&self) -> u64 {
        self.optimizer.step()
    }

    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::other)?;
        self.model.save(folder.join("model.safetensors"))?;
        self.optimizer
            .save_state(folder.join("optimizer.safetensors"))
    }

    pub fn resume(&mut self, folder: &Path) -> Result<()> {
        self.model.load(folder.join("model.safetensors"))?;
        let state = folder.join("optimizer.safetensors");
        self.optimizer.load_state_from(&self.model, state)
    }
}

impl Steps for Training<Transformer> {
    fn step(&mut self, batch: &(Array, Array)) -> Result<f32> {
        let step = nn::value_and_grad(&self.model, |m, batch| m.loss(batch));
        let (loss, grads) = step(&self.model, batch)?;
        self.optimizer
            .update(&mut self.model, nn::clip_norm(grads, MOST)?)?;
        nn::eval_all((&self.model, &self.optimizer, &loss))?;
        loss.item()
    }
}

/// Gives queries and values of all layers a product of low rank to be trained, and freezes all else. Works on any model whose
/// attention is called so.
pub fn add_lora(model: &mut impl Module, seed: u64) -> Result<usize> {
    let chosen = |name: &str| name.ends_with("attention.q") || name.ends_with("attention.v");
    Lora::add(model, 4, 2.0, &mut Init::seed(seed), chosen)
}
