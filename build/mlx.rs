//! Which MLX to build against: the pinned wheel, or the one that `MLX_DIR` names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vendor::{self, Wheel};
use crate::{Result, Target, stand_in, user_env};

/// Below this, MLX's errors and caches are not safe to bind.
const OLDEST: (u32, u32, u32) = (0, 32, 1);
/// From here on the ABI is unknown.
const TOO_NEW: (u32, u32, u32) = (0, 33, 0);

/// An MLX prefix: `include/`, `lib/`, `share/cmake/MLX/`.
pub struct Mlx {
    pub prefix: PathBuf,
    pub version: String,
    /// The folder with the library to link against.
    link_dir: PathBuf,
    /// The folder with the library to run with, below OUT_DIR.
    run_dir: PathBuf,
    /// The folder with the library that programs started by cargo run with, below OUT_DIR.
    cargo_dir: PathBuf,
}

pub fn find(target: &Target) -> Result<Mlx> {
    match user_env("MLX_DIR") {
        Some(dir) => installed(Path::new(&dir), target),
        None => pinned(target),
    }
}

/// The wheel of vendor/wheels.txt, unpacked below OUT_DIR: cargo lets programs that it runs find
/// libraries there, in packages that depend on this one too.
fn pinned(target: &Target) -> Result<Mlx> {
    require_glibc(target)?;
    let wheel = choose(vendor::wheels("mlx", &target.vendor_name()), target)?;
    if target.cuda {
        return pinned_cuda(wheel, target);
    }
    let prefix = vendor::unpack(&[wheel], &target.out_dir.join("mlx"), target)?.join("mlx");
    let lib = prefix.join("lib");
    Mlx::new(prefix, lib.clone(), lib)
}

/// The CUDA build. Its library asks the linker for the driver's, which a machine without a GPU does not
/// have, so programs are compiled and linked against the CPU build (the ABI is the same) and find the
/// CUDA one when they run. Only that one is below OUT_DIR, where cargo lets programs find it.
fn pinned_cuda(cpu: Wheel, target: &Target) -> Result<Mlx> {
    let shared = vendor::shared_dir(target);
    let prefix = vendor::unpack(&[cpu], &shared.join("mlx"), target)?.join("mlx");
    let cuda = vendor::wheels("mlx-cuda", &target.vendor_name());
    let cuda = vendor::unpack(&cuda, &target.out_dir.join("cuda"), target)?;
    let nvidia = match user_env("ZMLX_NVIDIA_DIR") {
        Some(dir) if Path::new(&dir).is_dir() => dir.into(),
        Some(dir) => return Err(format!("ZMLX_NVIDIA_DIR={dir} is no folder")),
        None => {
            let wheels = vendor::wheels("nvidia", &target.vendor_name());
            vendor::unpack(&wheels, &shared.join("cuda"), target)?.join("nvidia")
        }
    };
    // The library looks for NVIDIA's in ../../nvidia, as in a site-packages folder.
    link(&nvidia, &cuda.join("nvidia"))?;
    let lib = prefix.join("lib");
    let mut mlx = Mlx::new(prefix, lib, cuda.join("mlx/lib"))?;
    if let Some(dir) = without_driver(&mlx.link_dir, target)? {
        mlx.cargo_dir = dir;
    }
    Ok(mlx)
}

/// The CUDA build runs nothing without NVIDIA's driver, work on the CPU included. Where there is
/// none, programs that cargo runs find the CPU build, whose folder has a name below OUT_DIR for it.
fn without_driver(cpu: &Path, target: &Target) -> Result<Option<PathBuf>> {
    // Installing a driver changes it.
    println!("cargo::rerun-if-changed=/etc/ld.so.cache");
    let load = "import ctypes; ctypes.CDLL('libcuda.so.1')";
    let loaded = vendor::python()?.args(["-c", load]).output();
    if loaded.is_ok_and(|output| output.status.success()) || target.triple != target.host {
        return Ok(None);
    }
    println!(
        "cargo::warning=this machine has no NVIDIA driver (libcuda.so.1 does not load), without which MLX's CUDA \
         build does not load: programs of this build take MLX's CPU build here"
    );
    let name = target.out_dir.join("no-driver/lib");
    link(cpu, &name)?;
    Ok(Some(name))
}

