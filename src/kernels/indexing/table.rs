//! The rows of the catalog's table: as many indices as there are rows.

use super::{fused_gather_add, fused_scatter_add};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, other, row_numbers};
use crate::{Array, Result};

static SOURCE: Other = floats("(N, D)", &[Axes::Rows(1), Axes::Width]);
static ROWS: Other = floats("(..., D)", &[Axes::Rows(1), Axes::Width]);
static INDICES: Other = row_numbers("(...), integers", &[Axes::Rows(1)]);

fn scattered(indices: &Array, updates: &Array) -> Result<Array> {
    // An axis for what an index says where to add.
    let updates = updates.expand_dims(1)?;
    let zeros = Array::zeros((updates.dim(0)?, updates.dim(2)?), updates.dtype())?;
    zeros.scatter_add([indices], &updates, 0)
}

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "indexing::fused_gather_add",
        formula: "src[indices[m], :] + other[m, :]",
        file: "indexing.metal",
        inputs: &[
            other("src", &SOURCE),
            other("indices", &INDICES),
            other("other", &ROWS),
        ],
        call: |p| Ok(vec![fused_gather_add(&p[0], &p[1], &p[2])?]),
        composite: |p| Ok(vec![p[0].take(&p[1], 0)?.add(&p[2])?]),
        mlx: None,
        bytes: |rows, width, size| 3 * rows * width * size + 4 * rows,
        roundings: few_roundings,
    },
    Entry {
        name: "indexing::fused_scatter_add",
        formula: "out[n, :] = the sum of updates[m, :] where indices[m] = n",
        file: "indexing.metal",
        inputs: &[other("indices", &INDICES), other("updates", &ROWS)],
        call: |p| {
            Ok(vec![
                fused_scatter_add(&p[0], &p[1], p[1].shape().to_vec()).call()?,
            ])
        },
        composite: |p| Ok(vec![scattered(&p[0], &p[1])?]),
        mlx: None,
        bytes: |rows, width, size| 2 * rows * width * size + 4 * rows,
        roundings: few_roundings,
    },
];
