//! Writes what launches compile into folders, for [`crate::profile`].

use std::collections::HashSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::bridge::kernel::ffi;
use crate::engine::host::checked::Checked;
use crate::{Error, Result};

use super::capture::{MATH_MODES, template_json};
use super::launch::Launch;
use super::specialize::{Input, Inputs, Key, is_single};

/// Whether launches have to look further; [`UNKNOWN`] until the environment has been asked.
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static SINKS: Mutex<Vec<Arc<Sink>>> = Mutex::new(Vec::new());

/// A folder that launches are written to.
pub(crate) struct Sink {
    dir: PathBuf,
    /// What it has already: the kernel's key and the specialization.
    seen: Mutex<HashSet<(String, Key)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is guarded is whole after each step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// True when launches are to be written somewhere. One load where they are not.
pub(super) fn wanted() -> bool {
    match STATE.load(Ordering::Relaxed) {
        OFF => false,
        ON => true,
        _ => {
            drop(sinks());
            STATE.load(Ordering::Relaxed) == ON
        }
    }
}

/// The folders, with the environment's among them from the first time on.
fn sinks() -> MutexGuard<'static, Vec<Arc<Sink>>> {
    let mut sinks = lock(&SINKS);
    if STATE.load(Ordering::Relaxed) == UNKNOWN {
        let dir = std::env::var_os("ZMLX_DUMP_DIR").filter(|d| !d.is_empty());
        sinks.extend(dir.map(|d| Arc::new(Sink::new(d.as_ref()))));
        publish(&sinks);
    }
    sinks
}

fn publish(sinks: &[Arc<Sink>]) {
    let state = if sinks.is_empty() { OFF } else { ON };
    STATE.store(state, Ordering::Relaxed);
}

impl Sink {
    fn new(dir: &Path) -> Self {
        Sink {
            // A later change of the working folder must not move it. It fails only for the
            // empty path, which does as well as it is.
            dir: std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()),
            seen: Mutex::default(),
        }
    }

    /// Adds the folder `dir`, which is made where it is missing and has to be writable.
    #[track_caller]
    pub(crate) fn open(dir: &Path) -> Result<Arc<Sink>> {
        io(dir, std::fs::create_dir_all(dir))?;
        let sink = Arc::new(Sink::new(dir));
        drop(Temporary::new(&sink.dir, "probe")?);
        let mut sinks = sinks();
        sinks.push(Arc::clone(&sink));
        publish(&sinks);
        Ok(sink)
    }

    /// Ends what [`open`](Self::open) began.
    pub(crate) fn close(sink: &Arc<Sink>) {
        let mut sinks = sinks();
        sinks.retain(|s| !Arc::ptr_eq(s, sink));
        publish(&sinks);
    }

    /// Where it is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Writes a launch to every folder that has not seen its specialization.
