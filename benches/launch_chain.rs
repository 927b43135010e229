//! What a launch costs: a chain of small kernels beside the same chain of MLX's operations.
//!
//! `cargo bench --bench launch_chain [-- LENGTH]`
//!
//! Microseconds for each link, of building the graph and of evaluating it, the median of 51 chains.

use std::time::Instant;

use zmlx::prelude::*;
use zmlx::{Result, engine};

fn main() -> Result<()> {
    let length: usize = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(200);
    println!("{}", engine::info());
    let x = Array::from_slice(&[0.5f32; 256], 256)?;
    let kernel = MetalKernel::new("link", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * 0.5f + 0.25f;")
        .build()?;
    let launch = |x: &Array| -> Result<Array> {
        let [y] = kernel.launch(&[x]).grid(256).threadgroup(256).run()?;
        Ok(y)
    };
    let rows = kernel_with_rows()?;
    let shaped = |x: &Array| -> Result<Array> {
        let [y] = rows.launch(&[x]).grid(256).threadgroup(256).run()?;
        Ok(y)
    };
    let ragged = |x: &Array| -> Result<Array> {
        let [y] = kernel.launch(&[x]).grid(256).threadgroup(100).run()?;
        Ok(y)
    };
    // First and last: what other chains left of the heap counts.
    measure("MLX's exp", length, &x, Array::exp)?;
    measure("kernel", length, &x, launch)?;
    measure("kernel over a ragged grid", length, &x, ragged)?;
    measure("kernel that reads its input's shape", length, &x, shaped)?;
    measure("MLX's exp", length, &x, Array::exp)?;
    Ok(())
}

fn kernel_with_rows() -> Result<MetalKernel> {
    MetalKernel::new("shaped_link", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x; \
             if (int(i) < x_shape[0]) out[i] = x[i] * 0.5f + 0.25f;",
        )
        .build()
}

fn measure(
    name: &str,
    length: usize,
    x: &Array,
    link: impl Fn(&Array) -> Result<Array>,
) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..51 {
        let begin = Instant::now();
        let mut y = x.clone();
        for _ in 0..length {
            y = link(&y)?;
        }
        let built = begin.elapsed();
        y.eval()?;
        times.push((begin.elapsed() - built, built));
    }
    times.sort();
    let (eval, _) = times[times.len() / 2];
    times.sort_by_key(|t| t.1);
    let (_, build) = times[times.len() / 2];
    let us = |d: std::time::Duration| d.as_secs_f64() * 1e6 / length as f64;
    println!(
        "{name}: {:.2} us a link (build {:.2}, eval {:.2})",
        us(build) + us(eval),
        us(build),
        us(eval)
    );
    Ok(())
}
