//! Launches a compiled kernel: checks the sizes, makes ready what its threads share, and says how it ended.

use std::{
    ffi::c_void,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    CompileOptions,
    abi::Launch,
    checked::{Checked, Report},
    compiler,
    coroutine::{Order, Stopped},
    crash::Running,
    job::Job,
    loader::{Loaded, Module, Slot},
    pool, threadgroup,
    watch::{self, Watch},
};
use crate::engine::{error::LaunchError, msl::Lowered};

/// The most threads that a threadgroup may have, as on Metal.
const MAX_THREADS: u32 = 1024;

/// A buffer given to a kernel.
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// Its first byte.
    pub data: *mut c_void,
    /// Its bytes from there on.
    pub len: u64,
    /// Its bytes in front of that, which negative strides reach.
    pub before: u64,
}

/// What to launch a kernel over.
#[derive(Clone, Copy, Debug)]
pub struct LaunchArgs<'a> {
    /// By their index in the kernel's signature.
    pub buffers: &'a [Buffer],
    /// Threads in the grid.
    pub grid: [u32; 3],
    /// Threads in a threadgroup, clamped to the grid like MLX does.
    pub threadgroup: [u32; 3],
    /// In which order threads take turns.
    pub order: Order,
    /// How long the launch may take; `ZMLX_KERNEL_TIMEOUT`, or two minutes, when not given.
    pub timeout: Option<Duration>,
}

impl<'a> LaunchArgs<'a> {
    /// A launch in the usual order, with the usual time limit.
    pub const fn new(buffers: &'a [Buffer], grid: [u32; 3], threadgroup: [u32; 3]) -> Self {
        Self {
            buffers,
            grid,
            threadgroup,
            order: Order::Forward,
            timeout: None,
        }
    }
}

/// A kernel that can run on this machine.
#[derive(Debug)]
pub struct HostKernel {
    pub(super) name: String,
    pub(super) library: Arc<Slot>,
    pub(super) options: CompileOptions,
    pub(super) lowered: Lowered,
    /// Picoseconds that a thread took in the last launch that was measured, 0 when none was.
    pub(super) cost: AtomicU64,
    pub(super) switches: AtomicU64,
}

impl HostKernel {
    /// The kernel's name as the caller gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The C++ text and what is known about it.
    pub fn lowered(&self) -> &Lowered {
        &self.lowered
    }

    /// Switches into coroutines in all launches so far.
    pub fn switches(&self) -> u64 {
        self.switches.load(Ordering::Relaxed)
    }

    /// Runs the kernel and returns when it has finished.
    ///
    /// # Safety
    /// Every buffer is valid for its length until this returns, aligned for its type, and written
    /// by nobody else meanwhile; those that the signature writes to are written by nobody at all.
    /// The kernel stays within its buffers.
    pub unsafe fn launch(&self, args: &LaunchArgs<'_>) -> Result<(), LaunchError> {
        // SAFETY: the caller's promises are those that are asked for.
        unsafe {
            match self.options.checked {
                true => self.launch_checked(args, Checked::Strict, true).1,
                false => self.run(&*self.loaded()?, args, None),
            }
        }
    }

    /// The kernel's library, loaded again if it had to make room, and built again if the cache has
    /// lost it meanwhile.
    pub(super) fn loaded(&self) -> Result<Arc<Loaded>, LaunchError> {
        if let Some(loaded) = self.library.current() {
            return Ok(loaded);
        }
        // By way of the cache, which looks whether it is still what it was.
        let load = |path| {
            self.library.moved(path);
            self.library.get(&self.name)
        };
        compiler::library(&self.name, &self.lowered, self.options.math_mode, load)
            .map(|(loaded, _)| loaded)
            .map_err(|error| LaunchError::Library {
                kernel: self.name.clone(),
                reason: error.to_string(),
            })
    }

