//! Compiles MSL kernels for NVIDIA GPUs.
//!
//! [`compile`] lowers a kernel's text as the host engine does, with the headers `zmlx_cuda.h` in front,
//! and has NVIDIA's run-time compiler make code of it, or finds that in the cache on disk.
//! MLX then launches the code as a kernel that was compiled elsewhere (`cpp/src/cuda_plan.cpp`).
//!
//! It could compile the text itself, but at evaluation, once in every process, after two large
//! headers of its own, and without a place for errors to go.

mod diagnostic;
mod nvrtc;
mod target;

use std::{
    fs,
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};

use super::{
    error::{CompileError, EngineError},
    host::{Cache, Headers, Origin, cache_error, hex},
    msl::{self, Lowered, MathMode, Mode},
};
use nvrtc::Outcome;

/// Changes whenever entries of older versions of this engine must not be used.
const FORMAT: &str = "zmlx-cuda-1";

/// The code's name within its cache entry.
const CODE: &str = "kernel.cubin";

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
    /// Whether it is only launched over grids that [`is_exact`] allows.
    pub exact: bool,
    /// The GPU, as in `sm_90`.
    pub architecture: String,
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

/// Whether blocks of the chip can be the threadgroups as they are: all whole, none beyond the chip's limits.
/// Code for such launches takes no sizes. Long grids are left to the other code, which
/// may have a block stand for several threadgroups.
pub fn is_exact(grid: [u32; 3], threadgroup: [u32; 3]) -> bool {
    const LONG: u64 = 1 << 21;
    const MOST_ROWS: u32 = 65535;
    const DEEPEST: u32 = 64;
    let groups: [u32; 3] = std::array::from_fn(|i| grid[i].div_ceil(threadgroup[i]));
    (0..3).all(|i| groups[i] * threadgroup[i] == grid[i])
        && grid.iter().map(|&n| u64::from(n)).product::<u64>() < LONG
        && groups[1] <= MOST_ROWS
        && groups[2] <= MOST_ROWS
        && threadgroup[2] <= DEEPEST
}

/// The CUDA C++ text that [`compile`] would compile.
pub fn lower(msl: &str, options: &CompileOptions) -> Result<Lowered, EngineError> {
    let target = target::Cuda {
        math: options.math_mode,
        threads: thread_class(options.threads),
        rank: rank_class(options.rank),
        exact: options.exact,
        inputs: &options.inputs,
    };
    msl::lower(msl, false, &target).map_err(|error| EngineError::Lower {
        kernel: options.name.clone(),
        error,
    })
}

/// The code for `msl`, the complete text that MLX generated, from the cache or fresh.
pub fn compile(msl: &str, options: &CompileOptions) -> Result<(CudaKernel, Origin), EngineError> {
    let lowered = lower(msl, options)?;
    let nvrtc = nvrtc::get().map_err(|tried| EngineError::NoCudaCompiler {
        kernel: options.name.clone(),
        tried: tried.to_owned(),
    })?;
    let cache = Cache::open("cuda")?;
    let headers = Headers::prepare(&cache)?;
    let flags = flags(options);

    let mut hasher = Sha256::new();
    let version = format!("{}.{}", nvrtc.version.0, nvrtc.version.1);
    for part in [
        FORMAT,
        &version,
        &flags.join(" "),
        &headers.hash,
        &lowered.text,
    ] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let key = hex(&hasher.finalize());
    let function = format!("zmlx_{}", &key[..24]);
    let in_turn = match lowered.mode {
        Mode::Plain if !options.exact => target::IN_TURN,
        _ => 1,
    };
    let kernel = |function, code| CudaKernel {
        function,
        code,
        in_turn,
    };
    if let Some(folder) = cache.find(&key)
        && let Ok(code) = fs::read(folder.join(CODE))
    {
        let code = code.into();
        return Ok((kernel(function, code), Origin::Disk));
    }
    let mut all = flags;
    all.push(format!("-I{}", headers.folder.display()));
    all.push(format!("-DZMLX_KERNEL={function}"));
    let code = match nvrtc.compile(&lowered.text, &all) {
        Outcome::Code(code) => code,
        Outcome::Refused(output) => return Err(refused(&options.name, output, &lowered)),
        Outcome::Failed(reason) => {
            return Err(EngineError::Compiler {
                kernel: options.name.clone(),
                compiler: nvrtc.name.clone(),
                reason,
            });
        }
    };
    let temporary = cache.temporary(&key)?;
    for (file, bytes) in [("kernel.cu", lowered.text.as_bytes()), (CODE, &code)] {
        let path = temporary.path.join(file);
        fs::write(&path, bytes).map_err(|e| cache_error("write", &path, e))?;
    }
    cache.commit(temporary, &key)?;
    let code = code.into();
    Ok((kernel(function, code), Origin::Compiler))
}

/// Flags that make a difference for the code.
fn flags(options: &CompileOptions) -> Vec<String> {
    let fused = options.math_mode != MathMode::Safe;
    let mut flags = vec![
        format!("--gpu-architecture={}", options.architecture),
        "--std=c++20".into(),
        "--device-as-default-execution-space".into(),
        "--device-int128".into(),
        format!("--fmad={fused}"),
        "--disable-warnings".into(),
    ];
    if options.math_mode == MathMode::Fast {
        flags.extend(["--ftz=true", "--prec-div=false", "--prec-sqrt=false"].map(str::to_owned));
    }
    flags
}

fn refused(kernel: &str, output: String, lowered: &Lowered) -> EngineError {
    let first = diagnostic::first(&output, lowered);
    let (message, location) = first.unwrap_or_else(|| (output.trim().to_owned(), None));
    EngineError::Compile(Box::new(CompileError {
        kernel: kernel.to_owned(),
        message,
        location,
        output,
    }))
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
