//! What kernels and functions cost, and what is compiled of them.
//!
//! - [`time_kernel`] measures a function of arrays, [`memory_usage`] and [`peak_memory`] its memory.
//! - [`kernel_stats`] has what each kernel has cost so far.
//! - [`dump_to`] writes the generated Metal text, the lowered text and the launch parameters of
//!   every kernel into a folder; so does the environment variable `ZMLX_DUMP_DIR`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::metal::dump::Sink;
use crate::metal::{Launch, registry};
use crate::{Array, Error, Result};

pub use crate::metal::registry::KernelEntry;

/// What a measured function gives: an array, or several as an array or a vector.
#[diagnostic::on_unimplemented(
    message = "`{Self}` gives no arrays to evaluate",
    note = "give an `Array`, an array `[Array; N]` or a `Vec<Array>`"
)]
pub trait Outputs {
    /// The arrays to evaluate.
    fn arrays(&self) -> &[Array];
}

impl Outputs for Array {
    fn arrays(&self) -> &[Array] {
        std::slice::from_ref(self)
    }
}

impl<const N: usize> Outputs for [Array; N] {
    fn arrays(&self) -> &[Array] {
        self
    }
}

impl Outputs for Vec<Array> {
    fn arrays(&self) -> &[Array] {
        self
    }
}

/// Times in microseconds; made by [`time_kernel`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Timing {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// Their mean.
    pub mean: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
    /// Standard deviation of this population.
    pub std: f64,
    /// How many were measured.
    pub iters: usize,
}

impl Timing {
    /// The figures of these times, if there are any.
    fn of(mut times: Vec<f64>) -> Option<Timing> {
        times.sort_by(f64::total_cmp);
        let (&min, &max) = (times.first()?, times.last()?);
        let n = times.len();
        let mean = times.iter().sum::<f64>() / n as f64;
        let variance = times.iter().map(|t| (t - mean) * (t - mean)).sum::<f64>() / n as f64;
        Some(Timing {
            median: (times[(n - 1) / 2] + times[n / 2]) / 2.0,
            mean,
            min,
            max,
            std: variance.sqrt(),
            iters: n,
        })
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "median {:.2} us (mean {:.2} ± {:.2}, {:.2} to {:.2}, {} times)",
            self.median, self.mean, self.std, self.min, self.max, self.iters
        )
    }
}

