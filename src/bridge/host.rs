//! The host engine's kernel as the C++ primitive calls it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::kernel::ffi::Buffer;
use crate::engine::host as engine;
use crate::error::launch_message;
use crate::metal::Checks;

/// A compiled kernel; called on MLX's stream threads.
pub(crate) struct HostEntry {
    kernel: Arc<engine::HostKernel>,
    checks: Option<Arc<Checks>>,
}

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
    pub(crate) fn new(kernel: Arc<engine::HostKernel>, checks: Option<Arc<Checks>>) -> Box<Self> {
        Box::new(HostEntry { kernel, checks })
    }

    /// `filled` says that the outputs hold a value which the caller asked for.
    ///
    /// # Safety
    /// Every buffer must be readable, and outputs writable, for its length until this returns.
    pub(crate) unsafe fn run(
        &self,
        buffers: &[Buffer],
        grid: &[i32; 3],
        threadgroup: &[i32; 3],
        filled: bool,
    ) -> Result<(), LaunchFailed> {
        let buffers: Vec<_> = buffers
            .iter()
            .map(|b| engine::Buffer {
                data: b.address as *mut _,
                len: b.bytes,
            })
            .collect();
        let mut args = engine::LaunchArgs::new(
            &buffers,
            grid.map(i32::unsigned_abs),
            threadgroup.map(i32::unsigned_abs),
        );
        args.order = engine::Order::from_env();
        // A panic must not unwind into C++.
        // SAFETY: the caller's promise is the one that `launch` asks for.
        let run = || unsafe {
            match &self.checks {
                None => self.kernel.launch(&args),
                Some(checks) => {
                    let (findings, result) = self.kernel.launch_checked(&args, checks.mode, filled);
                    checks.add(self.kernel.name(), findings);
                    result
                }
            }
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(self.failed(&e.to_string())),
            Err(_) => Err(self.failed("the host engine panicked")),
        }
    }

    fn failed(&self, message: &str) -> LaunchFailed {
        LaunchFailed(launch_message(self.kernel.name(), message))
    }
}
