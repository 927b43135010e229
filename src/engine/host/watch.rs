//! Stops launches that do not end.
//!
//! The lowering counts the rounds of every loop that has no obvious end, and asks [`expired`] now
//! and then. The clock starts with the first question, so that short kernels never read it.

use std::{
    cell::Cell,
    env, ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Seconds that one launch may take, unless `ZMLX_KERNEL_TIMEOUT` says otherwise.
const DEFAULT_SECONDS: u64 = 120;

/// Watches one launch, on all its workers.
#[derive(Debug)]
pub struct Watch {
    limit: Duration,
    start: OnceLock<Instant>,
    stopped: AtomicBool,
}

thread_local! {
    /// The launch that this worker is busy with.
    static CURRENT: Cell<*const Watch> = const { Cell::new(ptr::null()) };
}

impl Watch {
    /// A watch that lets a launch run for `limit`.
    pub const fn new(limit: Duration) -> Self {
        Self {
            limit,
            start: OnceLock::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// How long a launch may take.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs `work` under this watch on the calling thread.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(self);
        let result = work();
        CURRENT.set(outer);
        result
    }

    /// Whether the launch is to end, because its time is up or one of its parts failed.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Ends the launch on all workers.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn expired(&self) -> bool {
        if self.start.get_or_init(Instant::now).elapsed() > self.limit {
            self.stop();
        }
        self.is_stopped()
    }
}

/// The limit for launches that name none.
pub fn default_limit() -> Duration {
    static LIMIT: OnceLock<Duration> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let asked = env::var("ZMLX_KERNEL_TIMEOUT")
            .ok()
            .and_then(|s| s.trim().parse().ok());
        Duration::from_secs(asked.unwrap_or(DEFAULT_SECONDS))
    })
}

/// What a kernel's loops ask.
pub extern "C" fn expired() -> bool {
    let current = CURRENT.get();
    // SAFETY: the pointer is null or that of the watch whose `run` is below us on this thread's
    // call stack (of which a coroutine is a part), so it is alive.
    unsafe { current.as_ref() }.is_some_and(Watch::expired)
}
