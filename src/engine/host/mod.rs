//! Runs MSL kernels on this machine's CPU.
//!
//! [`compile`] lowers a kernel's text, has the system's C++ compiler turn it into a library (or
//! finds it in the cache), loads it, and remembers it; [`HostKernel::launch`] runs it over a grid.

mod abi;
pub mod checked;
mod compiler;
mod coroutine;
mod crash;
mod diagnostic;
mod elf;
mod entry;
mod frames;
mod interrupt;
mod job;
mod launch;
mod loader;
pub mod machine;
mod memory;
mod node;
mod patrol;
mod pool;
mod prefix;
mod process;
mod stacks;
#[cfg(test)]
mod stress;
#[cfg(test)]
mod tests;
mod threadgroup;
mod toolchain;
mod watch;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use dashmap::DashMap;

pub use compiler::command as compiler_command;
pub use coroutine::Order;
pub use launch::{Buffer, HostKernel, LaunchArgs};
pub(crate) use node::{Inspector, Node};

pub use super::cache::Origin;
use super::{
    cache::Cache,
    error::EngineError,
    msl::{self, Lowered, MATH_MODES, MathMode},
    record,
    refusal::{danger, refused},
};

/// How to compile a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CompileOptions {
    /// The kernel's name, for messages.
    pub name: String,
    /// The liberties that arithmetic takes.
    pub math_mode: MathMode,
    /// Promises that every launch has threadgroups of one thread: barriers then cost nothing.
    pub single: bool,
    /// Tests every access to a buffer, and refuses what Metal's compiler refuses.
    pub checked: bool,
}

impl CompileOptions {
    /// A kernel with these options in a list of kernels.
    fn recorded(&self, msl: &str) -> serde_json::Value {
        let math = MATH_MODES.iter().find(|(_, mode)| *mode == self.math_mode);
        serde_json::json!({
            "engine": "host",
            "name": self.name,
            "math": math.map_or("", |(name, _)| name),
            "single": self.single,
            "checked": self.checked,
            "text": msl,
        })
    }

    /// The kernel of a list, if it is one.
    pub(super) fn of_list(kernel: &serde_json::Value) -> Option<(Self, &str)> {
        let math = kernel["math"].as_str()?;
        let options = Self {
            name: kernel["name"].as_str()?.to_owned(),
            math_mode: MATH_MODES.iter().find(|(name, _)| *name == math)?.1,
            single: kernel["single"].as_bool()?,
            checked: kernel["checked"].as_bool()?,
        };
        Some((options, kernel["text"].as_str()?))
    }
}

type Slot = Arc<OnceLock<Result<Arc<HostKernel>, EngineError>>>;

static KERNELS: OnceLock<DashMap<(String, CompileOptions), Slot>> = OnceLock::new();
static COMPILATIONS: AtomicUsize = AtomicUsize::new(0);

/// The kernel for `msl`, the complete text that MLX generated. The first call for a text compiles
/// it; calls for the same text meanwhile wait for that one, calls for others do not.
pub fn compile(msl: &str, options: &CompileOptions) -> Result<Arc<HostKernel>, EngineError> {
    compile_from(msl, options).map(|(kernel, _)| kernel)
}

/// Like [`compile`], and tells where the kernel came from. One call for a text gets
/// [`Origin::Compiler`] or [`Origin::Disk`], all others [`Origin::Memory`].
pub fn compile_from(
    msl: &str,
    options: &CompileOptions,
) -> Result<(Arc<HostKernel>, Origin), EngineError> {
    let kernels = KERNELS.get_or_init(DashMap::new);
    let key = (msl.to_owned(), options.clone());
    // The map's lock is held only to find the slot, never while compiling.
    let slot = kernels.entry(key.clone()).or_default().clone();
    let mut origin = Origin::Memory;
    let result = slot
        .get_or_init(|| {
            let (kernel, from) = build(msl, options)?;
            origin = from;
            Ok(kernel)
        })
        .clone();
    if result.as_ref().is_err_and(EngineError::is_passing) {
        kernels.remove_if(&key, |_, current| Arc::ptr_eq(current, &slot));
    }
    result.map(|kernel| (kernel, origin))
}

/// Drops what [`compile`] remembers. Kernels in use stay, with their libraries; compiling the text of
/// another one again finds it on disk.
pub fn forget() {
    if let Some(kernels) = KERNELS.get() {
        kernels.clear();
    }
}

/// The C++ text that [`compile`] would compile.
pub fn lower(msl: &str, options: &CompileOptions) -> Result<Lowered, EngineError> {
    let target = entry::Host {
        math: options.math_mode,
    };
    let lowered = match options.checked {
        true => msl::lower(msl, options.single, &checked::CheckedHost(target)),
        false => msl::lower(msl, options.single, &target),
    };
    lowered.map_err(|error| EngineError::Lower {
        kernel: options.name.clone(),
        error,
    })
}

/// Refuses what Metal's compiler refuses, as far as the text alone tells.
pub fn check(msl: &str, options: &CompileOptions) -> Result<(), EngineError> {
    refused(msl::checked::refuse(msl), &options.name)
}

/// Refuses functions that call themselves, directly or not: Metal has none, and here each call
/// would take a piece of a stack that is as large as the calls that end.
fn refuse_recursion(msl: &str, options: &CompileOptions) -> Result<(), EngineError> {
    refused(msl::checked::recursion(msl), &options.name)
}

/// How many kernels this process has taken from the disk or the compiler.
pub fn kernels_built() -> usize {
    COMPILATIONS.load(Ordering::Relaxed)
}

/// Compiles `msl` for a machine into `cache`, where a program on another one will find it; whether the compiler had to run.
pub(super) fn compile_ahead(
    msl: &str,
    options: &CompileOptions,
    machine: machine::Machine,
    cache: Cache,
) -> Result<bool, EngineError> {
    let lowered = checked_and_lowered(msl, options)?;
    compiler::build_ahead(&options.name, &lowered, options.math_mode, machine, cache)
}

/// Refuses what is no kernel for this engine, and lowers the rest.
fn checked_and_lowered(msl: &str, options: &CompileOptions) -> Result<Lowered, EngineError> {
    if options.checked {
        check(msl, options)?;
    }
    danger(msl, &options.name)?;
    refuse_recursion(msl, options)?;
    lower(msl, options)
}

fn build(msl: &str, options: &CompileOptions) -> Result<(Arc<HostKernel>, Origin), EngineError> {
    COMPILATIONS.fetch_add(1, Ordering::Relaxed);
    let lowered = checked_and_lowered(msl, options)?;
    let load = |path| loader::Slot::load(&options.name, path, lowered.mode, options.checked);
    let (library, origin) = compiler::library(&options.name, &lowered, options.math_mode, load)?;
    record::note(|| options.recorded(msl));
    let kernel = Arc::new(HostKernel {
        name: options.name.clone(),
        library,
        options: options.clone(),
        lowered,
        cost: AtomicU64::new(0),
        switches: AtomicU64::new(0),
    });
    Ok((kernel, origin))
}

/// The C++ compiler that kernels are compiled with, where there is one.
pub fn compiler_path() -> Option<std::path::PathBuf> {
    compiler::path()
}

/// How many threads run a kernel.
pub fn threads() -> usize {
    pool::workers()
}
