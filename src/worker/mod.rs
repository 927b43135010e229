//! Threads that own MLX, for servers, `async` programs and tests.
//!
//! Arrays stay on the thread that made them, and each thread that has used MLX costs
//! the process a stream and an operating system thread for good. A [`Worker`] is
//! one long-lived thread with its arrays; jobs travel to it and plain results back. A [`Pool`] is several
//! threads with one queue, for jobs that keep nothing.

mod job;
mod pool;
mod queue;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

pub use self::job::{Job, JobFuture};
pub use self::pool::{Full, Pool, shared};

use self::job::Outcome;
use self::queue::Queue;
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

/// A thread that owns MLX and a state, and runs jobs one after the other.
///
/// Jobs run in the order they were sent. Dropping the worker lets the queued jobs
/// finish, drops the state on its thread, clears the thread's streams and waits for
/// its end (not where a job of its own drops it).
///
/// ```
/// use zmlx::{Array, Worker};
/// # fn main() -> zmlx::Result<()> {
/// let weights = Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?.freeze()?;
/// let worker = Worker::spawn(move || weights.thaw())?;
/// let job = worker.run(|w| w.square()?.sum(..)?.item::<f32>());
/// assert_eq!(job.wait()?, 14.0); // or `job.await?`
/// # Ok(())
/// # }
/// ```
///
/// Only what is `Send` enters or leaves:
///
/// ```compile_fail
/// # fn main() -> zmlx::Result<()> {
/// let x = zmlx::Array::from(1.0f32);
/// let worker = zmlx::Worker::spawn(|| Ok(()))?;
/// worker.run(move |_| x.eval()).wait()
/// # }
/// ```
pub struct Worker<S: 'static = ()> {
    queue: Arc<Queue<S>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: 'static> Worker<S> {
    /// Starts the thread, makes the state there, and waits until that is done. Any number of jobs may wait.
    ///
    /// # Errors
    /// What `make` fails with; [`Error::Worker`] when the system gives no thread.
    ///
    /// # Panics
    /// When `make` does.
    #[track_caller]
    pub fn spawn(make: impl FnOnce() -> Result<S> + Send + 'static) -> Result<Self> {
        Worker::bounded(usize::MAX, make)
    }

    /// As [`spawn`](Self::spawn), with a queue where at most `capacity` jobs wait, at least one.
    #[track_caller]
    pub fn bounded(
        capacity: usize,
        make: impl FnOnce() -> Result<S> + Send + 'static,
    ) -> Result<Self> {
        let queue = Arc::new(Queue::new(capacity.max(1)));
        let thread = start(&queue, make, true)?;
        Ok(Worker {
            queue,
            thread: Some(thread),
        })
    }

    /// Sends a job; waits for room where the queue is full. It runs even if the returned [`Job`] is dropped.
    ///
    /// A job that fails in the background, through the handle of an
    /// [`async_eval`](crate::async_eval) that it dropped, gives [`Error::Earlier`].
    #[track_caller]
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
    ) -> Job<T> {
        pool::send(&self.queue, job)
    }

    /// How many jobs wait: sent, not cancelled, not begun.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Takes no more jobs; those sent before still run.
    pub fn close(&self) {
        self.queue.close();
    }
}

/// Starts a thread that makes its state and runs the queue's jobs, and waits until the state is there.
///
/// The queue ends with an `only` thread, however that ends: no job waits for nobody.
#[track_caller]
fn start<S: 'static>(
    queue: &Arc<Queue<S>>,
    make: impl FnOnce() -> Result<S> + Send + 'static,
    only: bool,
) -> Result<JoinHandle<()>> {
    struct Ends<S>(Arc<Queue<S>>);
    impl<S> Drop for Ends<S> {
        fn drop(&mut self) {
            self.0.drain().into_iter().for_each(drop_quietly);
        }
    }
    let (ready, made) = oneshot::channel::<Outcome<()>>();
    let tasks = Arc::clone(queue);
    let thread = thread::Builder::new()
        .name("zmlx worker".into())
        .spawn(move || {
            let ends = only.then(|| Ends(Arc::clone(&tasks)));
            serve(make, ready, &tasks);
            drop(ends);
            // The last use of MLX here, after the state is gone.
            let _ = crate::stream::clear_streams();
        });
    let thread = match thread {
        Ok(thread) => thread,
        Err(e) => return Err(Error::worker(format!("no thread for it: {e}"))),
    };
    Job::new::<S>(made, None).wait().map(|()| thread)
}

fn serve<S>(
    make: impl FnOnce() -> Result<S>,
    ready: oneshot::Sender<Outcome<()>>,
    queue: &Queue<S>,
) {
    let mut state = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(state)) => state,
        Ok(Err(e)) => return drop_quietly(ready.send(Ok(Err(e)))),
        Err(panic) => return drop_quietly(ready.send(Err(panic))),
    };
    let _ = ready.send(Ok(Ok(())));
    while let Some(task) = queue.take() {
        task(&mut state);
    }
    drop_quietly(state);
}

impl<S: 'static> Drop for Worker<S> {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            drop_quietly(thread.join());
        }
    }
}

impl<S: 'static> fmt::Debug for Worker<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("depth", &self.depth())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    type Local = std::rc::Rc<()>;
    static_assertions::assert_impl_all!(super::Worker<Local>: Send, Sync);
    static_assertions::assert_impl_all!(super::Job<u8>: Send);
    static_assertions::assert_impl_all!(super::JobFuture<u8>: Send, Unpin);
    static_assertions::assert_impl_all!(super::Pool: Send, Sync);
    static_assertions::assert_impl_all!(crate::Error: Send, Sync);
}
