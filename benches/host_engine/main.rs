//! Kernels on the CPU, against the machine's copy bandwidth and MLX's CPU operations.
//!
//! `cargo bench --bench host_engine [-- FILTER]` prints one line for each kernel, dtype and shape: the fewest
//! bytes that it must move a second, that as a share of what copying reaches with all cores, and
//! the same for MLX's operation or composite. Everything is the best of many repeats, taken in
//! turns, because the machine may have other work to do. What a launch costs and how fast
//! coroutines switch come after it.

mod table;

use std::time::{Duration, Instant};

use zmlx::engine::host::{CompileOptions, compile};
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, with_device};

use table::{Row, print, verdict};

const SHAPES: [(i32, i32); 3] = [(2048, 4096), (64, 4096), (1, 4096)];
const DTYPES: [Dtype; 3] = [F32, F16, BF16];

/// Elements that a row kernel works on at a time.
const VEC: i32 = 64;

/// A kernel and what MLX has in its place.
struct Subject {
    name: &'static str,
    kernel: MetalKernel,
    /// One threadgroup a row, and its width.
    rows: bool,
    /// Bytes read and written for each element, in elements.
    moved: f64,
    mlx: fn(&Array, &Array) -> Result<Array>,
}

fn subjects() -> Result<Vec<Subject>> {
    let elementwise = |name: &'static str, value: &str, mlx| -> Result<Subject> {
        let source =
            format!("uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T({value});");
        let kernel = MetalKernel::new(&format!("bench_{name}"), ["x"], ["out"])
            .header(include_str!("../../kernels/bench/elementwise.metal"))
            .source(&source)
            .build()?;
        Ok(Subject {
            name,
            kernel,
            rows: false,
            moved: 2.0,
            mlx,
        })
    };
    let row = |name: &'static str, inputs: &[&str], moved, call: &str, mlx| -> Result<Subject> {
        let source = format!(
            "threadgroup float shared[32];
             const uint n = x_shape[1], row = threadgroup_position_in_grid.x;
             const size_t start = size_t(row) * n;
             const Position at = {{thread_position_in_threadgroup.x, thread_index_in_simdgroup,
                                  simdgroup_index_in_threadgroup}};
             {call};"
        );
        let kernel = MetalKernel::new(&format!("bench_{name}"), inputs.to_vec(), ["out"])
            .header(include_str!("../../kernels/bench/rows.metal"))
            .source(&source)
            .build()?;
        Ok(Subject {
            name,
            kernel,
            rows: true,
            moved,
            mlx,
        })
    };
    Ok(vec![
        elementwise("double", "twice(v)", |x, _| x * 2.0)?,
        elementwise("exp", "exponential(v)", |x, _| x.exp())?,
        elementwise("silu", "silu(v)", |x, _| x * x.sigmoid())?,
        elementwise("gelu", "gelu(v)", |x, _| {
            let inner = (x + (x * 0.044_715)? * x.square())? * 0.797_884_6;
            (x * 0.5)? * (inner?.tanh()? + 1.0)
        })?,
        elementwise("dropout", "dropout(v, i, 17u)", |x, _| {
            let keep = random::bernoulli(0.9, x.shape())?.astype(x.dtype());
            (x * keep)? * (1.0 / 0.9)
        })?,
        row(
            "softmax",
            &["x"],
            2.0,
            "softmax_row<T, TG, VEC>(x + start, out + start, n, shared, at)",
            |x, _| x.softmax(-1),
        )?,
        row(
            "row sum",
            &["x"],
            1.0,
            "float sum = row_sum<T, TG, VEC>(x + start, n, shared, at, Same());
             if (at.index == 0) out[row] = T(sum)",
            |x, _| x.sum(-1),
        )?,
        row(
            "rmsnorm",
            &["x", "w"],
            2.0,
            "rmsnorm_row<T, TG, VEC>(x + start, w, out + start, n, 1e-5f, shared, at)",
            |x, w| fast::rms_norm(x, w, 1e-5),
        )?,
    ])
}

