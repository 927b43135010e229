//! What a kernel launch costs, beside MLX's own operations in the same run.
//!
//! `cargo bench --bench launch`. `node/*` builds a graph node and drops it; `silu 16M/*` evaluates
//! `x * sigmoid(x)` on 16 Mi float32 (so does `copy`, the floor: it reads and writes as many bytes).
//! `build a known kernel/*` describes a kernel that the process has: the time of one `build()` of
//! one thread, alone and while seven others do the same (so with fewer cores than threads, most
//! of it is waiting for a core).

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use zmlx::prelude::*;
use zmlx::{MetalKernel, with_device};

const N: usize = 16 << 20;

const SILU: &str =
    "uint i = thread_position_in_grid.x; T v = x[i]; out[i] = v / (1 + metal::exp(-v));";

fn silu() -> MetalKernel {
    MetalKernel::new("bench_silu", ["x"], ["out"])
        .source(SILU)
        .build()
        .expect("a valid kernel")
}

fn launch(kernel: &MetalKernel, x: &Array) -> Array {
    let [y] = kernel
        .launch(&[x])
        .template("T", F32)
        .run()
        .expect("a valid launch");
    y
}

fn nodes(c: &mut Criterion) {
    let kernel = silu();
    let x = Array::from_slice(&vec![0.5f32; 1024], 1024).expect("a vector");
    let mut group = c.benchmark_group("node");
    group.bench_function("kernel", |b| b.iter(|| black_box(launch(&kernel, &x))));
    group.bench_function("mlx exp", |b| b.iter(|| black_box(x.exp())));
    group.finish();
}

/// Operations from expressions beside launches of kernels with the same inputs, outputs and template arguments.
fn toolkit(c: &mut Criterion) {
    let [raw, rows] = ["x", "x, w"].map(|names| {
        MetalKernel::new("bench_raw", names.split(", "), ["out"])
            .source("out[thread_position_in_grid.x] = O(x[0]);")
            .build()
            .expect("a valid kernel")
    });
    let x = Array::from_slice(&vec![0.5f32; 8192], (8, 1024)).expect("a matrix");
    let w = Array::from_slice(&vec![0.5f32; 1024], 1024).expect("a vector");
    let silu = elementwise::unary("bench_silu", "x * kk_sigmoid(x)").expect("an operation");
    let scale = elementwise::binary("bench_scale", "a * b").expect("an operation");
    let sum = api::reduce("bench_sum").update("acc + v").build();
    let sum = sum.expect("an operation");
    let mut group = c.benchmark_group("node");
    let (one, two) = ([&x], [&x, &w]);
    let flat = || {
        let launch = raw.launch(&one).template("O", F32);
        launch.output(x.shape(), F32).run_vec()
    };
    group.bench_function("raw, as unary", |b| b.iter(|| black_box(flat())));
    group.bench_function("elementwise::unary", |b| {
        b.iter(|| black_box(silu.call(&x)))
    });
    let row = || {
        let launch = rows.launch(&two).template("O", F32);
        let launch = launch.template("TG", 1).template("VEC", 64);
        launch
            .output(x.shape(), F32)
            .grid(8)
            .threadgroup(1)
            .run_vec()
    };
    group.bench_function("raw, as binary", |b| b.iter(|| black_box(row())));
    group.bench_function("elementwise::binary, broadcast", |b| {
        b.iter(|| black_box(scale.call(&x, &w)));
    });
    group.bench_function("api::reduce", |b| b.iter(|| black_box(sum.call(&x))));
    group.finish();
}

/// The mean time of a call to `build` on each of `threads` threads that make `n` calls.
fn build_on(threads: usize, n: u64, header: &str) -> Duration {
    let gate = std::sync::Barrier::new(threads);
    let time = || {
        gate.wait();
        let begin = Instant::now();
        for _ in 0..n {
            let kernel = MetalKernel::new("bench_silu", ["x"], ["out"])
                .source(SILU)
                .header(header)
                .build();
            black_box(kernel.expect("a valid kernel"));
        }
        begin.elapsed()
    };
    std::thread::scope(|s| {
        let all: Vec<_> = (0..threads).map(|_| s.spawn(time)).collect();
        let times = all.into_iter().map(|t| t.join().expect("no panic"));
        times.sum::<Duration>() / threads as u32
    })
}

fn builds(c: &mut Criterion) {
    let mut group = c.benchmark_group("build a known kernel");
    for (text, header) in [("1 line", ""), ("10 KB", &"// nothing\n".repeat(930))] {
        for threads in [1, 8] {
            group.bench_function(format!("{text}, {threads} threads"), |b| {
                b.iter_custom(|n| build_on(threads, n, header));
            });
        }
    }
    group.finish();
}

fn evaluation(c: &mut Criterion) {
    let kernel = silu();
    let x = Array::from_slice(&[0.5f32], 1).expect("a scalar");
    let mut group = c.benchmark_group("evaluate 1 element");
    group.bench_function("kernel", |b| b.iter(|| launch(&kernel, &x).eval()));
    group.bench_function("mlx exp", |b| b.iter(|| x.exp()?.eval()));
    group.finish();
}

fn bandwidth(c: &mut Criterion) {
    let kernel = silu();
    let values: Vec<f32> = (0..N).map(|i| (i % 4001) as f32 / 500.0 - 4.0).collect();
    let x = Array::from_slice(&values, N).expect("a vector");
    let mut target = vec![0.0f32; N];
    let mut group = c.benchmark_group("silu 16M");
    group
        .sample_size(10)
        .throughput(Throughput::Bytes(2 * 4 * N as u64));
    group.bench_function("copy, 1 thread", |b| {
        b.iter(|| target.copy_from_slice(black_box(&values)));
    });
    group.bench_function("copy, all threads", |b| {
        let parts = std::thread::available_parallelism().map_or(1, usize::from);
        let len = N.div_ceil(parts);
        b.iter(|| {
            std::thread::scope(|s| {
                for (to, from) in target.chunks_mut(len).zip(values.chunks(len)) {
                    s.spawn(move || to.copy_from_slice(black_box(from)));
                }
            });
        });
    });
    group.bench_function("kernel", |b| b.iter(|| launch(&kernel, &x).eval()));
    group.bench_function("mlx x*sigmoid(x)", |b| {
        b.iter(|| with_device(Device::CPU, || (&x * x.sigmoid())?.eval()));
    });
    group.finish();
}

criterion_group!(benches, nodes, toolkit, builds, evaluation, bandwidth);
criterion_main!(benches);
