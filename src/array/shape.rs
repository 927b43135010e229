//! How callers write shapes and axes: tuples, arrays, slices, single numbers.

use smallvec::SmallVec;

use crate::{Error, Result};

/// Anything that names a shape: `()`, `(2, 3)`, `[2, 3]`, `&[2, 3]`, `vec![2, 3]`, `5`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a shape",
    note = "a shape is a number, or a tuple, array, slice or vector of i32, i64, u32, u64 or usize: `3`, `(2, 3)`, `[2, 3]`, \
            `()`, `x.shape()`"
)]
pub trait IntoShape: Sized {
    /// The numbers as they are; -1 stands for a dimension to infer.
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>>;

    /// The dimensions, each at least 0.
    #[track_caller]
    fn into_shape(self) -> Result<Vec<i32>> {
        let shape = self.into_dims()?;
        match shape.iter().position(|&d| d < 0) {
            Some(axis) => Err(bad_dimension(axis, shape[axis])),
            None => Ok(shape),
        }
    }
}

#[track_caller]
fn bad_dimension(axis: usize, got: impl std::fmt::Display) -> Error {
    Error::shape(format!(
        "`shape`: expected dimension {axis} between 0 and 2147483647, got {got}"
    ))
}

/// One dimension as an integer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a dimension",
    note = "dimensions are i32, i64, u32, u64 or usize"
)]
pub trait Dim: Copy {
    /// As MLX stores it, if it fits.
    fn to_i32(self) -> Option<i32>;

    /// The number for people.
    fn text(self) -> String {
        self.to_i32()
            .map_or_else(|| "a larger number".into(), |n| n.to_string())
    }
}

/// One dimension, or -1 for one to infer.
#[track_caller]
fn dimension(axis: usize, d: impl Dim) -> Result<i32> {
    match d.to_i32() {
        Some(n) if n >= -1 => Ok(n),
        _ => Err(bad_dimension(axis, d.text())),
    }
}

macro_rules! dims {
    ($($ty:ty),*) => {$(
        impl Dim for $ty {
            fn to_i32(self) -> Option<i32> {
                i32::try_from(self).ok()
            }

            fn text(self) -> String {
                self.to_string()
            }
        }
        impl IntoShape for $ty {
            #[track_caller]
            fn into_dims(self) -> Result<Vec<i32>> {
                [self].into_dims()
            }
        }
    )*};
}
dims!(i32, i64, u32, u64, usize);

impl<D: Dim> IntoShape for &[D] {
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>> {
        let mut dims = Vec::with_capacity(self.len());
        for (axis, d) in self.iter().enumerate() {
            dims.push(dimension(axis, *d)?);
        }
        Ok(dims)
    }
}

impl<D: Dim, const N: usize> IntoShape for [D; N] {
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>> {
        self.as_slice().into_dims()
    }
}

impl<D: Dim, const N: usize> IntoShape for &[D; N] {
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>> {
        self.as_slice().into_dims()
    }
}

impl<D: Dim> IntoShape for Vec<D> {
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>> {
        self.as_slice().into_dims()
    }
}

impl<D: Dim> IntoShape for &Vec<D> {
    #[track_caller]
    fn into_dims(self) -> Result<Vec<i32>> {
        self.as_slice().into_dims()
    }
}

impl IntoShape for () {
    fn into_dims(self) -> Result<Vec<i32>> {
        Ok(Vec::new())
    }
}

/// A few integers, without an allocation.
pub(crate) type Few = SmallVec<[i32; 4]>;

/// Which axes an operation works on, and whether reduced ones stay with length 1; made by [`IntoAxes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axes {
    list: Option<Few>,
    keepdims: bool,
}

impl Axes {
    /// The axes as they were given; `None` for all.
    pub fn list(&self) -> Option<&[i32]> {
        self.list.as_deref()
    }

