//! Products with quantized matrices: ours, MLX's where it has the layout, and the time in which a copy moves the matrix's bytes.
//!
//! `cargo bench --bench quantized -- [TEXT]` measures the cases whose names have TEXT in them.
//!
//! Each call takes the next of several matrices, which together are larger than a GPU's caches. Graphs are built before the clock starts; a
//! sample is the evaluation of 40 calls on a GPU and of one on a CPU. The time is the median of the samples, with the shortest in brackets.

use std::time::Instant;

use zmlx::bench::copy_bandwidth;
use zmlx::io::GgufType;
use zmlx::kernels::quant::{Activations, QuantizedWeight, quantized_matmul};
use zmlx::ops::{QuantMode, Quantization, Quantized};
use zmlx::prelude::*;
use zmlx::{DeviceKind, Result, Stream};

/// A matrix of random bits.
fn mlx(q: Quantization, n: i32, k: i32, dtype: Dtype) -> Result<Quantized> {
    // Beyond there are codes of NaN.
    let largest = if q.mode == QuantMode::Mxfp8 { 120 } else { 256 };
    let bytes = zmlx::random::randint(0, largest, (n, k * q.bits / 8))?.astype(Dtype::Uint8)?;
    let groups = (n, k / q.group_size);
    let affine = q.mode == QuantMode::Affine;
    let scales = match affine {
        true => Array::full(groups, 0.01, dtype)?,
        false => Array::full(groups, 120.0, Dtype::Float32)?.astype(Dtype::Uint8)?,
    };
    let w = Quantized {
        weight: bytes.view(Dtype::Uint32)?,
        biases: affine.then(|| scales.multiply(-8.0)).transpose()?,
        scales,
        global_scale: None,
        quantization: q,
    };
    zmlx::eval([&w.weight, &w.scales])?;
    Ok(w)
}

fn gguf(kind: GgufType, n: i32, k: i32) -> Result<QuantizedWeight> {
    let bytes = k / kind.block_elements() as i32 * kind.block_bytes() as i32;
    // Any two bytes are a small float16.
    let blocks = zmlx::random::randint(16, 32, (n, bytes))?.astype(Dtype::Uint8)?;
    zmlx::eval([&blocks])?;
    QuantizedWeight::gguf(kind, &blocks)
}

struct Case {
    name: String,
    rows: i32,
    k: i32,
    dtype: Dtype,
    ours: Vec<QuantizedWeight>,
    theirs: Vec<Quantized>,
}

