//! Where the failure of a Rust closure waits while an exception crosses the frames of C++ that called it.
//!
//! The exception carries a text only. The error itself, or the panic, stays in a slot of the thread until the outer
//! bridge call comes back with the exception and takes it out.

use std::any::Any;
use std::cell::RefCell;
use std::panic::resume_unwind;

use super::Error;
use crate::unwanted::drop_quietly;

pub(crate) enum Failure {
    Error(Error),
    /// One that is found here: its place is where the outer call stands.
    Found(Error),
    Panic(Box<dyn Any + Send>),
}

thread_local! {
    static FAILURE: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// The error behind the callback exception that just arrived; resumes its panic.
#[track_caller]
pub(crate) fn take() -> Option<Error> {
    // At the end of a thread the slot may be gone, and what was to be in it.
    match FAILURE.try_with(|slot| slot.borrow_mut().take()).ok()? {
        Some(Failure::Error(e)) => Some(e),
        Some(Failure::Found(e)) => Some(e.moved_here()),
        Some(Failure::Panic(payload)) => resume_unwind(payload),
        None => None,
    }
}

/// Leaves a failure for [`take`].
pub(crate) fn keep(failure: Failure) {
    let before = FAILURE.try_with(|slot| slot.borrow_mut().replace(failure));
    // One that nobody has taken out; a panic's payload may panic when it is dropped.
    drop_quietly(before);
}
