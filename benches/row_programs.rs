//! Generated row programs against MLX's operations and a copy in the same run.
//!
//! `cargo bench --bench row_programs -- [cpu|gpu] [ROWSxWIDTH ...] [f32|f16|bf16 ...] [only=TEXT]`; without arguments on the CPU with
//! 2048x4096 in all three dtypes. Shares are of a copy of as many bytes as the case must move.

use std::rc::Rc;

use zmlx::api;
use zmlx::bench::{Case, Racing, Settings, race};
use zmlx::prelude::*;
use zmlx::rowwise::{self, MapReduce, Pass};
use zmlx::{Result, eval, fast, vjp, with_device};

type Function = Rc<dyn Fn(&[Array]) -> Result<Vec<Array>>>;

/// A case: inputs by their kind, the bytes that must be moved, and who does it.
struct Program {
    name: &'static str,
    /// How many arrays of rows (the last may be a cotangent), and weights (one row for all).
    inputs: [usize; 2],
    ours: Function,
    mlx: Function,
}

fn pass<'a>(init: &'a str, update: &'a str, reduce: &'a str) -> Pass<'a> {
    Pass {
        init,
        update,
        reduce,
    }
}

/// The gradients of all inputs but the last, which is the cotangent.
fn gradients(f: impl Fn(&[Array]) -> Result<Array> + 'static) -> Function {
    Rc::new(move |p| {
        let (g, inputs) = p.split_last().unwrap();
        let inputs: Vec<&Array> = inputs.iter().collect();
        let (_, d) = vjp(
            |p: &[Array]| Ok(vec![f(p)?]),
            inputs,
            std::slice::from_ref(g),
        )?;
        Ok(d)
    })
}

fn forward(f: impl Fn(&[Array]) -> Result<Array> + 'static) -> Function {
    Rc::new(move |p| Ok(vec![f(p)?]))
}

fn one(op: &MapReduce) -> impl Fn(&[Array]) -> Result<Array> + 'static {
    let op = op.clone();
    move |p| Ok(op.call_all(p)?.remove(0))
}

fn programs() -> Result<Vec<Program>> {
    let softmax = rowwise::map_reduce("bench_softmax")
        .pass(pass("-INFINITY", "max(acc1, x)", "max(a, b)"))
        .pass(pass("0.0f", "acc2 + exp(x - s1)", "a + b"))
        .write("exp(x - s1) / s2")
        .build()?;
    let logsumexp = rowwise::map_reduce("bench_logsumexp")
        .pass(pass("-INFINITY", "max(acc1, x)", "max(a, b)"))
        .pass(pass("0.0f", "acc2 + exp(x - s1)", "a + b"))
        .write_row("s1 + log(s2)")
        .build()?;
    let rmsnorm = rowwise::map_reduce("bench_rmsnorm")
        .inputs(["x", "w"])
        .pass(pass("0.0f", "acc1 + x * x", "a + b"))
        .write("x * rsqrt(s1 / D + 1e-5f) * w")
        .build()?;
    let layernorm = rowwise::map_reduce("bench_layernorm")
        .inputs(["x", "w", "b"])
        .pass(pass("0.0f", "acc1 + x", "a + b"))
        .pass(pass("0.0f", "acc2 + (x - s1 / D) * (x - s1 / D)", "a + b"))
        .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w + b")
        .build()?;
    let sum = api::reduce("bench_sum").update("acc + v").build()?;
    let biased = zmlx::elementwise::map("bench_bias_silu", ["x", "w"], "kk_silu(x + w)")?;
    let mlx_softmax = |p: &[Array]| p[0].softmax(-1);
    let mlx_rms = |p: &[Array]| fast::rms_norm(&p[0], &p[1], 1e-5);
    let mlx_layer = |p: &[Array]| fast::layer_norm(&p[0], Some(&p[1]), Some(&p[2]), 1e-5);
    let silu = |p: &[Array]| {
        let z = (&p[0] + &p[1])?;
        &z * &z.sigmoid()?
    };
    let both = biased.clone();
    Ok(vec![
        Program {
            name: "softmax",
            inputs: [1, 0],
            ours: forward(one(&softmax)),
            mlx: forward(mlx_softmax),
        },
        Program {
            name: "softmax vjp",
            inputs: [2, 0],
            ours: gradients(one(&softmax)),
            mlx: gradients(mlx_softmax),
        },
        Program {
            name: "logsumexp",
            inputs: [1, 0],
            ours: forward(one(&logsumexp)),
            mlx: forward(|p| p[0].logsumexp(-1)),
        },
        Program {
            name: "sum",
            inputs: [1, 0],
            ours: forward(move |p| sum.call(&p[0])),
            mlx: forward(|p| p[0].sum(-1)),
        },
        Program {
            name: "rmsnorm",
            inputs: [1, 1],
            ours: forward(one(&rmsnorm)),
            mlx: forward(mlx_rms),
        },
        Program {
            name: "rmsnorm vjp",
            inputs: [2, 1],
            ours: gradients(one(&rmsnorm)),
            mlx: gradients(mlx_rms),
        },
        Program {
            name: "layernorm",
            inputs: [1, 2],
            ours: forward(one(&layernorm)),
            mlx: forward(mlx_layer),
        },
        Program {
            name: "layernorm vjp",
            inputs: [2, 2],
            ours: gradients(one(&layernorm)),
            mlx: gradients(mlx_layer),
        },
        Program {
            name: "bias silu",
            inputs: [1, 1],
            ours: forward(move |p| biased.call(&[&p[0], &p[1]])),
            mlx: forward(silu),
        },
        Program {
            name: "bias silu vjp",
            inputs: [2, 1],
            ours: gradients(move |p| both.call(&[&p[0], &p[1]])),
            mlx: gradients(silu),
        },
    ])
}

