//! What tests of operations share.

use std::panic::Location;

use zmlx::{Array, Device, Error, Result, with_device};

use super::on_worker;

/// Runs a test on a worker and the CPU.
pub fn here(body: impl FnOnce() + Send + 'static) {
    on_worker(move || with_device(Device::CPU, body));
}

pub fn truth(a: Result<Array>) -> Vec<bool> {
    a.unwrap().to_vec::<bool>().unwrap()
}

/// The operation was refused by an error of the caller's file that has these words.
#[track_caller]
pub fn refused(got: Result<Array>, words: &[&str]) {
    let error = got.expect_err("an error");
    let fits = matches!(
        error,
        Error::Argument { .. } | Error::Dtype { .. } | Error::Shape { .. }
    );
    let text = error.to_string();
    assert!(fits && words.iter().all(|w| text.contains(w)), "{text}");
    assert!(text.contains(Location::caller().file()), "{text}");
}
