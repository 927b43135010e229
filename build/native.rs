//! The C++ side: cxx generates its half from src/bridge, CMake compiles it and cpp/.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::mlx::Mlx;
use crate::{Result, Target, stand_in, user_env, vendor};

/// The oldest CMake that cpp/CMakeLists.txt takes.
const CMAKE: (u32, u32) = (3, 22);

/// Compiles the bridge into a static library and links it.
pub fn build(target: &Target, mlx: &Mlx) -> Result<()> {
    println!("cargo::rerun-if-changed=src/bridge");
    println!("cargo::rerun-if-changed=cpp");
    let generated = generate(target)?;
    let tools = Tools::find(target)?;

    // What CMake remembers and cannot change later gets a folder of its own.
    let key = format!(
        "{}\0{}\0{}",
        mlx.prefix.display(),
        mlx.version,
        tools.generator
    );
    let key = vendor::hex(&Sha256::digest(key)[..4]);
    let out = target.out_dir.join(format!("cmake-{key}"));

    if let Some(cmake) = &tools.cmake {
        #[allow(unsafe_code, reason = "the crate `cmake` reads the variable only")]
        // SAFETY: build scripts have one thread here.
        unsafe {
            std::env::set_var("CMAKE", cmake);
        }
    }
    let mut config = cmake::Config::new("cpp");
    config
        .out_dir(&out)
        .profile("Release")
        .define("CMAKE_CXX_FLAGS", user_flags()?)
        .generator(tools.generator)
        .define("ZMLX_CXXBRIDGE_DIR", &generated)
        .define("ZMLX_MLX_PREFIX", &mlx.prefix)
        .define("CMAKE_EXPORT_COMPILE_COMMANDS", "ON")
        .build_target("zmlx_bridge");
    if let Some(ninja) = &tools.ninja {
        config.define("CMAKE_MAKE_PROGRAM", ninja);
    }
    if target.os == "macos" {
        // MLX itself runs on nothing older, and C++20's library needs it.
        let oldest = user_env("MACOSX_DEPLOYMENT_TARGET").unwrap_or_else(|| "14.0".into());
        config.define("CMAKE_OSX_DEPLOYMENT_TARGET", oldest);
    }
    config.build();
    let made = out.join("build");
    println!("cargo::rustc-link-search=native={}", made.display());
    println!("cargo::rustc-link-lib=static=zmlx_bridge");
    if stand_in::serves(target) {
        stand_in::build(target, mlx, &made.join("libzmlx_bridge.a"))?;
    }
    Ok(())
}

/// `CXXFLAGS` and its variants. The cmake crate would add `-w`, which hides what -Werror is to find.
fn user_flags() -> Result<String> {
    let compiler = cc::Build::new()
        .cpp(true)
        .no_default_flags(true)
        .cargo_warnings(false)
        .try_get_compiler()
        .map_err(|e| format!("no C++ compiler: {e}"))?;
    let flags: Vec<_> = compiler
        .args()
        .iter()
        .map(|flag| flag.to_string_lossy())
        .collect();
    Ok(flags.join(" "))
}

/// cxx's half of the bridge: headers and sources below OUT_DIR/cxxbridge. A file whose content stays
/// the same is not touched, so that an edit of Rust code compiles no C++.
fn generate(target: &Target) -> Result<PathBuf> {
    let mut bridges = BTreeSet::new();
    find_bridges(Path::new("src/bridge"), &mut bridges)?;
    let _ = cxx_build::bridges(&bridges);

    let dir = target.out_dir.join("cxxbridge");
    let package = dir.join("sources").join(env!("CARGO_PKG_NAME"));
    let wanted = bridges
        .iter()
        .map(|file| package.join(format!("{}.cc", file.display())))
        .collect();
    remove_stale(&package, &wanted);
    Ok(dir)
}

/// The files below `dir` that contain a `#[cxx::bridge]`.
fn find_bridges(dir: &Path, bridges: &mut BTreeSet<PathBuf>) -> Result<()> {
    let cannot = |path: &Path, e: std::io::Error| format!("cannot read {}: {e}", path.display());
    for entry in fs::read_dir(dir).map_err(|e| cannot(dir, e))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find_bridges(&path, bridges)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).map_err(|e| cannot(&path, e))?;
            if text
                .lines()
                .any(|line| line.trim_start().starts_with("#[cxx::bridge"))
            {
                bridges.insert(path);
            }
        }
    }
    Ok(())
}

