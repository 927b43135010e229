//! Loads a compiled kernel and finds its entry points.

use std::path::Path;

use libloading::Library;

use super::{abi, checked::Hooks, watch};
use crate::engine::{error::EngineError, msl::Mode};

/// The entry points of a loaded kernel.
#[derive(Clone, Copy, Debug)]
pub enum Module {
    /// Threads in loops.
    Loop(abi::Run),
    /// Threads as coroutines.
    Coroutines(abi::Thread, abi::Current),
}

impl Module {
    /// Loads the library at `path`, which stays loaded for the life of the process: a launch on
    /// another thread may be running its code at any time.
    pub fn load(
        kernel: &str,
        path: &Path,
        mode: Mode,
        checked: bool,
    ) -> Result<(Self, Option<Hooks>), EngineError> {
        let error = |e: libloading::Error| EngineError::Load {
            kernel: kernel.to_owned(),
            path: path.to_owned(),
            reason: e.to_string(),
        };
        // SAFETY: the library is our own compiler's output for our own text; its checksum has just
        // been verified. Its initializers are those of the runtime headers, which have none with
        // effects beyond the library.
        let library = unsafe { Library::new(path) }.map_err(error)?;
        // SAFETY: the symbols have these types in every library that the host target writes.
        let module = unsafe {
            let set_watch = library
                .get::<abi::SetWatch>(b"zmlx_set_watch\0")
                .map_err(error)?;
            set_watch(watch::expired);
            match mode {
                Mode::Plain | Mode::Single => {
                    Self::Loop(*library.get::<abi::Run>(b"zmlx_run\0").map_err(error)?)
                }
                Mode::Sync => Self::Coroutines(
                    *library
                        .get::<abi::Thread>(b"zmlx_thread\0")
                        .map_err(error)?,
                    *library
                        .get::<abi::Current>(b"zmlx_current\0")
                        .map_err(error)?,
                ),
            }
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
        std::mem::forget(library);
        Ok((module, hooks))
    }
}
