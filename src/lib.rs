//! Rust bindings to Apple's MLX, and a toolkit for custom Metal kernels.
//!
//! Arrays are lazy: an operation records a node of a graph, [`eval()`] computes it. A kernel is the
//! body of a function in Metal Shading Language and becomes a node like any other. Where there is
//! no Metal, the same text runs on the CPU: see [`engine`].
//!
//! ```
//! use zmlx::prelude::*;
//!
//! # fn main() -> zmlx::Result<()> {
//! let x = random::normal((8, 1024))?;
//! let square = MetalKernel::new("square", ["x"], ["out"])
//!     .source("uint i = thread_position_in_grid.x; out[i] = x[i] * x[i];")
//!     .build()?;
//! let [y] = square.launch(&[&x]).run()?;
//! let difference = (&y - &x.square()?)?.abs()?.max(..)?;
//! assert_eq!(difference.item::<f32>()?, 0.0);
//! # Ok(())
//! # }
//! ```
//!
//! | to | see |
//! |---|---|
//! | make and use arrays | [`Array`], [`ops`], [`random`], [`fast`], [`linalg`], [`fft`] |
//! | write kernels | [`MetalKernel`], [`metal`], [`engine`] |
//! | see what they cost | [`registry`], [`profile`] |
//! | differentiate, vectorize, compile | [`grad`], [`vmap()`], [`custom_function`], [`compile`] |
//! | read and write files | [`io`], [`export_function`], [`exporter`] |
//! | share values with other libraries | [`interop`] |
//! | build and train models | [`nn`], [`optimizers`] |
//! | test and measure | [`testing`], [`mod@bench`] |
//! | load and serve language models | `llm`, with the feature of that name |
//! | use several threads | [`Frozen`], [`Worker`], [`stream`] |
//! | use several machines | [`distributed`] |
//!
//! | feature | what it adds |
//! |---|---|
//! | `llm` | language models: `llm` |
//! | `npz` | NumPy's files of several arrays: `io::load_npz` |
//! | `ndarray` | arrays of the crate `ndarray`, both ways: [`interop`] |
//! | `safetensors` | tensors of the crate `safetensors`, both ways (its files are read and written without it): [`interop`] |
//! | `cuda` | the build brings MLX's CUDA package (Linux) |
//!
//! Every call that can fail returns [`Result`]; errors carry the place in your code.

// The derive of modules names the crate, which here is itself.
extern crate self as zmlx;

pub mod api;
mod array;
pub mod autograd;
pub mod autotune;
pub mod bench;
#[allow(unsafe_code, reason = "what it calls is C++")]
mod bridge;
mod codegen;
pub mod distributed;
mod dtype;
pub mod elementwise;
pub mod engine;
mod error;
mod eval;
pub mod expr;
pub mod fast;
pub mod fft;
mod frozen;
pub mod graph;
pub mod interop;
pub mod io;
pub mod kernels;
pub mod linalg;
#[cfg(feature = "llm")]
pub mod llm;
pub mod memory;
pub mod metal;
pub mod msl;
pub mod nn;
pub mod ops;
pub mod optimizers;
pub mod profile;
pub mod random;
pub mod rowwise;
pub mod stream;
pub mod testing;
mod transforms;
mod unwanted;
pub mod worker;

pub use array::{
    Array, At, Axes, Element, Ellipsis, IndexItem, IntoAxes, IntoIndex, IntoIndexItem, IntoShape,
    NewAxis, Operand, keepdims, step,
};
pub use dtype::{Dtype, FloatInfo, IntInfo, UnknownDtype};
pub use error::{Error, Result, Site};
pub use eval::{Pending, async_eval, eval};
pub use frozen::{Frozen, FrozenMap};
pub use io::ArrayMap;
pub use metal::{
    Checked, CheckedReport, KernelStats, MathMode, MetalKernel, TemplateArg, registry,
};
pub use optimizers as optim;
pub use stream::{Device, DeviceKind, Stream, mlx_version, synchronize, with_device, with_stream};
pub use transforms::{
    CompileMode, Compiled, CustomFunction, CustomFunction1, FunctionExporter, FunctionSignature,
    ImportedFunction, Keywords, Vmap, checkpoint, compile, compile1, custom_function,
    custom_function1, export_function, exporter, grad, import_function, jvp, set_compile_enabled,
    set_compile_mode, value_and_grad, value_and_grad_of, vjp, vmap, vmap1,
};
pub use worker::Worker;

/// The crate of the half-precision types, so that programs use the version that arrays do: `zmlx::half::f16`.
pub use half;
/// The crate of complex numbers, for [`Element`] and operands: `zmlx::num_complex::Complex32`.
pub use num_complex;

/// Everything a program usually wants in scope.
pub mod prelude {
    pub use crate::api::Pass;
    pub use crate::dtype::short::*;
    pub use crate::expr::Expr;
    pub use crate::{
        Array, Device, Dtype, Ellipsis, Error, Frozen, MetalKernel, NewAxis, Stream, Worker, api,
        async_eval, autograd, compile, compile1, custom_function, custom_function1, elementwise,
        eval, fast, grad, keepdims, nn, ops, optim, random, rowwise, step, vmap, vmap1,
    };
}

#[cfg(doctest)]
mod book;

/// Runs the README's example with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
