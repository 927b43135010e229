//! Sum, mean, largest element, variance and standard deviation.

use super::compensated::{COMPENSATED, Of};
use crate::kernels::arguments::{check_float, rows_of};
use crate::kernels::catalog::{Entry, Input, Kind, few_roundings, input};
use crate::kernels::recipe::Kernel;
use crate::{Array, Dtype, Error, Result};

/// The sum of each row.
///
/// `x`: (..., D), float32, float16 or bfloat16; the result is (...), like it, computed in float32. Integers and truth values
/// are summed as integers, exactly: those of less than 32 bits as int32, others in their own type, in which a sum that is too
/// large wraps around. A row without elements gives 0, one with NaN gives NaN. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels::reductions};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1e8f32, 1.0, -1e8, 1.0], 4)?;
/// assert_eq!(reductions::sum_lastdim(&x).kahan(true).call()?.item::<f32>()?, 2.0);
/// let x = Array::from_slice(&[16_777_217, 16_777_219], 2)?;
/// assert_eq!(reductions::sum_lastdim(&x).call()?.item::<i32>()?, 33_554_436);
/// # Ok(())
/// # }
/// ```
pub fn sum_lastdim(x: &Array) -> SumLastdim<'_> {
    SumLastdim { x, kahan: false }
}

/// A call of [`sum_lastdim`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct SumLastdim<'a> {
    x: &'a Array,
    kahan: bool,
}

/// The mean of each row.
///
/// `x`: (..., D), float32, float16 or bfloat16; the result is (...), like it, computed in float32. Integers and truth values
/// are summed as 64-bit integers, and the result is float32. A row without elements gives NaN, and so does one with
/// NaN. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels::reductions};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 6.0], 3)?;
/// assert_eq!(reductions::mean_lastdim(&x).call()?.item::<f32>()?, 3.0);
/// let x = Array::from_slice(&[1, 2], 2)?;
/// assert_eq!(reductions::mean_lastdim(&x).call()?.item::<f32>()?, 1.5);
/// # Ok(())
/// # }
/// ```
pub fn mean_lastdim(x: &Array) -> MeanLastdim<'_> {
    MeanLastdim { x, kahan: false }
}

/// A call of [`mean_lastdim`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct MeanLastdim<'a> {
    x: &'a Array,
    kahan: bool,
}

macro_rules! summing {
    ($Call:ident, $KERNEL:ident, $of:expr, $integers:expr) => {
        impl $Call<'_> {
            /// Whether the rounding errors of all additions are added up, too (default false): the result is then as exact as if
            /// it had been summed in 48 bits. Without, long rows are summed in many short runs. Integers are exact in
            /// any case.
            pub fn kahan(mut self, kahan: bool) -> Self {
                self.kahan = kahan;
                self
            }

            /// Adds it to the graph.
            ///
            /// # Errors
            /// [`Error::Shape`] for a scalar, [`Error::Dtype`] for float64 and complex64.
            #[track_caller]
            pub fn call(self) -> Result<Array> {
                match self.x.dtype().is_integral() {
                    true => $integers(self.x),
                    false if self.kahan => {
                        check_float("x", self.x)?;
                        rows_of("x", self.x)?;
                        COMPENSATED.call1($of, &[self.x])
                    }
                    false => $KERNEL.call1(&[self.x], &[]),
                }
            }
        }
    };
}
summing!(SumLastdim, SUM, Of::Sum, sum_of_integers);
/// A function, as a closure would be taken for the caller.
#[track_caller]
fn sum_of_integers(x: &Array) -> Result<Array> {
    rows_of("x", x)?;
    x.sum(-1)
}

summing!(MeanLastdim, MEAN, Of::Mean, mean_of_integers);

/// The largest element of each row.
///
/// `x`: (..., D), float32, float16, bfloat16, integers or truth values; the result is (...), like it. A row with NaN gives NaN;
/// one without elements gives minus infinity. Differentiable any number of times: equal largest elements share the
/// gradient.
///
/// ```
/// use zmlx::{Array, kernels::reductions};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 3.0, f32::NAN, 3.0], (2, 2))?;
/// let y = reductions::max_lastdim(&x)?.to_vec::<f32>()?;
/// assert!(y[0] == 3.0 && y[1].is_nan());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar and for rows of integers without elements, [`Error::Dtype`] for float64 and complex64.
#[track_caller]
pub fn max_lastdim(x: &Array) -> Result<Array> {
    if !x.dtype().is_integral() {
        return MAX.call1(&[x], &[]);
    }
    let (_, width) = rows_of("x", x)?;
    if width == 0 {
        return Err(Error::shape(format!(
            "`x`: expected rows of at least one integer, got shape {:?}",
            x.shape()
        )));
    }
    x.max(-1)
}

