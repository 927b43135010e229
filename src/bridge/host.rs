//! The host engine's kernel as the C++ primitive calls it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::kernel::ffi::Buffer;
use crate::engine::host as engine;
use crate::error::launch_message;

/// A compiled kernel; called on MLX's stream threads.
pub(crate) struct HostEntry(Arc<engine::HostKernel>);

// The C++ object that holds it is shared between threads.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<HostEntry>()
};

/// What goes to MLX as the text of a C++ exception.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LaunchFailed(String);

impl HostEntry {
    pub(crate) fn new(kernel: Arc<engine::HostKernel>) -> Box<Self> {
        Box::new(HostEntry(kernel))
    }

    /// # Safety
    /// Every buffer must be readable, and outputs writable, for its length until this returns.
    pub(crate) unsafe fn run(
        &self,
        buffers: &[Buffer],
        grid: &[i32; 3],
        threadgroup: &[i32; 3],
    ) -> Result<(), LaunchFailed> {
        let buffers: Vec<_> = buffers
            .iter()
            .map(|b| engine::Buffer {
                data: b.address as *mut _,
                len: b.bytes,
            })
            .collect();
        let args = engine::LaunchArgs::new(
            &buffers,
            grid.map(i32::unsigned_abs),
            threadgroup.map(i32::unsigned_abs),
        );
        // A panic must not unwind into C++.
        // SAFETY: the caller's promise is the one that `launch` asks for.
        match catch_unwind(AssertUnwindSafe(|| unsafe { self.0.launch(&args) })) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(self.failed(&e.to_string())),
            Err(_) => Err(self.failed("the host engine panicked")),
        }
    }

    fn failed(&self, message: &str) -> LaunchFailed {
        LaunchFailed(launch_message(self.0.name(), message))
    }
}
