//! Rust bindings to Apple's MLX, and a toolkit for custom Metal kernels.

mod array;
mod bridge;
mod dtype;
pub mod engine;
mod error;
mod eval;
pub mod fast;
mod frozen;
pub mod io;
pub mod linalg;
pub mod memory;
pub mod metal;
pub mod ops;
pub mod random;
pub mod stream;
mod transforms;
pub mod worker;

pub use array::{
    Array, Axes, Element, Ellipsis, IndexItem, IntoAxes, IntoIndex, IntoIndexItem, IntoShape,
    NewAxis, Operand, keepdims, step,
};
pub use dtype::Dtype;
pub use error::{Error, Result, Site};
pub use eval::{Pending, async_eval, eval};
pub use frozen::{Frozen, FrozenMap};
pub use io::ArrayMap;
pub use metal::{MathMode, MetalKernel, TemplateArg};
pub use stream::{Device, DeviceKind, Stream, synchronize, with_device, with_stream};
pub use transforms::{
    Compiled, CustomFunction, ImportedFunction, Vmap, checkpoint, compile, custom_function,
    export_function, grad, import_function, jvp, set_compile_enabled, value_and_grad,
    value_and_grad_of, vjp, vmap,
};
pub use worker::Worker;

/// Version of the MLX library in use, such as `0.32.4`.
#[track_caller]
pub fn mlx_version() -> Result<String> {
    use error::Lift;
    bridge::stream::ffi::mlx_version().lift()
}

/// Everything a program usually wants in scope.
pub mod prelude {
    pub use crate::dtype::short::*;
    pub use crate::{
        Array, Device, Dtype, Ellipsis, Error, Frozen, NewAxis, Stream, Worker, async_eval, eval, fast,
        keepdims, ops, random, step,
    };
}
