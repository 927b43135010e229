//! Custom kernels in Metal Shading Language.
//!
//! A kernel is the body of a Metal function. MLX writes the signature around it and zmlx runs
//! the result as a node of MLX's graph: by Metal itself on a Mac, by the host engine on a CPU
//! stream, by the CUDA engine on an NVIDIA GPU's (see [`crate::engine`]).

mod cache;
pub mod capture;
mod checked;
mod device;
pub(crate) mod dump;
mod geometry;
mod hints;
mod kernel;
mod launch;
mod made;
mod mentioned;
pub mod registry;
mod run;
mod spec;
mod specialize;
mod stats;
mod template;
mod tuning;

pub use checked::CheckedReport;
pub use device::{metallib_path, set_metallib_path, start_capture, stop_capture};
pub use geometry::{Extent, IntoExtent};
pub(crate) use geometry::{LONGEST, lines};
pub use kernel::{KernelSource, MetalKernel};
pub use launch::Launch;
pub(crate) use launch::{Options, options};
pub(crate) use made::{Made, build_once};
pub(crate) use run::{Outputs, arrays};
pub use spec::KernelBuilder;
pub(crate) use spec::check_identifier;
pub use stats::KernelStats;
pub use template::TemplateArg;

pub use crate::engine::host::checked::{Checked, Unwritten, Violation};
pub use crate::engine::msl::MathMode;
