//! Bad input to custom kernels: a typed error that names what is wrong, at the call.

mod arguments;
mod compiling;
mod running;

use rstest::rstest;
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, with_device};

const COPY: &str = "uint i = thread_position_in_grid.x; out[i] = x[i];";

fn copy() -> MetalKernel {
    MetalKernel::new("copy", ["x"], ["out"])
        .source(COPY)
        .build()
        .unwrap()
}

fn nine() -> Array {
    Array::from_slice(&[1.0f32; 9], 9).unwrap()
}

/// The argument that an error names.
#[track_caller]
fn argument<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result.unwrap_err() {
        Error::Argument {
            argument, message, ..
        } => {
            assert!(
                message.contains("expected") && message.contains("got"),
                "{message}"
            );
            argument
        }
        other => panic!("not an argument error: {other:?}"),
    }
}

fn define(inputs: &[&str], outputs: &[&str], source: &str) -> Result<MetalKernel> {
    MetalKernel::new("bad", inputs.iter().copied(), outputs.iter().copied())
        .source(source)
        .build()
}
