//! Results in memory and in a file.
//!
//! The file is shared by processes. Whoever writes it takes a lock, reads it again, adds what it
//! knows, and renames a new file to its name: a reader sees the old file or the new one, and
//! nobody's results are lost.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::io::place;
use crate::{Error, Result};

use super::candidate::Candidate;
use super::file::{self, Devices, Entry};

/// Where results of tuning are kept.
///
/// Programs use the one that [`load`], [`save`] and [`clear`] act on; one of your own
/// ([`Autotune::cache`](super::Autotune::cache)) makes a file that a program can bring along.
///
/// ```
/// use std::sync::Arc;
/// use zmlx::autotune::Cache;
/// # fn main() -> zmlx::Result<()> {
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("tuned.json");
/// let cache = Arc::new(Cache::at(&path));
/// assert_eq!(cache.load()?, 0); // no file yet
/// cache.save()?;
/// assert!(path.exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Cache {
    path: PathBuf,
    state: Mutex<State>,
    /// Counts what makes remembered choices invalid.
    generation: AtomicU64,
    warned: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// The file was read, or is not to be read by itself.
    loaded: bool,
    devices: Devices,
    /// Keys of what this process measured, by device.
    measured: HashSet<(String, String)>,
}

static GLOBAL: LazyLock<Arc<Cache>> = LazyLock::new(|| {
    let folder = crate::engine::cache::folder();
    Arc::new(Cache::at(folder.join("autotune-v1.json")))
});

/// The cache of kernels that have none of their own.
pub(super) fn global() -> &'static Arc<Cache> {
    &GLOBAL
}

/// The file of this user's results: `autotune-v1.json` in `ZMLX_CACHE_DIR`, or in the user's
/// cache folder.
pub fn file() -> PathBuf {
    GLOBAL.path.clone()
}

/// Reads the file of results again, for instance after another process has tuned, and gives the
/// number of results in memory. The first tuned launch does this by itself.
///
/// # Errors
/// [`Error::Io`] when the file is there and cannot be read. One that is damaged or of another
/// version is ignored with a warning.
#[track_caller]
pub fn load() -> Result<usize> {
    GLOBAL.load()
}

/// Writes all results into the file, beside those of other processes. Each tuning does this
/// by itself, but only warns where it fails.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
#[track_caller]
pub fn save() -> Result<()> {
    GLOBAL.save()
}

/// Forgets all results in memory. The next tuned launch looks into the file again; remove
/// [`file()`] to have everything measured anew.
pub fn clear() {
    GLOBAL.clear();
}

