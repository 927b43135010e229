//! Kernel launches in folders: to send a misbehaving kernel to somebody without the program
//! around it, and to run it again elsewhere.
//!
//! A folder holds `meta.json` (everything about the launch) and the raw bytes of inputs and
//! outputs. [`MetalKernel::capture`](super::MetalKernel::capture) writes such folders,
//! [`Capture::read`] reads one, and `examples/replay.rs` runs any number of them.

mod compare;
mod read;
mod write;

pub use compare::{Comparison, Worst};
pub use read::{Capture, Expected};
pub(super) use write::{template as template_json, write};

pub(super) use crate::engine::msl::MATH_MODES;

/// Fills outputs of kernels that run on the CPU or by CUDA before each launch, unless the launch has an initial value: an element
/// that the kernel leaves unwritten then shows. On the CPU each byte is 0xa5; by CUDA floats are NaN and other numbers 119.
///
/// For the whole process. Costs a write of the outputs.
#[track_caller]
pub fn set_poison(yes: bool) -> crate::Result<()> {
    use crate::error::Lift;
    crate::bridge::kernel::ffi::set_poison(if yes { 0xa5 } else { -1 }).lift()?;
    Ok(())
}
