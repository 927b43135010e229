//! The kernels of this process, and what they have cost.
//!
//! [`KernelBuilder::build`](super::KernelBuilder::build) keeps every kernel here, so that the
//! same description gives the same kernel. The list has what a program runs, the toolkit's and
//! the catalog's kernels too.
//!
//! ```
//! use zmlx::{Array, MetalKernel, registry};
//! # fn main() -> zmlx::Result<()> {
//! let kernel = MetalKernel::new("doc_twice", ["x"], ["out"])
//!     .source("uint i = thread_position_in_grid.x; out[i] = x[i] + x[i];")
//!     .build()?;
//! let x = Array::from_slice(&[1.0f32; 4096], 4096)?;
//! let [_y] = kernel.launch(&[&x]).timed(true).run()?;
//!
//! let entry = registry::get("doc_twice").unwrap();
//! assert_eq!(entry.key, kernel.key());
//! assert_eq!(entry.stats.timed_runs, 1);
//! println!("{}", registry::summary());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::MetalKernel;
use super::cache;
use super::kernel::Inner;
use super::stats::{KernelStats, millis};

/// A kernel as it was when the registry was asked.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KernelEntry {
    /// The name given at the definition; not unique.
    pub name: String,
    /// [`MetalKernel::key`]: unique.
    pub key: String,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Names of the outputs.
    pub outputs: Vec<String>,
    /// What its launches have cost.
    pub stats: KernelStats,
}

impl KernelEntry {
    fn of(kernel: &Inner) -> Self {
        let spec = &kernel.definition.spec;
        KernelEntry {
            name: spec.name.clone(),
            key: kernel.key.clone(),
            inputs: spec.inputs.clone(),
            outputs: spec.outputs.clone(),
            stats: kernel.stats.read(),
        }
    }

    /// The entry as a JSON object: its fields, with [`KernelStats::to_json`] as `stats`.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "key": self.key,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "stats": self.stats.to_json(),
        })
    }
}

/// All kernels, by name; of one name, in the order of their definition.
pub fn list_kernels() -> Vec<KernelEntry> {
    sorted().iter().map(|k| KernelEntry::of(k)).collect()
}

fn sorted() -> Vec<Arc<Inner>> {
    let mut all = cache::all();
    all.sort_by(|a, b| {
        let id = |k: &Inner| k.number;
        let names = [a, b].map(|k| &k.definition.spec.name);
        names[0].cmp(names[1]).then(id(a).cmp(&id(b)))
    });
    all
}

/// The kernel of this key or name. Where several share the name, the newest.
pub fn get(name_or_key: &str) -> Option<KernelEntry> {
    find(name_or_key).map(|k| KernelEntry::of(&k))
}

/// Like [`get`], but a handle to launch.
///
/// One that was described as [`checked`](super::KernelBuilder::checked) comes with a report of
/// its own.
pub fn kernel(name_or_key: &str) -> Option<MetalKernel> {
    find(name_or_key).map(MetalKernel::handle)
}

fn find(name_or_key: &str) -> Option<Arc<Inner>> {
    let all = cache::all();
    let by_key = all.iter().find(|k| k.key == name_or_key);
    let newest = || {
        let named = all.iter().filter(|k| k.definition.spec.name == name_or_key);
        named.max_by_key(|k| k.number)
    };
    by_key.or_else(newest).cloned()
}

/// The `n` kernels with the most launches, most first.
pub fn hottest(n: usize) -> Vec<KernelEntry> {
    let mut all = list_kernels();
    // Stable: equals stay in the order of their names.
    all.sort_by_key(|k| std::cmp::Reverse(k.stats.launches));
    all.truncate(n);
    all
}

/// How many kernels there are.
pub fn cache_size() -> usize {
    cache::len()
}

/// Forgets all kernels, their statistics and what has been compiled of them in memory; files on
/// disk stay.
///
/// Handles keep working: their next launch loads its code from disk again. Code that is loaded
/// stays in the process, as a launch on another thread may be running it.
pub fn clear_cache() {
    cache::clear();
}

/// All kernels, for people and for programs; made by [`summary`].
#[derive(Clone, Debug)]
pub struct Summary {
    /// The kernels, those with the most time first, then by launches and name.
    pub kernels: Vec<KernelEntry>,
}

/// What the kernels have cost: a table when printed.
pub fn summary() -> Summary {
    let mut kernels = list_kernels();
    kernels.sort_by_key(|k| std::cmp::Reverse((k.stats.total_time, k.stats.launches)));
    Summary { kernels }
}

impl Summary {
    /// `{"kernels": [...]}` with each [`KernelEntry::to_json`].
    pub fn to_json(&self) -> Value {
        let kernels: Vec<Value> = self.kernels.iter().map(KernelEntry::to_json).collect();
        json!({ "kernels": kernels })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 9] = [
            "kernel",
            "key",
            "launches",
            "variants",
            "compiled",
            "compile ms",
            "last ms",
            "total ms",
            "GB/s",
        ];
        let number = |n: Option<f64>| n.map_or_else(|| "-".to_owned(), |n| format!("{n:.3}"));
        let rows = self.kernels.iter().map(|k| {
            let s = &k.stats;
            [
                k.name.clone(),
                k.key[..8].to_owned(),
                s.launches.to_string(),
                s.specializations.to_string(),
                s.compiled.to_string(),
                number(Some(millis(s.compile_time))),
                number(s.last_time.map(millis)),
                number((s.timed_runs > 0).then(|| millis(s.total_time))),
                number(s.gb_per_second()),
            ]
        });
        let rows: Vec<[String; 9]> = std::iter::once(HEAD.map(str::to_owned))
            .chain(rows)
            .collect();
        let widths: [usize; 9] = std::array::from_fn(|column| {
            let lengths = rows.iter().map(|r| r[column].chars().count());
            lengths.max().unwrap_or(0)
        });
        for row in &rows {
            // Names to the left, figures to the right.
            write!(f, "{:<w$}  {:<8}", row[0], row[1], w = widths[0])?;
            for (cell, w) in row.iter().zip(widths).skip(2) {
                write!(f, "  {cell:>w$}")?;
            }
            writeln!(f)?;
        }
        let compiled: u64 = self.kernels.iter().map(|k| k.stats.compiled).sum();
        write!(f, "{} kernels, {compiled} compiled", self.kernels.len())
    }
}
