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
use zmlx::llm::{self, EngineOptions, Llm};

/// A tiny model of this architecture with fresh weights, and limits small enough to be met.
fn tiny_model(architecture: &str, options: impl Into<EngineOptions>) -> Result<Llm> {
    tiny_model_of(architecture, options, &mut common::Rng::new())
}

/// One with weights of these numbers.
fn tiny_model_of(
    architecture: &str,
    options: impl Into<EngineOptions>,
    rng: &mut common::Rng,
) -> Result<Llm> {
    let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    let path = folder.path().join("tiny.gguf");
    tiny::write(&path, architecture, || rng.normal())?;
    llm::load_with(&path, options)
}
