//! What comes back of a job.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::queue::{NotRun, Queue, Task};
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

pub(super) type Outcome<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

/// The result of a job to come: wait for it, or `await` it.
///
/// A panic of the job is resumed where its result is taken; the worker goes on. A handle that is
/// dropped changes nothing: the job runs all the same, its result is dropped on the worker's thread,
/// and its error or panic goes with it. To have it not run, [`cancel`](Self::cancel) it.
#[must_use = "the job runs in any case, but its error and its panic come out here"]
pub struct Job<T> {
    outcome: oneshot::Receiver<Outcome<T>>,
    place: Option<(Arc<dyn Waiting>, u64)>,
}

/// A queue that a job may still be taken from.
trait Waiting: Send + Sync {
    fn cancel(&self, number: u64) -> bool;
}

impl<S: 'static> Waiting for Queue<S> {
    fn cancel(&self, number: u64) -> bool {
        Queue::cancel(self, number)
    }
}

/// Puts a job into a queue.
pub(super) fn send<S: 'static, T: Send + 'static>(
    queue: &Arc<Queue<S>>,
    wait: bool,
    job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> Job<T> {
    let (done, outcome) = oneshot::channel();
    let task: Task<S> = Box::new(move |state| {
        let result = match state {
            Ok(state) => catch_unwind(AssertUnwindSafe(|| {
                let value = job(state)?;
                // An error of a handle that the job dropped is its own, not the next job's.
                crate::eval::report_late().map(|()| value)
            })),
            Err(why) => {
                drop_quietly(job);
                Ok(Err(not_run(why)))
            }
        };
        if let Err(unwanted) = done.send(result) {
            // Nobody waits for it any more: the result goes.
            drop_quietly(unwanted);
        }
    });
    let number = queue.push(task, wait);
    let place = number.map(|n| (Arc::clone(queue) as Arc<dyn Waiting>, n));
    Job { outcome, place }
}

pub(super) fn not_run(why: NotRun) -> Error {
    let message = match why {
        NotRun::Ended => "it has ended and takes no more jobs",
        NotRun::Cancelled => "the job was cancelled before it began",
        NotRun::Full => "as many jobs wait as may, and this one was not to wait for room",
    };
    Error::Worker {
        message: message.into(),
    }
}

impl<T> Job<T> {
    /// The answer of a thread about itself.
    pub(super) fn of(outcome: oneshot::Receiver<Outcome<T>>) -> Self {
        Job {
            outcome,
            place: None,
        }
    }

    /// Blocks until the job is done.
    ///
    /// # Errors
    /// What the job returned; [`Error::Worker`] when the worker ended before it ran, or when it was cancelled.
    ///
    /// # Panics
    /// When the job did.
    pub fn wait(self) -> Result<T> {
        finish(self.outcome.recv().ok())
    }

    /// Takes the job out of the queue if it has not begun. True when it never runs; what it captured is
    /// dropped here then. False when it has begun or is done: it goes on as if the handle had been dropped.
    pub fn cancel(self) -> bool {
        self.place
            .as_ref()
            .is_some_and(|(queue, number)| queue.cancel(*number))
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").finish_non_exhaustive()
    }
}

impl<T> IntoFuture for Job<T> {
    type Output = Result<T>;
    type IntoFuture = JobFuture<T>;

    fn into_future(self) -> JobFuture<T> {
        JobFuture(self.outcome.into_future())
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
        None => Err(not_run(NotRun::Ended)),
    }
}
