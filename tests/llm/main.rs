//! Language models, tested with tiny random ones, and with a real one where `scripts/fetch-model` has brought it.

mod batches;
#[path = "../common/mod.rs"]
mod common;
mod decoder;
mod few_bits;
mod forward;
mod pages;
mod real;
mod sampling;
mod tiny;
mod tokens;

use zmlx::Result;
use zmlx::llm::{self, Limits, Llm};

/// A tiny model of this architecture with fresh weights, and limits small enough to be met.
fn tiny_model(architecture: &str, limits: Limits) -> Result<Llm> {
    let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    let path = folder.path().join("tiny.gguf");
    let mut rng = common::Rng::new();
    tiny::write(&path, architecture, || rng.normal())?;
    llm::load_with(&path, limits)
}
