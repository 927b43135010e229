//! The catalog: ready kernels, each differentiable, in float32, float16 and bfloat16, over any
//! shape.
//!
//! Arithmetic is in float32 and results have the dtype of the first input. A function is a row program, from which its
//! kernels and derivatives are generated; where no program can say it, its Metal text stands in `kernels/*.metal`.

pub mod activations;
mod arguments;
pub mod attention;
mod catalog;
mod family;
mod generated;
#[allow(
    dead_code,
    reason = "sums of rows move to the one engine with its summed outputs"
)]
mod kernel;
pub mod linear;
pub mod loss;
pub mod norms;
mod op;
mod recipe;
pub mod rope;
pub mod scan;
pub mod softmax;
mod split;
pub mod transformer;

pub use catalog::{Axes, Entry, Function, Input, Kind, Other, catalog};
