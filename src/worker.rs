//! Threads that own MLX, for servers, `async` programs and tests.
//!
//! Arrays stay on the thread that made them, and each thread that has used MLX costs
//! the process a stream and an operating system thread for good. A [`Worker`] is
//! one long-lived thread with its arrays; jobs travel to it and plain results back.

mod job;
mod pool;
mod queue;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use self::job::Outcome;
pub use self::job::{Job, JobFuture};
pub use self::pool::{Pool, shared};
use self::queue::Queue;
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

/// A thread that owns MLX and a state, and runs jobs one after the other.
///
/// Jobs run in the order they were sent. Dropping the worker lets the queued jobs
/// finish, drops the state on its thread, clears the thread's streams and waits for
/// its end (not where a job of its own drops it). A job whose [`Job`] was dropped runs as well.
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
#[derive(Debug)]
pub struct Worker<S: 'static = ()> {
    queue: Arc<Queue<S>>,
    thread: Option<Thread>,
}

impl<S: 'static> Worker<S> {
    /// Starts the thread, makes the state there, and waits until that is done.
    ///
    /// # Errors
    /// What `make` fails with; [`Error::Worker`] when the system gives no thread.
    ///
    /// # Panics
    /// When `make` does.
    #[track_caller]
    pub fn spawn(make: impl FnOnce() -> Result<S> + Send + 'static) -> Result<Self> {
        let queue = Arc::new(Queue::new(usize::MAX));
        let thread = Thread::spawn(Arc::clone(&queue), make)?;
        Ok(Worker {
            queue,
            thread: Some(thread),
        })
    }

    /// Sends a job. It runs even if the returned [`Job`] is dropped, unless that is
    /// [cancelled](Job::cancel) in time.
    ///
    /// A job that fails in the background, through the handle of an
    /// [`async_eval`](crate::async_eval) that it dropped, gives [`Error::Earlier`].
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
    ) -> Job<T> {
        job::send(&self.queue, true, job)
    }

    /// How many jobs wait.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Takes no more jobs; those sent before still run.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl<S: 'static> Drop for Worker<S> {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

/// A thread that serves a queue.
#[derive(Debug)]
struct Thread(JoinHandle<()>);

impl Thread {
    /// Starts the thread, makes its state there, and waits until that is done.
    #[track_caller]
    fn spawn<S: 'static>(
        queue: Arc<Queue<S>>,
        make: impl FnOnce() -> Result<S> + Send + 'static,
    ) -> Result<Self> {
        let (ready, made) = oneshot::channel::<Outcome<()>>();
        let thread = thread::Builder::new()
            .name("zmlx worker".into())
            .spawn(move || {
                serve(make, ready, &queue);
                // The last use of MLX here, after the state is gone.
                let _ = crate::stream::clear_streams();
            })
            .map_err(|e| Error::Worker {
                message: format!("no thread for it: {e}"),
            })?;
        Job::of(made).wait()?;
        Ok(Thread(thread))
    }

    /// Waits for the thread's end, but not on the thread itself.
    fn join(self) {
        if self.0.thread().id() != thread::current().id() {
            drop_quietly(self.0.join());
        }
    }
}

fn serve<S>(
    make: impl FnOnce() -> Result<S>,
    ready: oneshot::Sender<Outcome<()>>,
    queue: &Queue<S>,
) {
    let mut state = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(state)) => state,
        Ok(Err(e)) => return drop(ready.send(Ok(Err(e)))),
        Err(panic) => return drop(ready.send(Err(panic))),
    };
    let _ = ready.send(Ok(Ok(())));
    while let Some(task) = queue.pop() {
        task(Ok(&mut state));
    }
    // A panic in the state's destructor has nobody to go to.
    drop_quietly(state);
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