fn main() -> Result<()> {
    let text = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let gpu = Stream::current()?.device().kind == DeviceKind::Gpu;
    println!("{}", zmlx::engine::info());
    let dtype = if gpu { Dtype::Bfloat16 } else { Dtype::Float16 };
    let four = Quantization::affine(64, 4);
    let shapes: &[(i32, i32, i32)] = match gpu {
        true => &[
            (1, 4096, 14336),
            (1, 14336, 4096),
            (2, 4096, 14336),
            (4, 4096, 14336),
            (8, 4096, 14336),
            (16, 4096, 14336),
            (32, 4096, 14336),
            (64, 4096, 14336),
            (128, 4096, 14336),
            (256, 4096, 14336),
            (1024, 4096, 14336),
        ],
        false => &[
            (1, 576, 1536),
            (1, 4096, 4096),
            (4, 4096, 4096),
            (8, 4096, 4096),
            (256, 576, 1536),
            (256, 4096, 4096),
        ],
    };
    let copies = if gpu { 6 } else { 4 };
    println!(
        "| rows x K x N | format | ours us | GB/s of the matrix | TFLOP/s | x rounded to 8 bits us | GB/s | MLX us | a copy of the matrix us |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let wanted = |name: &str| text.as_ref().is_none_or(|t| name.contains(t.as_str()));
    let copy = copy_bandwidth(64 << 20)?;
    for &(rows, k, n) in shapes {
        let name = format!("{rows} x {k} x {n} | affine 4 bits, 64");
        if wanted(&name) {
            let theirs = (0..copies)
                .map(|_| mlx(four, n, k, dtype))
                .collect::<Result<Vec<_>>>()?;
            let ours = theirs
                .iter()
                .map(QuantizedWeight::new)
                .collect::<Result<Vec<_>>>()?;
            run(
                &Case {
                    name,
                    rows,
                    k,
                    dtype,
                    ours,
                    theirs,
                },
                copy,
            )?;
        }
    }
    let (k, n) = (4096, if gpu { 14336 } else { 4096 });
    let affine = [(32, 2), (64, 3), (128, 4), (64, 5), (64, 6), (64, 8)]
        .map(|(g, b)| Quantization::affine(g, b));
    let floats = [QuantMode::Mxfp4, QuantMode::Mxfp8, QuantMode::Nvfp4].map(Quantization::of);
    for q in affine.into_iter().chain(floats) {
        let name = format!(
            "1 x {k} x {n} | {} {} bits, {}",
            q.mode.name(),
            q.bits,
            q.group_size
        );
        if wanted(&name) {
            let theirs = (0..copies)
                .map(|_| mlx(q, n, k, dtype))
                .collect::<Result<Vec<_>>>()?;
            let ours = theirs
                .iter()
                .map(QuantizedWeight::new)
                .collect::<Result<Vec<_>>>()?;
            run(
                &Case {
                    name,
                    rows: 1,
                    k,
                    dtype,
                    ours,
                    theirs,
                },
                copy,
            )?;
        }
    }
    for &kind in GgufType::ALL.iter().filter(|t| t.dtype().is_none()) {
        let name = format!("1 x {k} x {n} | {}", kind.name());
        if wanted(&name) {
            let ours = (0..copies)
                .map(|_| gguf(kind, n, k))
                .collect::<Result<Vec<_>>>()?;
            run(
                &Case {
                    name,
                    rows: 1,
                    k,
                    dtype,
                    ours,
                    theirs: Vec::new(),
                },
                copy,
            )?;
        }
    }
    Ok(())
}

fn run(case: &Case, copy: f64) -> Result<()> {
    let x = zmlx::random::normal((case.rows, case.k))?.astype(case.dtype)?;
    zmlx::eval([&x])?;
    if let Some(first) = case.theirs.first() {
        // Both compute the same; MLX adds up in float16 on a CPU.
        let (a, b) = (
            quantized_matmul(&x, &case.ours[0]).call()?,
            x.quantized_matmul(first, true)?,
        );
        let (a, b) = (a.astype(Dtype::Float32)?, b.astype(Dtype::Float32)?);
        let most = b.abs()?.max(..)?.item::<f32>()?;
        let far = a.subtract(&b)?.abs()?.max(..)?.item::<f32>()?;
        if far.is_nan() || far > most * 0.05 {
            println!("DIFFERENT by {far} of {most}:");
        }
    }
    let bytes = case.ours[0].nbytes() as f64;
    let (n, k) = (f64::from(case.ours[0].shape()[0]), f64::from(case.k));
    let flops = 2.0 * n * k * f64::from(case.rows);
    let ours = |activations| {
        time(|i| {
            let call = quantized_matmul(&x, &case.ours[i % case.ours.len()]);
            call.activations(activations).call()
        })
    };
    let (us, min) = ours(Activations::Float)?;
    // Nothing is rounded on a GPU.
    let rounded = match Stream::current()?.device().kind {
        DeviceKind::Gpu => "- | -".into(),
        _ => {
            let (us, min) = ours(Activations::Int8)?;
            format!("{us:.1} ({min:.1}) | {:.1}", bytes / us / 1e3)
        }
    };
    let mlx = match case.theirs.len() {
        0 => "-".into(),
        n => {
            let (us, min) = time(|i| x.quantized_matmul(&case.theirs[i % n], true))?;
            format!("{us:.1} ({min:.1})")
        }
    };
    // A copy reads and writes.
    let floor = bytes / (copy / 2.0) / 1e3;
    println!(
        "| {} | {us:.1} ({min:.1}) | {:.1} | {:.2} | {rounded} | {mlx} | {floor:.1} |",
        case.name,
        bytes / us / 1e3,
        flops / us / 1e6
    );
    Ok(())
}

/// Median and minimum, in microseconds a call.
fn time(call: impl Fn(usize) -> Result<Array>) -> Result<(f64, f64)> {
    let gpu = Stream::current()?.device().kind == DeviceKind::Gpu;
    let calls = if gpu { 40 } else { 1 };
    let mut all = Vec::new();
    let begin = Instant::now();
    // The first ones compile, and touch memory for the first time.
    for sample in 0..40 {
        let graph = (0..calls)
            .map(|i| call(sample * calls + i))
            .collect::<Result<Vec<_>>>()?;
        let start = Instant::now();
        zmlx::eval(&graph)?;
        let us = start.elapsed().as_secs_f64() * 1e6 / calls as f64;
        if sample > 2 {
            all.push(us);
        }
        if sample > 4 && begin.elapsed().as_secs_f64() > 2.0 {
            break;
        }
    }
    all.sort_by(f64::total_cmp);
    Ok((all[all.len() / 2], all[0]))
}
