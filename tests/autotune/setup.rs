//! Kernels to tune, a cache of their own, and invented times.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use zmlx::Result;
use zmlx::autotune::{self, Autotune, Cache, Candidate, Mode, Work};
use zmlx::prelude::*;

use crate::common::Rng;

/// A cache with a file of its own, which goes away with it.
pub struct Place {
    pub folder: tempfile::TempDir,
    pub cache: Arc<Cache>,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::at(folder.path().join("tuned.json")));
        Place { folder, cache }
    }

    pub fn path(&self) -> &Path {
        self.cache.path()
    }

    /// The same file as another process sees it.
    pub fn reopened(&self) -> Arc<Cache> {
        Arc::new(Cache::at(self.path()))
    }
}

/// How often it was asked, and which candidates ran.
#[derive(Default)]
pub struct Seen {
    pub samples: AtomicUsize,
    pub names: Mutex<Vec<String>>,
}

impl Seen {
    pub fn samples(&self) -> usize {
        self.samples.load(Ordering::Relaxed)
    }
}

/// A timer that does not run anything and takes microseconds from a function.
pub fn invented(
    seen: &Arc<Seen>,
    us: impl Fn(&Candidate) -> f64 + Send + Sync + 'static,
) -> impl Fn(&mut Work<'_>) -> Result<Duration> + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    move |work: &mut Work<'_>| {
        seen.samples.fetch_add(1, Ordering::Relaxed);
        let name = work.candidate().to_string();
        let mut names = seen.names.lock().unwrap();
        if !names.contains(&name) {
            names.push(name);
        }
        let us = us(work.candidate()) * work.launches() as f64;
        Ok(Duration::from_secs_f64(us * 1e-6))
    }
}

/// Wide is fast.
pub fn by_width(c: &Candidate) -> f64 {
    1000.0 / c.threadgroup()[0] as f64
}

pub fn double(name: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * 2;")
        .build()
        .unwrap()
}

/// The sum of each row, for any `TG` and `VEC`.
pub fn row_sum(name: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source(
            "threadgroup float sums[TG];
             uint row = threadgroup_position_in_grid.x, t = thread_position_in_threadgroup.x;
             uint n = x_shape[1];
             float sum[VEC];
             for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
             for (uint i = t * VEC; i < n; i += TG * VEC)
               for (int j = 0; j < VEC; ++j) if (i + j < n) sum[j] += float(x[row * n + i + j]);
             sums[t] = 0.0f;
             for (int j = 0; j < VEC; ++j) sums[t] += sum[j];
             threadgroup_barrier(mem_flags::mem_threadgroup);
             if (t > 0) return;
             float all = 0.0f;
             for (int i = 0; i < TG; ++i) all += sums[i];
             out[row] = all;",
        )
        .build()
        .unwrap()
}

pub fn input(n: usize) -> (Array, Vec<f32>) {
    let values = Rng::new().normals(n);
    (Array::from_slice(&values, n).unwrap(), values)
}

/// A kernel with candidates, and the samples it has taken.
pub fn counted(name: &str, cache: &Arc<Cache>) -> (autotune::Tuned, Arc<Seen>) {
    let seen = Arc::default();
    let tuned = Autotune::new(&double(name))
        .threadgroups([32, 256])
        .cache(Arc::clone(cache))
        .timer(invented(&seen, by_width))
        .mode(Mode::On)
        .build()
        .unwrap();
    (tuned, seen)
}
