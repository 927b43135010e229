//! What tuning costs and gains: rmsnorm and softmax by rows on the CPU.
//!
//! `cargo bench --bench autotune [-- FILTER]` tunes TG x VEC of both kernels for five shapes. It
//! prints how long a search took with everything to compile (`cold`) and again with everything
//! compiled (`warm`), what the latter chose, the median times of the default and of the choice in its
//! final, the time of what would be a GPU's default, and then what a tuned launch costs more than a
//! plain one.
//! Each run compiles kernels of its own: `ZMLX_CACHE_DIR=$(mktemp -d)` keeps them out of the user's
//! cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use zmlx::autotune::{Autotune, Cache, Candidate, Search, Tuned, Tuning};
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, with_device};

const SHAPES: [(i32, i32); 5] = [
    (2048, 4096),
    (64, 4096),
    (1, 4096),
    (4096, 256),
    (4, 262_144),
];

/// Name, inputs, and the call in the body.
const KERNELS: [(&str, &[&str], &str); 2] = [
    (
        "rmsnorm",
        &["x", "w"],
        "rmsnorm_row<T, TG, VEC>(x + start, w, out + start, n, 1e-5f, shared, at)",
    ),
    (
        "softmax",
        &["x"],
        "softmax_row<T, TG, VEC>(x + start, out + start, n, shared, at)",
    ),
];

/// Without pruning: all of `TG` x `VEC`.
const WIDTHS: [i32; 4] = [1, 8, 32, 256];
const VECTORS: [i32; 4] = [64, 256, 16, 4];

/// A row kernel that nobody has compiled yet.
fn kernel(name: &str, inputs: &[&str], call: &str) -> Result<MetalKernel> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let unique = format!(
        "tune_{name}_{}_{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    MetalKernel::new(&unique, inputs.to_vec(), ["out"])
        .header(include_str!("../kernels/bench/rows.metal"))
        .source(format!(
            "threadgroup float shared[32];
             const uint n = x_shape[1], row = threadgroup_position_in_grid.x;
             const size_t start = size_t(row) * n;
             const Position at = {{thread_position_in_threadgroup.x, thread_index_in_simdgroup,
                                  simdgroup_index_in_threadgroup}};
             {call};"
        ))
        .build()
}

fn tune(tuned: &Tuned, x: &Array, w: &Array) -> Result<Tuning> {
    let inputs = [x, w];
    let inputs = &inputs[..tuned.kernel().input_names().len()];
    let launch = tuned.launch(inputs).template("T", x.dtype());
    launch.groups(x.shape()[0]).tune()
}

/// Median microseconds of a launch with threadgroups and vectors as a GPU would have them.
fn as_on_a_gpu(kernel: &MetalKernel, x: &Array, w: &Array) -> Result<f64> {
    let inputs = [x, w];
    let inputs = &inputs[..kernel.input_names().len()];
    let mut times = Vec::new();
    for round in 0..6 {
        let launch = kernel.launch(inputs).template("T", x.dtype());
        let launch = launch.template("TG", 256).template("VEC", 4);
        let [y] = launch.grid(x.shape()[0] * 256).threadgroup(256).run()?;
        let start = Instant::now();
        y.eval()?;
        if round > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn gains(filter: &str) -> Result<()> {
    println!(
        "{:<8} {:>10} {:<10} | {:>6} {:>6} {:>5} {:<8} | {:<10} {:>9} | {:<10} {:>9} {:>6} | {:>10} {:>7}",
        "kernel",
        "shape",
        "search",
        "cold s",
        "warm s",
        "tried",
        "end",
        "default",
        "us",
        "choice",
        "us",
        "gain",
        "256 VEC=4",
        "gain"
    );
    for (name, inputs, call) in KERNELS {
        for shape in SHAPES {
            let text = format!("{}x{}", shape.0, shape.1);
            if !format!("{name} {text}").contains(filter) {
                continue;
            }
            let x = random::normal(shape)?;
            let w = random::normal(shape.1)?;
            zmlx::eval([&x, &w])?;
            for search in [Search::Pruned, Search::Exhaustive] {
                let kernel = kernel(name, inputs, call)?;
                let folder = tempfile::tempdir().map_err(Error::other)?;
                let auto = |file: &str| {
                    let cache = Arc::new(Cache::at(folder.path().join(file)));
                    let auto = Autotune::new(&kernel).cache(cache).search(search);
                    match search {
                        // As `kernel.autotuned()`.
                        Search::Pruned => auto.build(),
                        Search::Exhaustive => {
                            auto.threadgroups(WIDTHS).template("VEC", VECTORS).build()
                        }
                    }
                };
                let cold = tune(&auto("cold")?, &x, &w)?;
                let warm = tune(&auto("warm")?, &x, &w)?;
                let of = |c: &Candidate| {
                    let found = warm.timings.iter().find(|t| t.candidate == *c);
                    found.map_or(f64::NAN, |t| t.median.as_secs_f64() * 1e6)
                };
                if !filter.is_empty() {
                    println!("{warm}");
                }
                let gpu = as_on_a_gpu(&kernel, &x, &w)?;
                println!(
                    "{name:<8} {text:>10} {:<10} | {:>6.2} {:>6.2} {:>5} {:<8} | {:<10} {:>9.1} | {:<10} {:>9.1} {:>5.2}x | {gpu:>10.1} {:>6.1}x",
                    format!("{search:?}"),
                    cold.elapsed.as_secs_f64(),
                    warm.elapsed.as_secs_f64(),
                    warm.timings.len() + warm.rejected.len(),
                    format!("{:?}", warm.stop),
                    warm.default.to_string(),
                    of(&warm.default),
                    warm.best.to_string(),
                    of(&warm.best),
                    warm.speedup(),
                    gpu / of(&warm.best),
                );
            }
        }
    }
    Ok(())
}

/// Building 10,000 launches of one element, plain and tuned.
fn overhead() -> Result<()> {
    const N: u32 = 10_000;
    let kernel = MetalKernel::new("tune_one", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * 0.5f;")
        .build()?;
    let folder = tempfile::tempdir().map_err(Error::other)?;
    let cache = Arc::new(Cache::at(folder.path().join("tuned.json")));
    let tuned = Autotune::new(&kernel).cache(cache).build()?;
    let x = Array::from_slice(&[0.5f32; 16], 16)?;
    let inputs = [&x];
    let [y] = tuned.launch(&inputs).run()?;
    y.eval()?;
    let mut best = [Duration::MAX; 2];
    for _ in 0..15 {
        for (tune, best) in [false, true].into_iter().zip(&mut best) {
            let start = Instant::now();
            for _ in 0..N {
                let [y] = match tune {
                    false => kernel.launch(&inputs).threadgroup(256).run()?,
                    true => tuned.launch(&inputs).run()?,
                };
                std::hint::black_box(&y);
            }
            *best = start.elapsed().min(*best);
        }
    }
    let [plain, tuned] = best.map(|b| b.as_secs_f64() * 1e9 / f64::from(N));
    println!(
        "\nbuilding a launch: plain {plain:.0} ns, tuned {tuned:.0} ns, {:.0} ns more",
        tuned - plain
    );
    Ok(())
}

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let filter = filter.unwrap_or_default();
    with_device(Device::CPU, || {
        gains(&filter)?;
        if "launch".contains(&filter) {
            overhead()?;
        }
        Ok(())
    })
}
