//! Kernels that several tests use.

use zmlx::Result;
use zmlx::metal::KernelBuilder;
use zmlx::prelude::*;

pub fn kernel(name: &str, inputs: &[&str], outputs: &[&str], source: &str) -> MetalKernel {
    MetalKernel::new(name, inputs.iter().copied(), outputs.iter().copied())
        .source(source)
        .build()
        .unwrap()
}

pub fn silu() -> MetalKernel {
    kernel(
        "test_silu",
        &["x"],
        &["out"],
        "uint i = thread_position_in_grid.x;
         float v = float(x[i]);
         out[i] = T(v / (1.0f + metal::exp(-v)));",
    )
}

pub fn run_silu(x: &Array) -> Result<Array> {
    let [y] = silu().launch(&[x]).template("T", x.dtype()).run()?;
    Ok(y)
}

pub fn silu64(v: f64) -> f64 {
    v / (1.0 + (-v).exp())
}

pub fn silu_slope(v: f64) -> f64 {
    let s = 1.0 / (1.0 + (-v).exp());
    s * (1.0 + v * (1.0 - s))
}

/// `x * k` over any elements.
pub fn scale(name: &str) -> KernelBuilder {
    MetalKernel::new(name, ["x", "k"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = T(float(x[i]) * k);")
}

/// 64 numbers by 3.
pub fn run_scale(kernel: &MetalKernel) -> Result<Vec<f32>> {
    let x = Array::from_slice(&[2.0f32; 64], 64)?;
    let inputs = [&x, &3.0f32.into()];
    let launch = kernel.launch(&inputs).template("T", F32);
    let [y] = launch.output(64, F32).run()?;
    y.to_vec()
}
