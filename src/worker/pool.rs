//! Several threads that take jobs from one queue.

use std::sync::{Arc, OnceLock};
use std::thread;

use super::queue::Queue;
use super::{Job, Thread, job};
use crate::{Error, Result};

/// A fixed number of threads without a state: MLX on a bounded number of threads.
///
/// Jobs wait in one queue, in the order they came, and a thread that is idle takes the next. Dropping the
/// pool lets the jobs that wait finish, and waits for the threads' end.
#[derive(Debug)]
pub struct Pool {
    queue: Arc<Queue<()>>,
    threads: Vec<Thread>,
}

impl Pool {
    /// Starts `threads` threads, at least one. Any number of jobs may wait.
    ///
    /// # Errors
    /// [`Error::Worker`] when the system gives no threads.
    #[track_caller]
    pub fn new(threads: usize) -> Result<Self> {
        Pool::bounded(threads, usize::MAX)
    }

    /// Starts `threads` threads, at least one, with a queue in which at most `capacity` jobs wait (at least
    /// one). Those that run do not count.
    ///
    /// # Errors
    /// [`Error::Worker`] when the system gives no threads.
    #[track_caller]
    pub fn bounded(threads: usize, capacity: usize) -> Result<Self> {
        let queue = Arc::new(Queue::new(capacity.max(1)));
        let mut pool = Pool {
            queue,
            threads: Vec::new(),
        };
        for _ in 0..threads.max(1) {
            let thread = Thread::spawn(Arc::clone(&pool.queue), || Ok(()))?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Sends a job; where the queue is full it waits for room first. See [`Job`] for what becomes of it
    /// when the handle is dropped.
    ///
    /// A job that waits for another job of the same pool, or for room in its queue, may wait for ever.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Job<T> {
        job::send(&self.queue, true, move |()| job())
    }

    /// Sends a job if there is room for it. Where there is none, the handle gives [`Error::Worker`] at
    /// once, and what the job captured is dropped.
    pub fn try_run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Job<T> {
        job::send(&self.queue, false, move |()| job())
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How many jobs wait for a thread now.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// How many jobs may wait.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Takes all jobs out of the queue that have not begun, and says how many. Their handles give
    /// [`Error::Worker`]. One job is cancelled by [`Job::cancel`].
    pub fn cancel_waiting(&self) -> usize {
        self.queue.cancel_all()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            thread.join();
        }
    }
}

/// The process's pool: a thread for each processor, 8 at most, started on first use.
///
/// # Errors
/// [`Error::Worker`] when the system gave no threads.
pub fn shared() -> Result<&'static Pool> {
    static POOL: OnceLock<std::result::Result<Pool, String>> = OnceLock::new();
    POOL.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(8));
        Pool::new(threads).map_err(|e| e.to_string())
    })
    .as_ref()
    .map_err(|message| Error::Worker {
        message: message.clone(),
    })
}
