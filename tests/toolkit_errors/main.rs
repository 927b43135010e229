//! What is wrong with a description is said where it stands, with what to do.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod expressions;
mod names;

use common::{exactly, on_worker};
use zmlx::api::Pass;
use zmlx::expr::Expr;
use zmlx::prelude::*;
use zmlx::{Error, Result, grad, jvp};

/// The message of a failure that is of the right kind and names this file.
#[track_caller]
fn message<T>(result: Result<T>, kind: fn(&Error) -> bool) -> String {
    let error = result.err().expect("an error");
    assert!(kind(&error), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("tests/toolkit_errors/"), "{text}");
    text
}

fn expression(e: &Error) -> bool {
    matches!(e, Error::Expression { .. })
}

fn argument(e: &Error) -> bool {
    matches!(e, Error::Argument { .. })
}

fn shape(e: &Error) -> bool {
    matches!(e, Error::Shape { .. })
}

fn dtype(e: &Error) -> bool {
    matches!(e, Error::Dtype { .. })
}
