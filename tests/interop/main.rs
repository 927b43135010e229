//! Values of other owners and other libraries.
#![allow(
    unsafe_code,
    reason = "tensors of DLPack and mapped files are unsafe to take"
)]

#[path = "../common/mod.rs"]
mod common;
mod dlpack;
mod ndarray;
mod owned;
mod safetensors;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts how often it is dropped, where `as_ref` gives a vector's elements.
pub struct Counted<T> {
    /// What it owns.
    pub values: Vec<T>,
    /// Counts.
    pub dropped: Arc<AtomicUsize>,
    /// Panics then, with a payload that panics when it is dropped.
    pub panics: bool,
}

impl<T> Counted<T> {
    /// An owner and its counter.
    pub fn new(values: Vec<T>) -> (Self, Arc<AtomicUsize>) {
        let dropped = Arc::new(AtomicUsize::new(0));
        let counted = Counted {
            values,
            dropped: Arc::clone(&dropped),
            panics: false,
        };
        (counted, dropped)
    }
}

impl<T> AsRef<[T]> for Counted<T> {
    fn as_ref(&self) -> &[T] {
        &self.values
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("the payload");
            }
        }
        self.dropped.fetch_add(1, Ordering::SeqCst);
        if self.panics {
            std::panic::panic_any(Bomb);
        }
    }
}

/// How often.
pub fn count(dropped: &AtomicUsize) -> usize {
    dropped.load(Ordering::SeqCst)
}

/// Whether this build of MLX takes foreign memory where it lies.
pub fn borrows() -> bool {
    let engines = zmlx::engine::info();
    !engines.cuda && !engines.metal
}
