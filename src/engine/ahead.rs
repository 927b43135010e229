//! Kernels compiled ahead, for machines that have no compiler.
//!
//! 1. A program runs where there is a compiler, and [`record`] writes down which kernels it uses. The environment variable
//!    `ZMLX_RECORD_KERNELS` does the same for a program that does not call it.
//! 2. [`fill`] compiles the list into a folder, for each kind of machine that is asked for.
//! 3. The folder is shipped with the program, as `lib/zmlx/kernels` beside the folder of the program, or where `ZMLX_KERNELS_DIR` says. There
//!    kernels are found before a compiler is looked for.
//!
//! A list holds what the program did: each kernel in each dtype. So the program has to do all of it while it is recorded; shapes do not
//! matter. Kernels depend on the engine: a list that was recorded on a CPU holds those of the CPU. docs/DEPLOYING.md has the whole way.
//!
//! ```
//! use zmlx::engine::ahead::{self, Target};
//! use zmlx::prelude::*;
//! # fn main() -> zmlx::Result<()> {
//! # zmlx::engine::force(Some(zmlx::engine::Engine::Cpu));
//! # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
//! # let (list, kernels) = (folder.path().join("kernels.jsonl"), folder.path().join("kernels"));
//! ahead::record(&list)?;
//! let twice = MetalKernel::new("twice", ["x"], ["out"]).source("out[0] = 2 * x[0];").build()?;
//! let [y] = twice.launch(&[&Array::from_slice(&[21.0f32], 1)?]).run()?;
//! y.eval()?;
//! ahead::stop();
//!
//! let filled = ahead::fill(&list, &kernels, &[Target::native()])?;
//! assert_eq!(filled.compiled, 1);
//! # Ok(())
//! # }
//! ```

use std::{
    collections::HashSet,
    fmt,
    panic::Location,
    path::Path,
    str::FromStr,
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;
use serde_json::Value;

use super::{
    cache::{Cache, shipped},
    cuda,
    error::EngineError,
    host::{self, machine::Machine},
    record,
};
use crate::{Error, Result, bridge::kernel::ffi, io::place};

/// The environment variable that names a folder of kernels that were compiled ahead.
pub const KERNELS_DIR: &str = shipped::VARIABLE;

/// Writes each kernel that this process compiles or loads from now on to the list at `path`: call it before the first launch. A list
/// that is there gets longer; several processes may write one.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be written. Later a list that cannot be written any more is left incomplete, with a warning on the
/// standard error output.
#[track_caller]
pub fn record(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    match record::to(path) {
        Ok(()) => Ok(()),
        Err(e) => Err(Error::io(format!("`{}`: {e}", path.display()))),
    }
}

/// Ends [`record`].
pub fn stop() {
    record::stop();
}

/// A kind of machine: a set of a processor's instructions, or a GPU.
///
/// Its name is `native`, for processors just like this one; a level of processors, `x86-64-v3` (those since about 2013, with AVX2) or
/// `x86-64-v4` (with AVX-512), on ARM `armv8-a`; or a GPU as NVIDIA's compiler calls it, such as `sm_90`.
///
/// ```
/// use zmlx::engine::ahead::Target;
/// # fn main() -> zmlx::Result<()> {
/// let gpu: Target = "sm_90".parse()?;
/// assert_eq!(gpu.to_string(), "sm_90");
/// assert!("z80".parse::<Target>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Processor(Machine),
    Gpu(String),
}

impl Target {
    /// Processors just like this one.
    pub const fn native() -> Self {
        Target(Kind::Processor(Machine::Native))
    }

    /// Those whose kernels this machine can run: its processor, the levels that it has, and its GPU if MLX uses one here.
    pub fn here() -> Vec<Self> {
        let processor = Machine::here().map(|m| Target(Kind::Processor(m)));
        // None of the questions can throw; no answer means no device.
        let cuda = ffi::cuda_available().unwrap_or(false);
        let gpu = cuda.then(ffi::cuda_architecture).and_then(Result::ok);
        let gpu = gpu.filter(|name| !name.is_empty());
        processor
            .chain(gpu.map(|name| Target(Kind::Gpu(name))))
            .collect()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Processor(machine) => machine.name(),
            Kind::Gpu(name) => name,
        })
    }
}

impl FromStr for Target {
    type Err = Error;

    #[track_caller]
    fn from_str(name: &str) -> Result<Self> {
        if let Some(machine) = Machine::named(name) {
            return Ok(Target(Kind::Processor(machine)));
        }
        // As in `sm_90` or `sm_90a`.
        let number = name
            .strip_prefix("sm_")
            .map(|n| n.trim_end_matches(['a', 'f']));
        if number.is_some_and(|n| n.len() >= 2 && n.bytes().all(|c| c.is_ascii_digit())) {
            return Ok(Target(Kind::Gpu(name.to_owned())));
        }
        let machines: Vec<&str> = Machine::all().map(Machine::name).collect();
        let expected = format!("{} or a GPU such as sm_90", machines.join(", "));
        Err(Error::argument(
            "target",
            expected,
            format_args!("`{name}`"),
        ))
    }
}

