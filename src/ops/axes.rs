//! Axes and positions as people give them, checked here: MLX's messages do not say what came.

use crate::array::Few;
use crate::{Array, Axes, Error, Result};

/// An axis of `ndim` dimensions, counted from the first.
#[track_caller]
pub(crate) fn axis(argument: &str, axis: i32, ndim: usize) -> Result<i32> {
    let n = i64::try_from(ndim).unwrap_or(i64::MAX);
    let from_first = i64::from(axis) + if axis < 0 { n } else { 0 };
    match (0..n).contains(&from_first) {
        true => Ok(from_first as i32),
        false => Err(Error::shape(format!(
            "`{argument}`: expected {}, got axis {axis}",
            there_are(ndim)
        ))),
    }
}

/// Different axes of `ndim` dimensions, counted from the first.
#[track_caller]
pub(crate) fn distinct(argument: &str, axes: &[i32], ndim: usize) -> Result<Few> {
    let mut all = Few::with_capacity(axes.len());
    for &one in axes {
        let from_first = axis(argument, one, ndim)?;
        if all.contains(&from_first) {
            return Err(Error::shape(format!(
                "`{argument}`: expected different axes of {ndim} dimensions, got {axes:?}"
            )));
        }
        all.push(from_first);
    }
    Ok(all)
}

fn there_are(ndim: usize) -> String {
    match ndim {
        0 => "no axis of an array without dimensions".to_owned(),
        1 => "axis 0 or -1 of an array of 1 dimension".to_owned(),
        n => format!(
            "an axis from -{n} to {} of an array of {n} dimensions",
            n - 1
        ),
    }
}

/// The axes of a reduction, all for `..`.
#[track_caller]
pub(super) fn reduced(axes: &Axes, ndim: usize) -> Result<Few> {
    match axes.list() {
        Some(list) => distinct("axes", list, ndim),
        None => Ok(axes.resolve(ndim)),
    }
}

impl Array {
    /// An axis of the flattened array can be no longer than any other.
    #[track_caller]
    pub(super) fn flat_for(&self, name: &str, axis: &[i32]) -> Result<()> {
        if !axis.is_empty() || self.size() <= i32::MAX as usize {
            return Ok(());
        }
        Err(Error::shape(format!(
            "[{name}] expected 2147483647 elements at most for the flattened array, got shape {:?}",
            self.shape()
        )))
    }

    /// One number for each dimension.
    #[track_caller]
    pub(super) fn one_each(&self, argument: &str, given: &[i32]) -> Result<()> {
        if given.len() == self.ndim() {
            return Ok(());
        }
        Err(Error::shape(format!(
            "`{argument}`: expected {}, one for each dimension of {:?}, got {given:?}",
            self.ndim(),
            self.shape()
        )))
    }

    /// Sizes of a part of this array.
    #[track_caller]
    pub(super) fn sizes_within(&self, argument: &str, sizes: &[i32]) -> Result<()> {
        self.one_each(argument, sizes)?;
        let fit = |(&size, &n): (&i32, &i32)| (0..=n).contains(&size);
        if sizes.iter().zip(self.shape()).all(fit) {
            return Ok(());
        }
        Err(Error::shape(format!(
            "`{argument}`: expected numbers from 0 to the array's shape {:?}, got {sizes:?}",
            self.shape()
        )))
    }

    /// At least two dimensions.
    #[track_caller]
    pub(super) fn matrices(&self, name: &str) -> Result<()> {
        if self.ndim() >= 2 {
            return Ok(());
        }
        Err(Error::shape(format!(
            "[{name}] expected two dimensions at least, got shape {:?}",
            self.shape()
        )))
    }
}
