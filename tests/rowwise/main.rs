//! Operations along rows: values, derivatives and shapes against MLX's operations in float64.

#[path = "../common/mod.rs"]
mod common;
mod gradients;
mod layouts;
mod parameters;
mod randoms;
mod saved;
#[path = "../common/toolkit.rs"]
mod toolkit;
mod transforms;
mod values_at;
mod widths;

use zmlx::Result;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::MapReduce;

use toolkit::softmax_passes;

fn softmax() -> MapReduce {
    softmax_passes("softmax")
        .write("exp(x - s1) / s2")
        .build()
        .unwrap()
}

fn layernorm() -> MapReduce {
    api::map_reduce("layernorm")
        .inputs(["x", "w"])
        .pass1(Pass {
            init: "0.0f",
            update: "acc1 + x",
            reduce: "a + b",
        })
        .pass2(Pass {
            init: "0.0f",
            update: "acc2 + (x - s1 / D) * (x - s1 / D)",
            reduce: "a + b",
        })
        .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w")
        .build()
        .unwrap()
}

fn layernorm64(x: &Array, w: &Array) -> Result<Array> {
    let x = x.astype(F64)?;
    let d = (&x - x.mean(keepdims(-1))?)?;
    let scale = (d.square()?.mean(keepdims(-1))? + Array::scalar(1e-5f64)?)?.rsqrt()?;
    (d * scale)? * w.astype(F64)?
}

/// The gradient of the weighted sum of `f`, by MLX.
fn pull(f: impl Fn(&Array) -> Result<Array>, x: &Array, w: &Array) -> Array {
    let w = w.clone();
    grad(move |x| (f(x)? * w.astype(f(x)?.dtype())?)?.sum(..))(x).unwrap()
}

fn reduce(update: &str) -> api::ReduceBuilder {
    api::reduce("reduced").update(update)
}