#[track_caller]
pub(super) fn launch(
    launch: &Launch<'_>,
    inputs: &Inputs,
    outputs: &[ffi::OutputSpec<'_>],
    geometry: &ffi::Geometry,
) -> Result<()> {
    let all = sinks().clone();
    let id = (
        launch.kernel.key().to_owned(),
        Key::of(
            launch,
            inputs,
            outputs,
            [u8::from(is_single(geometry)), 0, 0],
        ),
    );
    for sink in all {
        if lock(&sink.seen).insert(id.clone()) {
            let written = write(&sink.dir, launch, outputs, geometry);
            if let Err(e) = written {
                // The next launch tries again.
                lock(&sink.seen).remove(&id);
                // Whoever closed the sink meanwhile may have removed its folder.
                if sinks().iter().any(|s| Arc::ptr_eq(s, &sink)) {
                    return Err(e);
                }
            }
        }
    }
    Ok(())
}

/// Writes a launch as the next folder of its kernel below `dir`. Runs nothing.
#[track_caller]
pub(super) fn write(
    dir: &Path,
    launch: &Launch<'_>,
    outputs: &[ffi::OutputSpec<'_>],
    geometry: &ffi::Geometry,
) -> Result<PathBuf> {
    let kernel = launch.kernel;
    let msl = kernel.msl(launch, outputs)?;
    let lowered = kernel.lowered(&msl, is_single(geometry));
    let mut meta = describe(launch, outputs, geometry)?;
    // Text that cannot be lowered fails the launch on a CPU stream, and is worth a look.
    meta["not_lowered"] = json!(lowered.as_ref().err().map(ToString::to_string));

    let name = format!("{}-{}", kernel.spec().identifier(), &kernel.key()[..8]);
    io(dir, std::fs::create_dir_all(dir))?;
    let temporary = Temporary::new(dir, &name)?;
    let file = |file: &str, text: &str| {
        let path = temporary.0.join(file);
        io(&path, std::fs::write(&path, text))
    };
    file("kernel.metal", &msl)?;
    if let Ok(lowered) = &lowered {
        file("lowered.cpp", lowered)?;
    }
    file("launch.json", &format!("{meta:#}\n"))?;
    temporary.publish(dir, &name)
}

#[track_caller]
fn describe(
    launch: &Launch<'_>,
    outputs: &[ffi::OutputSpec<'_>],
    geometry: &ffi::Geometry,
) -> Result<Value> {
    let kernel = launch.kernel;
    let spec = kernel.spec();
    let inputs = spec.inputs.iter().zip(&launch.inputs).map(|(name, a)| {
        let passed = match Input::of(a).class {
            0 => "reference",
            1 => "constant",
            _ => "device",
        };
        json!({
            "name": name,
            "dtype": a.dtype().name(),
            "shape": a.shape(),
            "passed": passed,
        })
    });
    let inputs: Vec<Value> = inputs.collect();
    let outputs = spec.outputs.iter().zip(outputs);
    let outputs: Vec<Value> = outputs
        .map(|(name, o)| json!({"name": name, "dtype": o.dtype.name(), "shape": o.shape}))
        .collect();
    let math = MATH_MODES.iter().find(|(_, m)| *m == spec.math_mode);
    let checked = kernel.checks().map(|c| match c.mode {
        Checked::Strict => "strict",
        Checked::Robust => "robust",
    });
    let device = crate::Device::from(crate::stream::current());
    Ok(json!({
        "kernel": spec.name,
        "key": kernel.key(),
        "inputs": inputs,
        "outputs": outputs,
        "template": launch.template.iter().map(template_json).collect::<Vec<_>>(),
        "grid": geometry.grid,
        "threadgroup": geometry.threadgroup,
        "init_value": launch.options.init_value,
        "ensure_row_contiguous": spec.ensure_row_contiguous,
        "atomic_outputs": spec.atomic_outputs,
        "math_mode": math.map(|(name, _)| name),
        "checked": checked,
        "device": device.to_string(),
        "called_at": Launch::site().to_string(),
        "zmlx_version": env!("CARGO_PKG_VERSION"),
        "mlx_version": crate::mlx_version()?,
    }))
}

/// A folder that goes away unless it is published.
struct Temporary(PathBuf);

impl Temporary {
    #[track_caller]
    fn new(dir: &Path, name: &str) -> Result<Self> {
        // A random name: processes of two containers that share the folder may have one number.
        let folder = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(dir);
        Ok(Temporary(io(dir, folder)?.keep()))
    }

    /// Gives it the first free number of `name`.
    #[track_caller]
    fn publish(self, dir: &Path, name: &str) -> Result<PathBuf> {
        for number in 0u32.. {
            let folder = dir.join(format!("{name}-{number}"));
            if folder.exists() {
                continue;
            }
            match std::fs::rename(&self.0, &folder) {
                Ok(()) => return Ok(folder),
                // Another thread or process was faster.
                Err(_) if folder.exists() => {}
                Err(e) => return io(&folder, Err(e)),
            }
        }
        Err(Error::io(format!("{}: no free number", dir.display())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After publishing the path is gone, and that is as good.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn io<T>(path: &Path, result: std::io::Result<T>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(e) => Err(Error::io(format!("{}: {e}", path.display()))),
    }
}