fn measure(p: &Program, rows: i32, width: i32, dtype: Dtype, gpu: bool) -> Result<()> {
    let mut make = Vec::new();
    let draw = |shape: &[i32]| random::normal(shape)?.astype(dtype);
    make.push(draw(&[rows, width])?);
    for _ in 0..p.inputs[1] {
        make.push(draw(&[width])?);
    }
    for _ in 1..p.inputs[0] {
        make.push(draw(&[rows, width])?);
    }
    eval(&make)?;
    let made = (p.ours)(&make)?;
    eval(&made)?;
    let bytes: usize = make.iter().chain(&made).map(Array::nbytes).sum();
    let copies = if gpu {
        (256 << 20) / bytes.max(1) + 1
    } else {
        1
    };
    let mut sets = vec![make];
    for _ in 1..copies.min(16) {
        let zero = Array::zeros(1, dtype)?;
        let other = sets[0]
            .iter()
            .map(|a| a.add(&zero))
            .collect::<Result<Vec<_>>>()?;
        eval(&other)?;
        sets.push(other);
    }
    drop(made);
    let case = Case {
        kernel: p.name,
        shape: &[rows, width],
        dtype,
        bytes,
        sets,
    };
    let mlx = Rc::clone(&p.mlx);
    let compiled = zmlx::compile(move |a: &[Array]| mlx(a))?;
    let fused: Function = Rc::new(move |a| compiled.call(a));
    let racing: Vec<Racing> = vec![
        ("zmlx", &*p.ours),
        ("MLX", &*p.mlx),
        ("MLX compiled", &*fused),
    ];
    let settings = Settings::default().time(std::time::Duration::from_millis(150));
    let settings = if gpu { settings.batch(30) } else { settings };
    let row = race(case, &racing, &settings)?;
    let copy = row.copy_gb_s.unwrap_or(f64::NAN);
    let share = |i: usize| row.gb_s(i).unwrap_or(f64::NAN) / copy;
    let us = |i: usize| row.results[i].us().unwrap_or(f64::NAN);
    println!(
        "{:14} {rows}x{width} {dtype:9}: {:9.1} us, {:.2} of copy ({copy:.0} GB/s); MLX {:9.1} us ({:.2}x), compiled {:9.1} us ({:.2}x)",
        p.name,
        us(0),
        share(0),
        us(1),
        us(1) / us(0),
        us(2),
        us(2) / us(0),
    );
    Ok(())
}

fn main() -> Result<()> {
    let (mut shapes, mut dtypes, mut gpu, mut only) = (vec![], vec![], false, String::new());
    for a in std::env::args().skip(1) {
        match a.as_str() {
            "cpu" => gpu = false,
            "gpu" => gpu = true,
            "f32" => dtypes.push(F32),
            "f16" => dtypes.push(F16),
            "bf16" => dtypes.push(BF16),
            a => match (a.split_once('x'), a.strip_prefix("only=")) {
                (_, Some(text)) => only = text.to_owned(),
                (Some((r, w)), _) if r.parse::<i32>().is_ok() => {
                    shapes.push((r.parse().unwrap_or(1), w.parse().unwrap_or(1)));
                }
                _ => {}
            },
        }
    }
    if shapes.is_empty() {
        shapes.push((2048, 4096));
    }
    if dtypes.is_empty() {
        dtypes = vec![F32, F16, BF16];
    }
    let device = if gpu { Device::GPU } else { Device::CPU };
    with_device(device, || {
        for p in programs()?.iter().filter(|p| p.name.contains(&only)) {
            for &(rows, width) in &shapes {
                for &dtype in &dtypes {
                    measure(p, rows, width, dtype, gpu)?;
                }
            }
        }
        Ok(())
    })
}
