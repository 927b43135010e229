//! What the host does for a gradient: the time to build its graph, which nobody evaluates.
//!
//! `cargo bench --bench gradients`: microseconds a call, the best of many rounds, for a value and its gradients in one.

use std::hint::black_box;
use std::time::Instant;

use zmlx::kernels::{activations, norms, softmax};
use zmlx::prelude::*;
use zmlx::{Result, vjp};

/// Calls a round, and rounds.
const CALLS: u32 = 200;
const ROUNDS: usize = 80;

type Function = Box<dyn Fn(&[Array]) -> Result<Vec<Array>>>;

fn functions() -> Vec<(&'static str, usize, Function)> {
    vec![
        (
            "gelu_tanh",
            1,
            Box::new(|p| Ok(vec![activations::gelu_tanh(&p[0])?])),
        ),
        (
            "softmax_lastdim",
            1,
            Box::new(|p| Ok(vec![softmax::softmax_lastdim(&p[0])?])),
        ),
        (
            "rmsnorm",
            2,
            Box::new(|p| Ok(vec![norms::rmsnorm(&p[0], &p[1]).call()?])),
        ),
        (
            "layernorm",
            3,
            Box::new(|p| Ok(vec![norms::layernorm(&p[0], &p[1], &p[2]).call()?])),
        ),
        ("MLX softmax", 1, Box::new(|p| Ok(vec![p[0].softmax(-1)?]))),
        (
            "MLX rms_norm",
            2,
            Box::new(|p| Ok(vec![zmlx::fast::rms_norm(&p[0], &p[1], 1e-6)?])),
        ),
    ]
}

fn main() -> Result<()> {
    let x = Array::ones((8, 64), F32)?;
    let w = Array::ones(64, F32)?;
    let g = Array::ones((8, 64), F32)?;
    for (name, inputs, f) in functions() {
        let primals = [&x, &w, &w];
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            for _ in 0..CALLS {
                black_box(vjp(|p: &[Array]| f(p), &primals[..inputs], [&g])?);
            }
            best = best.min(begin.elapsed().as_secs_f64() / f64::from(CALLS));
        }
        println!("{name:16} {:6.2} us", best * 1e6);
    }
    Ok(())
}
