//! Runs the system's C++ compiler over lowered text, through the cache.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use sha2::{Digest, Sha256};

use super::{
    Origin,
    cache::{self, Cache, hex},
    diagnostic, frames,
    headers::Headers,
};
use crate::engine::{
    error::{CompileError, EngineError},
    msl::{Lowered, MathMode},
};

/// Changes whenever entries of older versions of this engine must not be used.
const FORMAT: &str = "zmlx-host-2";

/// What the compiler is called when `CXX` does not say.
const CANDIDATES: [&str; 3] = ["c++", "g++", "clang++"];

/// The library's name within its cache entry.
const LIBRARY: &str = "kernel.so";

/// Flags that every kernel is compiled with.
const FLAGS: [&str; 13] = [
    "-std=c++20",
    "-O3",
    "-fPIC",
    "-shared",
    // MSL's char is signed on every machine.
    "-fsigned-char",
    // Integers wrap, and kernels look at buffers as other types.
    "-fwrapv",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    // Two kernels in one process must not share their statics.
    "-fvisibility=hidden",
    "-fdiagnostics-color=never",
    "-w",
];

/// What a math mode adds. Not `-ffast-math`, which some compilers take as leave to change the
/// floating-point unit's state for the whole process; nor reassociation, which breaks the runtime's
/// range reductions and every compensated sum.
const fn math_flags(math: MathMode) -> &'static [&'static str] {
    match math {
        MathMode::Safe => &[],
        MathMode::Relaxed => &["-fno-signed-zeros", "-ffp-contract=fast"],
        MathMode::Fast => &[
            "-fno-signed-zeros",
            "-freciprocal-math",
            "-ffp-contract=fast",
        ],
    }
}

/// A compiler that was found.
#[derive(Clone, Debug)]
struct Compiler {
    path: PathBuf,
    /// Words after the command's name in `CXX`, as in `CXX="ccache g++"`.
    args: Vec<String>,
    /// Path, size and time of change: another version of a compiler is another file.
    identity: String,
}

impl Compiler {
    fn find(kernel: &str) -> Result<Self, EngineError> {
        let asked = env::var("CXX").ok().filter(|c| !c.trim().is_empty());
        let commands: Vec<&str> = match &asked {
            Some(command) => vec![command.as_str()],
            None => CANDIDATES.to_vec(),
        };
        let found = commands.iter().find_map(|command| {
            let mut words = command.split_whitespace().map(str::to_owned);
            let path = which(&words.next()?)?;
            let identity = identity(&path);
            Some(Self {
                path,
                args: words.collect(),
                identity,
            })
        });
        found.ok_or_else(|| EngineError::NoCompiler {
            kernel: kernel.to_owned(),
            tried: commands.join(", "),
        })
    }
}

/// The compiler that would be used now.
pub fn path() -> Option<PathBuf> {
    Compiler::find("").ok().map(|c| c.path)
}

/// The file that a command's name stands for.
fn which(command: &str) -> Option<PathBuf> {
    if command.contains('/') {
        return Some(PathBuf::from(command)).filter(|p| p.is_file());
    }
    env::split_paths(&env::var_os("PATH")?)
        .map(|dir| dir.join(command))
        .find(|p| p.is_file())
}

fn identity(path: &Path) -> String {
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let stamp = fs::metadata(&real).map(|m| (m.len(), m.modified().ok()));
    format!("{} {} {stamp:?}", path.display(), real.display())
}

/// The processor, as far as code made for "this machine" depends on it. A home folder may be
/// shared between machines.
fn processor() -> &'static str {
    static PROCESSOR: OnceLock<String> = OnceLock::new();
    PROCESSOR.get_or_init(|| {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let wanted = [
            "vendor_id",
            "cpu family",
            "model",
            "flags",
            "Features",
            "CPU part",
        ];
        let mut lines: Vec<&str> = Vec::new();
        for line in info.lines() {
            let name = line.split(':').next().unwrap_or("").trim();
            if wanted.contains(&name) && !lines.contains(&line) {
                lines.push(line);
            }
        }
        format!("{} {}", env::consts::ARCH, lines.join("\n"))
    })
}