/// The newest wheel that the system can run; for Linux there is only one.
fn choose(wheels: Vec<Wheel>, target: &Target) -> Result<Wheel> {
    let running = macos_version(target);
    let needs = |wheel: &Wheel| -> u32 {
        let mut numbers = wheel
            .platform()
            .split('_')
            .filter_map(|word| word.parse().ok());
        if target.os == "macos" {
            numbers.next().unwrap_or(0)
        } else {
            0
        }
    };
    let oldest = wheels.iter().map(needs).min().unwrap_or(0);
    wheels
        .into_iter()
        .filter(|wheel| {
            running.is_none_or(|running| needs(wheel) <= running)
                && (running.is_some() || needs(wheel) == oldest)
        })
        .max_by_key(needs)
        .ok_or_else(|| match running {
            Some(running) => {
                format!("MLX needs macOS {oldest} or newer, and this is macOS {running}")
            }
            None => format!("MLX is not available for {}", target.triple),
        })
}

/// The macOS that builds, if it does.
fn macos_version(target: &Target) -> Option<u32> {
    if target.os != "macos" || std::env::consts::OS != "macos" {
        return None;
    }
    let output = Command::new("sw_vers")
        .arg("-productVersion")
        .output()
        .ok()?;
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// MLX's wheels for Linux need the glibc that their names tell; an older one fails only at link time.
fn require_glibc(target: &Target) -> Result<()> {
    if target.os != "linux" || target.triple != target.host {
        return Ok(());
    }
    let Ok(output) = Command::new("getconf").arg("GNU_LIBC_VERSION").output() else {
        return Ok(());
    };
    let said = String::from_utf8_lossy(&output.stdout)
        .trim()
        .replace("glibc ", "");
    let mut numbers = said.split('.').map(|word| word.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(2), Some(minor)) if minor < 35 => Err(format!(
            "MLX's Linux packages need glibc 2.35 or newer (Ubuntu 22.04, Debian 12), and this system \
             has {said}: set MLX_DIR to an MLX built here"
        )),
        _ => Ok(()),
    }
}

/// An MLX that the user has: a prefix, a venv, a site-packages folder or Homebrew's.
fn installed(dir: &Path, target: &Target) -> Result<Mlx> {
    let mut candidates = vec![dir.to_owned(), dir.join("mlx")];
    for lib in ["lib", "lib64"] {
        let Ok(entries) = fs::read_dir(dir.join(lib)) else {
            continue;
        };
        let packages = entries
            .flatten()
            .map(|entry| entry.path().join("site-packages/mlx"));
        candidates.extend(packages);
    }
    candidates.push(dir.join("opt/mlx"));
    let has_headers = |prefix: &PathBuf| prefix.join("include/mlx/version.h").is_file();
    let Some(prefix) = candidates.into_iter().find(has_headers) else {
        return Err(format!(
            "MLX_DIR={} holds no MLX: expected include/mlx/version.h and lib/ there, or in its mlx/ or \
             its lib/python3.*/site-packages/mlx/",
            dir.display()
        ));
    };
    let prefix = prefix
        .canonicalize()
        .map_err(|e| format!("cannot read {}: {e}", prefix.display()))?;
    let header = prefix.join("include/mlx/version.h");
    println!("cargo::rerun-if-changed={}", header.display());

    let version = read_version(&prefix)?;
    let pinned = vendor::wheels("mlx", &target.vendor_name());
    let pinned = pinned.first().map_or("", |wheel| wheel.version());
    if version < OLDEST {
        return Err(format!(
            "MLX_DIR={} holds MLX {}, and zmlx needs {} or newer of 0.32 (it is made with {pinned}): \
             older ones are not safe to bind",
            dir.display(),
            dotted(version),
            dotted(OLDEST)
        ));
    }
    if version >= TOO_NEW {
        return Err(format!(
            "MLX_DIR={} holds MLX {}, whose ABI this zmlx does not know: it is made with {pinned} and \
             takes versions below {}",
            dir.display(),
            dotted(version),
            dotted(TOO_NEW)
        ));
    }

    let name = if target.os == "macos" {
        "libmlx.dylib"
    } else {
        "libmlx.so"
    };
    let lib = ["lib", "lib64"]
        .map(|lib| prefix.join(lib))
        .into_iter()
        .find(|lib| lib.join(name).is_file());
    let Some(lib) = lib else {
        return Err(format!(
            "MLX_DIR={} has MLX's headers but no lib/{name}",
            dir.display()
        ));
    };
    // Cargo lets programs that it runs find libraries below OUT_DIR only, so the folder gets a name
    // there. The loader follows it before it looks for the library's own neighbours.
    let name = target.out_dir.join("mlx-dir/lib");
    link(&lib, &name)?;
    Mlx::new(prefix, name.clone(), name)
}

