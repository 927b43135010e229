//! Running sums over the last axis.

use super::arguments::{check_float, rows_of};
use super::catalog::{Entry, Kind, input};
use super::kernel::RowKernel;
use super::op::Op;
use crate::ops::Scan;
use crate::{Array, Result};

/// `out[i] = x[0] + ... + x[i]` over the last axis.
///
/// `x`: (..., D), float32, float16 or bfloat16; the result is like it. Added in float32 and rounded
/// once. Differentiable any number of times; backward adds up from the end.
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
/// for another dtype.
#[track_caller]
pub fn cumsum_lastdim(x: &Array) -> Result<Array> {
    check_float("x", x)?;
    rows_of("x", x)?;
    CUMSUM.call1(Direction::Forward, &[x])
}

#[derive(Clone, Copy)]
enum Direction {
    Forward,
    Backward,
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
    composite: |direction, p| {
        Ok(vec![match direction {
            Direction::Forward => p[0].cumsum(-1)?,
            Direction::Backward => p[0].cumsum(Scan::along(-1).reverse())?,
        }])
    },
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

pub(super) static TABLE: &[Entry] = &[Entry {
    name: "scan::cumsum_lastdim",
    formula: "x[0] + ... + x[i]",
    file: "scan.metal",
    inputs: &[input("x", Kind::Rows)],
    call: |p| Ok(vec![cumsum_lastdim(&p[0])?]),
    composite: |p| (CUMSUM.composite)(&Direction::Forward, p),
    mlx: Some(|p| Ok(vec![p[0].cumsum(-1)?])),
    bytes: |rows, width, size| 2 * rows * width * size,
    // Blocks add to the sum so far: roundings add up like a random walk.
    roundings: |width| 16.0 + (width as f64).sqrt() / 2.0,
}];
