//! Sums of products over axes of two arrays.

use super::done;
use crate::bridge::ops::matrix::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

impl Array {
    /// Sum of products over axes of both: `2` for the last two of `self` with the first two
    /// of `other`, or the axes of both as `([0], [1])`.
    ///
    /// # Errors
    /// [`Error::Argument`] for axes that are not there, or twice; [`Error::Shape`] unless their lengths are the same in
    /// both, or for more than 2147483647 elements; [`Error::Dtype`] unless the common type is floating-point or complex.
    #[track_caller]
    pub fn tensordot(&self, other: &Array, axes: impl IntoContraction) -> Result<Array> {
        let (a, b) = axes.contraction();
        check_contraction(self, other, &a, &b)?;
        done(ffi::tensordot(self.raw(), other.raw(), &a, &b, current()))
    }
}

/// MLX asks none of this before it computes with the axes, and counts in 32 bits.
#[track_caller]
fn check_contraction(x: &Array, y: &Array, a: &[i32], b: &[i32]) -> Result<()> {
    if a.len() != b.len() {
        return Err(Error::argument(
            "axes",
            "as many axes of one array as of the other",
            format_args!("{a:?} and {b:?}"),
        ));
    }
    let mut sizes = Vec::new();
    for (array, axes) in [(x, a), (y, b)] {
        let n = array.ndim() as i32;
        let mut seen = std::collections::BTreeSet::new();
        for &axis in axes {
            let place = if axis < 0 {
                axis.saturating_add(n)
            } else {
                axis
            };
            if !(0..n).contains(&place) || !seen.insert(place) {
                return Err(Error::argument(
                    "axes",
                    format_args!("different axes of {n} dimensions"),
                    format_args!("{axes:?}"),
                ));
            }
        }
        let product =
            |of: &mut dyn Iterator<Item = i32>| of.map(i64::from).fold(1, i64::saturating_mul);
        let mut kept = (0..n)
            .filter(|i| !seen.contains(i))
            .map(|i| array.shape()[i as usize]);
        sizes.push(product(&mut kept));
        let mut gone = seen.iter().map(|&i| array.shape()[i as usize]);
        sizes.push(product(&mut gone));
    }
    for (&i, &j) in a.iter().zip(b) {
        if x.dim(i)? != y.dim(j)? {
            return Err(Error::shape(format!(
                "[tensordot] expected the same length of axis {i} and axis {j}, got shapes {:?} and {:?}",
                x.shape(),
                y.shape()
            )));
        }
    }
    if sizes.iter().any(|&n| n > i64::from(i32::MAX)) {
        return Err(Error::shape(format!(
            "[tensordot] expected 2147483647 elements at most on either side of the product, got shapes {:?} \
             and {:?}",
            x.shape(),
            y.shape()
        )));
    }
    Ok(())
}

/// The axes of a [`tensordot`](Array::tensordot): how many, or which of both.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say which axes to contract",
    note = "how many axes (i32), or a pair of lists, one for each array: `1`, `([0, 1], [1, 0])`"
)]
pub trait IntoContraction {
    /// Axes of the left and of the right array.
    fn contraction(self) -> (Vec<i32>, Vec<i32>);
}

impl IntoContraction for i32 {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        // Lists of different lengths, which MLX refuses.
        if !(0..=64).contains(&self) {
            return (vec![0], Vec::new());
        }
        ((-self..0).collect(), (0..self).collect())
    }
}

impl<const N: usize> IntoContraction for ([i32; N], [i32; N]) {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}

impl IntoContraction for (&[i32], &[i32]) {
    fn contraction(self) -> (Vec<i32>, Vec<i32>) {
        (self.0.to_vec(), self.1.to_vec())
    }
}
