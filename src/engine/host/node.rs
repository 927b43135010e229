//! A compiled kernel as the node of MLX's graph runs it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::checked::{Checked, Findings};
use super::{Buffer, HostKernel, LaunchArgs, Order};
use crate::bridge::host::HostCode;
use crate::bridge::kernel::ffi;

/// Who is told what checked launches find.
pub(crate) trait Inspector: Send + Sync {
    /// What a launch does about an access out of range.
    fn mode(&self) -> Checked;
    /// What one launch of the kernel of this name found.
    fn add(&self, kernel: &str, findings: Findings);
}

/// A kernel, and who asks what its launches find, if they are checked.
pub(crate) struct Node {
    pub(crate) kernel: Arc<HostKernel>,
    pub(crate) checks: Option<Arc<dyn Inspector>>,
}

impl HostCode for Node {
    fn name(&self) -> &str {
        self.kernel.name()
    }

    unsafe fn run(
        &self,
        buffers: &[ffi::Buffer],
        grid: [u32; 3],
        threadgroup: [u32; 3],
        filled: bool,
    ) -> Result<(), String> {
        let buffers: Vec<_> = buffers
            .iter()
            .map(|b| Buffer {
                data: b.address as *mut _,
                len: b.bytes,
                before: b.before,
            })
            .collect();
        let mut args = LaunchArgs::new(&buffers, grid, threadgroup);
        args.order = Order::from_env();
        // A panic must not unwind into C++.
        // SAFETY: the caller's promise is the one that `launch` asks for.
        let run = || unsafe {
            match &self.checks {
                None => self.kernel.launch(&args),
                Some(checks) => {
                    let (findings, result) =
                        self.kernel.launch_checked(&args, checks.mode(), filled);
                    checks.add(self.kernel.name(), findings);
                    result
                }
            }
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(result) => result.map_err(|e| e.to_string()),
            Err(_) => Err("the host engine panicked".to_owned()),
        }
    }
}
