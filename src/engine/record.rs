//! Writes down what a process has compiled or loaded, so that it can be compiled ahead for other machines.
//!
//! A list is a file of JSON, an object a line: first who wrote it, then the kernels as MLX generated their texts. Processes may share
//! it: each adds whole lines at its end, and a kernel that is there twice is one.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{FlockOperation, flock};
use serde_json::{Value, json};

/// Names a list to write.
pub const VARIABLE: &str = "ZMLX_RECORD_KERNELS";

/// Whether a list is written, and which. The first is there so that a kernel costs no lock where none is.
static ON: AtomicBool = AtomicBool::new(false);
static LIST: Mutex<Option<File>> = Mutex::new(None);

/// The first line of a list: the texts of another version are never asked for.
pub fn header() -> Value {
    json!({
        "kernels of zmlx": env!("CARGO_PKG_VERSION"),
        "mlx": crate::mlx_version().unwrap_or_default(),
    })
}

/// Adds what is compiled or loaded from now on to the list at `path`.
pub fn to(path: &Path) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(path)?;
    flock(&file, FlockOperation::LockExclusive)?;
    let written = match file.metadata()?.len() {
        0 => write(&mut file, &header()),
        _ => Ok(()),
    };
    flock(&file, FlockOperation::Unlock)?;
    written?;
    *list() = Some(file);
    ON.store(true, Ordering::Relaxed);
    Ok(())
}

/// Writes nothing more.
pub fn stop() {
    ON.store(false, Ordering::Relaxed);
    *list() = None;
}

/// Adds a kernel, if a list is written.
pub fn note(kernel: impl FnOnce() -> Value) {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        let Some(path) = std::env::var_os(VARIABLE).filter(|p| !p.is_empty()) else {
            return;
        };
        if let Err(e) = to(Path::new(&path)) {
            eprintln!("zmlx: {VARIABLE}: cannot write {}: {e}", path.display());
        }
    });
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let mut list = list();
    let Some(file) = list.as_mut() else {
        return;
    };
    if let Err(e) = write(file, &kernel()) {
        eprintln!("zmlx: the list of kernels is incomplete: {e}");
        *list = None;
    }
}

fn list() -> MutexGuard<'static, Option<File>> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line, in one piece: others may write to the file, too.
fn write(file: &mut File, line: &Value) -> io::Result<()> {
    file.write_all(format!("{line}\n").as_bytes())
}
