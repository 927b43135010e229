//! Computing what the graph describes.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::array::refs;
use crate::bridge::array::ffi;
use crate::error::Lift;
use crate::{Array, Error, Result};

thread_local! {
    /// The error of an asynchronous evaluation whose handle was dropped unasked.
    static LATE: Cell<Option<Error>> = const { Cell::new(None) };
}

/// Computes the arrays and waits for them.
///
/// # Errors
/// Whatever the computation fails with. [`Error::Earlier`] when it was an asynchronous
/// evaluation before this one that failed, and nobody had looked at its handle.
#[track_caller]
pub fn eval<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<()> {
    report_late()?;
    crate::stream::enter();
    ffi::eval(&refs(arrays.as_ref())).lift()
}

/// Starts computing the arrays and returns at once.
///
/// The handle waits: when asked, or at the latest when it is dropped.
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
#[track_caller]
pub fn async_eval<A: AsRef<Array>>(arrays: impl AsRef<[A]>) -> Result<Pending> {
    report_late()?;
    crate::stream::enter();
    let arrays = arrays.as_ref();
    ffi::async_eval(&refs(arrays)).lift()?;
    Ok(Pending {
        arrays: arrays.iter().map(|a| a.as_ref().clone()).collect(),
        here: PhantomData,
    })
}

/// An evaluation under way. Belongs to its thread.
#[must_use = "dropping the handle waits for the evaluation and defers its error to the next one"]
#[derive(Debug)]
pub struct Pending {
    arrays: Vec<Array>,
    here: PhantomData<*const ()>,
}

impl Pending {
    /// Waits for the evaluation.
    ///
    /// # Errors
    /// Whatever the computation fails with.
    #[track_caller]
    pub fn wait(mut self) -> Result<()> {
        self.drain()
    }

    /// True when nothing is left to wait for.
    #[track_caller]
    pub fn is_done(&self) -> Result<bool> {
        for a in &self.arrays {
            if !a.is_ready()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[track_caller]
    fn drain(&mut self) -> Result<()> {
        let mut result = Ok(());
        for a in self.arrays.drain(..) {
            result = result.and(ffi::wait(a.raw()).lift());
        }
        result
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Err(e) = self.drain() {
            // Thread-locals may be gone at thread exit; the error goes with them then.
            let _ = LATE.try_with(|late| late.set(Some(e)));
        }
    }
}

/// Hands over the error of an asynchronous evaluation whose handle was dropped.
fn report_late() -> Result<()> {
    match LATE.take() {
        Some(e) => Err(Error::Earlier {
            source: Box::new(e),
        }),
        None => Ok(()),
    }
}
