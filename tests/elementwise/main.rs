//! Elementwise operations: dtypes, broadcasting, derivatives, transforms, against MLX in float64.

#[path = "../common/mod.rs"]
mod common;
mod derivatives;
#[path = "../common/toolkit.rs"]
mod toolkit;
mod transformed;
mod values;

use common::{Rng, exactly, on_worker};
use rstest::rstest;
use toolkit::{check, f64_of, normal};
use zmlx::expr::Expr;
use zmlx::prelude::*;
use zmlx::{Result, compile, grad, jvp, value_and_grad_of, vmap};

fn tolerance(dtype: Dtype) -> f64 {
    match dtype {
        F16 => 1e-3,
        BF16 => 8e-3,
        _ => 2e-6,
    }
}

/// a sin(b) + c and its kin have gradients in all arguments, none of them constant.
fn op() -> elementwise::Map {
    elementwise::map("mixed", ["a", "b", "c"], "a * sin(b) + c * c").unwrap()
}

fn op64(p: &[Array]) -> Result<Array> {
    (&p[0] * p[1].sin()?)? + p[2].square()?
}
