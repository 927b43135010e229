//! Computing what the graph describes.
//!
//! MLX keeps the error of failed work in the stream it ran on and throws it at
//! whoever looks next, once. `cpp/include/zmlx/run.h` says how each error is kept for the
//! evaluation and the arrays it belongs to. A thread keeps its asynchronous evaluations in order,
//! and settles them (waits, and notes how they ended) oldest first.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::rc::Rc;

use crate::array::refs;
use crate::bridge::array::ffi;
use crate::error::Lift;
use crate::{Array, Error, Result};

thread_local! {
    /// The error of an asynchronous evaluation whose handle was dropped unasked.
    static LATE: Cell<Option<Error>> = const { Cell::new(None) };
    /// Asynchronous evaluations not waited for yet, oldest first.
    static RUNNING: RefCell<Vec<Rc<Run>>> = const { RefCell::new(Vec::new()) };
}

/// One asynchronous evaluation.
struct Run {
    raw: cxx::SharedPtr<ffi::Run>,
    arrays: usize,
    failure: Cell<Option<Error>>,
    settled: Cell<bool>,
}

impl Run {
    #[track_caller]
    fn settle(&self) {
        if self.settled.replace(true) {
            return;
        }
        self.failure.set(ffi::finish(&self.raw).lift().err());
    }

    /// True when nothing is left to wait for.
    #[track_caller]
    fn is_done(&self) -> bool {
        // An error means that waiting gives one, too.
        self.settled.get() || ffi::is_done(&self.raw).unwrap_or(true)
    }
}

/// What this thread has under way, oldest first.
fn running() -> Vec<Rc<Run>> {
    RUNNING
        .try_with(|running| running.borrow().clone())
        .unwrap_or_default()
}

/// Settles what runs on this thread, oldest first, up to `last` (or all of it).
#[track_caller]
fn settle(last: Option<&Rc<Run>>) {
    let runs = RUNNING.try_with(|running| {
        let mut running = running.borrow_mut();
        let end = match last {
            Some(last) => running.iter().position(|r| Rc::ptr_eq(r, last)),
            None => running.len().checked_sub(1),
        };
        end.map_or_else(Vec::new, |end| running.drain(..=end).collect())
    });
    for run in runs.unwrap_or_default() {
        run.settle();
    }
    // At thread exit the list may be gone before the handle.
    if let Some(last) = last {
        last.settle();
    }
}

/// What every evaluation does first.
///
/// # Errors
/// [`Error::Earlier`] when an asynchronous evaluation failed whose handle was dropped.
#[track_caller]
pub(crate) fn before() -> Result<()> {
    crate::stream::enter();
    settle(None);
    report_late()
}

/// Hands over the error of an asynchronous evaluation whose handle was dropped.
pub(crate) fn report_late() -> Result<()> {
    match LATE.try_with(Cell::take) {
        Ok(Some(e)) => Err(Error::Earlier {
            source: Box::new(e),
        }),
        _ => Ok(()),
    }
}

/// Computes the arrays and waits for them, and for what [`async_eval`] began before.
///
/// An array whose evaluation failed stays without values, and so does every array that was
/// computed from it, here or by an evaluation under way: reading one, or computing with it,
/// is an error that says why. Arrays that do not depend on what failed keep their values.
///
/// # Errors
/// Whatever the computation fails with. [`Error::Earlier`] when it was an asynchronous
/// evaluation before this one that failed, and its handle was dropped without a look.
#[track_caller]
pub fn eval<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<()> {
    before()?;
    ffi::eval(&refs(arrays.as_ref())).lift()
}

/// Starts computing the arrays and returns at once.
///
/// The handle waits: when asked, or at the latest when it is dropped. An error
/// belongs to the handle; the next evaluation reports it as [`Error::Earlier`] if
/// the handle was dropped unasked. A handle that is leaked loses its error, but no
/// other evaluation fails for it, and the arrays refuse to be read.
///
/// ```
/// # fn main() -> zmlx::Result<()> {
/// let y = zmlx::Array::from(2.0f32).exp()?;
/// let pending = zmlx::async_eval([&y])?;
/// // ... other work ...
/// pending.wait()?;
/// assert!(y.is_ready()?);
/// # Ok(())
/// # }
/// ```
///
/// Work may fail as soon as it is handed over: memory that is not there, a file that a GPU's stream reads at once. That
/// error, too, belongs to the handle. What had not been handed over by then stays as it was, and is computed when it is
/// asked for again.
///
/// # Errors
/// What can be told before the work starts (arrays that have failed, arrays of a transformation under way), and
/// [`Error::Earlier`] as for [`eval`].
#[track_caller]
pub fn async_eval<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<Pending> {
    crate::stream::enter();
    report_late()?;
    let arrays = arrays.as_ref();
    let run = Rc::new(Run {
        raw: ffi::async_eval(&refs(arrays)).lift()?,
        arrays: arrays.len(),
        failure: Cell::new(None),
        settled: Cell::new(false),
    });
    let _ = RUNNING.try_with(|running| running.borrow_mut().push(Rc::clone(&run)));
    Ok(Pending {
        run,
        at: std::panic::Location::caller(),
        here: PhantomData,
    })
}

/// An evaluation under way. Belongs to its thread.
#[must_use = "dropping the handle waits for the evaluation and defers its error to the next one"]
pub struct Pending {
    run: Rc<Run>,
    /// Where the evaluation was begun, for an error that nobody asked for.
    at: crate::Site,
    here: PhantomData<*const ()>,
}

impl Pending {
    /// Waits for the evaluation, and for those that this thread began before it.
    ///
    /// # Errors
    /// Whatever the computation fails with.
    #[track_caller]
    pub fn wait(self) -> Result<()> {
        self.finish()
    }

    /// True when nothing is left to wait for, here and in what this thread began
    /// before, be it done or failed.
    #[track_caller]
    pub fn is_done(&self) -> bool {
        // Oldest first: an error belongs to the first that can meet it.
        for run in running() {
            if !run.is_done() {
                return false;
            }
            settle(Some(&run));
            if Rc::ptr_eq(&run, &self.run) {
                break;
            }
        }
        self.run.is_done()
    }

    #[track_caller]
    fn finish(&self) -> Result<()> {
        settle(Some(&self.run));
        self.run.failure.take().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("arrays", &self.run.arrays)
            .field("settled", &self.run.settled.get())
            .finish()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Err(e) = self.finish() {
            // Thread-locals may be gone at thread exit; the error goes with them then.
            let e = e.said_of(self.at);
            let _ = LATE.try_with(|late| late.set(Some(e)));
        }
    }
}

#[cfg(test)]
mod tests {
    static_assertions::assert_not_impl_any!(super::Pending: Send, Sync);
}