/// Makes `name` a link to the folder `dir`.
fn link(dir: &Path, name: &Path) -> Result<()> {
    if let Some(parent) = name.parent() {
        let _ = fs::create_dir_all(parent);
    }
    let _ = fs::remove_file(name);
    std::os::unix::fs::symlink(dir, name)
        .map_err(|e| format!("cannot link {} to {}: {e}", name.display(), dir.display()))
}

fn read_version(prefix: &Path) -> Result<(u32, u32, u32)> {
    let header = prefix.join("include/mlx/version.h");
    let text = fs::read_to_string(&header)
        .map_err(|e| format!("cannot read {}: {e}", header.display()))?;
    let number = |name: &str| -> Option<u32> {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let found = words.next() == Some("#define") && words.next() == Some(name);
            if found {
                words.next()?.parse().ok()
            } else {
                None
            }
        })
    };
    match (
        number("MLX_VERSION_MAJOR"),
        number("MLX_VERSION_MINOR"),
        number("MLX_VERSION_PATCH"),
    ) {
        (Some(major), Some(minor), Some(patch)) => Ok((major, minor, patch)),
        _ => Err(format!("{} names no MLX version", header.display())),
    }
}

fn dotted((major, minor, patch): (u32, u32, u32)) -> String {
    format!("{major}.{minor}.{patch}")
}

impl Mlx {
    fn new(prefix: PathBuf, link_dir: PathBuf, run_dir: PathBuf) -> Result<Self> {
        let version = dotted(read_version(&prefix)?);
        Ok(Mlx {
            prefix,
            version,
            link_dir,
            cargo_dir: run_dir.clone(),
            run_dir,
        })
    }

    /// The library of this build; what another one of this version has, it has too.
    pub fn library(&self) -> PathBuf {
        self.link_dir.join("libmlx.so")
    }

    /// Folders where programs of this build find the library, the first that loads: the CUDA build does
    /// not where there is no driver.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        let other = (self.link_dir != self.run_dir).then_some(self.link_dir.as_path());
        std::iter::once(self.run_dir.as_path()).chain(other)
    }

    /// How to link, for cargo; `links = "mlx"` hands the metadata to dependents as `DEP_MLX_*`.
    pub fn link(&self, target: &Target) {
        let (link_dir, run_dir) = (self.link_dir.display(), self.run_dir.display());
        println!("cargo::rustc-link-search=native={link_dir}");
        if self.cargo_dir != self.link_dir {
            // Of this kind, cargo hands it to programs that it runs, and rustc not to the linker.
            let cargo_dir = self.cargo_dir.display();
            println!("cargo::rustc-link-search=dependency={cargo_dir}");
        }
        if stand_in::serves(target) {
            // The program finds the library itself; cpp/linux/load.cpp.
            println!("cargo::rustc-link-lib=dylib=stdc++");
        } else {
            println!("cargo::rustc-link-lib=dylib=mlx");
            println!("cargo::rustc-link-lib=dylib=c++");
            // Our own tests, examples and benchmarks also run without cargo: from the build tree, and
            // from where docs/DEPLOYING.md puts them.
            println!("cargo::rustc-link-arg=-Wl,-rpath,{run_dir}");
            println!("cargo::rustc-link-arg=-Wl,-rpath,@executable_path/../lib/mlx/lib");
        }

        println!("cargo::metadata=version={}", self.version);
        println!("cargo::metadata=root={}", self.prefix.display());
        println!("cargo::metadata=include={}/include", self.prefix.display());
        // For the test that reads MLX's headers.
        println!(
            "cargo::rustc-env=ZMLX_MLX_INCLUDE={}/include",
            self.prefix.display()
        );
        println!("cargo::metadata=lib={run_dir}");
    }
}