/// What [`fill`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filled {
    /// Kernels that were compiled, each for one target.
    pub compiled: usize,
    /// Those that the folder had.
    pub found: usize,
    /// Kernels of the list that are for another engine than any of the targets.
    pub left_out: usize,
}

/// Compiles the kernels of a list into a folder, for each of the targets. What is there stays.
///
/// Kernels of the CPU need the C++ compiler, those of CUDA NVIDIA's run-time compiler (NVRTC) and no GPU.
///
/// # Errors
/// [`Error::Io`] for a list that cannot be read, is none, or is of another version of zmlx or MLX; [`Error::Argument`] without targets;
/// [`Error::Kernel`] where a compiler is missing, a kernel does not compile for a target, or the folder cannot be written.
#[track_caller]
pub fn fill(
    list: impl AsRef<Path>,
    folder: impl AsRef<Path>,
    targets: &[Target],
) -> Result<Filled> {
    if targets.is_empty() {
        return Err(Error::argument("targets", "at least one", "none"));
    }
    let list = list.as_ref();
    let kernels = match read(list) {
        Ok(kernels) => kernels,
        Err(why) => return Err(Error::io(format!("`{}`: {why}", list.display()))),
    };
    match compile(&kernels, folder.as_ref(), targets) {
        Ok(filled) => Ok(filled),
        Err((kernel, problem)) => Err(Error::Kernel {
            kernel,
            problem: Box::new(problem),
            context: format!("of the list `{}`\n  ", list.display()),
            at: Location::caller(),
        }),
    }
}

/// Compiles all that fit a target, on all cores; an error comes with the name of its kernel.
fn compile(
    kernels: &[Value],
    folder: &Path,
    targets: &[Target],
) -> Result<Filled, (String, EngineError)> {
    let named = |kernel: &Value, e| (name(kernel), e);
    let open = |engine: &str| Cache::at(folder.join(engine)).map_err(|e| (String::new(), e));
    let of = |kernel: &Value, engine: &str| kernel["engine"] == engine;
    let has = |engine: &str| kernels.iter().any(|k| of(k, engine));
    let wants_gpu = |t: &Target| matches!(t.0, Kind::Gpu(_));
    let host_cache = (has("host") && !targets.iter().all(wants_gpu))
        .then(|| open("host"))
        .transpose()?;
    let cuda_cache = (has("cuda") && targets.iter().any(wants_gpu))
        .then(|| open("cuda"))
        .transpose()?;
    let left_out = AtomicUsize::new(0);
    let counts = kernels
        .par_iter()
        .map(|kernel| -> Result<Filled, (String, EngineError)> {
            let mut filled = Filled::default();
            let mut fits = false;
            for target in targets {
                let compiled = match (&target.0, &host_cache, &cuda_cache) {
                    (Kind::Processor(machine), Some(cache), _) if of(kernel, "host") => {
                        let Some((options, text)) = host::CompileOptions::of_list(kernel) else {
                            continue;
                        };
                        host::compile_ahead(text, &options, *machine, cache.clone())
                    }
                    (Kind::Gpu(gpu), _, Some(cache)) if of(kernel, "cuda") => {
                        let read = cuda::CompileOptions::of_list(kernel, gpu.clone());
                        let Some((options, text)) = read else {
                            continue;
                        };
                        cuda::compile_ahead(text, &options, cache)
                    }
                    _ => continue,
                };
                fits = true;
                match compiled.map_err(|e| named(kernel, e))? {
                    true => filled.compiled += 1,
                    false => filled.found += 1,
                }
            }
            if !fits {
                left_out.fetch_add(1, Ordering::Relaxed);
            }
            Ok(filled)
        });
    let all = counts.try_reduce(Filled::default, |a, b| {
        Ok(Filled {
            compiled: a.compiled + b.compiled,
            found: a.found + b.found,
            ..a
        })
    })?;
    Ok(Filled {
        left_out: left_out.into_inner(),
        ..all
    })
}

fn name(kernel: &Value) -> String {
    kernel["name"].as_str().unwrap_or_default().to_owned()
}

/// The kernels of a list, each once.
fn read(path: &Path) -> Result<Vec<Value>, String> {
    let bytes = place::read(path).map_err(|e| e.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let mut kernels = Vec::new();
    let mut seen = HashSet::new();
    let header = record::header();
    for (number, line) in text.lines().enumerate() {
        let bad = |why: &str| format!("line {}: {why}", number + 1);
        let value: Value = serde_json::from_str(line)
            .map_err(|e| bad(&format!("expected an object of JSON, got none ({e})")))?;
        if number == 0 {
            if value != header {
                return Err(bad(&format!(
                    "expected a list of {header}, got {}; record it again",
                    short(line)
                )));
            }
            continue;
        }
        let of_host = host::CompileOptions::of_list(&value).is_some();
        let known = match value["engine"].as_str() {
            Some("host") => of_host,
            Some("cuda") => cuda::CompileOptions::of_list(&value, String::new()).is_some(),
            _ => false,
        };
        if !known {
            return Err(bad(&format!("expected a kernel, got {}", short(line))));
        }
        if seen.insert(line) {
            kernels.push(value);
        }
    }
    match text.is_empty() {
        true => Err("it is empty".to_owned()),
        false => Ok(kernels),
    }
}

fn short(line: &str) -> String {
    line.chars().take(80).collect()
}
