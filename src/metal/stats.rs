//! What a kernel's launches cost so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

/// What a kernel has cost and moved in this process; see
/// [`MetalKernel::stats`](super::MetalKernel::stats).
///
/// All who use one definition count together: kernels of the same
/// [key](super::MetalKernel::key), and their clones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct KernelStats {
    /// Launches added to a graph. Kernels are lazy: one that nobody evaluates never runs.
    pub launches: u64,
    /// Bytes of the inputs and outputs of all launches.
    pub bytes: u64,
    /// Combinations of dtypes and template arguments made ready for the host engine.
    pub specializations: u64,
    /// Those of them for which the C++ compiler ran.
    pub compiled: u64,
    /// Those of them that were on disk from an earlier process. What is in neither count was in
    /// memory: another kernel had the same text.
    pub loaded: u64,
    /// Time to make them ready: generating, lowering, compiling and loading.
    pub compile_time: Duration,
    /// Launches with [`timed`](super::Launch::timed) that have run.
    pub timed_runs: u64,
    /// Bytes of the inputs and outputs of the timed runs.
    pub timed_bytes: u64,
    /// Time of all timed runs.
    pub total_time: Duration,
    /// Time of the last timed run.
    pub last_time: Option<Duration>,
}

impl KernelStats {
    /// Mean time of a timed run.
    pub fn mean_time(&self) -> Option<Duration> {
        let runs = u32::try_from(self.timed_runs).ok().filter(|&n| n > 0)?;
        Some(self.total_time / runs)
    }

    /// Bytes read and written in a second of timed runs, in 10^9.
    pub fn gb_per_second(&self) -> Option<f64> {
        let seconds = self.total_time.as_secs_f64();
        (seconds > 0.0).then(|| self.timed_bytes as f64 / seconds / 1e9)
    }

    /// The figures as a JSON object; times are in milliseconds and `null` where nothing was timed.
    pub fn to_json(&self) -> Value {
        json!({
            "launches": self.launches,
            "bytes": self.bytes,
            "specializations": self.specializations,
            "compiled": self.compiled,
            "loaded": self.loaded,
            "compile_ms": millis(self.compile_time),
            "timed_runs": self.timed_runs,
            "timed_bytes": self.timed_bytes,
            "total_ms": (self.timed_runs > 0).then(|| millis(self.total_time)),
            "last_ms": self.last_time.map(millis),
            "gb_per_second": self.gb_per_second(),
        })
    }
}

pub(super) fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// The counters behind [`KernelStats`]. What every launch counts has a cache line of its own, so
/// that reading a kernel's definition on other threads does not wait for it.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Counters {
    launches: AtomicU64,
    bytes: AtomicU64,
    specializations: AtomicU64,
    compiled: AtomicU64,
    loaded: AtomicU64,
    compile_ns: AtomicU64,
    timed: Timed,
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Timed {
    runs: AtomicU64,
    bytes: AtomicU64,
    total_ns: AtomicU64,
    last_ns: AtomicU64,
}

/// Where a specialization came from.
pub(super) use crate::engine::cache::Origin;

// No count orders other memory, and a reader may see one of two that belong together.
const ANY: Ordering = Ordering::Relaxed;

impl Counters {
    /// Counts a launch that was added to a graph.
    pub(super) fn launched(&self, bytes: u64) {
        self.launches.fetch_add(1, ANY);
        self.bytes.fetch_add(bytes, ANY);
    }

    /// Counts a specialization that was made ready.
    pub(super) fn specialized(&self, origin: Origin, time: Duration) {
        self.specializations.fetch_add(1, ANY);
        match origin {
            Origin::Compiler => self.compiled.fetch_add(1, ANY),
            Origin::Disk => self.loaded.fetch_add(1, ANY),
            Origin::Memory => 0,
        };
        self.compile_ns.fetch_add(nanos(time), ANY);
    }

    /// Counts a launch that was timed.
    pub(super) fn timed(&self, bytes: u64, time: Duration) {
        self.timed.runs.fetch_add(1, ANY);
        self.timed.bytes.fetch_add(bytes, ANY);
        self.timed.total_ns.fetch_add(nanos(time), ANY);
        self.timed.last_ns.store(nanos(time), ANY);
    }

    pub(super) fn read(&self) -> KernelStats {
        let count = |n: &AtomicU64| n.load(ANY);
        let time = |n: &AtomicU64| Duration::from_nanos(n.load(ANY));
        let timed_runs = count(&self.timed.runs);
        KernelStats {
            launches: count(&self.launches),
            bytes: count(&self.bytes),
            specializations: count(&self.specializations),
            compiled: count(&self.compiled),
            loaded: count(&self.loaded),
            compile_time: time(&self.compile_ns),
            timed_runs,
            timed_bytes: count(&self.timed.bytes),
            total_time: time(&self.timed.total_ns),
            last_time: (timed_runs > 0).then(|| time(&self.timed.last_ns)),
        }
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}
