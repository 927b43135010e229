//! Gets MLX, compiles the C++ side of the bridge against it, and says how to link both.
//!
//! What can go wrong outside the code (no python3, no network, no compiler, ...) ends the build with
//! one sentence. docs/DEPLOYING.md says what the result needs at run time.

#[path = "build/mlx.rs"]
mod mlx;
#[path = "build/native.rs"]
mod native;
#[path = "build/stand_in.rs"]
mod stand_in;
#[path = "build/vendor.rs"]
mod vendor;

use std::path::PathBuf;

/// Problems are sentences for the person who builds.
type Result<T> = std::result::Result<T, String>;

fn main() {
    println!("cargo::rerun-if-env-changed=DOCS_RS");
    // Kernels on a CPU are optimized as the crate is.
    println!("cargo::rustc-env=ZMLX_OPT_LEVEL={}", cargo_env("OPT_LEVEL"));
    if std::env::var_os("DOCS_RS").is_some() {
        return; // Documentation needs declarations only: no MLX, no C++.
    }
    if let Err(problem) = build() {
        // Cargo prints this line alone, without the script's other output.
        println!("cargo::error={}", problem.replace('\n', " "));
    }
}

fn build() -> Result<()> {
    let target = Target::from_cargo()?;
    native::require_cxx20()?;
    let mlx = mlx::find(&target)?;
    native::build(&target, &mlx)?;
    mlx.link(&target);
    Ok(())
}

/// What cargo builds for.
pub struct Target {
    /// Its system as Rust calls it, such as `linux`.
    pub os: String,
    /// Its processor, such as `x86_64`.
    pub arch: String,
    /// Both and more, such as `x86_64-unknown-linux-gnu`.
    pub triple: String,
    /// The triple of the machine that builds.
    pub host: String,
    /// Where this script may write.
    pub out_dir: PathBuf,
    /// Whether MLX's CUDA build is asked for.
    pub cuda: bool,
}

impl Target {
    fn from_cargo() -> Result<Self> {
        let target = Target {
            os: cargo_env("CARGO_CFG_TARGET_OS"),
            arch: cargo_env("CARGO_CFG_TARGET_ARCH"),
            triple: cargo_env("TARGET"),
            host: cargo_env("HOST"),
            out_dir: cargo_env("OUT_DIR").into(),
            cuda: std::env::var_os("CARGO_FEATURE_CUDA").is_some(),
        };
        let glibc = cargo_env("CARGO_CFG_TARGET_ENV") == "gnu";
        match (target.os.as_str(), target.arch.as_str()) {
            ("linux", "x86_64" | "aarch64") if glibc => {}
            ("macos", "aarch64") if target.cuda => {
                return Err("the feature `cuda` is for Linux; on macOS build without it".into());
            }
            ("macos", "aarch64") => {}
            _ => {
                return Err(format!(
                    "MLX is not available for {}: zmlx builds for Linux with glibc (x86-64, aarch64) \
                     and macOS on Apple silicon",
                    target.triple
                ));
            }
        }
        Ok(target)
    }

    /// The name of the target in vendor/wheels.txt.
    pub fn vendor_name(&self) -> String {
        format!("{}-{}", self.os, self.arch)
    }

    /// The same for the machine that builds, whose tools run here.
    pub fn host_vendor_name() -> String {
        format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)
    }
}

/// A variable that cargo always sets for build scripts.
fn cargo_env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// A variable of the user's, which the build then depends on; an empty one counts as unset.
fn user_env(name: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed={name}");
    std::env::var(name).ok().filter(|v| !v.is_empty())
}
