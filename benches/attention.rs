//! Attention beside MLX's, and beside the time that reading and writing takes.
//!
//! `cargo bench --bench attention -- [decode] [paged] [flash] [backward]`
//!
//! Each is timed as a chain of calls in one evaluation, in which none can be left out: the time of one call, the least of many
//! runs, as the machine may be busy. The floor is a copy of as many bytes, by MLX's `x + 0`, in the same run.

use std::time::{Duration, Instant};

use zmlx::kernels::attention::{decode_attention, paged_attention, quantize_cache};
use zmlx::prelude::*;
use zmlx::{Result, fast, random, synchronize};

/// The least time of one call, in microseconds, of chains of `calls`.
fn time(calls: usize, call: &dyn Fn(&Array) -> Result<Array>, first: &Array) -> Result<f64> {
    let mut least = f64::INFINITY;
    let begin = Instant::now();
    let mut runs = 0;
    while runs < 3 || (begin.elapsed() < Duration::from_millis(600) && runs < 50) {
        let start = Instant::now();
        let mut x = first.clone();
        for _ in 0..calls {
            x = call(&x)?;
        }
        zmlx::eval([&x])?;
        synchronize()?;
        least = least.min(start.elapsed().as_secs_f64() / calls as f64);
        runs += 1;
    }
    Ok(least * 1e6)
}

/// The time of a copy that reads and writes so many bytes together.
fn copy(bytes: usize, calls: usize) -> Result<f64> {
    let x = Array::ones(((bytes / 8).max(1),), F32)?;
    zmlx::eval([&x])?;
    time(calls, &|x| x.add(0.0f32), &x)
}

fn row(what: &str, bytes: usize, us: f64, floor: f64, flops: f64) {
    println!(
        "{what:<58} {us:>10.1} us {:>8.1} GB/s {:>6.2} of copy {:>8.2} TFLOP/s",
        bytes as f64 / us / 1e3,
        floor / us,
        flops / us / 1e6
    );
}

struct Sizes {
    b: i32,
    h: i32,
    kv: i32,
    n: i32,
    d: i32,
}

fn decode(gpu: bool) -> Result<()> {
    let all = [
        Sizes {
            b: 1,
            h: 9,
            kv: 3,
            n: 1024,
            d: 64,
        },
        Sizes {
            b: 1,
            h: 32,
            kv: 8,
            n: 4096,
            d: 128,
        },
        Sizes {
            b: 16,
            h: 32,
            kv: 8,
            n: 4096,
            d: 128,
        },
        Sizes {
            b: 64,
            h: 9,
            kv: 3,
            n: 1024,
            d: 64,
        },
    ];
    let calls = if gpu { 40 } else { 4 };
    for s in all.iter().take(if gpu { 4 } else { 2 }) {
        let Sizes { b, h, kv, n, d } = *s;
        let dtypes: &[Dtype] = if gpu { &[BF16] } else { &[F32, F16, BF16] };
        for &dtype in dtypes {
            let q = random::normal((b, h, 1, d))?.astype(dtype)?;
            let k = random::normal((b, kv, n, d))?.astype(dtype)?;
            let v = random::normal((b, kv, n, d))?.astype(dtype)?;
            let codes =
                [8, 4].map(|bits| [&k, &v].map(|x| quantize_cache(x, bits, 64).expect("fits")));
            let scale = 1.0 / (d as f32).sqrt();
            zmlx::eval([&q, &k, &v])?;
            for [a, b] in &codes {
                zmlx::eval([&a.codes, &a.scales, &b.codes, &b.scales])?;
            }
            let flops = 4.0 * f64::from(b * h) * f64::from(n) * f64::from(d);
            let bytes = 2 * k.size() * dtype.size();
            let floor = copy(bytes, calls)?;
            let name = format!("decode b{b} h{h}/{kv} n{n} d{d} {dtype}");
            let own = time(calls, &|q| decode_attention(q, &k, &v).call(), &q)?;
            row(&name, bytes, own, floor, flops);
            let mlx = |q: &Array| fast::scaled_dot_product_attention(q, &k, &v, scale).call();
            row(
                &format!("  MLX"),
                bytes,
                time(calls, &mlx, &q)?,
                floor,
                flops,
            );
            for ([k, v], bits) in codes.iter().zip([8, 4]) {
                let bytes = 2 * (k.codes.nbytes() + k.scales.nbytes());
                let floor = copy(bytes, calls)?;
                let own = time(calls, &|q| decode_attention(q, k, v).call(), &q)?;
                row(&format!("  {bits} bits"), bytes, own, floor, flops);
            }
            if !gpu {
                continue;
            }
            // The same tokens in blocks of 16 slots.
            let blocks = b * n / 16;
            let paged = |x: &Array| -> Result<Array> {
                let last = x.shape()[3];
                let y = x
                    .transpose([0, 2, 1, 3])?
                    .reshape((blocks, 16, kv, last))?
                    .contiguous()?;
                zmlx::eval([&y])?;
                Ok(y)
            };
            let table = Array::arange(blocks)?.reshape((b, n / 16))?;
            let lens = Array::full((b,), n, Dtype::Int32)?;
            zmlx::eval([&table, &lens])?;
            let (pk, pv) = (paged(&k)?, paged(&v)?);
            let own = time(
                calls,
                &|q| paged_attention(q, &pk, &pv, &table, &lens).call(),
                &q,
            )?;
            row("  paged", bytes, own, floor, flops);
            let [k8, v8] = &codes[0];
            let part = |c: &zmlx::kernels::attention::QuantizedCache| -> Result<_> {
                Ok(zmlx::kernels::attention::QuantizedCache {
                    codes: paged(&c.codes)?,
                    scales: paged(&c.scales)?,
                })
            };
            let (k8, v8) = (part(k8)?, part(v8)?);
            let bytes = 2 * (k8.codes.nbytes() + k8.scales.nbytes());
            let floor = copy(bytes, calls)?;
            let own = time(
                calls,
                &|q| paged_attention(q, &k8, &v8, &table, &lens).call(),
                &q,
            )?;
            row("  paged, 8 bits", bytes, own, floor, flops);
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wants = |name: &str| asked.is_empty() || asked.iter().any(|a| a == name);
    println!("{}", zmlx::engine::info());
    let gpu = zmlx::Device::default_device()? == Device::GPU;
    if wants("decode") {
        decode(gpu)?;
    }
    Ok(())
}
