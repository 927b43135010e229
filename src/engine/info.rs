//! Which engine runs custom kernels here, and why.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::bridge::kernel::ffi;

use super::{Engine, cache::shipped, cuda, forced, host};

/// What can run custom kernels on this machine; made by [`info`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// MLX has a Metal device, which runs kernels as they are.
    pub metal: bool,
    /// MLX has a CUDA device.
    pub cuda: bool,
    /// That device as NVIDIA's compiler calls it, such as `sm_90`.
    pub architecture: Option<String>,
    /// The GPU's name, where MLX tells.
    pub gpu: Option<String>,
    /// The version of NVIDIA's driver, such as `580.95.05`, where one is loaded.
    pub driver: Option<String>,
    /// NVIDIA's run-time compiler with its version, where one was found.
    pub cuda_compiler: Option<String>,
    /// Whether MLX runs at all: its CUDA build does nothing without a GPU, not even on the CPU.
    pub usable: bool,
    /// The C++ compiler of the host engine, where one was found.
    pub compiler: Option<PathBuf>,
    /// Threads that the host engine runs kernels on.
    pub threads: usize,
    /// The library of MLX that this process uses, where the system tells.
    pub library: Option<PathBuf>,
    /// Folders of kernels that were compiled ahead: see [`ahead`](super::ahead).
    pub kernels: Vec<PathBuf>,
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
        gpu: (metal || cuda).then(gpu_name).flatten(),
        driver: driver(),
        cuda_compiler: None,
        usable: metal || cuda || !cuda_build(),
        compiler: host::compiler_path(),
        threads: host::threads(),
        library: library("libmlx."),
        kernels: shipped::folders(),
        forced: forced(),
        problems: Vec::new(),
    };
    if cuda {
        match cuda::compiler() {
            Ok(compiler) => info.cuda_compiler = Some(compiler),
            Err(tried) => info.problems.push(format!(
                "NVIDIA's run-time compiler (NVRTC), which custom kernels need on this GPU, was not found. Set \
                 ZMLX_NVRTC to the path of libnvrtc.so.13, or CUDA_HOME to a CUDA 13 toolkit. Tried: {tried}"
            )),
        }
        if let Some(problem) = headers(info.library.as_deref()) {
            info.problems.push(problem);
        }
    } else if !metal && cfg!(target_os = "linux") {
        let problem = no_cuda(info.library.as_deref(), info.driver.as_deref());
        info.problems.push(problem);
    }
    if info.compiler.is_none() {
        info.problems.push(
            "no C++ compiler was found, which custom kernels need on the CPU, unless they are shipped compiled ahead: \
             install g++ or clang++, or set CXX to one"
                .to_owned(),
        );
    }
    info
}

/// Whether the MLX of this process is its CUDA build, by a library that only that one links to.
fn cuda_build() -> bool {
    library("libcublasLt.").is_some()
}

/// Why `cuda_available` is false on Linux, in the order in which people meet the causes.
fn no_cuda(mlx: Option<&Path>, driver: Option<&str>) -> String {
    let name = |path: &Path| path.display().to_string();
    let mlx = mlx.map_or_else(|| "the one in use".to_owned(), name);
    let has_gpu = Path::new("/dev/nvidiactl").exists() || driver.is_some();
    match (cuda_build(), has_gpu) {
        (false, true) => format!(
            "this machine has an NVIDIA driver, but this program runs with MLX's CPU build ({mlx}). Build with \
             `--features cuda`, or put the folder of the CUDA build's libmlx.so first on LD_LIBRARY_PATH"
        ),
        (false, false) => "this machine has no NVIDIA driver, and this program runs with MLX's CPU build, as is right \
                           without a GPU"
            .to_owned(),
        (true, false) => format!(
            "this program runs with MLX's CUDA build ({mlx}), which runs nothing without an NVIDIA driver, and this \
             machine has none. Install the driver (in a container, start that with its GPUs: `--gpus all`), or \
             take MLX's CPU build: build without `--features cuda`"
        ),
        (true, true) => match driver.and_then(major) {
            Some(version) if version < OLDEST_DRIVER => format!(
                "the NVIDIA driver is version {version}, and MLX's CUDA build, which this program runs with, needs \
                 {OLDEST_DRIVER} or newer: update the driver"
            ),
            _ => "this program runs with MLX's CUDA build, which runs nothing without a GPU, and CUDA finds none. \
                  Is it hidden by CUDA_VISIBLE_DEVICES, or not this user's to use? `nvidia-smi` lists the GPUs"
                .to_owned(),
        },
    }
}

/// The oldest driver that runs programs made with CUDA 13.
const OLDEST_DRIVER: u32 = 580;

/// The version of the loaded driver.
fn driver() -> Option<String> {
    driver_version(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The number in `NVRM version: NVIDIA UNIX ... Kernel Module  580.95.05  ...`.
fn driver_version(text: &str) -> Option<String> {
    let words = text.lines().next()?.split_whitespace();
    let number = |word: &&str| {
        let digits = word.chars().all(|c| c.is_ascii_digit() || c == '.');
        digits && word.contains('.')
    };
    words.into_iter().find(number).map(str::to_owned)
}

fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

fn gpu_name() -> Option<String> {
    let facts = crate::Device::GPU.info().ok()?;
    let name = facts.into_iter().find(|(key, _)| key == "device_name");
    name.map(|(_, name)| name).filter(|n| !n.is_empty())
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
            "CUDA's headers were not found (looked beside MLX and in {}/include). Custom kernels do without, but some of MLX's \
             own operations fail. Set CUDA_HOME to a folder whose include/ has cuda.h: a CUDA 13 toolkit, or \
             nvidia/cu13 of the Python package nvidia-cuda-runtime",
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
        let name = self.gpu.as_deref().unwrap_or("a GPU");
        let architecture = self.architecture.as_deref().unwrap_or("unknown");
        match (self.metal, self.cuda, &self.cuda_compiler) {
            (true, ..) => writeln!(f, "GPU: {name}; Metal runs custom kernels as they are")?,
            (_, true, Some(compiler)) => {
                let driver = self.driver.as_deref().unwrap_or("of unknown version");
                writeln!(
                    f,
                    "GPU: {name} ({architecture}, driver {driver}); custom kernels are compiled by {compiler}"
                )?;
            }
            (_, true, None) => writeln!(
                f,
                "GPU: {name} ({architecture}); MLX's operations run, custom kernels do NOT"
            )?,
            _ => writeln!(f, "GPU: none that MLX can use")?,
        }
        match &self.compiler {
            _ if !self.usable => write!(f, "CPU: nothing runs, as MLX's CUDA build needs a GPU")?,
            Some(path) => write!(
                f,
                "CPU: custom kernels run on {} threads, compiled by {}",
                self.threads,
                path.display()
            )?,
            None if !self.kernels.is_empty() => write!(
                f,
                "CPU: custom kernels run on {} threads, those that are shipped only",
                self.threads
            )?,
            None => write!(f, "CPU: MLX's operations run, custom kernels do NOT")?,
        }
        for folder in &self.kernels {
            write!(f, "\nKernels compiled ahead: {}", folder.display())?;
        }
        if let Some(engine) = self.forced {
            write!(f, "\nAsked for by ZMLX_ENGINE or the program: {engine}")?;
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
        assert_eq!(driver_version(text).as_deref(), Some("580.95.05"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.183.01  Release";
        assert_eq!(driver_version(open).as_deref().and_then(major), Some(535));
        assert_eq!(driver_version("nothing"), None);
    }
}
