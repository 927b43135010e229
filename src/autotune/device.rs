//! What results belong to: the device, and how fast it copies.

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use dashmap::DashMap;

use crate::bridge::StreamRef;
use crate::{Array, Device, Dtype, MetalKernel, Result};

/// A kind of device, which has its own candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    Cpu,
    Metal,
    Cuda,
}

/// A device, as far as times depend on it.
pub(super) struct Profile {
    pub(super) family: Family,
    /// Names device, threads and versions.
    pub(super) key: String,
}

/// The device of a stream.
#[track_caller]
pub(super) fn profile(stream: StreamRef) -> Result<Arc<Profile>> {
    static PROFILES: LazyLock<DashMap<(bool, i32), Arc<Profile>>> = LazyLock::new(DashMap::new);
    let at = (stream.gpu, stream.device_index);
    if let Some(found) = PROFILES.get(&at) {
        return Ok(Arc::clone(&found));
    }
    let made = Arc::new(describe(stream)?);
    Ok(Arc::clone(&PROFILES.entry(at).or_insert(made)))
}

#[track_caller]
fn describe(stream: StreamRef) -> Result<Profile> {
    let engine = crate::engine::info();
    let facts = Device::from(stream).info()?;
    let fact = |key: &str| {
        let found = facts.iter().find(|(k, _)| k == key);
        found.map_or("", |(_, value)| value.as_str())
    };
    let (family, what) = match (stream.gpu, engine.metal) {
        (false, _) => {
            let model = cpu_model().unwrap_or_else(|| fact("device_name").to_owned());
            let arch = std::env::consts::ARCH;
            let text = format!("cpu {model}, {arch}, {} threads", engine.threads);
            (Family::Cpu, text)
        }
        (true, metal) => {
            let (family, name) = match metal {
                true => (Family::Metal, "metal"),
                false => (Family::Cuda, "cuda"),
            };
            let text = format!("{name} {}, {}", fact("device_name"), fact("architecture"));
            (family, text)
        }
    };
    let key = format!(
        "{what}, mlx {}, zmlx {}",
        crate::mlx_version()?,
        env!("CARGO_PKG_VERSION")
    );
    Ok(Profile { family, key })
}

/// What Linux calls the processor. It tells models apart for which MLX has one name.
fn cpu_model() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|m| !m.is_empty())
}

/// Bytes of what is copied to measure the bandwidth: more than caches hold.
const COPIED: usize = 32 << 20;

/// Measures how many bytes the current stream's device reads and writes a second when it copies.
#[track_caller]
pub(super) fn copy_bandwidth() -> Result<f64> {
    let kernel = MetalKernel::new("zmlx_copy", ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i];")
        .build()?;
    let x = Array::zeros(COPIED / 4, Dtype::Float32)?;
    x.eval()?;
    // The fastest counts: whoever disturbs a copy makes the device seem slower than it is, and a
    // search would end too early.
    let mut best = f64::INFINITY;
    for _ in 0..15 {
        let [y] = kernel.launch(&[&x]).run()?;
        let start = Instant::now();
        y.eval()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(2.0 * COPIED as f64 / best)
}
