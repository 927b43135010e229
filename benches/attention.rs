//! Attention beside MLX's, and beside the time that reading and writing takes.
//!
//! `cargo bench --bench attention -- [decode] [flash] [backward]`
//!
//! Each is timed as a chain of calls in one evaluation, in which none can be left out: the time of one call, the least of many
//! runs, as the machine may be busy. The floor is a copy of as many bytes, by MLX's `x + 0`, in the same run.

use std::time::{Duration, Instant};

use zmlx::kernels::attention::{
    QuantizedCache, decode_attention, flash_attention, paged_attention, quantize_cache,
};
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
            row("  MLX", bytes, time(calls, &mlx, &q)?, floor, flops);
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
            let part = |c: &QuantizedCache| -> Result<_> {
                Ok(QuantizedCache {
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

/// The largest difference, so that a figure never belongs to a wrong result.
fn far(a: &Array, b: &Array) -> Result<f32> {
    let difference = a.astype(F32)?.subtract(&b.astype(F32)?)?;
    difference.abs()?.max(..)?.item::<f32>()
}

/// A case of many queries.
struct Flash {
    name: &'static str,
    sizes: Sizes,
    causal: bool,
    window: Option<i32>,
    cap: Option<f32>,
    mask: bool,
}

fn flash_cases(gpu: bool) -> Vec<Flash> {
    let plain = |name, b, h, kv, n, d| Flash {
        name,
        sizes: Sizes { b, h, kv, n, d },
        causal: true,
        window: None,
        cap: None,
        mask: false,
    };
    if !gpu {
        return vec![plain("causal", 1, 9, 3, 1024, 64)];
    }
    vec![
        plain("causal", 4, 32, 8, 4096, 128),
        plain("causal", 4, 32, 32, 4096, 64),
        plain("causal", 1, 32, 8, 16384, 128),
        plain("causal", 4, 16, 4, 4096, 192),
        plain("causal", 4, 16, 4, 4096, 256),
        Flash {
            window: Some(1024),
            ..plain("window 1024", 4, 32, 8, 4096, 128)
        },
        Flash {
            cap: Some(30.0),
            ..plain("soft-cap", 4, 32, 8, 4096, 128)
        },
        Flash {
            mask: true,
            causal: false,
            ..plain("additive mask", 4, 32, 8, 2048, 128)
        },
    ]
}

fn flash(gpu: bool, backward: bool) -> Result<()> {
    let dtypes: &[Dtype] = if gpu { &[BF16] } else { &[F32, BF16] };
    for case in flash_cases(gpu) {
        for &dtype in dtypes {
            let Sizes { b, h, kv, n, d } = case.sizes;
            let q = random::normal((b, h, n, d))?.astype(dtype)?;
            let k = random::normal((b, kv, n, d))?.astype(dtype)?;
            let v = random::normal((b, kv, n, d))?.astype(dtype)?;
            let mask = random::normal((n, n))?.astype(dtype)?;
            zmlx::eval([&q, &k, &v, &mask])?;
            let own = |p: &[Array]| {
                let mut call = flash_attention(&p[0], &p[1], &p[2]);
                if case.causal {
                    call = call.causal();
                }
                if let Some(window) = case.window {
                    call = call.window(window);
                }
                if let Some(cap) = case.cap {
                    call = call.softcap(cap);
                }
                if case.mask {
                    call = call.mask(&mask);
                }
                Ok(vec![call.call()?])
            };
            // MLX has no window and no cap: a mask, and a cap by operations.
            let seen = {
                let place = Array::arange(n)?.reshape((n, 1))?;
                let key = Array::arange(n)?;
                let seen = key.less_equal(&place)?;
                match case.window {
                    None => seen,
                    Some(w) => seen.logical_and(key.greater(&place.subtract(w)?)?)?,
                }
            };
            zmlx::eval([&seen])?;
            let scale = 1.0 / (d as f32).sqrt();
            let mlx = |p: &[Array]| -> Result<Vec<Array>> {
                if let Some(cap) = case.cap {
                    let each = p[1].expand_dims(2)?.broadcast_to((b, kv, h / kv, n, d))?;
                    let keys = each.reshape((b, h, n, d))?.swapaxes(-1, -2)?;
                    let scores = p[0]
                        .matmul(&keys)?
                        .multiply(scale / cap)?
                        .tanh()?
                        .multiply(cap)?;
                    let scores = zmlx::ops::where_(&seen, scores, f32::NEG_INFINITY)?;
                    let each = p[2].expand_dims(2)?.broadcast_to((b, kv, h / kv, n, d))?;
                    let y = scores
                        .astype(dtype)?
                        .softmax(-1)?
                        .matmul(&each.reshape((b, h, n, d))?)?;
                    return Ok(vec![y]);
                }
                let call = fast::scaled_dot_product_attention(&p[0], &p[1], &p[2], scale);
                let call = match (case.mask, case.window, case.causal) {
                    (true, ..) => call.mask(&mask),
                    (_, Some(_), _) => call.mask(&seen),
                    (.., true) => call.causal(),
                    _ => call,
                };
                Ok(vec![call.call()?])
            };
            let part = match (case.window, case.causal) {
                (Some(w), _) => f64::from(w) / f64::from(n),
                (_, true) => 0.5,
                _ => 1.0,
            };
            let flops = 4.0 * f64::from(b * h) * f64::from(n) * f64::from(n) * f64::from(d) * part;
            let bytes = (2 * q.size() + 2 * k.size()) * dtype.size();
            let name = format!("{} b{b} h{h}/{kv} n{n} d{d} {dtype}", case.name);
            let p = [q.clone(), k.clone(), v.clone()];
            let with = |f: &dyn Fn(&[Array]) -> Result<Vec<Array>>, x: &Array| {
                Ok(f(&[x.clone(), k.clone(), v.clone()])?.remove(0))
            };
            type Function<'a> = &'a dyn Fn(&[Array]) -> Result<Vec<Array>>;
            let both: [(&str, Function<'_>); 2] = [(&name, &own), ("  MLX", &mlx)];
            if !backward {
                for (name, f) in both {
                    let us = time(if gpu { 4 } else { 1 }, &|x| with(f, x), &q)?;
                    row(name, bytes, us, 0.0, flops);
                }
                println!(
                    "  largest difference {:.1e}",
                    far(&own(&p)?[0], &mlx(&p)?[0])?
                );
                continue;
            }
            for (name, f) in both {
                let gradient = |x: &Array| -> Result<Array> {
                    let (_, d) = zmlx::vjp(f, [x, &k, &v], [&q])?;
                    // All three count, and the next call waits for them.
                    let tiny = d[1].sum(..)?.add(&d[2].sum(..)?)?.multiply(0.0f32)?;
                    d[0].add(&tiny.astype(dtype)?)
                };
                let us = time(if gpu { 2 } else { 1 }, &gradient, &q)?;
                row(
                    &format!("{name}, forward and backward"),
                    bytes,
                    us,
                    0.0,
                    3.5 * flops,
                );
            }
            let of = |f: Function<'_>| Ok::<_, Error>(zmlx::vjp(f, &p, [&q])?.1);
            for (a, b) in of(&own)?.iter().zip(of(&mlx)?) {
                let most = b.astype(F32)?.abs()?.max(..)?.item::<f32>()?;
                println!("  largest difference {:.1e} of {most:.1e}", far(a, &b)?);
            }
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
    if wants("flash") {
        flash(gpu, false)?;
    }
    if wants("backward") {
        flash(gpu, true)?;
    }
    Ok(())
}
