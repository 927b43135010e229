//! Stops launches that do not end.
//!
//! There are three ways, from the mildest to the surest. Loops that have no obvious end count their
//! rounds and ask [`expired`] now and then. Between threadgroups the engine asks itself. And where
//! neither comes by in time, in a loop that counts to a far bound or one that a macro made, the
//! [`patrol`] interrupts the thread; such loops therefore cost nothing.

use std::{
    cell::Cell,
    env,
    ops::Range,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::patrol;

/// Seconds that one launch may take, unless `ZMLX_KERNEL_TIMEOUT` says otherwise.
const DEFAULT_SECONDS: u64 = 120;

/// Watches one launch, on all its workers.
#[derive(Debug)]
pub struct Watch {
    /// Never that of another launch, and not zero.
    id: u64,
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
    pub fn new(limit: Duration) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            limit,
            start: OnceLock::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// How long a launch may take.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs `work` under this watch on the calling thread, which may be interrupted within `code`.
    pub fn run<R>(&self, code: &Range<usize>, work: impl FnOnce() -> R) -> R {
        let outer = CURRENT.replace(self);
        let result = patrol::at_post(self.id, self.limit, code, work);
        CURRENT.set(outer);
        result
    }

    /// Whether the launch is to end, because its time is up or one of its parts failed.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Whether the patrol has found that time is up, on the thread that [`run`](Self::run) runs on.
    pub fn is_over(&self) -> bool {
        patrol::is_over(self.id)
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
