//! Kernels that find out how they are best launched.
//!
//! The same kernel wants other threadgroups, and other template constants, on each device and for
//! each shape. [`MetalKernel::autotuned`] tries candidates at the first launch with new shapes or
//! dtypes and keeps the fastest, in memory and in a file for later processes:
//!
//! ```
//! use zmlx::prelude::*;
//! # fn main() -> zmlx::Result<()> {
//! let kernel = MetalKernel::new("row_sum", ["x"], ["out"])
//!     .header(
//!         "template <int VEC, typename P> float part(P x, uint n, uint first, uint step) {
//!            float sum[VEC];
//!            for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
//!            for (uint i = first * VEC; i < n; i += step * VEC)
//!              for (int j = 0; j < VEC; ++j) if (i + j < n) sum[j] += x[i + j];
//!            float all = 0.0f;
//!            for (int j = 0; j < VEC; ++j) all += sum[j];
//!            return all;
//!          }",
//!     )
//!     .source(
//!         "threadgroup float sums[TG];
//!          uint row = threadgroup_position_in_grid.x, t = thread_position_in_threadgroup.x;
//!          sums[t] = part<VEC>(x + row * x_shape[1], x_shape[1], t, TG);
//!          threadgroup_barrier(mem_flags::mem_threadgroup);
//!          if (t > 0) return;
//!          float sum = 0.0f;
//!          for (int i = 0; i < TG; ++i) sum += sums[i];
//!          out[row] = sum;",
//!     )
//!     .build()?;
//! let x = Array::ones((8, 1000), F32)?;
//!
//! let tuned = kernel.autotuned()?;
//! # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
//! # let cache = zmlx::autotune::Cache::at(folder.path().join("tuned.json"));
//! # let tuned = zmlx::autotune::Autotune::new(&kernel).cache(cache.into()).build()?;
//! let [y] = tuned.launch(&[&x]).output(8, F32).groups(8).run()?;
//! assert_eq!(y.to_vec::<f32>()?, [1000.0; 8]);
//! # Ok(())
//! # }
//! ```
//!
//! # What is tuned
//!
//! - The threadgroup. A kernel whose source has the word `TG` gets the threadgroup's width as that
//!   template constant. A kernel without it is tuned only if its threads know nothing of their
//!   group, else `autotuned` says what to do.
//! - `VEC`, if the source has that word and the launch does not give it: elements that a thread
//!   takes at a time.
//! - Whatever else [`Autotune`] is told.
//!
//! # How
//!
//! A search **evaluates** the inputs. The default runs first; a candidate is compiled, run, and
//! compared with the default's outputs; elements that it leaves unwritten are found by two runs over
//! different initial values. Only then is it timed, in turns with the default, after a warm-up. The
//! best few run against the default in rounds of random order, and the winner is faster in the
//! median by more than 2% and more than both median absolute deviations together, and in three
//! quarters of the rounds; otherwise the default stays. The search ends early where the default or
//! a candidate moves its bytes (if they are more than caches hold) at 95% of the device's copy
//! bandwidth, and after two seconds of samples.
//!
//! Inside transforms and while a function is exported nothing is measured: a known result is used,
//! or the default. The same for [checked](MetalKernel::checked) kernels. A kernel that adds to its
//! outputs needs an [`init_value`](TunedLaunch::init_value), as any launch of it does.
//!
//! # Where results are kept
//!
//! In [`file()`], by device, threads, versions of MLX and zmlx, kernel, candidates, shapes, dtypes,
//! constants and grid. Processes may share it. A file that is damaged or of another version is
//! ignored with a warning and replaced; one that cannot be written costs a warning, and results
//! stay in memory. `ZMLX_AUTOTUNE` is `0` (defaults only), `cached` (known results, no
//! measuring), `1` (the default: measure what is not known) or `force` (measure once in each
//! process, whatever is known); see [`Mode`].

mod agree;
mod cache;
mod candidate;
mod device;
mod file;
mod key;
mod launch;
mod mode;
mod search;
mod stats;
#[cfg(test)]
mod tests;
mod trial;
mod tuned;
mod tuning;

pub use cache::{Cache, clear, file, load, save};
pub use candidate::Candidate;
pub use launch::TunedLaunch;
pub use mode::Mode;
pub use search::{Rejected, Search, Stop, Timing};
pub use trial::{Timer, Work};
pub use tuned::{Autotune, Tuned};
pub use tuning::{Rejection, Tuning};

use crate::{MetalKernel, Result};

impl MetalKernel {
    /// The same kernel, which finds the best threadgroup (and `VEC`, if its source has that
    /// word) at its first launch for each set of shapes and dtypes. See [`autotune`](crate::autotune).
    ///
    /// That launch **evaluates** its inputs and takes some seconds, most of them for compiling.
    /// Later ones cost a look into a table.
    ///
    /// ```
    /// # use zmlx::{Array, MetalKernel};
    /// # fn main() -> zmlx::Result<()> {
    /// # let kernel = MetalKernel::new("doc_half", ["x"], ["out"])
    /// #     .source("uint i = thread_position_in_grid.x; out[i] = 0.5f * x[i];")
    /// #     .build()?;
    /// let half = kernel.autotuned()?;
    /// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
    /// # let cache = zmlx::autotune::Cache::at(folder.path().join("tuned.json"));
    /// # let half = zmlx::autotune::Autotune::new(&kernel).cache(cache.into()).build()?;
    /// let x = Array::from_slice(&[1.0f32; 1000], 1000)?;
    /// let [y] = half.launch(&[&x]).run()?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.5; 1000]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a kernel whose threads work together and
    /// whose source does not have the threadgroup's width as `TG`: list its threadgroups with
    /// [`Autotune`] then.
    #[track_caller]
    pub fn autotuned(&self) -> Result<Tuned> {
        Autotune::new(self).build()
    }
}
