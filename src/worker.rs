//! Threads that own MLX, for servers, `async` programs and tests.
//!
//! Arrays stay on the thread that made them, and each thread that has used MLX costs
//! the process a stream and an operating system thread for good. A [`Worker`] is
//! one long-lived thread with its arrays; jobs travel to it and plain results back.

use std::any::Any;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use crate::{Error, Result};

type Task<S> = Box<dyn FnOnce(&mut S) + Send>;
type Outcome<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

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
#[derive(Debug)]
pub struct Worker<S: 'static = ()> {
    queue: Mutex<Option<mpsc::Sender<Task<S>>>>,
    thread: Option<JoinHandle<()>>,
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
        let (queue, tasks) = mpsc::channel::<Task<S>>();
        let (ready, made) = oneshot::channel::<Outcome<()>>();
        let thread = thread::Builder::new()
            .name("zmlx worker".into())
            .spawn(move || {
                serve(make, ready, &tasks);
                // The last use of MLX here, after the state is gone.
                let _ = crate::stream::clear_streams();
            })
            .map_err(|e| Error::Worker {
                message: format!("no thread for it: {e}"),
            })?;
        let worker = Worker {
            queue: Mutex::new(Some(queue)),
            thread: Some(thread),
        };
        Job(made).wait()?;
        Ok(worker)
    }

    /// Sends a job. It runs even if the returned [`Job`] is dropped.
    ///
    /// A job that fails in the background, through the handle of an
    /// [`async_eval`](crate::async_eval) that it dropped, gives [`Error::Earlier`].
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
    ) -> Job<T> {
        let (done, outcome) = oneshot::channel();
        let task: Task<S> = Box::new(move |state| {
            let result = catch_unwind(AssertUnwindSafe(|| {
                let value = job(state)?;
                // An error of a handle that the job dropped is its own, not the next job's.
                crate::eval::report_late().map(|()| value)
            }));
            // Nobody waits for it any more: the result goes.
            let _ = done.send(result);
        });
        let queue = self.queue.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(queue) = &*queue {
            // If the thread has ended the task goes, and with it the sender: an error.
            let _ = queue.send(task);
        }
        Job(outcome)
    }

    /// Takes no more jobs; those sent before still run.
    pub fn close(&self) {
        *self.queue.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }
}

fn serve<S>(
    make: impl FnOnce() -> Result<S>,
    ready: oneshot::Sender<Outcome<()>>,
    tasks: &mpsc::Receiver<Task<S>>,
) {
    let state = match catch_unwind(AssertUnwindSafe(make)) {
        Ok(Ok(state)) => state,
        Ok(Err(e)) => return drop(ready.send(Ok(Err(e)))),
        Err(panic) => return drop(ready.send(Err(panic))),
    };
    let mut state = state;
    let _ = ready.send(Ok(Ok(())));
    for task in tasks {
        task(&mut state);
    }
    // A panic in the state's destructor has nobody to go to.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
}

impl<S: 'static> Drop for Worker<S> {
    fn drop(&mut self) {
        self.close();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// The result of a job to come: wait for it, or `await` it.
///
/// A panic of the job is resumed where its result is taken; the worker goes on.
#[must_use = "the job runs in any case, but its error and its panic come out here"]
#[derive(Debug)]
pub struct Job<T>(oneshot::Receiver<Outcome<T>>);

impl<T> Job<T> {
    /// Blocks until the job is done.
    ///
    /// # Errors
    /// What the job returned; [`Error::Worker`] when the worker ended before it ran.
    ///
    /// # Panics
    /// When the job did.
    pub fn wait(self) -> Result<T> {
        finish(self.0.recv().ok())
    }
}

impl<T> IntoFuture for Job<T> {
    type Output = Result<T>;
    type IntoFuture = JobFuture<T>;

    fn into_future(self) -> JobFuture<T> {
        JobFuture(self.0.into_future())
    }
}

/// A [`Job`] being awaited, under any executor.
#[derive(Debug)]
pub struct JobFuture<T>(oneshot::AsyncReceiver<Outcome<T>>);

impl<T> Future for JobFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        Pin::new(&mut self.0).poll(cx).map(|r| finish(r.ok()))
    }
}

fn finish<T>(outcome: Option<Outcome<T>>) -> Result<T> {
    match outcome {
        Some(Ok(result)) => result,
        Some(Err(panic)) => resume_unwind(panic),
        None => Err(Error::Worker {
            message: "it has ended and takes no more jobs".into(),
        }),
    }
}

/// A fixed number of workers without a state: MLX on a bounded number of threads.
#[derive(Debug)]
pub struct Pool {
    workers: Vec<Worker<()>>,
    next: AtomicUsize,
}

impl Pool {
    /// Starts `threads` workers, at least one.
    ///
    /// # Errors
    /// [`Error::Worker`] when the system gives no threads.
    #[track_caller]
    pub fn new(threads: usize) -> Result<Self> {
        let workers = (0..threads.max(1))
            .map(|_| Worker::spawn(|| Ok(())))
            .collect::<Result<_>>()?;
        Ok(Pool {
            workers,
            next: AtomicUsize::new(0),
        })
    }

    /// Gives the job to the next worker in turn.
    ///
    /// A job that waits for another job of the same pool may wait for ever.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Job<T> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.workers[turn % self.workers.len()].run(move |()| job())
    }

    /// How many workers there are.
    pub fn threads(&self) -> usize {
        self.workers.len()
    }
}

/// The process's pool: a worker for each processor, 8 at most, started on first use.
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

#[cfg(test)]
mod tests {
    type Local = std::rc::Rc<()>;
    static_assertions::assert_impl_all!(super::Worker<Local>: Send, Sync);
    static_assertions::assert_impl_all!(super::Job<u8>: Send);
    static_assertions::assert_impl_all!(super::JobFuture<u8>: Send, Unpin);
    static_assertions::assert_impl_all!(super::Pool: Send, Sync);
    static_assertions::assert_impl_all!(crate::Error: Send, Sync);
}
