//! Sums whose rounding errors are added up beside them, from the first element to the last join of threads
//! (T. Ogita, S. M. Rump and S. Oishi, "Accurate sum and dot product", 2005): as if twice as many bits were summed.

use crate::kernels::arguments::rows_of;
use crate::kernels::kernel::RowKernel;
use crate::kernels::op::Op;
use crate::{Array, Dtype};

/// What becomes of the sum.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Sum,
    Mean,
}

pub(super) static COMPENSATED: Op<Of> = Op {
    name: "compensated_sum",
    rows: 1,
    visible: 1,
    forward: |of, p| {
        let (rows, width) = rows_of("x", p[0])?;
        let kernel = match of {
            Of::Sum => &SUM,
            Of::Mean => &MEAN,
        };
        let leading = &p[0].shape()[..p[0].ndim() - 1];
        let y = kernel.launch(p, [(leading, p[0].dtype())], rows, width)?;
        Ok(y.into())
    },
    vjp: |of, p, g, _| {
        let mut each = g[0].expand_dims(-1)?;
        if matches!(of, Of::Mean) {
            // In 16 bits the width may be infinite.
            let width = Array::from(p[0].dim(-1)? as f32);
            each = each
                .astype(Dtype::Float32)?
                .divide(width)?
                .astype(g[0].dtype())?;
        }
        Ok(vec![each.broadcast_to(p[0].shape())?])
    },
    composite: |of, p| {
        Ok(vec![match of {
            Of::Sum => p[0].sum(-1)?,
            Of::Mean => p[0].mean(-1)?,
        }])
    },
};

static SUM: RowKernel = RowKernel::new(
    "sum_compensated",
    &["x"],
    &["out"],
    "kk_compensated_row<false>(x + row * n, out + row, n, g)",
)
.alone();
static MEAN: RowKernel = RowKernel::new(
    "mean_compensated",
    &["x"],
    &["out"],
    "kk_compensated_row<true>(x + row * n, out + row, n, g)",
)
.alone();
