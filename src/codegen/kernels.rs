//! The kernels that an operation has made so far.

use std::sync::OnceLock;

use crate::metal::MetalKernel;

use super::pattern::{MOST_BUFFERS, Pattern};

/// Kernels of an operation, a few at most. The list only grows, so launches read it without a lock.
#[derive(Default)]
pub(super) struct Kernels(OnceLock<Box<Made>>);

pub(super) struct Made {
    pub(super) pattern: Pattern,
    pub(super) kernel: MetalKernel,
    rest: Kernels,
}

impl Kernels {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Made> {
        std::iter::successors(self.0.get(), |made| made.rest.0.get()).map(Box::as_ref)
    }

    /// The kernel at the end of the list, unless another thread was faster.
    pub(super) fn keep(&self, pattern: Pattern, kernel: MetalKernel) -> &MetalKernel {
        let mut at = self;
        loop {
            let made = at.0.get_or_init(|| {
                Box::new(Made {
                    pattern,
                    kernel: kernel.clone(),
                    rest: Kernels::default(),
                })
            });
            if made.pattern == pattern {
                return &made.kernel;
            }
            at = &made.rest;
        }
    }
}

/// The template parameter with the type of the output of this number.
pub(super) fn output_type(n: usize) -> &'static str {
    const NAMES: [&str; MOST_BUFFERS] = [
        "O0", "O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9", "O10", "O11", "O12", "O13",
        "O14", "O15", "O16", "O17", "O18", "O19", "O20", "O21", "O22", "O23", "O24", "O25", "O26",
        "O27", "O28", "O29",
    ];
    NAMES.get(n).copied().unwrap_or("O")
}
