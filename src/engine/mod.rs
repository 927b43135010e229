//! Engines that run MSL kernels where Metal does not.
//!
//! MLX generates the complete Metal text of a kernel; an engine takes that text and runs it.
//! [`msl`] turns the text into C++ by a token pass that every engine shares; [`host`] compiles
//! that C++ for this machine's CPU and runs it over a thread pool, [`cuda`] compiles it for an NVIDIA
//! GPU, where MLX launches it. Both keep what they compile in `cache`. They deal in text, raw buffers and grid sizes only;
//! MLX is asked by [`info()`], and calls a kernel by `host/node.rs`.

pub mod ahead;
pub(crate) mod cache;
mod compile_limit;
#[allow(unsafe_code, reason = "it calls NVIDIA's compiler, a library in C")]
pub mod cuda;
pub mod error;
#[allow(
    unsafe_code,
    reason = "it runs code that a compiler made, on stacks of its own"
)]
pub mod host;
mod info;
pub mod msl;
mod record;
mod refusal;

pub use crate::stream::forced::{Engine, force, forced};
pub use info::{Info, info};

pub use error::{CompileError, EngineError, LaunchError, Location, LowerError, Region};
