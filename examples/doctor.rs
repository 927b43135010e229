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
    println!("-- What is here");
    let version = zmlx::mlx_version().unwrap_or_default();
    match &info.library {
        Some(path) => println!("MLX {version}: {}", path.display()),
        None => println!("MLX {version}"),
    }
    println!("{info}");
    let targets: Vec<String> = engine::ahead::Target::here()
        .iter()
        .map(ToString::to_string)
        .collect();
    println!(
        "Runs kernels that were compiled ahead for {}",
        targets.join(", ")
    );
    println!("-- A custom kernel on each device");
    let mut works = Vec::new();
    let (runs, lack) = match info.usable {
        true => (
            info.compiler.is_some() || !info.kernels.is_empty(),
            "no C++ compiler",
        ),
        false => (false, "no GPU, which this MLX needs"),
    };
    for (device, name, there, lack) in [
        (Device::CPU, "CPU", runs, lack),
        (
            Device::GPU,
            "GPU",
            info.metal || info.cuda,
            "no GPU that MLX can use",
        ),
    ] {
        if !there {
            println!("{name}: not tried, there is {lack}");
            continue;
        }
        match with_device(device, attempt) {
            Ok(words) => {
                works.push(name);
                println!("{name}: works, {words}");
            }
            Err(e) => println!("{name}: FAILED: {e}"),
        }
    }
    println!(
        "-- What computes kernels::attention::scaled_dot_product_attention: the first line that holds"
    );
    for (when, choice) in zmlx::kernels::attention::attention_rule() {
        println!("{when}: {choice}");
    }
    println!("-- In short");
    if works.is_empty() {
        println!("Custom kernels do not run here; the notes above say what is missing.");
        return ExitCode::FAILURE;
    }
    let default = match (info.forced, Device::default_device()) {
        (Some(engine::Engine::Cpu), _) => "CPU",
        (Some(_), _) | (None, Ok(Device::GPU)) => "GPU",
        _ => "CPU",
    };
    println!(
        "Custom kernels run on the {}. Operations that name no device run on the {default}.",
        works.join(" and the ")
    );
    ExitCode::SUCCESS
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
    Ok(format!(
        "ready after {:.0} ms, most of which is compiling where that was not done before",
        first.as_secs_f64() * 1e3
    ))
}
