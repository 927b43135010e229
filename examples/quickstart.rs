//! A custom Metal kernel inside MLX's lazy graph: run, differentiated, compiled, checked, timed,
//! exported.
//!
//! `cargo run --release --example quickstart`

use std::time::{Duration, Instant};

use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, compile, custom_function, export_function, grad, random};

fn main() -> Result<()> {
    println!(
        "zmlx {}, MLX {}",
        env!("CARGO_PKG_VERSION"),
        zmlx::mlx_version()?
    );

    println!("{}", zmlx::engine::info());

    // 1. A kernel: the body of a Metal function. MLX writes the signature around it.
    let forward = MetalKernel::new("swish", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x;
             float v = x[i];
             out[i] = T(v / (1.0f + metal::exp(-v)));",
        )
        .build()?;
    let backward = MetalKernel::new("swish_backward", ["x", "g"], ["dx"])
        .source(
            "uint i = thread_position_in_grid.x;
             float v = x[i], s = 1.0f / (1.0f + metal::exp(-v));
             dx[i] = T(float(g[i]) * s * (1.0f + v * (1.0f - s)));",
        )
        .build()?;
    let x = random::normal((1024, 1024))?;
    let start = Instant::now();
    let [y] = forward.launch(&[&x]).template("T", x.dtype()).run()?;
    println!(
        "kernel `swish` ready in {:.0?} (compiled, or from the cache)",
        start.elapsed()
    );

    // 2. It is a lazy node like any other: MLX's own operations give the reference.
    let reference = |x: &Array| x.multiply(&x.sigmoid()?);
    check("value", &y, &reference(&x)?)?;

    // 3. A derivative: the second kernel, through `custom_function`.
    let swish = custom_function(move |p: &[Array]| {
        forward
            .launch(&[&p[0]])
            .template("T", p[0].dtype())
            .run_vec()
    })
    .with_vjp(move |primals, cotangents, _| {
        backward
            .launch(&[&primals[0], &cotangents[0]])
            .template("T", primals[0].dtype())
            .run_vec()
    });
    let got = grad(|x: &Array| swish.call1(x)?.sum(..))(&x)?;
    let want = grad(|x: &Array| reference(x)?.sum(..))(&x)?;
    check("gradient", &got, &want)?;

    // 4. Written to a file that MLX reads on a Mac, kernel included.
    let path = std::env::temp_dir().join("zmlx-quickstart.mlxfn");
    export_function(&path, |p| swish.call(p), [&x], false)?;
    println!("exported to {}", path.display());
    println!(
        "  in Python on a Mac: mx.import_function(\"{}\")",
        path.display()
    );

    // 5. How fast: 16 Mi float32, the floor being a copy of as many bytes.
    let n = 16 << 20;
    let large = random::normal(n)?;
    large.eval()?;
    let copy = copy_time(n);
    let mlx = median(|| reference(&large)?.eval())?;
    let ours = median(|| swish.call1(&large)?.eval())?;
    let gbs = |t: Duration| 8.0 * n as f64 / t.as_secs_f64() / 1e9;
    println!("x * sigmoid(x), {n} float32:");
    for (name, t) in [
        ("memory copy", copy),
        ("MLX operations", mlx),
        ("zmlx kernel", ours),
    ] {
        println!(
            "  {name:<15} {:8.2} ms  {:6.2} GB/s",
            t.as_secs_f64() * 1e3,
            gbs(t)
        );
    }
    println!(
        "  the kernel: {:.1} times MLX's operations, {:.0} % of a copy",
        mlx.as_secs_f64() / ours.as_secs_f64(),
        100.0 * copy.as_secs_f64() / ours.as_secs_f64()
    );

    // 6. Compiled together with MLX's operations, which fuse around it.
    let mixed = compile(move |p: &[Array]| Ok(vec![(&swish.call1(&p[0])?.square()? + 1.0)?]))?;
    let want = (&reference(&x)?.square()? + 1.0)?;
    check("compiled", &mixed.call([&x])?[0], &want)
}

/// Compares with a relative tolerance of a few float32 roundings; an error if it does not hold.
fn check(what: &str, got: &Array, want: &Array) -> Result<()> {
    eval([got, want])?;
    let pairs = got.as_slice::<f32>()?.iter().zip(want.as_slice::<f32>()?);
    let worst = pairs
        .map(|(g, w)| (g - w).abs() / (1.0 + w.abs()))
        .fold(0.0, f32::max);
    if worst < 2e-6 {
        println!("{what}: agrees with MLX's operations, largest error {worst:.1e}");
        return Ok(());
    }
    Err(Error::other(format!("{what}: off by {worst:e}")))
}

fn median(mut f: impl FnMut() -> Result<()>) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed());
    }
    times.sort();
    Ok(times[times.len() / 2])
}

/// Copies `n` float32 on all cores: as many bytes in and out as the kernel.
fn copy_time(n: usize) -> Duration {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (from, mut to) = (vec![1.0f32; n], vec![0.0f32; n]);
    let part = n.div_ceil(cores);
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let start = Instant::now();
            std::thread::scope(|s| {
                for (to, from) in to.chunks_mut(part).zip(from.chunks(part)) {
                    s.spawn(|| to.copy_from_slice(from));
                }
            });
            std::hint::black_box(&to);
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
