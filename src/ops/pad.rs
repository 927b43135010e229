//! Padding.

use super::done;
use crate::array::fit::Number;
use crate::bridge::ops::shape::ffi;
use crate::stream::current;
use crate::{Array, Error, Result};

impl Array {
    /// Padding before and after each axis: `1` (everywhere), `(1, 2)` (each axis) or
    /// `[(0, 0), (1, 2)]` (one pair for each axis).
    ///
    /// ```
    /// use zmlx::{Array, ops::PadMode};
    /// # fn main() -> zmlx::Result<()> {
    /// let x = Array::from_slice(&[1, 2, 3], 3)?;
    /// let y = x.pad([(2, 1)], PadMode::Reflect)?;
    /// assert_eq!(y.to_vec::<i32>()?, [3, 2, 1, 2, 3, 2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] for negative widths, another number of pairs than of axes, or a constant
    /// that the array's dtype does not hold;
    /// an empty axis can be padded with a constant only.
    #[track_caller]
    pub fn pad(&self, widths: impl PadWidths, mode: PadMode) -> Result<Array> {
        let widths = widths.widths(self.ndim());
        let bad = widths.iter().any(|&(low, high)| low < 0 || high < 0);
        if bad || widths.len() != self.ndim() {
            return Err(Error::argument(
                "widths",
                format_args!("{} pairs of numbers from 0", self.ndim()),
                format_args!("{widths:?}"),
            ));
        }
        let (mode, value) = match mode {
            PadMode::Constant(value) => {
                Number::Real(value).check("mode", self.dtype(), false)?;
                ("constant", value)
            }
            PadMode::Edge => ("edge", 0.0),
            PadMode::Reflect => ("reflect", 0.0),
            PadMode::Symmetric => ("symmetric", 0.0),
        };
        if mode != "constant"
            && let Some(axis) = (0..widths.len()).find(|&i| self.shape()[i] == 0)
            && widths[axis] != (0, 0)
        {
            return Err(Error::argument(
                "mode",
                "`Constant` for an empty axis",
                mode,
            ));
        }
        let (low, high): (Vec<_>, Vec<_>) = widths.into_iter().unzip();
        done(ffi::pad(self.raw(), &low, &high, value, mode, current()))
    }
}

/// What [`Array::pad`] puts around the array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This number.
    Constant(f64),
    /// The value at the edge.
    Edge,
    /// The array mirrored at its edge, which is not repeated.
    Reflect,
    /// The array mirrored with its edge repeated.
    Symmetric,
}

/// Widths of padding before and after each axis.
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no widths of padding",
    note = "the same on all sides (i32), before and after all axes, or a pair for each axis: `1`, `(1, 2)`, `[(0, 0), (1, 2)]`"
)]
pub trait PadWidths {
    /// One pair for each axis of an array with `ndim` dimensions.
    fn widths(self, ndim: usize) -> Vec<(i32, i32)>;
}

impl PadWidths for i32 {
    fn widths(self, ndim: usize) -> Vec<(i32, i32)> {
        vec![(self, self); ndim]
    }
}

impl PadWidths for (i32, i32) {
    fn widths(self, ndim: usize) -> Vec<(i32, i32)> {
        vec![self; ndim]
    }
}

impl<const N: usize> PadWidths for [(i32, i32); N] {
    fn widths(self, _ndim: usize) -> Vec<(i32, i32)> {
        self.to_vec()
    }
}

impl PadWidths for &[(i32, i32)] {
    fn widths(self, _ndim: usize) -> Vec<(i32, i32)> {
        self.to_vec()
    }
}