/// The flag that selects this machine's instructions.
const fn native() -> &'static str {
    if cfg!(target_arch = "x86_64") {
        "-march=native"
    } else {
        "-mcpu=native"
    }
}

/// Flags for the linker. A library of a page or two needs no segments that begin on pages of their
/// own: it takes two of the mappings of which a process may have so many, and not five.
const fn linker() -> &'static [&'static str] {
    if cfg!(target_os = "linux") {
        &["-Wl,-z,noseparate-code", "-Wl,-z,norelro"]
    } else {
        &[]
    }
}

/// All flags for one math mode, `ZMLX_CXXFLAGS` last.
fn flags(math: MathMode) -> Vec<String> {
    let extra = env::var("ZMLX_CXXFLAGS").unwrap_or_default();
    let own = FLAGS.iter().chain(linker()).copied().chain([native()]);
    own.chain(math_flags(math).iter().copied())
        .chain(extra.split_whitespace())
        .map(str::to_owned)
        .collect()
}

/// The compiler and the arguments that kernels are compiled with, to compile other text alike.
pub fn command(math: MathMode) -> Result<(PathBuf, Vec<String>), EngineError> {
    let compiler = Compiler::find("")?;
    let mut args = compiler.args;
    args.extend(flags(math));
    Ok((compiler.path, args))
}

/// The compiled library for `lowered`, from the cache or fresh.
pub fn library(
    kernel: &str,
    lowered: &Lowered,
    math: MathMode,
) -> Result<(PathBuf, Origin), EngineError> {
    let cache = Cache::open("host")?;
    let headers = Headers::prepare(&cache)?;
    let compiler = Compiler::find(kernel)?;
    let flags = flags(math);

    let mut hasher = Sha256::new();
    for part in [
        FORMAT,
        &compiler.identity,
        &compiler.args.join(" "),
        &flags.join(" "),
    ]
    .into_iter()
    .chain([processor(), &headers.hash, &lowered.text])
    {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let key = hex(&hasher.finalize());
    if let Some(folder) = cache.find(&key) {
        return Ok((folder.join(LIBRARY), Origin::Disk));
    }
    let temporary = cache.temporary(&key)?;
    let text = temporary.path.join("kernel.cpp");
    fs::write(&text, &lowered.text).map_err(|e| cache::error("write", &text, e))?;
    let library = temporary.path.join(LIBRARY);
    run(
        kernel,
        &compiler,
        &flags,
        &headers,
        lowered,
        [text.into(), "-o".into(), library.into()],
    )?;
    frames::keep(kernel, &temporary.path, lowered)?;
    let folder = cache.commit(temporary, &key)?;
    Ok((folder.join(LIBRARY), Origin::Compiler))
}

fn run(
    kernel: &str,
    compiler: &Compiler,
    flags: &[String],
    headers: &Headers,
    lowered: &Lowered,
    files: [OsString; 3],
) -> Result<(), EngineError> {
    let failed = |reason: String| EngineError::Compiler {
        kernel: kernel.to_owned(),
        compiler: compiler.path.display().to_string(),
        reason,
    };
    let output = Command::new(&compiler.path)
        .args(&compiler.args)
        .args(flags)
        .args(frames::flag(&compiler.path, &compiler.args))
        .arg("-I")
        .arg(&headers.folder)
        .args(files)
        // Messages are parsed, so they have to come in English.
        .env("LC_ALL", "C")
        // A sanitizer or profiler preloaded into this process has no business in the compiler.
        .env_remove("LD_PRELOAD")
        .env_remove("DYLD_INSERT_LIBRARIES")
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    let Some(diagnostic) = diagnostic::first(&words, lowered) else {
        return Err(failed(format!("{}: {}", output.status, words.trim())));
    };
    Err(EngineError::Compile(Box::new(CompileError {
        kernel: kernel.to_owned(),
        message: diagnostic.message,
        location: diagnostic.location,
        output: words,
    })))
}
