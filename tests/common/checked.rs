//! What tests of the checked mode share.

use zmlx::Result;
use zmlx::prelude::*;

use super::host_engine;

/// Threads and elements of a launch.
pub const N: i32 = 64;

/// What every launch here begins with; the mode is the host engine's.
pub fn numbers(n: i32) -> Array {
    host_engine();
    let values: Vec<f32> = (0..n).map(|i| i as f32 + 1.0).collect();
    Array::from_slice(&values, n).unwrap()
}

/// Runs over `N` threads in groups of 32 with `x` of `N` floats and `small` of 4.
pub fn run(kernel: &MetalKernel) -> Result<Vec<f32>> {
    let [y] = kernel
        .launch(&[&numbers(N), &numbers(4)])
        .output(N, Dtype::Float32)
        .grid(N)
        .threadgroup(32)
        .run()?;
    y.to_vec()
}