/// The variance of each row: the mean of the squared deviations from the mean.
///
/// `x`: (..., D), float32, float16 or bfloat16; the result is (...), like it, computed in float32. Deviations are
/// squared, so a mean far above the spread does no harm. Of integers and truth values the deviations are exact up to one
/// rounding to float32, and the result is float32. A row without elements gives NaN, and so does one with NaN or an
/// infinity. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels::reductions};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[9_999.0f32, 10_001.0, 7.0, 7.0], (2, 2))?;
/// assert_eq!(reductions::var_lastdim(&x)?.to_vec::<f32>()?, [1.0, 0.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`] for a scalar, [`Error::Dtype`] for float64 and complex64.
#[track_caller]
pub fn var_lastdim(x: &Array) -> Result<Array> {
    match x.dtype().is_integral() {
        true => VAR.call1(&[&deviations(x)?], &[]),
        false => VAR.call1(&[x], &[]),
    }
}

/// The standard deviation of each row: the root of [`var_lastdim`], whose variance is not rounded to the dtype of `x` in between.
///
/// The original rounds the variance to the dtype of `x` and adds 1e-6 to it, so that equal numbers deviate by 0.001. Here `eps` is an
/// option that is 0 unless asked for, as the deviation of equal numbers is 0. There the gradient is 0, too.
///
/// ```
/// use zmlx::{Array, kernels::reductions};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[9_998.0f32, 10_002.0, 7.0, 7.0], (2, 2))?;
/// assert_eq!(reductions::std_lastdim(&x).call()?.to_vec::<f32>()?, [2.0, 0.0]);
/// # Ok(())
/// # }
/// ```
pub fn std_lastdim(x: &Array) -> StdLastdim<'_> {
    StdLastdim { x, eps: 0.0 }
}

/// A call of [`std_lastdim`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct StdLastdim<'a> {
    x: &'a Array,
    eps: f32,
}

impl StdLastdim<'_> {
    /// What is added to the variance (default 0).
    ///
    /// ```
    /// use zmlx::{Array, kernels};
    /// let x = Array::from_iter([7.0f32, 7.0])?;
    /// let y = kernels::reductions::std_lastdim(&x).eps(0.25).call()?;
    /// assert_eq!(y.item::<f32>()?, 0.5);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn eps(mut self, eps: f32) -> Self {
        self.eps = eps;
        self
    }

    /// Adds it to the graph.
    ///
    /// # Errors
    /// Those of [`var_lastdim`], and [`Error::Argument`] for an `eps` that is negative, infinite or NaN.
    #[track_caller]
    pub fn call(self) -> Result<Array> {
        if !(self.eps.is_finite() && self.eps >= 0.0) {
            return Err(Error::argument(
                "eps",
                "a finite number from 0 on",
                self.eps,
            ));
        }
        match self.x.dtype().is_integral() {
            true => STD.call1(&[&deviations(self.x)?], &[self.eps]),
            false => STD.call1(&[self.x], &[self.eps]),
        }
    }
}

/// The sums of rows of integers, in 64 bits, and the rows in 64 bits.
#[track_caller]
fn in_64_bits(x: &Array) -> Result<(Array, Array)> {
    rows_of("x", x)?;
    let x = match x.dtype() {
        Dtype::Uint64 => x.clone(),
        _ => x.astype(Dtype::Int64)?,
    };
    Ok((x.sum(-1)?, x))
}

#[track_caller]
fn mean_of_integers(x: &Array) -> Result<Array> {
    let (sum, wide) = in_64_bits(x)?;
    let width = x.dim(-1)?;
    let mean = sum
        .astype(Dtype::Float32)?
        .divide(Array::from(width as f32))?;
    if x.dtype().size() < 8 || width == 0 {
        return Ok(mean);
    }
    // A mean of fewer than 32 bits has a sum that 64 bits hold, and of another the fraction does not count.
    let whole = whole_mean(&wide, &sum)?;
    let limit = 1i64 << 31;
    let mut large = whole.greater_equal(limit)?;
    if x.dtype() == Dtype::Int64 {
        large = large.logical_or(&whole.less(-limit)?)?;
    }
    crate::ops::where_(&large, &whole.astype(Dtype::Float32)?, &mean)
}

/// The whole number at or below the mean of each row, which is not empty, of integers of 64 bits whose sum, `sum`, may have wrapped.
#[track_caller]
fn whole_mean(wide: &Array, sum: &Array) -> Result<Array> {
    let width = Array::scalar(i64::from(wide.dim(-1)?))?.astype(sum.dtype())?;
    let parts = wide.floor_divide(&width)?;
    let rest = wide.subtract(&parts.multiply(&width)?)?;
    parts.sum(-1)?.add(&rest.sum(-1)?.floor_divide(&width)?)
}

