//! Which engine runs custom kernels here, and why.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::bridge::kernel::ffi;

use super::{Engine, cuda, forced, host};

/// What can run custom kernels on this machine; made by [`info`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// MLX has a Metal device: GPU streams run kernels as they are.
    pub metal: bool,
    /// MLX has a CUDA device.
    pub cuda: bool,
    /// That device as NVIDIA's compiler calls it, such as `sm_90`.
    pub architecture: Option<String>,
    /// NVIDIA's run-time compiler with its version, where one was found.
    pub cuda_compiler: Option<String>,
    /// The C++ compiler of the host engine, where one was found.
    pub compiler: Option<PathBuf>,
    /// Threads that the host engine runs kernels on.
    pub threads: usize,
    /// The library of MLX that this process uses, where the system tells.
    pub library: Option<PathBuf>,
    /// The engine that is asked for by [`force`](super::force) or `ZMLX_ENGINE`.
    pub forced: Option<Engine>,
    /// What is missing, and what to do about it: a sentence each.
    pub problems: Vec<String>,
}

/// Looks at the machine. Compiles and runs nothing.
///
/// ```
/// println!("{}", zmlx::engine::info());
/// assert!(zmlx::engine::info().threads >= 1);
/// ```
pub fn info() -> Info {
    // None of the questions can throw; no answer means no device.
    let metal = ffi::metal_available().unwrap_or(false);
    let cuda = ffi::cuda_available().unwrap_or(false);
    let architecture = cuda.then(ffi::cuda_architecture).and_then(Result::ok);
    let mut info = Info {
        metal,
        cuda,
        architecture: architecture.filter(|a| !a.is_empty()),
        cuda_compiler: None,
        compiler: host::compiler_path(),
        threads: host::threads(),
        library: library("libmlx."),
        forced: forced(),
        problems: Vec::new(),
    };
    if cuda {
        match cuda::compiler() {
            Ok(compiler) => info.cuda_compiler = Some(compiler),
            Err(tried) => info.problems.push(format!(
                "NVIDIA's run-time compiler, which kernels need, was not found ({tried}): set CUDA_HOME to \
                 a CUDA toolkit, or ZMLX_NVRTC to libnvrtc.so.13"
            )),
        }
        if let Some(problem) = headers(info.library.as_deref()) {
            info.problems.push(problem);
        }
    } else if !metal && cfg!(target_os = "linux") {
        info.problems.push(no_cuda(info.library.as_deref()));
    }
    if info.compiler.is_none() {
        info.problems.push(
            "no C++ compiler for kernels on the CPU: install g++ or clang++, or name one in CXX"
                .to_owned(),
        );
    }
    info
}

/// Why `cuda_available` is false on Linux, in the order in which people meet the causes.
fn no_cuda(mlx: Option<&Path>) -> String {
    let name = |path: &Path| path.display().to_string();
    let mlx = mlx.map_or_else(|| "the MLX in use".to_owned(), name);
    let driver = std::fs::read_to_string("/proc/driver/nvidia/version").ok();
    let has_gpu = Path::new("/dev/nvidiactl").exists() || driver.is_some();
    // The CUDA build links to NVIDIA's compiler, so that is in the process wherever the build is.
    let cuda_build = library("libnvrtc.").is_some();
    match (cuda_build, has_gpu) {
        (false, true) => format!(
            "there is an NVIDIA driver, but {mlx} is the CPU build of MLX: build with `--features cuda`, or \
             put the folder of the CUDA build's libmlx.so first on LD_LIBRARY_PATH"
        ),
        (false, false) => format!(
            "no NVIDIA driver on this machine, and {mlx} is the CPU build of MLX: kernels run on the CPU"
        ),
        (true, false) => {
            "MLX is the CUDA build, but there is no NVIDIA driver: install it (in a container, \
                          start that with its GPUs, such as `--gpus all`)"
                .to_owned()
        }
        (true, true) => match driver.as_deref().and_then(driver_version) {
            Some(version) if version < OLDEST_DRIVER => format!(
                "the NVIDIA driver is version {version}, and CUDA 13 needs {OLDEST_DRIVER} or newer: update it"
            ),
            _ => "MLX and the NVIDIA driver are there, but CUDA finds no GPU: is one hidden by \
                  CUDA_VISIBLE_DEVICES, or in use by nobody's permission (see `nvidia-smi`)?"
                .to_owned(),
        },
    }
}

/// The oldest driver that runs programs made with CUDA 13.
const OLDEST_DRIVER: u32 = 580;

/// The major number in `NVRM version: NVIDIA UNIX ... Kernel Module  580.95.05  ...`.
fn driver_version(text: &str) -> Option<u32> {
    text.lines().next()?.split_whitespace().find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        rest.starts_with(|c: char| c.is_ascii_digit())
            .then_some(major.parse().ok()?)
    })
}

/// MLX's own fused and generated operations are compiled against CUDA's headers; our kernels are not.
fn headers(mlx: Option<&Path>) -> Option<String> {
    let beside = mlx.and_then(|m| Some(m.parent()?.parent()?.parent()?.join("nvidia/cu13")));
    let named = ["CUDA_HOME", "CUDA_PATH"]
        .into_iter()
        .find_map(std::env::var_os)
        .map(PathBuf::from);
    let home = named.unwrap_or_else(|| "/usr/local/cuda".into());
    let found = beside
        .into_iter()
        .chain([home.clone()])
        .any(|d| d.join("include").is_dir());
    (!found).then(|| {
        format!(
            "CUDA's headers, which some of MLX's own operations are compiled with, are not in {}: set \
             CUDA_HOME to a folder whose include/ has them (a CUDA toolkit, or nvidia/cu13 of the Python \
             package nvidia-cuda-runtime)",
            home.display()
        )
    })
}

/// The path of a library in this process whose file name starts like this.
fn library(start: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| {
        let path = Path::new(line.get(line.find('/')?..)?);
        let name = path.file_name()?.to_str()?;
        name.starts_with(start).then(|| path.to_owned())
    })
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.metal, self.cuda, &self.cuda_compiler) {
            (true, ..) => writeln!(f, "GPU streams: Metal, through MLX's own kernels")?,
            (_, true, Some(compiler)) => writeln!(
                f,
                "GPU streams: CUDA on {}, kernels compiled by {compiler}",
                self.architecture.as_deref().unwrap_or("a GPU")
            )?,
            (_, true, None) => writeln!(
                f,
                "GPU streams: CUDA, MLX's operations only: kernels need NVIDIA's run-time compiler"
            )?,
            _ => writeln!(
                f,
                "GPU streams: none: this MLX finds neither Metal nor CUDA"
            )?,
        }
        match &self.compiler {
            Some(path) => write!(
                f,
                "CPU streams: the host engine, {} threads, kernels compiled by {}",
                self.threads,
                path.display()
            )?,
            None => write!(
                f,
                "CPU streams: MLX's operations only: no C++ compiler for custom kernels was found"
            )?,
        }
        if let Some(engine) = self.forced {
            write!(f, "\nAsked for: {engine}")?;
        }
        for problem in &self.problems {
            write!(f, "\nNote: {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_tell_their_version() {
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\nGCC version: 12.3.0";
        assert_eq!(driver_version(text), Some(580));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release";
        assert_eq!(driver_version(open), Some(535));
        assert_eq!(driver_version("nothing"), None);
    }
}