    /// Runs the kernel; in the checked mode with a record of what is found.
    ///
    /// # Safety
    /// As [`launch`](Self::launch).
    pub(super) unsafe fn run(
        &self,
        loaded: &Loaded,
        args: &LaunchArgs<'_>,
        report: Option<&Report>,
    ) -> Result<(), LaunchError> {
        let threadgroup = self.check(args)?;
        let groups: [u32; 3] = std::array::from_fn(|d| args.grid[d].div_ceil(threadgroup[d]));
        let total = groups
            .iter()
            .try_fold(1u32, |product, &n| product.checked_mul(n));
        // A worker claims beyond the last group, so some room has to be left above it.
        let total =
            total
                .filter(|&total| total < u32::MAX / 2)
                .ok_or_else(|| LaunchError::Grid {
                    kernel: self.name.clone(),
                    grid: args.grid,
                })?;

        let threads: u32 = threadgroup.iter().product();
        // Threads in a loop are done one by one.
        let together = match loaded.module {
            Module::Loop(_) => 1,
            Module::Coroutines(..) => threads,
        };
        let busy = pool::workers().min(total as usize);
        let busy = loaded
            .depth
            .fits(together, busy)
            .map_err(|reason| LaunchError::Stack {
                kernel: self.name.clone(),
                reason,
            })?;
        let busy = threadgroup::fits(loaded.threadgroup, busy).map_err(|reason| {
            LaunchError::ThreadgroupMemory {
                kernel: self.name.clone(),
                bytes: loaded.threadgroup,
                reason,
            }
        })?;

        let mut data = [std::ptr::null_mut(); 32];
        let mut lengths = [0; 32];
        let mut spill = (Vec::new(), Vec::new());
        let (data, lengths) = if args.buffers.len() <= data.len() {
            for (index, buffer) in args.buffers.iter().enumerate() {
                (data[index], lengths[index]) = (buffer.data, buffer.len);
            }
            (data.as_ptr(), lengths.as_ptr())
        } else {
            spill.0.extend(args.buffers.iter().map(|b| b.data));
            spill.1.extend(args.buffers.iter().map(|b| b.len));
            (spill.0.as_ptr(), spill.1.as_ptr())
        };
        let before: Vec<u64> = match report {
            Some(_) => args.buffers.iter().map(|b| b.before).collect(),
            None => Vec::new(),
        };
        let launch = Launch {
            buffers: data,
            lengths,
            grid: args.grid,
            threadgroup,
            groups,
            before: before.as_ptr(),
        };
        let job = Job {
            kernel: self,
            loaded,
            busy,
            running: Running {
                kernel: &self.name,
                grid: args.grid,
                threadgroup,
            },
            launch: &launch,
            report,
            order: args.order,
            watch: Watch::new(args.timeout.unwrap_or_else(watch::default_limit)),
            failure: Mutex::new(None),
        };
        job.run(total);
        match job
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            None => Ok(()),
            Some(Stopped::Expired) => Err(LaunchError::Timeout {
                kernel: self.name.clone(),
                limit: job.watch.limit(),
            }),
            Some(Stopped::Diverged([first, second])) => Err(LaunchError::Barriers {
                kernel: self.name.clone(),
                first: first.to_string(),
                second: second.to_string(),
            }),
            Some(Stopped::Stack(error)) => Err(LaunchError::Stack {
                kernel: self.name.clone(),
                reason: error.to_string(),
            }),
            Some(Stopped::Threadgroup(error)) => Err(LaunchError::ThreadgroupMemory {
                kernel: self.name.clone(),
                bytes: loaded.threadgroup,
                reason: error.to_string(),
            }),
        }
    }

    /// Refuses what cannot be launched; returns the threadgroup as clamped.
    fn check(&self, args: &LaunchArgs<'_>) -> Result<[u32; 3], LaunchError> {
        let kernel = || self.name.clone();
        let (expected, got) = (self.lowered.buffers, args.buffers.len());
        if expected != got {
            return Err(LaunchError::Buffers {
                kernel: kernel(),
                expected,
                got,
            });
        }
        for (what, value) in [("grid", args.grid), ("threadgroup", args.threadgroup)] {
            if value.contains(&0) {
                return Err(LaunchError::Empty {
                    kernel: kernel(),
                    what,
                    value,
                });
            }
        }
        let clamped: [u32; 3] = std::array::from_fn(|d| args.threadgroup[d].min(args.grid[d]));
        let threads = clamped
            .iter()
            .try_fold(1u32, |product, &n| product.checked_mul(n));
        if threads.is_none_or(|threads| threads > MAX_THREADS) {
            return Err(LaunchError::Threadgroup {
                kernel: kernel(),
                threadgroup: args.threadgroup,
                limit: MAX_THREADS,
            });
        }
        if self.lowered.single && clamped != [1; 3] {
            return Err(LaunchError::NotSingle {
                kernel: kernel(),
                threadgroup: clamped,
            });
        }
        Ok(clamped)
    }
}
