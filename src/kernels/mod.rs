//! The catalog: ready kernels, each differentiable, in float32, float16 and bfloat16, over any
//! shape.
//!
//! Arithmetic is in float32 and results have the dtype of the first input. A function is a row program, from which its
//! kernels and derivatives are generated; where no program can say it, its Metal text stands in `kernels/*.metal`.

pub mod activations;
mod arguments;
mod catalog;
mod family;
mod generated;
mod held;
pub mod image;
#[allow(
    dead_code,
    reason = "sums of rows move to the one engine with its summed outputs"
)]
mod kernel;
pub mod loss;
mod nibbles;
pub mod norms;
mod op;
pub mod optimizers;
pub mod quant;
mod recipe;
pub mod rope;
pub mod scan;
pub mod softmax;
mod split;
pub mod transformer;

pub use catalog::{Entry, Function, Input, Kind, catalog};
