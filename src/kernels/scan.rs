//! Running sums over the last axis.

use super::arguments::{check_float, rows_of};
use super::catalog::{Entry, Kind, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::ops::Scan;
use crate::{Array, Dtype, Result};

/// `out[i] = x[0] + ... + x[i]` over the last axis.
///
/// `x`: (..., D), float32, float16, bfloat16 or integers; the result is like it. Floats are added in float32 and rounded
/// once; integers are added exactly, modulo 2^bits of their dtype. Differentiable any number of times; backward
/// is [`cumsum_grad`]. From a NaN on all sums are NaN.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let x = Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?;
/// assert_eq!(kernels::scan::cumsum_lastdim(&x)?.to_vec::<f32>()?, [1.0, 3.0, 6.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for a scalar, [`Error::Dtype`](crate::Error::Dtype)
/// for bool and another dtype.
#[track_caller]
pub fn cumsum_lastdim(x: &Array) -> Result<Array> {
    sums(Direction::Forward, "x", x)
}

/// `out[i] = cotan[i] + ... + cotan[D - 1]` over the last axis: the gradient of [`cumsum_lastdim`].
///
/// `cotan`: (..., D), float32, float16, bfloat16 or integers; the result is like it, and added up as in
/// [`cumsum_lastdim`]. Differentiable any number of times.
///
/// ```
/// use zmlx::{Array, kernels};
/// # fn main() -> zmlx::Result<()> {
/// let cotan = Array::from_slice(&[1.0f32, 2.0, 3.0], 3)?;
/// assert_eq!(kernels::scan::cumsum_grad(&cotan)?.to_vec::<f32>()?, [6.0, 5.0, 3.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`cumsum_lastdim`].
#[track_caller]
pub fn cumsum_grad(cotan: &Array) -> Result<Array> {
    sums(Direction::Backward, "cotan", cotan)
}

#[track_caller]
fn sums(direction: Direction, name: &str, x: &Array) -> Result<Array> {
    let integers = x.dtype().is_integral() && x.dtype() != Dtype::Bool;
    if !integers {
        check_float(name, x)?;
    }
    rows_of(name, x)?;
    if integers {
        // MLX adds up integers in their own type.
        return x.cumsum(direction.scan());
    }
    CUMSUM.call1(direction, &[x])
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
}

impl Direction {
    fn scan(self) -> Scan {
        match self {
            Direction::Forward => Scan::along(-1),
            Direction::Backward => Scan::along(-1).reverse(),
        }
    }
}

static CUMSUM: Op<Direction> = Op {
    name: "cumsum_lastdim",
    rows: 1,
    visible: 1,
    forward: |direction, p| {
        let (rows, width) = rows_of("x", p[0])?;
        let kernel = match direction {
            Direction::Forward => &FORWARD,
            Direction::Backward => &BACKWARD,
        };
        let like = (p[0].shape(), p[0].dtype());
        Ok(kernel.launch(p, [like], rows, width)?.into())
    },
    vjp: |direction, _, g, _| {
        let other = match direction {
            Direction::Forward => Direction::Backward,
            Direction::Backward => Direction::Forward,
        };
        Ok(vec![CUMSUM.call1(other, &[&g[0]])?])
    },
    composite: |direction, p| Ok(vec![p[0].cumsum(direction.scan())?]),
};

static FORWARD: RowKernel = RowKernel::new(
    "cumsum",
    &["x"],
    &["out"],
    "kk_cumsum_row<false>(x + row * n, out + row * n, n, g)",
)
.scans(8, 32);
static BACKWARD: RowKernel = RowKernel::new(
    "cumsum_reverse",
    &["x"],
    &["out"],
    "kk_cumsum_row<true>(x + row * n, out + row * n, n, g)",
)
.scans(8, 32);

// Blocks of 64 add to the sum so far, which rounds each time: after `width / 64` steps a random walk has gone the root of that many
// roundings, an eighth of the width's root, and four times as far in one of many thousand results.
fn roundings(width: usize) -> f64 {
    16.0 + (width as f64).sqrt() / 2.0
}

pub(super) static TABLE: &[Entry] = &[
    Entry {
        name: "scan::cumsum_lastdim",
        formula: "x[0] + ... + x[i]",
        file: "scan.metal",
        inputs: &[input("x", Kind::Numbers)],
        call: |p| Ok(vec![cumsum_lastdim(&p[0])?]),
        composite: |p| (CUMSUM.composite)(&Direction::Forward, p),
        mlx: Some(|p| Ok(vec![p[0].cumsum(-1)?])),
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings,
    },
    Entry {
        name: "scan::cumsum_grad",
        formula: "cotan[i] + ... + cotan[D - 1]",
        file: "scan.metal",
        inputs: &[input("cotan", Kind::Numbers)],
        call: |p| Ok(vec![cumsum_grad(&p[0])?]),
        composite: |p| (CUMSUM.composite)(&Direction::Backward, p),
        mlx: Some(|p| Ok(vec![p[0].cumsum(Scan::along(-1).reverse())?])),
        bytes: |rows, width, size| 2 * rows * width * size,
        roundings,
    },
];
