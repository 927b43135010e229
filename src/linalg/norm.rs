//! Norms of vectors and matrices.

use crate::bridge::linalg::ffi;
use crate::dtype::Dtype;
use crate::ops::{axes, done};
use crate::stream::current;
use crate::{Array, Axes, Error, IntoAxes, Result};

/// The norm of a vector or matrix, or of those along some axes.
///
/// Without options it is the 2-norm of all elements, the root of the sum of their squares. [`axes`](Norm::axes) chooses one axis, for vectors, or two, for
/// matrices; [`order`](Norm::order) another norm.
///
/// The result is real, of the array's dtype; float32 for integers. Float16 and bfloat16 are computed in float32.
///
/// ```
/// use zmlx::{Array, keepdims, linalg};
///
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[3.0f32, -4.0], 2)?;
/// assert_eq!(linalg::norm(&x).call()?.item::<f32>()?, 5.0);
/// assert_eq!(linalg::norm(&x).order(1).call()?.item::<f32>()?, 7.0);
/// assert_eq!(linalg::norm(&x).order(f64::INFINITY).axes(keepdims(0)).call()?.shape(), [1]);
/// # Ok(())
/// # }
/// ```
pub fn norm(a: &Array) -> Norm<'_> {
    Norm {
        a,
        order: None,
        axes: Axes::default(),
    }
}

/// Options of [`norm`].
#[derive(Clone, Debug)]
#[must_use = "nothing is computed before `call`"]
pub struct Norm<'a> {
    a: &'a Array,
    order: Option<NormOrder>,
    axes: Axes,
}

/// Which norm, see [`Norm::order`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormOrder {
    /// A number, also infinite.
    P(f64),
    /// The root of the sum of squares, of matrices.
    Frobenius,
    /// The sum of singular values, of matrices.
    Nuclear,
}

impl From<f64> for NormOrder {
    fn from(p: f64) -> Self {
        NormOrder::P(p)
    }
}

impl From<i32> for NormOrder {
    fn from(p: i32) -> Self {
        NormOrder::P(p.into())
    }
}

impl Norm<'_> {
    /// The kind of norm, a number or a [`NormOrder`].
    ///
    /// | order | of a vector | of a matrix |
    /// |---|---|---|
    /// | none | root of the sum of squares | the same |
    /// | `p` | `sum(abs(x)^p)^(1/p)` | |
    /// | infinity, -infinity | largest, smallest `abs(x)` | largest, smallest sum of a row |
    /// | 0 | how many are not 0 | |
    /// | 1, -1 | as `p` | largest, smallest sum of a column |
    /// | 2, -2 | as `p` | largest, smallest singular value |
    /// | `Frobenius` | | root of the sum of squares |
    /// | `Nuclear` | | sum of singular values |
    ///
    /// Singular values are computed on the CPU only, in float32 or float64.
    pub fn order(mut self, order: impl Into<NormOrder>) -> Self {
        self.order = Some(order.into());
        self
    }

    /// One axis for norms of vectors or two for norms of matrices; [`keepdims`](crate::keepdims) keeps them.
    pub fn axes(mut self, axes: impl IntoAxes) -> Self {
        self.axes = axes.into_axes();
        self
    }

    /// The norms, of the array's shape without the axes.
    ///
    /// # Errors
    /// [`Error::Shape`] for more than two axes, or for an order that takes another number of axes, [`Error::Argument`] for an order that matrices
    /// do not have, or NaN.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        let a = match self.a.dtype() {
            Dtype::Float32 | Dtype::Float64 | Dtype::Complex64 => self.a.clone(),
            _ => self.a.astype(Dtype::Float32)?,
        };
        let result = match self.a.dtype() {
            half @ (Dtype::Float16 | Dtype::Bfloat16) => half,
            _ => super::real_part(a.dtype()),
        };
        let all = axes::distinct("axes", &self.axes.resolve(a.ndim()), a.ndim())?;
        let keepdims = self.axes.keeps_dims();
        let Some(order) = self.order else {
            // Those of all elements may be of any number of dimensions.
            if self.axes.list().is_none() && all.len() != 1 {
                let flat = a.flatten(..)?;
                let one = done(ffi::norm_2(flat.raw(), &[0], false, current()))?.astype(result)?;
                return one.reshape(vec![1; if keepdims { a.ndim() } else { 0 }]);
            }
            self.some_axes(&all, 1..=2)?;
            return done(ffi::norm_2(a.raw(), &all, keepdims, current()))?.astype(result);
        };
        let p = match order {
            NormOrder::P(p) => p,
            named => {
                self.some_axes(&all, 2..=2)?;
                let name = if named == NormOrder::Nuclear {
                    "nuc"
                } else {
                    "fro"
                };
                return done(ffi::norm_named(a.raw(), name, &all, keepdims, current()))?
                    .astype(result);
            }
        };
        self.some_axes(&all, 1..=2)?;
        let known = all.len() == 1 || [1.0, 2.0, f64::INFINITY].contains(&p.abs());
        if p.is_nan() || !known {
            return Err(Error::argument(
                "order",
                "1, -1, 2, -2 or an infinity for matrices, any number for vectors",
                p,
            ));
        }
        done(ffi::norm(a.raw(), p, &all, keepdims, current()))?.astype(result)
    }

    #[track_caller]
    fn some_axes(&self, axes: &[i32], number: std::ops::RangeInclusive<usize>) -> Result<()> {
        if number.contains(&axes.len()) {
            return Ok(());
        }
        let wanted = match number.start() {
            2 => "two axes, of matrices",
            _ => "one axis, of vectors, or two, of matrices",
        };
        Err(Error::shape(format!(
            "`axes`: expected {wanted}, got {axes:?} of shape {:?}",
            self.a.shape()
        )))
    }
}