/// Measures `iters` calls of a function after `warmup` further ones. **Evaluates** what each call
/// gives and waits for the stream.
///
/// The inputs' own evaluation counts in the first call, so leave at least one for warming up:
/// that also compiles.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// let x = zmlx::Array::ones(1000, zmlx::Dtype::Float32)?;
/// let timing = zmlx::profile::time_kernel(|| x.exp(), 2, 5)?;
/// assert!(timing.min <= timing.median && timing.median <= timing.max);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Argument`] when `iters` is 0; what the function or the evaluation fails with.
#[track_caller]
pub fn time_kernel<R: Outputs>(
    mut f: impl FnMut() -> Result<R>,
    warmup: usize,
    iters: usize,
) -> Result<Timing> {
    let mut times = Vec::new();
    // What is under way already is not this function's.
    crate::synchronize()?;
    for i in 0..warmup.saturating_add(iters) {
        let begin = Instant::now();
        let outputs = f()?;
        crate::eval(outputs.arrays())?;
        crate::synchronize()?;
        if i >= warmup {
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    match Timing::of(times) {
        Some(timing) => Ok(timing),
        None => Err(Error::argument("iters", "at least 1", iters)),
    }
}

/// Bytes that a function reads and writes at least; made by [`memory_usage`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryUsage {
    /// Of all inputs.
    pub input_bytes: usize,
    /// Of all outputs.
    pub output_bytes: usize,
    /// Of both.
    pub total_bytes: usize,
}

/// Bytes of these arrays, by their shapes and dtypes. Evaluates nothing.
pub fn memory_usage<A: AsRef<Array>, B: AsRef<Array>>(inputs: &[A], outputs: &[B]) -> MemoryUsage {
    let input_bytes = inputs.iter().map(|a| a.as_ref().nbytes()).sum();
    let output_bytes = outputs.iter().map(|a| a.as_ref().nbytes()).sum();
    MemoryUsage {
        input_bytes,
        output_bytes,
        total_bytes: input_bytes + output_bytes,
    }
}

/// The most bytes that MLX had in use above what it had before, while a function ran and what it
/// gave was **evaluated**: outputs and everything on the way.
///
/// MLX counts for the whole process, so other threads count too, and
/// [`memory::peak`](crate::memory::peak) begins anew.
///
/// # Errors
/// What the function or the evaluation fails with.
#[track_caller]
pub fn peak_memory<R: Outputs>(f: impl FnOnce() -> Result<R>) -> Result<usize> {
    crate::synchronize()?;
    crate::memory::reset_peak()?;
    let before = crate::memory::active()?;
    let outputs = f()?;
    crate::eval(outputs.arrays())?;
    crate::synchronize()?;
    Ok(crate::memory::peak()?.saturating_sub(before))
}

/// What each kernel has cost so far: [`registry::list_kernels`].
pub fn kernel_stats() -> Vec<KernelEntry> {
    registry::list_kernels()
}

/// Writes the texts and parameters of one launch into a folder below `dir`, and gives that.
/// Runs nothing.
///
/// # Errors
/// As [`Launch::source`], but for text that cannot be lowered: that is written without
/// `lowered.cpp`. [`Error::Io`] when the folder cannot be written.
#[track_caller]
pub fn dump(launch: Launch<'_>, dir: impl AsRef<Path>) -> Result<PathBuf> {
    launch.dump(dir.as_ref())
}

/// Has every launch in the process write what it compiles into a folder below `dir`, until the
/// guard is dropped.
///
/// A specialization (a kernel with given dtypes and template arguments) is written once, before it
/// is compiled, so that those which do not compile are there too. `<name>-<key>-<n>` has the first
/// 8 digits of [`MetalKernel::key`](crate::MetalKernel::key), a number from 0 on, and these files:
///
/// | file | content |
/// |---|---|
/// | `kernel.metal` | what Metal compiles: the text that MLX generates, as [`Launch::source`] gives it |
/// | `lowered.cpp` | what the host engine compiles |
/// | `launch.json` | key, inputs, outputs, template, grid, threadgroup and options of the first launch, and where it was called |
///
/// Folders appear whole or not at all, so several processes may share `dir`. `ZMLX_DUMP_DIR` does the same
/// from the first launch on.
///
/// ```no_run
/// # fn main() -> zmlx::Result<()> {
/// let dump = zmlx::profile::dump_to("kernels")?;
/// // ... launches ...
/// drop(dump);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Io`] when the folder cannot be made or written; a launch that cannot write fails
/// so, too.
#[track_caller]
pub fn dump_to(dir: impl AsRef<Path>) -> Result<DumpGuard> {
    Sink::open(dir.as_ref()).map(DumpGuard)
}

/// Ends [`dump_to`] when it is dropped.
#[must_use = "dropping the guard ends the dump"]
pub struct DumpGuard(Arc<Sink>);

impl DumpGuard {
    /// The folder.
    pub fn dir(&self) -> &Path {
        self.0.dir()
    }
}

impl fmt::Debug for DumpGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DumpGuard").field(&self.dir()).finish()
    }
}

impl Drop for DumpGuard {
    fn drop(&mut self) {
        Sink::close(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static_assertions::assert_impl_all!(DumpGuard: Send, Sync);

    #[test]
    fn figures_of_known_times() {
        let t = Timing::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (t.median, t.mean, t.min, t.max, t.iters),
            (2.5, 2.5, 1.0, 4.0, 4)
        );
        assert!((t.std - 1.25f64.sqrt()).abs() < 1e-12);
        assert_eq!(Timing::of(vec![7.0, 1.0, 2.0]).unwrap().median, 2.0);
        assert_eq!(Timing::of(Vec::new()), None);
    }
}
