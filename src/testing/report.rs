//! What a failed comparison found, as the error that says it.

use super::numbers::Worst;
use crate::Array;

pub use crate::error::mismatch::{Against, Elements, Mismatch, Tolerance, What, Which};

impl What {
    pub(super) fn elements(
        of: Which,
        against: Against,
        worst: &Worst,
        array: &Array,
        tolerance: Tolerance,
    ) -> What {
        What::Elements(Elements {
            of,
            against,
            index: unravel(worst.at, array.shape()),
            got: worst.got,
            want: worst.want,
            error: worst.error,
            tolerance,
            wrong: worst.count,
            total: array.size(),
            first: unravel(worst.first, array.shape()),
        })
    }
}

/// The index of an element by its number in row-major order.
pub(super) fn unravel(mut at: usize, shape: &[i32]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &n) in index.iter_mut().zip(shape).rev() {
        let n = n.max(1) as usize;
        *i = at % n;
        at /= n;
    }
    index
}