    /// Whether reduced axes stay, with length 1.
    pub fn keeps_dims(&self) -> bool {
        self.keepdims
    }

    /// The axes as numbers for an array of `ndim` dimensions.
    pub(crate) fn resolve(&self, ndim: usize) -> Few {
        match &self.list {
            Some(axes) => axes.clone(),
            None => (0..ndim as i32).collect(),
        }
    }
}

/// Anything that names axes: `..` for all, `-1`, `[0, 2]`, `(0, 1)`, or [`keepdims`] of those.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name axes",
    note = "axes are i32, and negative ones count from the last: `-1`, `[0, 2]`, `(0, 1)`, `..` for all, `keepdims(-1)`; \
            a usize is `n as i32`"
)]
pub trait IntoAxes {
    /// The axes.
    fn into_axes(self) -> Axes;
}

/// Keeps reduced axes with length 1: `x.sum(keepdims(-1))`.
///
/// ```
/// use zmlx::{Array, keepdims};
/// let x = Array::arange(6)?.reshape((2, 3))?;
/// assert_eq!(x.sum(-1)?.shape(), [2]);
/// assert_eq!(x.sum(keepdims(-1))?.shape(), [2, 1]);
/// # Ok::<(), zmlx::Error>(())
/// ```
pub fn keepdims(axes: impl IntoAxes) -> Axes {
    Axes {
        keepdims: true,
        ..axes.into_axes()
    }
}

impl IntoAxes for Axes {
    fn into_axes(self) -> Axes {
        self
    }
}

impl IntoAxes for std::ops::RangeFull {
    fn into_axes(self) -> Axes {
        Axes::default()
    }
}

impl IntoAxes for &[i32] {
    fn into_axes(self) -> Axes {
        Axes {
            list: Some(self.into()),
            keepdims: false,
        }
    }
}

impl IntoAxes for i32 {
    fn into_axes(self) -> Axes {
        [self].into_axes()
    }
}

impl<const N: usize> IntoAxes for [i32; N] {
    fn into_axes(self) -> Axes {
        self.as_slice().into_axes()
    }
}

impl<const N: usize> IntoAxes for &[i32; N] {
    fn into_axes(self) -> Axes {
        self.as_slice().into_axes()
    }
}

impl IntoAxes for &Vec<i32> {
    fn into_axes(self) -> Axes {
        self.as_slice().into_axes()
    }
}

impl IntoAxes for Vec<i32> {
    fn into_axes(self) -> Axes {
        self.as_slice().into_axes()
    }
}

macro_rules! ignore_type {
    ($name:ident) => {
        i32
    };
}

macro_rules! tuples {
    ($(($($name:ident),+))*) => {$(
        #[allow(non_snake_case)]
        impl<$($name: Dim),+> IntoShape for ($($name,)+) {
            #[track_caller]
            fn into_dims(self) -> Result<Vec<i32>> {
                let ($($name,)+) = self;
                let mut axes = 0..;
                Ok(vec![$(dimension(axes.next().unwrap_or(0), $name)?),+])
            }
        }
        #[allow(non_snake_case)]
        impl IntoAxes for ($(ignore_type!($name),)+) {
            fn into_axes(self) -> Axes {
                let ($($name,)+) = self;
                [$($name),+].into_axes()
            }
        }
    )*};
}

tuples! {
    (A)
    (A, B)
    (A, B, C)
    (A, B, C, D)
    (A, B, C, D, E)
    (A, B, C, D, E, F)
    (A, B, C, D, E, F, G)
    (A, B, C, D, E, F, G, H)
}

/// How many elements a shape holds.
#[track_caller]
pub(crate) fn element_count(shape: &[i32]) -> Result<usize> {
    let count = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(usize::try_from(d).ok()?));
    match count {
        Some(n) if n <= isize::MAX as usize / 16 => Ok(n),
        _ => Err(Error::shape(format!(
            "`shape`: {shape:?} holds too many elements"
        ))),
    }
}
