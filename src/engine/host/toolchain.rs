//! The system's C++ compiler, and the flags that kernels are compiled with.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::machine::Machine;
use crate::engine::{cache::shipped, error::EngineError, msl::MathMode};

/// What the compiler is called when `CXX` does not say.
const CANDIDATES: [&str; 3] = ["c++", "g++", "clang++"];

/// Flags that every kernel is compiled with.
const FLAGS: [&str; 14] = [
    "-std=c++20",
    "-fPIC",
    "-shared",
    // MSL's char is signed on every machine.
    "-fsigned-char",
    // Integers wrap, and kernels look at buffers as other types.
    "-fwrapv",
    // Metal has neither.
    "-fno-exceptions",
    "-fno-rtti",
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
pub struct Compiler {
    pub path: PathBuf,
    /// Words after the command's name in `CXX`, as in `CXX="ccache g++"`.
    pub args: Vec<String>,
    /// Path, size and time of change: another version of a compiler is another file.
    pub identity: String,
}

impl Compiler {
    pub fn find(kernel: &str) -> Result<Self, EngineError> {
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
        found.ok_or_else(|| {
            let machines: Vec<&str> = Machine::here().map(Machine::name).collect();
            EngineError::NoCompiler {
                kernel: kernel.to_owned(),
                tried: commands.join(", "),
                ahead: shipped::missing(super::compiler::ENGINE, &machines.join(", ")),
            }
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

/// Flags for the linker. A library of a page or two needs no segments that begin on pages of their
/// own: it takes two of the mappings of which a process may have so many, and not five.
const fn linker() -> &'static [&'static str] {
    if cfg!(target_os = "linux") {
        &["-Wl,-z,noseparate-code", "-Wl,-z,norelro"]
    } else {
        &[]
    }
}

/// How much the compiler optimizes.
#[derive(Clone, Copy, Debug)]
pub enum Optimize {
    /// As this crate is compiled: where it is not optimized, kernels are ready sooner and run slower.
    AsBuilt,
    /// For kernels that are shipped, whoever makes them.
    Fully,
}

impl Optimize {
    fn flag(self) -> &'static str {
        match (self, option_env!("ZMLX_OPT_LEVEL")) {
            (Optimize::AsBuilt, Some("0")) => "-O2",
            _ => "-O3",
        }
    }
}

/// All flags for one math mode, `ZMLX_CXXFLAGS` last.
pub fn flags(math: MathMode, machine: Machine, optimize: Optimize) -> Vec<String> {
    let extra = env::var("ZMLX_CXXFLAGS").unwrap_or_default();
    let own = FLAGS.iter().chain(linker()).copied();
    own.chain([optimize.flag(), machine.flag()])
        .chain(math_flags(math).iter().copied())
        .chain(extra.split_whitespace())
        .map(str::to_owned)
        .collect()
}