/// Removes generated sources of bridge files that are gone.
fn remove_stale(dir: &Path, wanted: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            remove_stale(&path, wanted);
        } else if !wanted.contains(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The programs that build C++ beside the compiler. `None`: as found on PATH.
struct Tools {
    cmake: Option<PathBuf>,
    generator: &'static str,
    ninja: Option<PathBuf>,
}

impl Tools {
    fn find(target: &Target) -> Result<Tools> {
        let cmake = match user_env("CMAKE") {
            Some(_) => None, // The cmake crate reads it too.
            None if cmake_on_path().is_some_and(|version| version >= CMAKE) => None,
            None => Some(tool("cmake", "cmake/data/bin/cmake", target)?),
        };
        let (generator, ninja) = if runs("ninja") {
            ("Ninja", None)
        } else if runs("make") {
            ("Unix Makefiles", None)
        } else {
            (
                "Ninja",
                Some(tool("ninja", "ninja/data/bin/ninja", target)?),
            )
        };
        Ok(Tools {
            cmake,
            generator,
            ninja,
        })
    }
}

fn runs(program: &str) -> bool {
    let command = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

fn cmake_on_path() -> Option<(u32, u32)> {
    let output = Command::new("cmake").arg("--version").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = said.split_whitespace().nth(2)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A program from a pinned wheel, shared by all builds in this target directory.
fn tool(part: &str, program: &str, target: &Target) -> Result<PathBuf> {
    let Some(wheel) = vendor::wheels(part, &Target::host_vendor_name())
        .into_iter()
        .next()
    else {
        return Err(format!("no {part} here: install it and put it on PATH"));
    };
    let dir = vendor::unpack(&[wheel], &vendor::shared_dir(target).join("tools"), target)?;
    let names = [
        dir.join(program),
        dir.join(format!("{}-{}.data/scripts/{part}", part, wheel.version())),
    ];
    let Some(file) = names.into_iter().find(|file| file.is_file()) else {
        return Err(format!("the wheel {} holds no {part}", wheel.file));
    };
    make_executable(file.parent().unwrap_or(&dir))?;
    Ok(file)
}

/// Python's zipfile does not keep the permission to run.
fn make_executable(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(dir)
        .map_err(|e| format!("cannot read {}: {e}", dir.display()))?
        .flatten()
    {
        let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755));
    }
    Ok(())
}

/// Compiles a few lines with the compiler that CMake will use.
pub fn require_cxx20() -> Result<()> {
    let out = crate::cargo_env("OUT_DIR");
    let probe = Path::new(&out).join("probe.cpp");
    let source = "#include <concepts>\n#include <span>\n#include <version>\n\
                  template <std::integral T> T twice(T x) { return x + x; }\n\
                  int main() { return std::span<int>().empty() ? twice(0) : 1; }\n";
    fs::write(&probe, source).map_err(|e| format!("cannot write {}: {e}", probe.display()))?;
    let help = "install g++ 11, clang 14 or Apple's command line tools (xcode-select --install), or newer, \
                or set CXX";
    let compiler = match cc::Build::new()
        .cpp(true)
        .cargo_warnings(false)
        .try_get_compiler()
    {
        Ok(compiler) => compiler,
        Err(e) => return Err(format!("no C++ compiler: {e}; {help}")),
    };
    let name = compiler.path().display();
    let output = compiler
        .to_command()
        .args(["-std=c++20", "-fsyntax-only"])
        .arg(&probe)
        .output();
    match output {
        Err(e) => Err(format!(
            "no C++20 compiler: cannot run `{name}`: {e}; {help}"
        )),
        Ok(output) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said
                .lines()
                .find(|line| line.contains("error"))
                .unwrap_or("it failed");
            Err(format!(
                "no C++20 compiler: `{name}` does not compile C++20 ({line}); {help}"
            ))
        }
        Ok(_) => Ok(()),
    }
}
