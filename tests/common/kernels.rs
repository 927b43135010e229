//! Kernels that several tests use.

use zmlx::Result;
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
