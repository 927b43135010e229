//! What is CUDA's own. Each test that needs a GPU says so and passes where there is none; those of the
//! compiler run wherever NVRTC is found (`scripts/check-cuda` brings one).

#[path = "../common/mod.rs"]
mod common;
mod compiler;
mod lanes;
mod transformed;

use common::{Rng, all_close, f64s, on_worker};
use zmlx::engine::{EngineError, cuda};
use zmlx::prelude::*;
use zmlx::{Result, engine, grad, jvp, with_device};

/// Whether to go on.
fn gpu(test: &str) -> bool {
    let there = engine::info().cuda;
    if !there {
        eprintln!("skipped: {test} needs an NVIDIA GPU and MLX's CUDA build");
    }
    there
}

/// The same on both devices, `body` with its inputs made there.
fn both(body: impl Fn() -> Result<Vec<f64>>) -> [Vec<f64>; 2] {
    [Device::CPU, Device::GPU].map(|device| with_device(device, &body).unwrap())
}
