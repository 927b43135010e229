//! Several workers with one queue.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use super::job::{Job, task};
use super::queue::{Queue, Refused};
use super::start;
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

/// A fixed number of threads without a state that share one queue: MLX on a bounded number of threads.
///
/// Jobs begin in the order they were sent; a thread that is idle takes the next one. Dropping the pool lets the
/// queued jobs finish and waits for its threads (not where a job of its own drops it).
///
/// ```
/// use zmlx::{Array, worker::Pool};
/// # fn main() -> zmlx::Result<()> {
/// let pool = Pool::bounded(2, 64)?;
/// let jobs: Vec<_> = (1..=4u8)
///     .map(|n| pool.run(move || Array::from(f32::from(n)).square()?.item::<f32>()))
///     .collect();
/// let squares = jobs.into_iter().map(|j| j.wait()).collect::<zmlx::Result<Vec<_>>>()?;
/// assert_eq!(squares, [1.0, 4.0, 9.0, 16.0]);
/// # Ok(())
/// # }
/// ```
pub struct Pool {
    queue: Arc<Queue<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// The job that a full queue did not take; from [`Pool::try_run`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Full<F>(pub F);

impl<F> fmt::Debug for Full<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Full(..)")
    }
}

impl<F> fmt::Display for Full<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue of the pool is full")
    }
}

impl<F> std::error::Error for Full<F> {}

impl Pool {
    /// Starts `threads` threads, at least one. Any number of jobs may wait.
    ///
    /// # Errors
    /// [`Error::Worker`] when the system gives no threads.
    #[track_caller]
    pub fn new(threads: usize) -> Result<Self> {
        Pool::bounded(threads, usize::MAX)
    }

    /// Starts `threads` threads, at least one, with a queue where at most `capacity` jobs wait, at least one.
    ///
    /// # Errors
    /// [`Error::Worker`] when the system gives no threads.
    #[track_caller]
    pub fn bounded(threads: usize, capacity: usize) -> Result<Self> {
        let mut pool = Pool {
            queue: Arc::new(Queue::new(capacity.max(1))),
            threads: Vec::new(),
        };
        for _ in 0..threads.max(1) {
            // What has been started ends with `pool` if this one does not.
            pool.threads.push(start(&pool.queue, || Ok(()), false)?);
        }
        Ok(pool)
    }

    /// Sends a job; waits for room where the queue is full. It runs even if the returned [`Job`] is dropped.
    ///
    /// A job that waits for another job of the same pool, or for room in its queue, may wait for ever.
    #[track_caller]
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Job<T> {
        send(&self.queue, move |&mut ()| job())
    }

    /// Sends a job if the queue has room for it.
    ///
    /// # Errors
    /// [`Full`] with the job when it has none.
    #[track_caller]
    pub fn try_run<T, F>(&self, job: F) -> std::result::Result<Job<T>, Full<F>>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T> + Send + 'static,
    {
        match self.queue.room(false) {
            Err(Refused::Full) => Err(Full(job)),
            Ok(room) => {
                let (task, outcome) = task(move |&mut ()| job());
                let number = room.push(task);
                Ok(Job::new(outcome, Some((&self.queue, number))))
            }
            Err(Refused::Closed) => Ok(Job::new::<()>(oneshot::channel().1, None)),
        }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How many jobs wait: sent, not cancelled, not begun.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// How many jobs may wait; `usize::MAX` where there is no bound.
    pub fn capacity(&self) -> usize {
        self.queue.capacity()
    }

    /// Takes no more jobs; those sent before still run.
    pub fn close(&self) {
        self.queue.close();
    }
}

/// Sends a job, waits for room where the queue is full.
#[track_caller]
pub(super) fn send<S: 'static, T: Send + 'static>(
    queue: &Arc<Queue<S>>,
    job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> Job<T> {
    let (task, outcome) = task(job);
    let number = match queue.room(true) {
        Ok(room) => room.push(task),
        Err(_) => {
            // The job goes, and with it the sender of its outcome: an error.
            drop_quietly(task);
            return Job::new::<S>(outcome, None);
        }
    };
    Job::new(outcome, Some((queue, number)))
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        for thread in self.threads.drain(..) {
            if thread.thread().id() != thread::current().id() {
                drop_quietly(thread.join());
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.threads())
            .field("depth", &self.depth())
            .finish_non_exhaustive()
    }
}

/// The process's pool: a thread for each processor, 8 at most, started on first use.
///
/// # Errors
/// [`Error::Worker`] when the system gave no threads.
#[track_caller]
pub fn shared() -> Result<&'static Pool> {
    static POOL: OnceLock<std::result::Result<Pool, String>> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, |n| n.get().min(8));
        Pool::new(threads).map_err(|e| match e {
            Error::Worker { message, .. } => message,
            other => other.to_string(),
        })
    });
    match pool {
        Ok(pool) => Ok(pool),
        Err(message) => Err(Error::worker(message.clone())),
    }
}
