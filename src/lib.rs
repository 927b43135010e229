//! Rust bindings to Apple's MLX, and a toolkit for custom Metal kernels.

mod array;
mod bridge;
mod dtype;
pub mod engine;
mod error;
mod eval;
pub mod memory;
pub mod metal;
pub mod ops;
pub mod stream;
mod transforms;

pub use array::{
    Array, Axes, Element, Ellipsis, IndexItem, IntoAxes, IntoIndex, IntoIndexItem, IntoShape,
    NewAxis, Operand, keepdims, step,
};
pub use dtype::Dtype;
pub use error::{Error, Result, Site};
pub use eval::{Pending, async_eval, eval};
pub use metal::{MathMode, MetalKernel, TemplateArg};
pub use stream::{Device, DeviceKind, Stream, synchronize, with_device, with_stream};
pub use transforms::{
    Compiled, CustomFunction, ImportedFunction, Vmap, checkpoint, compile, custom_function,
    export_function, grad, import_function, jvp, set_compile_enabled, value_and_grad,
    value_and_grad_of, vjp, vmap,
};

/// Everything a program usually wants in scope.
pub mod prelude {
    pub use crate::dtype::short::*;
    pub use crate::{
        Array, Device, Dtype, Ellipsis, Error, NewAxis, Stream, async_eval, eval, keepdims, ops,
        step,
    };
}