impl Subject {
    fn launch(&self, x: &Array, w: &Array, tg: i32) -> Result<Array> {
        let inputs = [x, w];
        let launch = self
            .kernel
            .launch(&inputs[..self.kernel.input_names().len()])
            .template("T", x.dtype());
        let rows = x.shape()[0];
        let [y] = if self.rows {
            let shape = if self.moved < 2.0 { &[rows] } else { x.shape() };
            let launch = launch.template("TG", tg).template("VEC", VEC);
            let launch = launch.output(shape, x.dtype());
            launch.grid(rows * tg).threadgroup(tg).run()?
        } else {
            launch.run()?
        };
        Ok(y)
    }
}

/// The shortest of the times that `f` takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Best(Duration);

impl Best {
    fn new() -> Self {
        Self(Duration::MAX)
    }

    fn of<T>(&mut self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let value = f()?;
        self.0 = self.0.min(start.elapsed());
        Ok(value)
    }

    fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

/// Copies 32 MiB with all cores: by `memcpy` in halves or in small pieces, or by a kernel, whose
/// output may have huge pages. The fastest counts.
struct Copy {
    kernel: MetalKernel,
    x: Array,
    from: Vec<u8>,
    to: Vec<u8>,
    best: Best,
    /// Of `memcpy` alone; the kernel's output has huge pages.
    memcpy: Best,
}

impl Copy {
    const BYTES: usize = 32 << 20;

    fn new() -> Result<Self> {
        let kernel = MetalKernel::new("bench_copy", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i];")
            .build()?;
        Ok(Self {
            kernel,
            x: random::normal(Self::BYTES / 4)?,
            from: vec![1; Self::BYTES],
            to: vec![2; Self::BYTES],
            best: Best::new(),
            memcpy: Best::new(),
        })
    }

    fn run(&mut self) -> Result<()> {
        self.x.eval()?;
        for _ in 0..4 {
            self.best.of(|| {
                let [y] = self.kernel.launch(&[&self.x]).run()?;
                y.eval()
            })?;
        }
        let (from, to) = (&self.from, &mut self.to);
        for len in [Self::BYTES / rayon::current_num_threads(), 1 << 20, 1 << 16] {
            let _ = self.memcpy.of(|| {
                rayon::scope(|scope| {
                    for (to, from) in to.chunks_mut(len).zip(from.chunks(len)) {
                        scope.spawn(move |_| to.copy_from_slice(from));
                    }
                });
                Ok(())
            });
        }
        std::hint::black_box(&mut self.to);
        self.best = self.best.min(self.memcpy);
        Ok(())
    }

