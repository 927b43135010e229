//! A value that is made at its first use and kept.

use std::sync::{Mutex, OnceLock, PoisonError};

use crate::Result;
use crate::error::Here;

/// Holds a value once it could be made. Where that fails, the next who asks tries again.
pub(super) struct Made<T> {
    value: OnceLock<T>,
    /// Held by the thread that makes the value; others that need this very one wait.
    making: Mutex<()>,
}

impl<T> Default for Made<T> {
    fn default() -> Self {
        Made {
            value: OnceLock::new(),
            making: Mutex::new(()),
        }
    }
}

impl<T> Made<T> {
    #[track_caller]
    pub(super) fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
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
