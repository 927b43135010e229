//! The threads that launches share.

use std::{env, num::NonZero, sync::OnceLock, thread::available_parallelism};

use rayon::{ThreadPool, ThreadPoolBuilder};

/// Bytes of a helper's stack: as much as MLX's own threads have.
const STACK: usize = 8 << 20;

/// How many threads work on a launch, the calling one included: the machine's cores, or
/// `ZMLX_NUM_THREADS`.
pub fn workers() -> usize {
    static WORKERS: OnceLock<usize> = OnceLock::new();
    *WORKERS.get_or_init(|| {
        let asked = env::var("ZMLX_NUM_THREADS")
            .ok()
            .and_then(|s| s.trim().parse().ok());
        asked
            .filter(|&n: &usize| (1..=4096).contains(&n))
            .unwrap_or_else(|| available_parallelism().map_or(1, NonZero::get))
    })
}

/// Runs `work` on the calling thread and, at the same time, on up to `helpers` others; returns
/// when all have finished.
pub fn share(helpers: usize, work: impl Fn() + Sync) {
    let Some(pool) = pool().filter(|_| helpers > 0) else {
        return work();
    };
    pool.in_place_scope(|scope| {
        for _ in 0..helpers.min(workers() - 1) {
            scope.spawn(|_| work());
        }
        work();
    });
}

/// The helpers. Where the system has no threads to give, the caller works alone.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let build = || {
        let helpers = workers() - 1;
        let builder = ThreadPoolBuilder::new().num_threads(helpers);
        builder
            .stack_size(STACK)
            .thread_name(|index| format!("zmlx-{index}"))
            .build()
            .ok()
            .filter(|_| helpers > 0)
    };
    POOL.get_or_init(build).as_ref()
}
