//! Results to come.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use super::queue::{Queue, Task};
use crate::error::Site;
use crate::unwanted::drop_quietly;
use crate::{Error, Result};

/// How a job ended: with its result or with its panic.
pub(super) type Outcome<T> = std::result::Result<Result<T>, Box<dyn Any + Send>>;

/// The result of a job to come: wait for it, or `await` it.
///
/// Dropping it changes nothing for the job: it runs, and its result is dropped, on its thread or, when the job is done, on
/// this one. A destructor of the result that panics then is reported and goes no further.
/// [`cancel`](Self::cancel) takes a job back that has not begun. A panic of the job is resumed where its result is
/// taken; the worker goes on.
#[must_use = "the job runs in any case, but its error and its panic come out here"]
pub struct Job<T> {
    outcome: Awaited<oneshot::Receiver<Outcome<T>>>,
    ticket: Ticket,
}

/// Where an outcome arrives. Whether nobody waits for it any more shows before or after the job has ended; the panic of an
/// unwanted result's destructor goes nowhere either way.
struct Awaited<R>(Option<R>);

impl<R> Drop for Awaited<R> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

/// Where a job waits, so that it can be taken back.
struct Ticket {
    /// None for a job that was never in a queue.
    place: Option<(Arc<dyn Cancel>, u64)>,
    cancelled: AtomicBool,
    /// Where the job was sent.
    at: Site,
}

/// A queue without the type of its state.
trait Cancel: Send + Sync {
    fn cancel(&self, number: u64) -> bool;
}

impl<S> Cancel for Queue<S> {
    fn cancel(&self, number: u64) -> bool {
        match self.remove(number) {
            // What it captured goes here, on the thread that cancels.
            Some(task) => {
                drop_quietly(task);
                true
            }
            None => false,
        }
    }
}

/// A job as a queue holds it, and where its outcome arrives.
pub(super) fn task<S, T: Send + 'static>(
    job: impl FnOnce(&mut S) -> Result<T> + Send + 'static,
) -> (Task<S>, oneshot::Receiver<Outcome<T>>) {
    let (done, outcome) = oneshot::channel();
    let task: Task<S> = Box::new(move |state| {
        let result = catch_unwind(AssertUnwindSafe(|| {
            let value = job(state)?;
            // An error of a handle that the job dropped is its own, not the next job's.
            crate::eval::report_late().map(|()| value)
        }));
        // Where nobody waits any more the result comes back; its destructor is the user's code.
        if let Err(unwanted) = done.send(result) {
            drop_quietly(unwanted);
        }
    });
    (task, outcome)
}

impl<T> Job<T> {
    #[track_caller]
    pub(super) fn new<S: 'static>(
        outcome: oneshot::Receiver<Outcome<T>>,
        place: Option<(&Arc<Queue<S>>, u64)>,
    ) -> Self {
        let place = place.map(|(queue, number)| (Arc::clone(queue) as Arc<dyn Cancel>, number));
        Job {
            outcome: Awaited(Some(outcome)),
            ticket: Ticket {
                place,
                cancelled: AtomicBool::new(false),
                at: Location::caller(),
            },
        }
    }

    /// Blocks until the job is done.
    ///
    /// # Errors
    /// What the job returned; [`Error::Worker`] when it was cancelled, or when the worker ended before it ran.
    ///
    /// # Panics
    /// When the job did.
    pub fn wait(mut self) -> Result<T> {
        let outcome = self.outcome.0.take().and_then(|o| o.recv().ok());
        self.ticket.finish(outcome)
    }

    /// Takes the job back if it has not begun: true when it will never run. What it captured is dropped here.
    ///
    /// ```
    /// use zmlx::Worker;
    /// # fn main() -> zmlx::Result<()> {
    /// let worker = Worker::spawn(|| Ok(()))?;
    /// let (go, wait) = std::sync::mpsc::channel();
    /// let first = worker.run(move |()| wait.recv().map_err(zmlx::Error::other));
    /// let second = worker.run(|()| Ok(2));
    /// assert!(second.cancel()); // the first one still has the thread
    /// go.send(1).map_err(zmlx::Error::other)?;
    /// assert_eq!(first.wait()?, 1);
    /// assert!(second.wait().is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        let gone = match &self.ticket.place {
            Some((queue, number)) => queue.cancel(*number),
            None => false,
        };
        // Twice is as good as once.
        self.ticket.cancelled.fetch_or(gone, Ordering::Relaxed) || gone
    }
}

impl Ticket {
    fn finish<T>(&self, outcome: Option<Outcome<T>>) -> Result<T> {
        match outcome {
            Some(Ok(result)) => result,
            Some(Err(panic)) => resume_unwind(panic),
            None => Err(Error::Worker {
                message: if self.cancelled.load(Ordering::Relaxed) {
                    "the job was cancelled before it began".into()
                } else {
                    "it has ended and takes no more jobs".into()
                },
                at: self.at,
            }),
        }
    }
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Job(sent at {})", self.ticket.at)
    }
}

impl<T> IntoFuture for Job<T> {
    type Output = Result<T>;
    type IntoFuture = JobFuture<T>;

    fn into_future(mut self) -> JobFuture<T> {
        let outcome = self.outcome.0.take();
        JobFuture {
            outcome: Awaited(outcome.map(IntoFuture::into_future)),
            ticket: self.ticket,
        }
    }
}

/// A [`Job`] being awaited, under any executor.
pub struct JobFuture<T> {
    outcome: Awaited<oneshot::AsyncReceiver<Outcome<T>>>,
    ticket: Ticket,
}

impl<T> Future for JobFuture<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let this = &mut *self;
        match &mut this.outcome.0 {
            Some(outcome) => Pin::new(outcome)
                .poll(cx)
                .map(|outcome| this.ticket.finish(outcome.ok())),
            None => Poll::Ready(this.ticket.finish(None)),
        }
    }
}

impl<T> fmt::Debug for JobFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobFuture(sent at {})", self.ticket.at)
    }
}
