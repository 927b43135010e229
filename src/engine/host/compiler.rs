//! Runs the system's C++ compiler over lowered text, through the cache.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

pub use super::toolchain::path;
use super::{
    diagnostic, frames,
    machine::Machine,
    prefix,
    process::{self, Problem},
    toolchain::{Compiler, Optimize, flags},
};
use crate::engine::{
    cache::{self, Cache, Headers, Origin, key, shipped},
    error::{CompileError, EngineError},
    msl::{Lowered, MathMode},
};

/// Changes whenever entries of older versions of this engine must not be used.
const FORMAT: &str = "zmlx-host-3";

/// The part of the cache that is this engine's.
pub const ENGINE: &str = "host";

/// The library's name within its cache entry.
const LIBRARY: &str = "kernel.so";

/// The compiler and the arguments that kernels are compiled with, to compile other text alike.
pub fn command(math: MathMode) -> Result<(PathBuf, Vec<String>), EngineError> {
    let compiler = Compiler::find("")?;
    let mut args = compiler.args;
    args.extend(flags(math, Machine::Native, Optimize::AsBuilt));
    Ok((compiler.path, args))
}

/// Has `load` take the compiled library for `lowered`, from the cache or fresh.
///
/// What was compiled ahead and came with the program is taken first. An entry that cannot be loaded is built again: it may come from
/// another system that shares the cache. So is one that goes away before it is loaded, as the cache may be deleted at any time.
pub fn library<T>(
    kernel: &str,
    lowered: &Lowered,
    math: MathMode,
    load: impl Fn(PathBuf) -> Result<T, EngineError>,
) -> Result<(T, Origin), EngineError> {
    let ahead = match shipped_library(lowered, math)? {
        Some(path) => match load(path) {
            Ok(loaded) => return Ok((loaded, Origin::Disk)),
            Err(e) => Some(e),
        },
        None => None,
    };
    let compiler = match (Compiler::find(kernel), ahead) {
        (Ok(compiler), _) => compiler,
        // Why a kernel that is there does not load says more than that there is no compiler.
        (Err(_), Some(e)) | (Err(e), None) => return Err(e),
    };
    let (mut last, mut fresh) = (None, false);
    for _ in 0..TRIES {
        let found = Entry::of(&compiler, lowered, math)
            .and_then(|e| Ok((e.library(kernel, &compiler, lowered, fresh)?, e)));
        let ((path, origin), entry) = match found {
            Ok(found) => found,
            // The cache was deleted meanwhile.
            Err(e) if is_gone(&e) => {
                last = Some(e);
                continue;
            }
            Err(e) => return Err(e),
        };
        match load(path.clone()) {
            Ok(loaded) => return Ok((loaded, origin)),
            Err(e @ EngineError::Load { .. }) if origin == Origin::Disk || !path.is_file() => {
                entry.cache.discard(&entry.key)?;
                (last, fresh) = (Some(e), true);
            }
            Err(e) => return Err(e),
        }
    }
    Err(last.unwrap_or_else(|| EngineError::Compiler {
        kernel: kernel.to_owned(),
        compiler: compiler.path.display().to_string(),
        reason: "it was not tried".to_owned(),
    }))
}

/// How often a kernel is compiled whose cache goes away meanwhile.
const TRIES: usize = 4;

/// The library that was compiled ahead, for the best of the sets of instructions that this processor has.
fn shipped_library(lowered: &Lowered, math: MathMode) -> Result<Option<PathBuf>, EngineError> {
    if shipped::folders().is_empty() {
        return Ok(None);
    }
    for machine in Machine::here() {
        let key = ahead_key(
            &Headers::hash()?,
            &flags(math, machine, Optimize::Fully),
            machine,
            lowered,
        );
        if let Some(folder) = shipped::find(ENGINE, &key) {
            return Ok(Some(folder.join(LIBRARY)));
        }
    }
    Ok(None)
}

/// Puts the library for a machine among those that a program brings along, in `cache`; whether the compiler had to run.
pub fn build_ahead(
    kernel: &str,
    lowered: &Lowered,
    math: MathMode,
    machine: Machine,
    cache: Cache,
) -> Result<bool, EngineError> {
    let compiler = Compiler::find(kernel)?;
    let entry = Entry::ahead(lowered, math, machine, cache)?;
    let (_, origin) = entry.library(kernel, &compiler, lowered, false)?;
    Ok(origin == Origin::Compiler)
}

/// The name of an entry that another machine will look for, which has no compiler or another one.
fn ahead_key(headers: &str, flags: &[String], machine: Machine, lowered: &Lowered) -> String {
    key(&[
        FORMAT,
        "ahead",
        &flags.join(" "),
        machine.identity(),
        headers,
        &lowered.text,
    ])
}

/// Where a kernel's library is, or will be.
struct Entry {
    cache: Cache,
    headers: Headers,
    /// Where the headers are.
    headers_cache: Cache,
    flags: Vec<String>,
    key: String,
}

impl Entry {
    fn of(compiler: &Compiler, lowered: &Lowered, math: MathMode) -> Result<Self, EngineError> {
        let cache = Cache::open(ENGINE)?;
        let headers = Headers::prepare(&cache)?;
        let flags = flags(math, Machine::Native, Optimize::AsBuilt);
        let key = key(&[
            FORMAT,
            &compiler.identity,
            &compiler.args.join(" "),
            &flags.join(" "),
            Machine::Native.identity(),
            &headers.hash,
            &lowered.text,
        ]);
        Ok(Self {
            headers_cache: cache.clone(),
            cache,
            headers,
            flags,
            key,
        })
    }