impl Cache {
    /// A cache with its file at `path`. Nothing is read yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Cache {
            path: path.into(),
            state: Mutex::default(),
            generation: AtomicU64::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// As [`load()`], for this cache.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn load(&self) -> Result<usize> {
        let read = self.read()?;
        let mut state = self.lock();
        state.loaded = true;
        file::merge(&mut state.devices, &read);
        self.generation.fetch_add(1, Ordering::Relaxed);
        Ok(state.devices.values().map(|d| d.entries.len()).sum())
    }

    /// As [`save()`], for this cache.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    pub fn save(&self) -> Result<()> {
        if let Some(folder) = self.path.parent().filter(|p| !p.as_os_str().is_empty()) {
            self.written(fs::create_dir_all(folder))?;
        }
        let _lock = self.written(FileLock::take(&self.path))?;
        // What cannot be read is replaced.
        let mut all = self.read().unwrap_or_default();
        let state = self.lock();
        file::merge(&mut all, &state.devices);
        // What was measured here is newer than what the file had before.
        for (device, key) in &state.measured {
            let ours = state.devices.get(device).and_then(|d| d.entries.get(key));
            if let (Some(entry), Some(to)) = (ours, all.get_mut(device)) {
                to.entries.insert(key.clone(), entry.clone());
            }
        }
        drop(state);
        let text = file::to_text(&all);
        let new = self.written(crate::io::NewFile::beside(&self.path, ".json"))?;
        self.written(fs::write(new.path(), text))?;
        self.written(new.publish())
    }

    /// The outcome of a step of writing.
    #[track_caller]
    fn written<T, E: std::fmt::Display>(&self, step: std::result::Result<T, E>) -> Result<T> {
        match step {
            Ok(value) => Ok(value),
            Err(e) => Err(Error::io(format!(
                "autotune: {} cannot be written: {e}; results are kept in memory only. Name a \
                 folder that can be written in ZMLX_CACHE_DIR",
                self.path.display()
            ))),
        }
    }

    /// As [`clear()`], for this cache.
    pub fn clear(&self) {
        *self.lock() = State::default();
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Changes whenever results are read or forgotten.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The best candidate that is known, from memory or the file.
    pub(super) fn find(&self, device: &str, key: &str) -> Option<Candidate> {
        self.ensure_loaded();
        let state = self.lock();
        let entry = state.devices.get(device)?.entries.get(key)?;
        Some(entry.candidate.clone())
    }

    /// The device's copy bandwidth; `measure` finds it out where it is not known.
    #[track_caller]
    pub(super) fn copy(&self, device: &str, measure: impl FnOnce() -> Result<f64>) -> Result<f64> {
        self.ensure_loaded();
        let known = self.lock().devices.get(device).and_then(|d| d.copy);
        if let Some(known) = known {
            return Ok(known);
        }
        let measured = measure()?;
        let mut state = self.lock();
        state.devices.entry(device.to_owned()).or_default().copy = Some(measured);
        Ok(measured)
    }

    /// Keeps a result, in the file too if that can be written.
    pub(super) fn put(&self, device: &str, key: String, entry: Entry) {
        let mut state = self.lock();
        state.measured.insert((device.to_owned(), key.clone()));
        let results = state.devices.entry(device.to_owned()).or_default();
        results.entries.insert(key, entry);
        drop(state);
        if let Err(e) = self.save() {
            self.warn_once(&e);
        }
    }

    fn ensure_loaded(&self) {
        if !self.lock().loaded {
            match self.read() {
                Ok(read) => {
                    let mut state = self.lock();
                    state.loaded = true;
                    file::merge(&mut state.devices, &read);
                }
                Err(e) => {
                    self.lock().loaded = true;
                    self.warn_once(&e);
                }
            }
        }
    }

    /// What the file says; nothing where it is not there or of no use.
    #[track_caller]
    fn read(&self) -> Result<Devices> {
        let text = match place::read(&self.path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Devices::default()),
            Err(e) => {
                return Err(Error::io(format!(
                    "autotune: {} cannot be read: {e}",
                    self.path.display()
                )));
            }
        };
        Ok(file::from_text(&text).unwrap_or_else(|problem| {
            self.warn_once(&format_args!(
                "autotune: {} is ignored and will be replaced: {problem}",
                self.path.display()
            ));
            BTreeMap::new()
        }))
    }

    fn warn_once(&self, problem: &dyn std::fmt::Display) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            eprintln!("zmlx: {problem}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps other writers, in this process and others, from the file until it is dropped. The
/// system takes the lock back from a process that dies.
struct FileLock(#[expect(dead_code, reason = "open as long as the lock is held")] File);

/// How long a writer waits for another, who needs milliseconds unless it was stopped.
const PATIENCE: Duration = Duration::from_secs(10);

impl FileLock {
    fn take(path: &Path) -> std::io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            // A FIFO of that name is an error then, and no wait without end.
            .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
            .open(path.with_file_name(name))?;
        let end = Instant::now() + PATIENCE;
        // Where the file system has no locks, two writers at once may lose a result, which is
        // measured again then.
        while let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if Instant::now() > end {
                return Err(std::io::Error::other(
                    "another process holds the lock beside it and does not end",
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(FileLock(file))
    }
}
