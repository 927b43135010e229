//! Padding.

use std::borrow::Cow;

use super::axes::distinct;
use super::{done, where_};
use crate::array::exact;
use crate::array::fit::{Number, check_update};
use crate::bridge::ops::shape::ffi;
use crate::stream::current;
use crate::{Array, Dtype, Error, IntoAxes, Operand, Result};

impl Array {
    /// Padding before and after each axis: `1` (everywhere), `(1, 2)` (each axis),
    /// `[(0, 0), (1, 2)]` (one pair for each axis), or [`on_axes`] for some of them.
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
    /// that the array's dtype does not hold; [`Error::Shape`] for an axis that is not there, or twice;
    /// an empty axis can be padded with a constant only.
    #[track_caller]
    pub fn pad(&self, widths: impl PadWidths, mode: PadMode) -> Result<Array> {
        let widths = self.widths(widths)?;
        let (mode, value) = match mode {
            PadMode::Constant(value) => {
                return self.padded(&widths, &self.constant(value)?, "constant");
            }
            PadMode::Edge => ("edge", 0.0),
            PadMode::Reflect => ("reflect", 0.0),
            PadMode::Symmetric => ("symmetric", 0.0),
        };
        if let Some(axis) = (0..widths.len()).find(|&i| self.shape()[i] == 0)
            && widths[axis] != (0, 0)
        {
            return Err(Error::argument(
                "mode",
                "`Constant` for an empty axis",
                mode,
            ));
        }
        self.padded(&widths, &self.constant(value)?, mode)
    }

    /// [`pad`](Array::pad) with a number of any type, exactly, or with the one element of an array.
    ///
    /// ```
    /// # fn main() -> zmlx::Result<()> {
    /// let x = zmlx::Array::from_slice(&[1i64], 1)?;
    /// let y = x.pad_with((0, 1), i64::MAX)?; // which a float does not hold
    /// assert_eq!(y.to_vec::<i64>()?, [1, i64::MAX]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`pad`](Array::pad), and [`Error::Shape`] for an array of more than one element.
    #[track_caller]
    pub fn pad_with(&self, widths: impl PadWidths, value: impl Operand) -> Result<Array> {
        let widths = self.widths(widths)?;
        let mut value = value.operand(self.dtype())?;
        check_update("value", &value, self.dtype())?;
        if value.size() != 1 {
            return Err(Error::shape(format!(
                "`value`: expected one element, got shape {:?}",
                value.shape()
            )));
        }
        if value.ndim() > 0 {
            value = Cow::Owned(value.reshape(())?);
        }
        if !value.is_tracer() {
            return self.padded(&widths, &value, "constant");
        }
        // MLX's padding has no derivative by its value: a choice has.
        let dtype = self.dtype();
        let inside = self.ones_like_as(Dtype::Bool)?;
        let inside = inside.padded(&widths, &exact(0.0, Dtype::Bool)?, "constant")?;
        let zeros = self.padded(&widths, &exact(0.0, dtype)?, "constant")?;
        where_(&inside, zeros, value.astype(dtype)?)
    }

    #[track_caller]
    fn widths(&self, widths: impl PadWidths) -> Result<Vec<(i32, i32)>> {
        let widths = widths.widths(self.ndim())?;
        let bad = widths.iter().any(|&(low, high)| low < 0 || high < 0);
        if bad || widths.len() != self.ndim() {
            return Err(Error::argument(
                "widths",
                format_args!("{} pairs of numbers from 0", self.ndim()),
                format_args!("{widths:?}"),
            ));
        }
        Ok(widths)
    }

    /// A number as an element of this array.
    #[track_caller]
    fn constant(&self, value: f64) -> Result<Array> {
        let dtype = self.dtype();
        Number::Real(value).check("mode", dtype, false)?;
        exact(value, dtype)
    }

    #[track_caller]
    fn padded(&self, widths: &[(i32, i32)], value: &Array, mode: &str) -> Result<Array> {
        let (low, high): (Vec<_>, Vec<_>) = widths.iter().copied().unzip();
        let value = value.raw();
        done(ffi::pad(self.raw(), &low, &high, value, mode, current()))
    }
}

/// What [`Array::pad`] puts around the array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PadMode {
    /// This number. [`Array::pad_with`] takes those that f64 does not hold.
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
    note = "the same on all sides (i32), before and after all axes, or a pair for each axis: `1`, `(1, 2)`, `[(0, 0), (1, 2)]`; \
            `on_axes(-1, (1, 2))` for some axes"
)]
pub trait PadWidths {
    /// One pair for each axis of an array with `ndim` dimensions.
    ///
    /// # Errors
    /// [`Error::Shape`] for axes that the array has not.
    #[track_caller]
    fn widths(self, ndim: usize) -> Result<Vec<(i32, i32)>>;
}

impl PadWidths for i32 {
    fn widths(self, ndim: usize) -> Result<Vec<(i32, i32)>> {
        Ok(vec![(self, self); ndim])
    }
}

impl PadWidths for (i32, i32) {
    fn widths(self, ndim: usize) -> Result<Vec<(i32, i32)>> {
        Ok(vec![self; ndim])
    }
}

impl<const N: usize> PadWidths for [(i32, i32); N] {
    fn widths(self, _ndim: usize) -> Result<Vec<(i32, i32)>> {
        Ok(self.to_vec())
    }
}

impl PadWidths for &[(i32, i32)] {
    fn widths(self, _ndim: usize) -> Result<Vec<(i32, i32)>> {
        Ok(self.to_vec())
    }
}

/// Widths for some axes; the others get no padding. Made by [`on_axes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnAxes<W> {
    axes: crate::Axes,
    widths: W,
}

/// Padding of these axes only: the widths are the same for each of them, or a pair for each in their order.
///
/// ```
/// use zmlx::{Array, ops::{PadMode, on_axes}};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1, 2, 3, 4], (2, 2))?;
/// let y = x.pad(on_axes(-1, (0, 1)), PadMode::Edge)?;
/// assert_eq!(y.to_vec::<i32>()?, [1, 2, 2, 3, 4, 4]);
/// # Ok(())
/// # }
/// ```
pub fn on_axes<W: PadWidths>(axes: impl IntoAxes, widths: W) -> OnAxes<W> {
    OnAxes {
        axes: axes.into_axes(),
        widths,
    }
}

impl<W: PadWidths> PadWidths for OnAxes<W> {
    #[track_caller]
    fn widths(self, ndim: usize) -> Result<Vec<(i32, i32)>> {
        let axes = distinct("axes", &self.axes.resolve(ndim), ndim)?;
        let widths = self.widths.widths(axes.len())?;
        if widths.len() != axes.len() {
            return Err(Error::argument(
                "widths",
                format_args!("{} pairs, one for each of the axes", axes.len()),
                format_args!("{widths:?}"),
            ));
        }
        let mut all = vec![(0, 0); ndim];
        for (&axis, pair) in axes.iter().zip(widths) {
            all[axis as usize] = pair;
        }
        Ok(all)
    }
}
