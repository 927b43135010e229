//! Compiles MSL kernels for NVIDIA GPUs.
//!
//! [`compile`] lowers a kernel's text as the host engine does, with the headers `zmlx_cuda.h` in front,
//! and has NVIDIA's run-time compiler make code of it, or finds that in the cache on disk.
//! MLX then launches the code as a kernel that was compiled elsewhere (`cpp/src/cuda_plan.cpp`).
//!
//! It could compile the text itself, but at evaluation, once in every process, after two large
//! headers of its own, and without a place for errors to go.

pub(crate) mod aside;
mod diagnostic;
mod nvrtc;
mod patience;
mod shared;
mod target;

use std::{
    fs,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use sha2::{Digest, Sha256};

use super::{
    cache::{self, Cache, Headers, Origin, hex},
    error::{CompileError, EngineError},
    msl::{self, Lowered, MathMode, Mode},
    refusal::danger,
};
use crate::io::place;
use nvrtc::{Nvrtc, Outcome};
use target::Matrices;
pub use target::in_turn;

/// Changes whenever entries of older versions of this engine must not be used.
const FORMAT: &str = "zmlx-cuda-2";

/// Names within a cache entry: the code, and the bytes of threadgroup memory that launches ask for,
/// where they do.
const CODE: &str = "kernel.cubin";
const SHARED: &str = "shared";

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

/// The code for `msl`, the complete text that MLX generated, from the cache or fresh.
pub fn compile(msl: &str, options: &CompileOptions) -> Result<(CudaKernel, Origin), EngineError> {
    danger(msl, &options.name)?;
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
        Mode::Plain if !options.exact => options.in_turn,
        _ => 1,
    };
    let kernel = |code: Vec<u8>, shared| CudaKernel {
        function: function.clone(),
        code: code.into(),
        in_turn,
        shared,
    };
    if let Some(folder) = cache.find(&key)
        && let Ok(code) = place::read(&folder.join(CODE))
    {
        let shared = fs::read_to_string(folder.join(SHARED)).ok();
        let shared = shared.and_then(|bytes| bytes.parse().ok());
        return Ok((kernel(code, shared.unwrap_or(0)), Origin::Disk));
    }
    let mut all = flags;
    all.push(format!("-I{}", headers.folder.display()));
    all.push(format!("-DZMLX_KERNEL={function}"));
    let made = match build(nvrtc, &lowered, all.clone(), options) {
        // The cache was deleted meanwhile, and with it what the compiler was to read.
        Err(_) if !headers.are_there(&cache) => {
            Headers::prepare(&cache)?;
            build(nvrtc, &lowered, all, options)
        }
        made => made,
    };
    let (code, shared) = made?;
    if let Err(e) = keep(&cache, &key, &lowered.text, &code, shared) {
        // The code is here all the same; the next process compiles it again.
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Ordering::Relaxed) {
            eprintln!("zmlx: compiled kernels are not kept: {e}");
        }
    }
    Ok((kernel(code, shared), Origin::Compiler))
}

/// Makes an entry of the cache.
fn keep(cache: &Cache, key: &str, text: &str, code: &[u8], shared: u32) -> Result<(), EngineError> {
    let temporary = cache.temporary(key)?;
    let shared_text = (shared > 0).then(|| shared.to_string());
    let shared_file = shared_text.as_ref().map(|text| (SHARED, text.as_bytes()));
    let files = [("kernel.cu", text.as_bytes()), (CODE, code)];
    for (file, bytes) in files.into_iter().chain(shared_file) {
        let path = temporary.path.join(file);
        fs::write(&path, bytes).map_err(|e| cache::error("write", &path, e))?;
    }
    cache.commit(temporary, key).map(drop)
}

/// The code, and the bytes of threadgroup memory that launches of it ask for.
fn build(
    nvrtc: &'static Nvrtc,
    lowered: &Lowered,
    mut flags: Vec<String>,
    options: &CompileOptions,
) -> Result<(Vec<u8>, u32), EngineError> {
    let failed = |reason| EngineError::Compiler {
        kernel: options.name.clone(),
        compiler: nvrtc.name.clone(),
        reason,
    };
    let output = match nvrtc.compile(&lowered.text, &flags) {
        Outcome::Code(code) => return Ok((code, 0)),
        Outcome::Failed(reason) => return Err(failed(reason)),
        Outcome::Refused(output) => output,
    };
    if !shared::is_too_much(&output) {
        return Err(refused(&options.name, output, lowered));
    }
    flags.push(shared::SIZES.to_owned());
    let assembly = nvrtc.assembly(&lowered.text, &flags).map_err(&failed)?;
    flags.pop();
    let layout = shared::layout(&lowered.text, &assembly);
    let limit = shared::limit(&options.architecture);
    if layout.bytes > limit {
        return Err(EngineError::ThreadgroupMemory {
            kernel: options.name.clone(),
            bytes: layout.bytes,
            limit,
            architecture: options.architecture.clone(),
        });
    }
    flags.extend(layout.flags);
    match nvrtc.compile(&lowered.text, &flags) {
        Outcome::Code(code) => Ok((code, layout.bytes)),
        Outcome::Failed(reason) => Err(failed(reason)),
        Outcome::Refused(output) => Err(refused(&options.name, output, lowered)),
    }
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
    let more = std::env::var("ZMLX_NVRTC_FLAGS").unwrap_or_default();
    flags.extend(more.split_whitespace().map(str::to_owned));
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
