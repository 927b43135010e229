//! A value that is made at its first use and kept.

use std::sync::{Mutex, OnceLock, PoisonError};

use super::MetalKernel;
use crate::Result;
use crate::error::Here;

/// Holds a value once it could be made. Where that fails, the next who asks tries again.
pub(crate) struct Made<T> {
    value: OnceLock<T>,
    /// Held by the thread that makes the value; others that need this very one wait.
    making: Mutex<()>,
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Made::new()
    }
}

impl<T> Made<T> {
    pub(crate) const fn new() -> Self {
        Made {
            value: OnceLock::new(),
            making: Mutex::new(()),
        }
    }

    /// The value, if it was made.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    #[track_caller]
    pub(crate) fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        // It guards nothing but the order, so a panic leaves it as good as new.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = make().here()?;
        Ok(self.value.get_or_init(|| value))
    }
}

/// A kernel that is made at its first use, with the functions of the library that its source names.
#[track_caller]
pub(crate) fn build_once<'a>(
    made: &'a Made<MetalKernel>,
    name: &str,
    inputs: &[&str],
    outputs: &[&str],
    source: impl FnOnce() -> String,
) -> Result<&'a MetalKernel> {
    made.get_or_make(|| {
        let source = source();
        MetalKernel::new(name, inputs.to_vec(), outputs.to_vec())
            .header(crate::msl::header_for(&source))
            .source(source)
            .build()
    })
}
