//! Says what can run custom kernels on this machine and what is missing, and tries it.
//!
//! `cargo run --release --example doctor`
//!
//! The exit code is 0 when kernels run on some device.

use std::process::ExitCode;
use std::time::Instant;

use zmlx::prelude::*;
use zmlx::{Result, engine, with_device};

fn main() -> ExitCode {
    let info = engine::info();
    println!("{info}");
    if let Some(path) = &info.library {
        println!("MLX: {}", path.display());
    }
    let mut works = false;
    for (device, name, there) in [
        (Device::CPU, "CPU", info.compiler.is_some()),
        (Device::GPU, "GPU", info.metal || info.cuda),
    ] {
        if !there {
            println!("{name}: not tried");
            continue;
        }
        match with_device(device, attempt) {
            Ok(words) => {
                works = true;
                println!("{name}: a kernel ran, {words}");
            }
            Err(e) => println!("{name}: a kernel FAILED: {e}"),
        }
    }
    if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A kernel with a simdgroup operation, against MLX's own sum.
fn attempt() -> Result<String> {
    let kernel = MetalKernel::new("doctor", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x; float s = simd_sum(float(x[i])); \
             if (thread_index_in_simdgroup == 0) out[i / 32] = s;",
        )
        .build()?;
    let values: Vec<f32> = (0..4096u16).map(f32::from).collect();
    let x = Array::from_slice(&values, 4096)?;
    let start = Instant::now();
    let [y] = kernel
        .launch(&[&x])
        .output(128, Dtype::Float32)
        .grid(4096)
        .threadgroup(256)
        .run()?;
    y.eval()?;
    let first = start.elapsed();
    let (sum, want) = (y.sum(..)?.item::<f32>()?, 4095.0 * 4096.0 / 2.0);
    if sum != want {
        return Err(Error::other(format!("it gave {sum} instead of {want}")));
    }
    Ok(format!("ready in {:.0} ms", first.as_secs_f64() * 1e3))
}
