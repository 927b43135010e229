//! The comparisons find what is wrong and name it, and pass what is right.

#[path = "../common/mod.rs"]
mod common;
mod inputs;
mod right_functions;
mod wrong_functions;

use zmlx::Result;
use zmlx::prelude::*;
use zmlx::testing::{Elements, Mismatch, What};

const FLOATS: [Dtype; 3] = [F32, F16, BF16];

fn silu(x: &Array) -> Result<Array> {
    x.multiply(&x.sigmoid()?)
}

/// A kernel of one input whose body has the element's index `i` and value `v`.
fn kernel(name: &str, body: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source(format!(
            "uint i = thread_position_in_grid.x; float v = float(x[i]); {body}"
        ))
        .build()
        .unwrap()
}

fn run(kernel: &MetalKernel, x: &Array) -> Result<Array> {
    if x.ndim() == 0 {
        // Kernels get these by reference, not as a pointer.
        return run(kernel, &x.reshape(1)?)?.reshape(());
    }
    let [y] = kernel.launch(&[x]).template("T", x.dtype()).run()?;
    Ok(y)
}

/// The report of a comparison that must fail.
#[track_caller]
fn mismatch(result: Result<()>) -> Mismatch {
    match result {
        Err(Error::Mismatch { found, at }) => {
            assert!(at.file().contains("tests/testing_tools/"), "{at}");
            *found
        }
        other => panic!("expected a mismatch, got {other:?}"),
    }
}

#[track_caller]
fn elements(result: Result<()>) -> Elements {
    match mismatch(result).what {
        What::Elements(e) => e,
        other => panic!("expected elements, got {other:?}"),
    }
}
