//! Products of matrices: the tile kernel beside MLX's own, and beside numpy's BLAS where Python has it.
//!
//! `cargo bench --bench matmul -- [SHAPE...]`, each `MxKxN` or `BxMxKxN`, with `t` behind it where the second factor is given as its
//! transpose. Times are the shortest of several runs. For few rows, bytes of the second factor a second say more than operations.

use std::process::Command;
use std::time::Instant;

use zmlx::kernels::matrix::{Way, product};
use zmlx::prelude::*;
use zmlx::{Result, synchronize};

#[derive(Clone)]
struct Shape {
    batch: i32,
    m: i32,
    k: i32,
    n: i32,
    turned: bool,
}

impl Shape {
    fn parse(text: &str) -> Option<Shape> {
        let (text, turned) = match text.strip_suffix('t') {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let sizes: Vec<i32> = text
            .split('x')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()
            .ok()?;
        let (batch, m, k, n) = match sizes[..] {
            [m, k, n] => (1, m, k, n),
            [b, m, k, n] => (b, m, k, n),
            _ => return None,
        };
        Some(Shape {
            batch,
            m,
            k,
            n,
            turned,
        })
    }

    fn work(&self) -> f64 {
        2.0 * f64::from(self.batch) * f64::from(self.m) * f64::from(self.k) * f64::from(self.n)
    }
}

/// The shortest of some runs, and at least one.
fn time(mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    run()?;
    let (mut best, begin) = (f64::INFINITY, Instant::now());
    for i in 0..200 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
        if i >= 2 && begin.elapsed().as_secs_f64() > 1.5 {
            break;
        }
    }
    Ok(best)
}

fn blas(shape: &Shape, threads: usize) -> Option<f64> {
    let Shape {
        batch,
        m,
        k,
        n,
        turned,
    } = shape;
    let b = match turned {
        true => format!("r({n}, {k}).T"),
        false => format!("r({k}, {n})"),
    };
    let text = format!(
        "import numpy, time\n\
         r = lambda *s: numpy.random.rand(*s).astype(numpy.float32)\n\
         a, b, y, best = r({batch}, {m}, {k}), {b}, None, 1e9\n\
         begin = time.perf_counter()\n\
         for i in range(200):\n\
         \x20 t = time.perf_counter()\n\
         \x20 for x in a: y = x @ b\n\
         \x20 best = min(best, time.perf_counter() - t)\n\
         \x20 if i > 2 and time.perf_counter() - begin > 1.5: break\n\
         print(best)"
    );
    let out = Command::new("python3")
        .args(["-c", &text])
        .env("OPENBLAS_NUM_THREADS", threads.to_string())
        .output()
        .ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}

fn main() -> Result<()> {
    let mut shapes: Vec<Shape> = std::env::args().filter_map(|t| Shape::parse(&t)).collect();
    if shapes.is_empty() {
        let all = [
            "1024x1024x1024",
            "1024x1024x1024t",
            "1x4096x4096t",
            "1x4096x4096",
            "8x4096x4096t",
            "16x4096x4096",
            "64x576x1536t",
            "64x32x64x32",
        ];
        shapes = all.iter().filter_map(|t| Shape::parse(t)).collect();
    }
    println!("{}", zmlx::engine::info());
    let gpu = zmlx::Stream::current()?.device() == zmlx::Device::GPU;
    println!("| batch M K N, second factor | dtype | who | us | GFLOP/s | GB/s of it |");
    println!("|---|---|---|---|---|---|");
    for shape in &shapes {
        let Shape {
            batch,
            m,
            k,
            n,
            turned,
        } = *shape;
        let what = format!(
            "{batch} {m} {k} {n}{}",
            if turned { ", turned" } else { "" }
        );
        let line = |dtype: &str, size: f64, who: &str, time: f64| {
            let bytes = f64::from(k) * f64::from(n) * size;
            println!(
                "| {what} | {dtype} | {who} | {:.1} | {:.1} | {:.1} |",
                time * 1e6,
                shape.work() / time / 1e9,
                bytes / time / 1e9
            );
        };
        for dtype in [Dtype::Float32, Dtype::Bfloat16, Dtype::Float16] {
            let a = zmlx::random::normal((batch, m, k))?.astype(dtype)?;
            let sides = if turned { (n, k) } else { (k, n) };
            let b = zmlx::random::normal(sides)?.astype(dtype)?;
            zmlx::eval([&a, &b])?;
            for (name, way) in [("MLX", Way::Mlx), ("tiles", Way::Tiles)] {
                let name_of = format!("{dtype}");
                // MLX's product of 16-bit numbers takes seconds on a CPU.
                if !gpu && way == Way::Mlx && dtype != Dtype::Float32 && shape.work() > 1e9 {
                    continue;
                }
                let best = time(|| {
                    let y = product(&a, &b).transposed(false, turned).way(way).call()?;
                    zmlx::eval([&y])?;
                    synchronize()
                })?;
                line(&name_of, dtype.size() as f64, name, best);
            }
        }
        if !gpu {
            for threads in [1, 2] {
                if let Some(best) = blas(shape, threads) {
                    line(
                        "float32",
                        4.0,
                        &format!("BLAS of numpy, threads {threads}"),
                        best,
                    );
                }
            }
        }
    }
    Ok(())
}
