//! From a kernel's text to code: what came with the program, what the cache has, or what the compiler makes.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    CompileOptions, CudaKernel, diagnostic, lower,
    nvrtc::{self, Nvrtc, Outcome},
    shared,
};
use crate::engine::{
    cache::{self, Cache, Headers, Origin, key, shipped},
    error::{CompileError, EngineError},
    msl::{Lowered, MathMode, Mode},
    record,
    refusal::danger,
};
use crate::io::place;

/// Changes whenever entries of older versions of this engine must not be used.
const FORMAT: &str = "zmlx-cuda-2";

/// The part of the cache that is this engine's.
const ENGINE: &str = "cuda";

/// What the text of a kernel has that may multiply for teams of simdgroups.
const TEAMS: &str = "kk_tile_mma_wait";

/// Names within a cache entry: the code, and the bytes of threadgroup memory that launches ask for,
/// where they do.
const CODE: &str = "kernel.cubin";
const SHARED: &str = "shared";

/// The code for `msl`, the complete text that MLX generated: what came with the program, from the cache, or fresh.
pub fn compile(msl: &str, options: &CompileOptions) -> Result<(CudaKernel, Origin), EngineError> {
    danger(msl, &options.name)?;
    let lowered = lower(msl, options)?;
    let flags = flags(options, &lowered.text);
    let found = compile_lowered(&lowered, flags, options)?;
    record::note(|| options.recorded(msl));
    Ok(found)
}

fn compile_lowered(
    lowered: &Lowered,
    flags: Vec<String>,
    options: &CompileOptions,
) -> Result<(CudaKernel, Origin), EngineError> {
    let ahead = ahead_key(&flags, lowered)?;
    if let Some(folder) = shipped::find(ENGINE, &ahead)
        && let Some(kernel) = read(&folder, &ahead, lowered, options)
    {
        return Ok((kernel, Origin::Disk));
    }
    let nvrtc = compiler_for(options)?;
    let cache = Cache::open(ENGINE)?;
    let headers = Headers::prepare(&cache)?;
    let version = format!("{}.{}", nvrtc.version.0, nvrtc.version.1);
    let key = key(&[
        FORMAT,
        &version,
        &flags.join(" "),
        &headers.hash,
        &lowered.text,
    ]);
    if let Some(folder) = cache.find(&key)
        && let Some(kernel) = read(&folder, &key, lowered, options)
    {
        return Ok((kernel, Origin::Disk));
    }
    let (code, shared) = fresh(nvrtc, lowered, flags, &key, &cache, headers, options)?;
    if let Err(e) = keep(&cache, &key, &lowered.text, &code, shared) {
        // The code is here all the same; the next process compiles it again.
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Ordering::Relaxed) {
            eprintln!("zmlx: compiled kernels are not kept: {e}");
        }
    }
    let kernel = kernel(code, shared, &key, lowered, options);
    Ok((kernel, Origin::Compiler))
}

/// Compiles `msl` into `cache`, where a program on a machine with the GPU of the options will find it; whether the compiler had to run.
pub fn compile_ahead(
    msl: &str,
    options: &CompileOptions,
    cache: &Cache,
) -> Result<bool, EngineError> {
    danger(msl, &options.name)?;
    let lowered = lower(msl, options)?;
    let flags = flags(options, &lowered.text);
    let key = ahead_key(&flags, &lowered)?;
    if cache.find(&key).is_some() {
        return Ok(false);
    }
    let nvrtc = compiler_for(options)?;
    let own = Cache::open(ENGINE)?;
    let headers = Headers::prepare(&own)?;
    let (code, shared) = fresh(nvrtc, &lowered, flags, &key, &own, headers, options)?;
    keep(cache, &key, &lowered.text, &code, shared)?;
    Ok(true)
}

fn compiler_for(options: &CompileOptions) -> Result<&'static Nvrtc, EngineError> {
    nvrtc::get().map_err(|tried| EngineError::NoCudaCompiler {
        kernel: options.name.clone(),
        tried: tried.to_owned(),
        ahead: shipped::missing(ENGINE, &options.architecture),
    })
}

/// The name of an entry that another machine will look for, whatever its version of the compiler.
fn ahead_key(flags: &[String], lowered: &Lowered) -> Result<String, EngineError> {
    let headers = Headers::hash()?;
    let flags = flags.join(" ");
    Ok(key(&[FORMAT, "ahead", &flags, &headers, &lowered.text]))
}

/// The name of the function in the code of an entry.
fn function(key: &str) -> String {
    format!("zmlx_{}", &key[..24])
}

fn kernel(
    code: Vec<u8>,
    shared: u32,
    key: &str,
    lowered: &Lowered,
    options: &CompileOptions,
) -> CudaKernel {
    let in_turn = match lowered.mode {
        Mode::Plain if !options.exact => options.in_turn,
        _ => 1,
    };
    CudaKernel {
        function: function(key),
        code: code.into(),
        in_turn,
        shared,
    }
}

/// The kernel of an entry.
fn read(
    folder: &Path,
    key: &str,
    lowered: &Lowered,
    options: &CompileOptions,
) -> Option<CudaKernel> {
    let code = place::read(&folder.join(CODE)).ok()?;
    let shared = fs::read_to_string(folder.join(SHARED)).ok();
    let shared = shared.and_then(|bytes| bytes.parse().ok());
    Some(kernel(code, shared.unwrap_or(0), key, lowered, options))
}

/// Has the compiler make the code; `cache` has the headers.
fn fresh(
    nvrtc: &'static Nvrtc,
    lowered: &Lowered,
    mut flags: Vec<String>,
    key: &str,
    cache: &Cache,
    headers: Headers,
    options: &CompileOptions,
) -> Result<(Vec<u8>, u32), EngineError> {
    flags.push(format!("-I{}", headers.folder.display()));
    flags.push(format!("-DZMLX_KERNEL={}", function(key)));
    match build(nvrtc, lowered, flags.clone(), options) {
        // The cache was deleted meanwhile, and with it what the compiler was to read.
        Err(_) if !headers.are_there(cache) => {
            Headers::prepare(cache)?;
            build(nvrtc, lowered, flags, options)
        }
        made => made,
    }
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
fn flags(options: &CompileOptions, text: &str) -> Vec<String> {
    let fused = options.math_mode != MathMode::Safe;
    // What this GPU has and later ones have not: products of teams (`kernels/runtime/cuda/teams.h`).
    let own = match options.architecture == "sm_90" && text.contains(TEAMS) {
        true => "a",
        false => "",
    };
    let mut flags = vec![
        format!("--gpu-architecture={}{own}", options.architecture),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Code for what sm_90 alone has runs on no later GPU, so it is made where it is needed only.
    #[test]
    fn texts_of_teams_are_for_one_gpu_alone() {
        let architecture = |gpu: &str, text: &str| {
            let options = CompileOptions {
                name: "k".into(),
                math_mode: MathMode::Safe,
                inputs: Vec::new(),
                threads: 256,
                rank: 4,
                architecture: gpu.into(),
                in_turn: 1,
                exact: false,
                whole: false,
            };
            flags(&options, text).swap_remove(0)
        };
        let teams = "kk_tile_mma_wait<0>(x);";
        for (gpu, text, want) in [
            ("sm_90", teams, "sm_90a"),
            ("sm_90", "x", "sm_90"),
            ("sm_80", teams, "sm_80"),
            ("sm_100", teams, "sm_100"),
        ] {
            let want = format!("--gpu-architecture={want}");
            assert_eq!(architecture(gpu, text), want);
        }
    }
}
