//! Which engine runs custom kernels here, and why.

use std::fmt;
use std::path::PathBuf;

use crate::bridge::kernel::ffi;

use super::host;

/// What can run custom kernels on this machine; made by [`info`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// MLX has a Metal device: GPU streams run kernels as they are.
    pub metal: bool,
    /// MLX has a CUDA device. Kernels do not run there yet; MLX's operations do.
    pub cuda: bool,
    /// The C++ compiler of the host engine, where one was found.
    pub compiler: Option<PathBuf>,
    /// Threads that the host engine runs kernels on.
    pub threads: usize,
}

/// Looks at the machine. Compiles and runs nothing.
///
/// ```
/// println!("{}", zmlx::engine::info());
/// assert!(zmlx::engine::info().threads >= 1);
/// ```
pub fn info() -> Info {
    Info {
        // Neither question can throw; no answer means no device.
        metal: ffi::metal_available().unwrap_or(false),
        cuda: ffi::cuda_available().unwrap_or(false),
        compiler: host::compiler_path(),
        threads: host::threads(),
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gpu = match (self.metal, self.cuda) {
            (true, _) => "Metal, through MLX's own kernels",
            (_, true) => "MLX's operations only: custom kernels do not run on CUDA yet",
            _ => "none: this MLX finds neither Metal nor CUDA",
        };
        writeln!(f, "GPU streams: {gpu}")?;
        match &self.compiler {
            Some(path) => write!(
                f,
                "CPU streams: the host engine, {} threads, kernels compiled by {}",
                self.threads,
                path.display()
            ),
            None => write!(
                f,
                "CPU streams: MLX's operations only: no C++ compiler for custom kernels was found \
                 (install g++ or clang++, or name one in CXX)"
            ),
        }
    }
}
