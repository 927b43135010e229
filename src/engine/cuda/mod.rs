//! Compiles MSL kernels for NVIDIA GPUs.
//!
//! [`compile`] lowers a kernel's text as the host engine does, with the headers `zmlx_cuda.h` in front,
//! and has NVIDIA's run-time compiler make code of it, or finds that in the cache on disk.
//! MLX then launches the code as a kernel that was compiled elsewhere (`cpp/src/cuda_plan.cpp`).
//!
//! It could compile the text itself, but at evaluation, once in every process, after two large
//! headers of its own, and without a place for errors to go.

pub(crate) mod aside;
mod compile;
mod diagnostic;
mod nvrtc;
mod patience;
mod shared;
mod target;

use std::sync::{Arc, OnceLock};

use super::{
    error::EngineError,
    msl::{self, Lowered, MATH_MODES, MathMode},
};
use crate::bridge::kernel::ffi;
use target::Matrices;

pub use compile::compile;
pub(super) use compile::compile_ahead;
pub use target::in_turn;

/// How to compile a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CompileOptions {
    /// The kernel's name, for messages.
    pub name: String,
    /// The liberties that arithmetic takes.
    pub math_mode: MathMode,
    /// The inputs' names, in order.
    pub inputs: Vec<String>,
    /// The most threads that a threadgroup has.
    pub threads: u32,
    /// The most dimensions that an input has.
    pub rank: usize,
    /// How many threadgroups a block of a long one-dimensional grid may stand for; see [`in_turn`].
    pub in_turn: u32,
    /// Whether it is only launched over grids that [`is_exact`] allows.
    pub exact: bool,
    /// The GPU, as in `sm_90`.
    pub architecture: String,
    /// Every simdgroup has all of its lanes, so that tensor cores may multiply simdgroup matrices.
    pub whole: bool,
}

/// Code for one kind of GPU.
#[derive(Clone, Debug)]
pub struct CudaKernel {
    /// The name of the function in the code, different for different code.
    pub function: String,
    /// The code.
    pub code: Arc<[u8]>,
    /// How many threadgroups a block of a long one-dimensional grid may stand for.
    pub in_turn: u32,
    /// Bytes of threadgroup memory that each launch has to ask for.
    pub shared: u32,
}

/// How many numbers stand for a shape of up to `rank` dimensions. Few steps, so that arrays of
/// more dimensions rarely compile anything.
pub fn rank_class(rank: usize) -> usize {
    rank.next_power_of_two().max(4)
}

/// The bound for a threadgroup of `threads`.
pub fn thread_class(threads: u32) -> u32 {
    threads.next_power_of_two().clamp(256, 1024)
}

/// Whether a kernel's text has matrices over simdgroups, for which
/// [`whole`](CompileOptions::whole) makes a difference.
pub fn has_matrices(text: &str) -> bool {
    text.contains("simdgroup_m") || text.contains("8x8")
}

/// Whether blocks of the chip can be the threadgroups as they are: all whole, none beyond the chip's limits.
/// Code for such launches takes no sizes. Long grids are left to the other code, which
/// may have a block stand for several threadgroups.
pub fn is_exact(grid: [u32; 3], threadgroup: [u32; 3], in_turn: u32) -> bool {
    const LONG: u64 = 1 << 21;
    const MOST_ROWS: u32 = 65535;
    const DEEPEST: u32 = 64;
    let groups: [u32; 3] = std::array::from_fn(|i| grid[i].div_ceil(threadgroup[i]));
    (0..3).all(|i| groups[i] * threadgroup[i] == grid[i])
        && (in_turn == 1 || grid.iter().map(|&n| u64::from(n)).product::<u64>() < LONG)
        && groups[1] <= MOST_ROWS
        && groups[2] <= MOST_ROWS
        && threadgroup[2] <= DEEPEST
}

/// The CUDA C++ text that [`compile`] would compile.
pub fn lower(msl: &str, options: &CompileOptions) -> Result<Lowered, EngineError> {
    let matrices = match (has_matrices(msl), options.whole) {
        (true, true) if msl.contains("thread_elements") => Matrices::Seen,
        (true, true) => Matrices::Unseen,
        _ => Matrices::Emulated,
    };
    let target = target::Cuda {
        math: options.math_mode,
        matrices,
        threads: thread_class(options.threads),
        rank: rank_class(options.rank),
        in_turn: options.in_turn,
        exact: options.exact,
        inputs: &options.inputs,
    };
    msl::lower(msl, false, &target).map_err(|error| EngineError::Lower {
        kernel: options.name.clone(),
        error,
    })
}

impl CompileOptions {
    /// A kernel with these options in a list of kernels. The GPU is chosen when the list is compiled.
    fn recorded(&self, msl: &str) -> serde_json::Value {
        let math = MATH_MODES.iter().find(|(_, mode)| *mode == self.math_mode);
        serde_json::json!({
            "engine": "cuda",
            "name": self.name,
            "math": math.map_or("", |(name, _)| name),
            "inputs": self.inputs,
            "threads": self.threads,
            "rank": self.rank,
            "in_turn": self.in_turn,
            "exact": self.exact,
            "whole": self.whole,
            "text": msl,
        })
    }

    /// The kernel of a list for a GPU, if it is one.
    pub(super) fn of_list(
        kernel: &serde_json::Value,
        architecture: String,
    ) -> Option<(Self, &str)> {
        let whole = |name: &str| u32::try_from(kernel[name].as_u64()?).ok();
        let texts = kernel["inputs"].as_array()?.iter();
        let math = kernel["math"].as_str()?;
        let options = Self {
            name: kernel["name"].as_str()?.to_owned(),
            math_mode: MATH_MODES.iter().find(|(name, _)| *name == math)?.1,
            inputs: texts
                .map(|name| name.as_str().map(str::to_owned))
                .collect::<Option<_>>()?,
            threads: whole("threads")?,
            rank: whole("rank")? as usize,
            in_turn: whole("in_turn")?,
            exact: kernel["exact"].as_bool()?,
            whole: kernel["whole"].as_bool()?,
            architecture,
        };
        Some((options, kernel["text"].as_str()?))
    }
}

/// The run-time compiler that would be used, with its version, or where it was looked for.
pub fn compiler() -> Result<String, String> {
    nvrtc::get()
        .map(|n| format!("{} (NVRTC {}.{})", n.name, n.version.0, n.version.1))
        .map_err(str::to_owned)
}

/// The GPU for which the host engine's kernels are compiled too, to find errors where there is no GPU:
/// what `ZMLX_CHECK_CUDA` names, such as `sm_90`. Nothing of it runs.
pub fn checked_architecture() -> Option<&'static str> {
    static NAMED: OnceLock<Option<String>> = OnceLock::new();
    let named = NAMED.get_or_init(|| {
        std::env::var("ZMLX_CHECK_CUDA")
            .ok()
            .filter(|name| !name.is_empty())
    });
    named.as_deref()
}

/// The GPU that kernels are made for: MLX's, or that of [`checked_architecture`].
pub(crate) fn architecture() -> Option<&'static str> {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    // No answer means no device.
    let found = FOUND.get_or_init(|| {
        ffi::cuda_available()
            .unwrap_or(false)
            .then(ffi::cuda_architecture)
            .and_then(Result::ok)
    });
    checked_architecture().or(found.as_deref())
}