    fn ahead(
        lowered: &Lowered,
        math: MathMode,
        machine: Machine,
        cache: Cache,
    ) -> Result<Self, EngineError> {
        let headers_cache = Cache::open(ENGINE)?;
        let headers = Headers::prepare(&headers_cache)?;
        let flags = flags(math, machine, Optimize::Fully);
        Ok(Self {
            key: ahead_key(&headers.hash, &flags, machine, lowered),
            cache,
            headers,
            headers_cache,
            flags,
        })
    }

    /// The library, from the cache unless it has to be `fresh`.
    fn library(
        &self,
        kernel: &str,
        compiler: &Compiler,
        lowered: &Lowered,
        fresh: bool,
    ) -> Result<(PathBuf, Origin), EngineError> {
        if !fresh && let Some(folder) = self.cache.find(&self.key) {
            return Ok((folder.join(LIBRARY), Origin::Disk));
        }
        let temporary = self.cache.temporary(&self.key)?;
        let text = temporary.path.join("kernel.cpp");
        fs::write(&text, &lowered.text).map_err(|e| cache::error("write", &text, e))?;
        let library = temporary.path.join(LIBRARY);
        let outcome = self.compile(kernel, compiler, lowered, &text, &library);
        if let Err(e) = outcome {
            // It may have missed what it was to read, or the place to write to.
            if text.is_file() && self.headers.are_there(&self.headers_cache) {
                return Err(e);
            }
            let gone = io::Error::new(io::ErrorKind::NotFound, e.to_string());
            return Err(cache::error("compile in", &temporary.path, gone));
        }
        frames::keep(kernel, &temporary.path, lowered)?;
        let folder = self.cache.commit(temporary, &self.key)?;
        Ok((folder.join(LIBRARY), Origin::Compiler))
    }
    /// Compiles the file `text` to a library, with a beginning that was compiled before where there is one.
    fn compile(
        &self,
        kernel: &str,
        compiler: &Compiler,
        lowered: &Lowered,
        text: &Path,
        library: &Path,
    ) -> Result<(), EngineError> {
        let failed = |reason: String| EngineError::Compiler {
            kernel: kernel.to_owned(),
            compiler: compiler.path.display().to_string(),
            reason,
        };
        let frames_flag = frames::flag(&compiler.path, &compiler.args);
        let frames_flag = frames_flag.map_err(|e| failed(e.to_string()))?;
        let run = |files: &[&OsStr], link: bool| {
            // A header that is linked becomes an empty library.
            let flags = { self.flags.iter() }
                .filter(|flag| link || !(*flag == "-shared" || flag.starts_with("-Wl,")));
            let mut command = Command::new(&compiler.path);
            command
                .args(&compiler.args)
                .args(flags)
                .args(frames_flag)
                .arg("-I")
                .arg(&self.headers.folder)
                .args(files)
                // Messages are parsed, so they have to come in English.
                .env("LC_ALL", "C")
                // A sanitizer or profiler preloaded into this process has no business in the compiler.
                .env_remove("LD_PRELOAD")
                .env_remove("DYLD_INSERT_LIBRARIES");
            process::run(&mut command)
        };
        let files = [text.as_os_str(), "-o".as_ref(), library.as_os_str()];
        // Only gcc has that flag, and only gcc looks for compiled headers by their names.
        if frames_flag.is_some() {
            let identity = [
                FORMAT,
                &compiler.identity,
                &compiler.args.join(" "),
                &self.flags.join(" "),
                Machine::Native.identity(),
                &self.headers.hash,
            ];
            let prefix = prefix::of(&self.headers_cache, &identity, &lowered.text, |from, to| {
                let files = [
                    "-x".as_ref(),
                    "c++-header".as_ref(),
                    from.as_os_str(),
                    "-o".as_ref(),
                    to.as_os_str(),
                ];
                run(&files, false).is_ok_and(|ended| ended.status.success())
            });
            if let Some(prefix) = prefix {
                let mut files = files.to_vec();
                files.extend(["-include".as_ref(), prefix.as_os_str()]);
                // Where this goes wrong, the reason is looked for in the whole text.
                match run(&files, true) {
                    Ok(ended) if ended.status.success() => return Ok(()),
                    Err(late @ Problem::Late(_)) => return Err(failed(late.to_string())),
                    _ => {}
                }
            }
        }
        let ended = run(&files, true).map_err(|e| failed(e.to_string()))?;
        if ended.status.success() {
            return Ok(());
        }
        let stopped = process::was_stopped(&ended);
        let words = ended.words;
        let diagnostic = diagnostic::first(&words, lowered).filter(|_| !stopped);
        let Some(diagnostic) = diagnostic else {
            return Err(failed(format!("{}: {}", ended.status, words.trim())));
        };
        Err(EngineError::Compile(Box::new(CompileError {
            kernel: kernel.to_owned(),
            message: diagnostic.message,
            location: diagnostic.location,
            output: words,
        })))
    }
}

/// Whether something was not found that had been made.
fn is_gone(error: &EngineError) -> bool {
    matches!(error, EngineError::Cache { source, .. } if source.kind() == io::ErrorKind::NotFound)
}
