//! A kernel of the host engine as the C++ primitive calls it.

use super::kernel::ffi::Buffer;
use crate::error::launch_message;

/// Compiled code; called on MLX's stream threads.
pub(crate) trait HostCode: Send + Sync {
    /// The kernel's name, for messages.
    fn name(&self) -> &str;

    /// Runs it once, without a panic. An error is what people are to read.
    /// `filled` says that the outputs hold a value which the caller asked for.
    ///
    /// # Safety
    /// Every buffer must be readable, and outputs writable, for its length until this returns.
    unsafe fn run(
        &self,
        buffers: &[Buffer],
        grid: [u32; 3],
        threadgroup: [u32; 3],
        filled: bool,
    ) -> Result<(), String>;
}

/// What the C++ object holds. It is shared between threads.
pub(crate) struct HostEntry(Box<dyn HostCode>);

/// What goes to MLX as the text of a C++ exception.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LaunchFailed(String);

impl HostEntry {
    pub(crate) fn new(code: impl HostCode + 'static) -> Box<Self> {
        Box::new(HostEntry(Box::new(code)))
    }

    /// # Safety
    /// As [`HostCode::run`].
    pub(crate) unsafe fn run(
        &self,
        buffers: &[Buffer],
        grid: &[i32; 3],
        threadgroup: &[i32; 3],
        filled: bool,
    ) -> Result<(), LaunchFailed> {
        let (grid, threadgroup) = (
            grid.map(i32::unsigned_abs),
            threadgroup.map(i32::unsigned_abs),
        );
        // SAFETY: the caller's promise.
        let result = unsafe { self.0.run(buffers, grid, threadgroup, filled) };
        result.map_err(|message| LaunchFailed(launch_message(self.0.name(), &message)))
    }
}
