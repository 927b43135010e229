//! Loads a compiled kernel and finds its entry points.
//!
//! A process may have no more than so many memory mappings, some 65,000 on Linux, and a library
//! takes two of them. So when many are loaded, those that were not used for longest go, and come
//! back from the cache when they are launched again.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use libloading::Library;

use super::{abi, checked::Hooks, elf, frames, interrupt, patrol, stacks::Depth, watch};
use crate::engine::{error::EngineError, msl::Mode};

/// The entry points of a loaded kernel.
#[derive(Clone, Copy, Debug)]
pub enum Module {
    /// Threads in loops.
    Loop(abi::Run),
    /// Threads as coroutines.
    Coroutines(abi::Thread, abi::Current),
}

/// A library while it is loaded. Who runs its code holds this.
#[derive(Debug)]
pub struct Loaded {
    pub module: Module,
    /// In the checked mode.
    pub hooks: Option<Hooks>,
    /// How much stack a thread needs.
    pub depth: Depth,
    /// Bytes that each OS thread gets when it first runs the kernel: its threadgroup memory.
    pub threadgroup: u64,
    /// Where its code lies, as far as the system tells.
    pub code: Range<usize>,
    /// Never that of another library.
    pub id: u64,
    _library: Library,
}

impl Loaded {
    /// Loads the library at `path`.
    fn new(kernel: &str, path: &Path, mode: Mode, checked: bool) -> Result<Self, EngineError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let error = |e: libloading::Error| EngineError::Load {
            kernel: kernel.to_owned(),
            path: path.to_owned(),
            reason: e.to_string(),
        };
        // SAFETY: the library is our own compiler's output for our own text; its checksum has just
        // been verified. Its initializers are those of the runtime headers, which have none with
        // effects beyond the library.
        let library = unsafe { Library::new(path) }.map_err(error)?;
        // SAFETY: the symbols have these types in every library that the host target writes. Their
        // addresses are used while the library is held only.
        let (module, code) = unsafe {
            let set_watch = library
                .get::<abi::SetWatch>(b"zmlx_set_watch\0")
                .map_err(error)?;
            set_watch(watch::expired, patrol::tell);
            let code = interrupt::code_around(*set_watch as usize);
            let module = match mode {
                Mode::Plain | Mode::Single => {
                    Module::Loop(*library.get::<abi::Run>(b"zmlx_run\0").map_err(error)?)
                }
                Mode::Sync => Module::Coroutines(
                    *library
                        .get::<abi::Thread>(b"zmlx_thread\0")
                        .map_err(error)?,
                    *library
                        .get::<abi::Current>(b"zmlx_current\0")
                        .map_err(error)?,
                ),
            };
            (module, code)
        };
        let hooks = match checked {
            // SAFETY: as above, for libraries of the checked target.
            true => unsafe {
                Some(Hooks {
                    begin: *library.get(b"zmlx_begin\0").map_err(error)?,
                    outputs: *library.get(b"zmlx_outputs\0").map_err(error)?,
                })
            },
            false => None,
        };
        Ok(Self {
            module,
            hooks,
            depth: path.parent().map_or(Depth(None), frames::read),
            threadgroup: elf::thread_local(path).map_or(0, |block| block.bytes),
            code,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            _library: library,
        })
    }
}

/// The library of one kernel, loaded or not.
#[derive(Debug)]
pub struct Slot {
    path: Mutex<PathBuf>,
    mode: Mode,
    checked: bool,
    loaded: Mutex<Option<Arc<Loaded>>>,
    /// When it was last asked for, in [`CLOCK`]'s time.
    used: AtomicU64,
}

/// Counts loads: what was used between the same two was used at the same time.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// The slots whose library is loaded, and some whose library was.
static SLOTS: Mutex<Vec<Weak<Slot>>> = Mutex::new(Vec::new());

impl Slot {
    /// Loads the library at `path`.
    pub fn load(
        kernel: &str,
        path: PathBuf,
        mode: Mode,
        checked: bool,
    ) -> Result<Arc<Self>, EngineError> {
        let slot = Arc::new(Self {
            path: Mutex::new(path),
            mode,
            checked,
            loaded: Mutex::new(None),
            used: AtomicU64::new(0),
        });
        slot.get(kernel)?;
        Ok(slot)
    }

    /// The library if it is loaded, for as long as the caller holds it.
    pub fn current(&self) -> Option<Arc<Loaded>> {
        let loaded = self.lock();
        self.used
            .store(CLOCK.load(Ordering::Relaxed), Ordering::Relaxed);
        loaded.clone()
    }

    /// The library, which stays loaded as long as the caller holds it.
    pub fn get(self: &Arc<Self>, kernel: &str) -> Result<Arc<Loaded>, EngineError> {
        let mut loaded = self.lock();
        self.used
            .store(CLOCK.load(Ordering::Relaxed), Ordering::Relaxed);
        if let Some(loaded) = loaded.as_ref() {
            return Ok(Arc::clone(loaded));
        }
        make_room(limit(), self);
        let path = self
            .path
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let load = || Loaded::new(kernel, &path, self.mode, self.checked);
        // The system may know a limit that we do not.
        let new = load().or_else(|error| match make_room(1, self) {
            0 => Err(error),
            _ => load(),
        });
        let new = Arc::new(new?);
        *loaded = Some(Arc::clone(&new));
        self.used
            .store(CLOCK.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        slots().push(Arc::downgrade(self));
        Ok(new)
    }

    /// Says where the library is from now on.
    pub fn moved(&self, path: PathBuf) {
        *self.path.lock().unwrap_or_else(PoisonError::into_inner) = path;
    }

    #[cfg(test)]
    pub fn path(&self) -> PathBuf {
        self.path.lock().unwrap().clone()
    }

    #[cfg(test)]
    pub fn is_loaded(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Loaded>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn slots() -> std::sync::MutexGuard<'static, Vec<Weak<Slot>>> {
    SLOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where `limit` libraries are loaded, unloads half of them, those that were not used for longest;
/// tells how many. One that runs goes when it has finished.
fn make_room(limit: usize, but: &Arc<Slot>) -> usize {
    let mut oldest = {
        let mut slots = slots();
        if slots.len() >= limit {
            slots.retain(|slot| slot.strong_count() > 0);
        }
        if slots.len() < limit {
            return 0;
        }
        let mut all: Vec<Arc<Slot>> = slots.iter().filter_map(Weak::upgrade).collect();
        all.sort_by_key(|slot| slot.used.load(Ordering::Relaxed));
        all.truncate(all.len().div_ceil(2));
        all
    };
    oldest.retain(|slot| {
        // One that is being loaded or asked for just now stays.
        !Arc::ptr_eq(slot, but)
            && match slot.loaded.try_lock() {
                Ok(mut loaded) => loaded.take().is_some(),
                Err(_) => false,
            }
    });
    slots().retain(|slot| {
        !oldest
            .iter()
            .any(|gone| std::ptr::eq(Arc::as_ptr(gone), slot.as_ptr()))
    });
    oldest.len()
}

/// How many libraries may be loaded at once: an eighth of the mappings that a process may have,
/// since stacks, buffers and other libraries want theirs.
fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    #[cfg(test)]
    if let limit @ 1.. = super::stress::LIMIT.load(Ordering::Relaxed) {
        return limit;
    }
    *LIMIT.get_or_init(|| {
        let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok());
        (mappings.unwrap_or(65_530) / 16).max(64)
    })
}