    /// GB/s, reads and writes counted.
    fn rate(best: Best) -> f64 {
        2.0 * Self::BYTES as f64 / best.seconds() / 1e9
    }
}

fn measure(
    s: &Subject,
    dtype: Dtype,
    shape: (i32, i32),
    long: bool,
    copy: &mut Copy,
) -> Result<Row> {
    let x = (random::normal(shape)? * 2.0)?.astype(dtype)?;
    let w = random::normal(shape.1)?.astype(dtype)?;
    zmlx::eval([&x, &w])?;
    let (mut ours, mut mlx) = (Best::new(), Best::new());
    // Compiles, and takes the memory that later launches use again.
    s.launch(&x, &w, 1)?.eval()?;
    (s.mlx)(&x, &w)?.eval()?;
    let start = Instant::now();
    let limit = Duration::from_millis(if long { 4000 } else { 800 });
    let mut theirs = Duration::ZERO;
    for round in 0.. {
        let spent = start.elapsed();
        if round >= 5 && (spent > limit || round == 2000) {
            break;
        }
        for _ in 0..8 {
            ours.of(|| s.launch(&x, &w, 1)?.eval())?;
        }
        if round % 8 == 0 || long {
            copy.run()?;
        }
        // MLX's operation is often the slowest by far.
        if round < 5 || theirs < spent / 4 {
            let start = Instant::now();
            mlx.of(|| (s.mlx)(&x, &w)?.eval())?;
            theirs += start.elapsed();
        }
    }
    let elements = f64::from(shape.0) * f64::from(shape.1);
    Ok(Row {
        name: s.name,
        dtype,
        shape,
        bytes: elements * s.moved * (x.nbytes() / x.size()) as f64,
        ours,
        mlx,
    })
}

/// A kernel of one element against an MLX operation: 10,000 of each in one graph.
fn launches() -> Result<()> {
    const N: usize = 10_000;
    let kernel = MetalKernel::new("bench_one", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * 0.5f + 1.0f;")
        .build()?;
    let x = Array::from_slice(&[0.5f32], 1)?;
    let step = |x: &Array| -> Result<Array> {
        let [y] = kernel.launch(&[x]).run()?;
        Ok(y)
    };
    let mut best = [[Best::new(); 2]; 2];
    for _ in 0..15 {
        for (which, best) in best.iter_mut().enumerate() {
            let mut y = best[0].of(|| {
                (0..N).try_fold(
                    x.clone(),
                    |y, _| if which == 0 { step(&y) } else { y.exp() },
                )
            })?;
            best[1].of(|| y.eval())?;
            y = x.clone();
            drop(y);
        }
    }
    let us = best.map(|parts| parts.map(|b| b.seconds() * 1e6 / N as f64));
    let [ours, mlx] = us.map(|parts| parts.iter().sum::<f64>());
    println!("\n1 element, {N} in one graph, us each:");
    for (name, [build, eval]) in ["kernel", "MLX exp"].iter().zip(us) {
        println!(
            "  {name:<8} build {build:.2} + eval {eval:.2} = {:.2}",
            build + eval
        );
    }
    println!(
        "  ratio {:.2}; under 3x: {}",
        ours / mlx,
        verdict(ours < 3.0 * mlx, &[])
    );
    Ok(())
}

/// Threads switched a second in a kernel with barriers: the row sum by 256 threads a row.
fn switches(sum: &Subject) -> Result<()> {
    let x = random::normal((256, 4096))?;
    x.eval()?;
    sum.launch(&x, &x, 256)?.eval()?;
    let inputs = [&x];
    let launch = sum.kernel.launch(&inputs).output(256, F32);
    let launch = launch
        .template("T", F32)
        .template("TG", 256)
        .template("VEC", VEC);
    let options = CompileOptions {
        name: sum.kernel.name().to_owned(),
        ..CompileOptions::default()
    };
    let kernel = compile(&launch.source()?.msl, &options).expect("the kernel just launched");
    let before = kernel.switches();
    let mut best = Best::new();
    let rounds = 30;
    for _ in 0..rounds {
        best.of(|| sum.launch(&x, &x, 256)?.eval())?;
    }
    let each = (kernel.switches() - before) as f64 / f64::from(rounds);
    println!(
        "\ncoroutines, row sum 256x4096 by 256 threads a row: {:.0} us, {:.1} M switches/s, all cores",
        best.seconds() * 1e6,
        each / best.seconds() / 1e6
    );
    Ok(())
}

fn main() -> Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let wanted = |text: &str| filter.as_ref().is_none_or(|f| text.contains(f.as_str()));
    with_device(Device::CPU, || {
        let mut copy = Copy::new()?;
        let subjects = subjects()?;
        let mut rows = Vec::new();
        for dtype in DTYPES {
            for shape in SHAPES {
                for s in &subjects {
                    if wanted(&format!("{} {dtype} {}x{}", s.name, shape.0, shape.1)) {
                        let long = shape == SHAPES[0] && dtype == F32;
                        rows.push(measure(s, dtype, shape, long, &mut copy)?);
                    }
                }
            }
        }
        if !rows.is_empty() {
            print(&rows, Copy::rate(copy.best), Copy::rate(copy.memcpy));
        }
        if wanted("launch") {
            launches()?;
        }
        if wanted("switches") {
            switches(&subjects[6])?;
        }
        Ok(())
    })
}
