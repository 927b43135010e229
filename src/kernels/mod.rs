//! The catalog: ready kernels, each differentiable, in float32, float16 and bfloat16, over any
//! shape.
//!
//! Arithmetic is in float32. A result of floats has the dtype of the first input of floats; functions of [`quant`] give float32
//! unless their option `dtype` asks for another, and [`attention::attention_tile_proto`] always does. Places, counts and bits are integers, and so are sums of integers. A function is a
//! row program, from which its kernels and derivatives are generated; where no program can say it, its Metal text stands
//! in `kernels/*.metal`.
//!
//! One rule for calls: a function with options takes its arrays, has a method for each option, and ends in `call()`, as in
//! `rmsnorm(&x, &weight).eps(1e-5).call()`. A function without options gives its result at once, as in `softmax_lastdim(&x)`. What has no
//! value that would do for everybody is no option but an argument: `dropout(&x, p, seed)`, `topk_lastdim(&x, k)`.
//!
//! Squares, products and sums are taken in float32, too, in as few passes as the formula has. So where elements of float32 or bfloat16 are
//! beyond 1.8e19, which float16 does not hold, squares of norms and variances are infinite, as they are in MLX, and so is a mean whose sum no
//! float32 holds. [`Array::mean`](crate::Array::mean) and [`Array::var`](crate::Array::var) take such rows on the CPU.

pub mod activations;
mod arguments;
pub mod attention;
pub mod bits;
mod catalog;
mod choose;
mod family;
pub mod fused;
mod generated;
mod group;
mod held;
pub mod image;
pub mod indexing;
mod kernel;
pub mod linear;
pub mod loss;
pub mod matrix;
pub mod moe;
mod moving;
pub mod norms;
mod op;
pub mod optimizers;
pub mod quant;
mod recipe;
pub mod reductions;
pub mod rope;
pub mod sampling;
pub mod scan;
mod selection;
pub mod softmax;
mod split;
pub mod transformer;
pub mod vlsp;

pub use catalog::{Axes, Entry, Function, Input, Kind, Other, Values};

/// All kernels, family by family, as data: tests, benchmarks and docs/KERNELS.md are made from it.
///
/// ```
/// use zmlx::kernels;
/// let names: Vec<_> = kernels::catalog().map(|entry| entry.name).collect();
/// assert!(names.contains(&"softmax::softmax_lastdim"));
/// ```
pub fn catalog() -> impl Iterator<Item = &'static Entry> {
    let families = [
        activations::TABLE,
        softmax::TABLE,
        norms::TABLE,
        norms::RANDOM,
        fused::TABLE,
        attention::TABLES[0],
        attention::TABLES[1],
        reductions::SUMS,
        reductions::CHOICES,
        sampling::TABLE,
        transformer::TABLE,
        transformer::RANDOM,
        vlsp::TABLE,
        loss::TABLE,
        scan::TABLE,
        rope::TABLE,
        rope::CACHES,
        attention::TILE,
        attention::PAGED,
        attention::DECODE,
        attention::FLASH,
        linear::TABLE,
        quant::TABLE,
        moe::TABLE,
        image::TABLE,
        indexing::TABLE,
        bits::TABLE,
        optimizers::TABLE,
    ];
    families.into_iter().flatten()
}

/// Further names of functions of the catalog, each with the name in the table.
///
/// ```
/// use zmlx::kernels;
/// let names = kernels::other_names();
/// assert!(names.iter().all(|(_, name)| kernels::catalog().any(|entry| entry.name == *name)));
/// ```
pub fn other_names() -> &'static [(&'static str, &'static str)] {
    activations::OTHER_NAMES
}