/// By how much integers differ from the whole number beside their mean, as float32.
#[track_caller]
fn deviations(x: &Array) -> Result<Array> {
    let (sum, wide) = in_64_bits(x)?;
    let width = x.dim(-1)?;
    if width == 0 {
        return Array::zeros(x.shape(), Dtype::Float32);
    }
    let short = x.dtype().size() < 8;
    let mean = match short {
        true => sum.floor_divide(Array::scalar(i64::from(width))?)?,
        false => whole_mean(&wide, &sum)?,
    };
    let mean = mean.expand_dims(-1)?;
    // Unsigned differences wrap around to what signed ones are.
    let off = wide.subtract(&mean)?.astype(Dtype::Int64)?;
    let near = off.astype(Dtype::Float32)?;
    if short {
        return Ok(near);
    }
    // But for those that 64 bits do not hold, which lose nothing that counts as floats.
    let far = wide
        .astype(Dtype::Float32)?
        .subtract(&mean.astype(Dtype::Float32)?)?;
    let wrapped = wide
        .greater_equal(&mean)?
        .not_equal(&off.greater_equal(0)?)?;
    crate::ops::where_(&wrapped, &far, &near)
}

const X: &[Input] = &[input("x", Kind::Numbers)];

static SUM: Kernel = Kernel::new("reductions::sum_lastdim", X, &[], "sum(x)", "sum(x)");

static MEAN: Kernel = Kernel::new("reductions::mean_lastdim", X, &[], "mean(x)", "mean(x)");

// The largest of numbers passes a NaN over.
static MAX: Kernel = Kernel::new(
    "reductions::max_lastdim",
    X,
    &[],
    "odd = max(isnan(x) ? 1.0f : 0.0f); max(x) * (odd > 0 ? NAN : 1.0f)",
    "max(x)",
);

// See `norms` for the mean in two steps.
static VAR: Kernel = Kernel::new(
    "reductions::var_lastdim",
    X,
    &[],
    "d = x - kk_stop(mean(x));
     rest = mean(d);
     v = mean(d * d) - rest * rest;
     v < 0 ? 0.0f : v",
    "var(x)",
);

static STD: Kernel = Kernel::new(
    "reductions::std_lastdim",
    X,
    &["eps"],
    "d = x - kk_stop(mean(x));
     rest = mean(d);
     v = mean(d * d) - rest * rest + eps;
     v <= 0 ? 0.0f : sqrt(v)",
    "sqrt(var(x) + eps)",
);

/// The option of tests and benchmarks.
const EPS: f32 = 0.0625;

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "reductions::sum_lastdim",
        formula: "sum(x)",
        file: "",
        inputs: X,
        call: |p| Ok(vec![sum_lastdim(&p[0]).call()?]),
        composite: |p| SUM.reference(p, &[]),
        mlx: Some(|p| Ok(vec![p[0].sum(-1)?])),
        bytes: |rows, width, size| SUM.bytes(rows, width, size),
        // The whole may be near 0, where only a term is left to compare with. Each addition rounds a part of the sum, as large as some terms, up or
        // down, so errors grow with the root of the width. In 150 rows of 151,935 normal numbers their root mean square was a sixth of this.
        roundings: |width| 16.0 + 2.0 * (width as f64).sqrt(),
    },
    Entry {
        name: "reductions::mean_lastdim",
        formula: "mean(x)",
        file: "",
        inputs: X,
        call: |p| Ok(vec![mean_lastdim(&p[0]).call()?]),
        composite: |p| MEAN.reference(p, &[]),
        mlx: Some(|p| Ok(vec![p[0].mean(-1)?])),
        bytes: |rows, width, size| MEAN.bytes(rows, width, size),
        roundings: few_roundings,
    },
    Entry {
        name: "reductions::max_lastdim",
        formula: "max(x)",
        file: "",
        inputs: X,
        call: |p| Ok(vec![max_lastdim(&p[0])?]),
        composite: |p| MAX.reference(p, &[]),
        mlx: Some(|p| Ok(vec![p[0].max(-1)?])),
        bytes: |rows, width, size| MAX.bytes(rows, width, size),
        roundings: few_roundings,
    },
    Entry {
        name: "reductions::var_lastdim",
        formula: "var(x)",
        file: "",
        inputs: X,
        call: |p| Ok(vec![var_lastdim(&p[0])?]),
        composite: |p| VAR.reference(p, &[]),
        mlx: Some(|p| Ok(vec![p[0].var(-1, 0)?])),
        bytes: |rows, width, size| VAR.bytes(rows, width, size),
        roundings: few_roundings,
    },
    Entry {
        name: "reductions::std_lastdim",
        formula: "sqrt(var(x) + eps)",
        file: "",
        inputs: X,
        call: |p| Ok(vec![std_lastdim(&p[0]).eps(EPS).call()?]),
        composite: |p| STD.reference(p, &[f64::from(EPS)]),
        mlx: None,
        bytes: |rows, width, size| STD.bytes(rows, width, size),
        roundings: few_roundings,
    },
];
