//! The rows of the catalog's table for what is chosen.

use super::{argmax_lastdim, topk_lastdim};
use crate::kernels::catalog::{Entry, Input, Kind, few_roundings, input};
use crate::{Array, Dtype, Ellipsis, Result};

/// How many are chosen, of rows that have so many.
const CHOSEN: i32 = 8;

fn chosen(x: &Array) -> i32 {
    x.shape().last().map_or(1, |&width| width.min(CHOSEN))
}

/// The `k` largest of each row in descending order, and their places: of all elements in order, the first.
fn by_sorting(x: &Array, k: i32) -> Result<Vec<Array>> {
    let places = x.negative()?.argsort(-1)?.index((Ellipsis, 0..k))?;
    Ok(vec![x.take_along_axis(&places, -1)?, places])
}

/// The same without putting the others in order: MLX's fastest way. Of equal ones any may come first.
pub(in crate::kernels) fn by_partition(x: &Array, k: i32) -> Result<Vec<Array>> {
    let places = x.negative()?.argpartition(k - 1, -1)?;
    let places = places.index((Ellipsis, 0..k))?;
    let values = x.take_along_axis(&places, -1)?;
    let order = values.negative()?.argsort(-1)?;
    let places = places.take_along_axis(&order, -1)?;
    Ok(vec![
        values.take_along_axis(&order, -1)?,
        places.astype(Dtype::Uint32)?,
    ])
}

static RANKED: &[Input] = &[input("x", Kind::Ordered)];

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "reductions::argmax_lastdim",
        formula: "the first j with x[j] = max(x)",
        file: "selection.metal",
        inputs: &[input("x", Kind::Choices)],
        call: |p| Ok(vec![argmax_lastdim(&p[0])?]),
        composite: |p| Ok(vec![p[0].argmax(-1)?]),
        mlx: None,
        bytes: |rows, width, size| rows * (width * size + 4),
        roundings: few_roundings,
    },
    Entry {
        name: "reductions::topk_lastdim",
        formula: "the k largest of x in descending order, and their places; k = 8",
        file: "selection.metal",
        inputs: RANKED,
        call: |p| {
            let (values, places) = topk_lastdim(&p[0], chosen(&p[0]) as usize)?;
            Ok(vec![values, places])
        },
        composite: |p| by_sorting(&p[0], chosen(&p[0])),
        mlx: Some(|p| by_partition(&p[0], chosen(&p[0]))),
        bytes: |rows, width, size| rows * (width * size + CHOSEN as usize * (size + 4)),
        roundings: few_roundings,
    },
];
