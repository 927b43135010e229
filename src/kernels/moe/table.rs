//! The rows of the catalog's table: eight experts, of which each token goes to two.

use super::{moe_combine, moe_dispatch, top2_gating_softmax};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, integers, other};
use crate::{Array, Dtype, Ellipsis, Result};

const EXPERTS: i32 = 8;

static LOGITS: Other = floats("(..., E)", &[Axes::Leading, Axes::Width]);
static TOKENS: Other = floats("(..., D)", &[Axes::Leading, Axes::Width]);
static INDICES: Other = integers(
    "(..., K), integers",
    &[Axes::Leading, Axes::Size(2)],
    EXPERTS,
);
static OUTPUTS: Other = floats("(..., K, D)", &[Axes::Leading, Axes::Size(2), Axes::Width]);
static WEIGHTS: Other = floats("(..., K)", &[Axes::Leading, Axes::Size(2)]);

/// The softmax of the two largest and their places.
fn gate(x: &Array, places: &Array) -> Result<Vec<Array>> {
    let values = x.take_along_axis(places, -1)?;
    Ok(vec![values.softmax(-1)?, places.astype(Dtype::Uint32)?])
}

/// Rows by experts: keys of expert and slot put the slots in order, whatever sort there is.
fn dispatch(x: &Array, indices: &Array) -> Result<Vec<Array>> {
    let &[.., k] = indices.shape() else {
        return Ok(Vec::new());
    };
    let width = x.dim(-1)?;
    let slots = indices.size() as i32;
    let of_slots = Array::arange(slots)?.astype(Dtype::Int32)?;
    let count = Array::scalar(slots)?;
    let keys = ((indices.reshape(slots)? * &count)? + of_slots)?.sort(-1)?;
    let experts = keys.floor_divide(&count)?;
    let order = keys.subtract(experts.multiply(&count)?)?;
    let tokens = order.floor_divide(Array::scalar(k)?)?;
    let bounds = Array::arange(EXPERTS + 1)?
        .astype(Dtype::Int32)?
        .expand_dims(1)?;
    let starts = experts.less(&bounds)?.sum(1)?;
    let places = order.argsort(-1)?.reshape(indices.shape())?;
    let rows = x.reshape((slots / k, width))?.take(&tokens, 0)?;
    Ok(vec![
        rows,
        experts.astype(Dtype::Uint32)?,
        starts.astype(Dtype::Uint32)?,
        places.astype(Dtype::Uint32)?,
    ])
}

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "moe::top2_gating_softmax",
        formula: "softmax of the two largest of x, and their places",
        file: "selection.metal",
        inputs: &[other("x", &LOGITS)],
        call: |p| {
            let (weights, places) = top2_gating_softmax(&p[0])?;
            Ok(vec![weights, places])
        },
        composite: |p| {
            let places = p[0].negative()?.argsort(-1)?;
            gate(&p[0], &places.index((Ellipsis, 0..2))?)
        },
        mlx: Some(|p| {
            let both = crate::kernels::reductions::by_partition(&p[0], 2)?;
            gate(&p[0], &both[1])
        }),
        bytes: |rows, width, size| rows * (width * size + 2 * (size + 4)),
        roundings: few_roundings,
    },
    Entry {
        name: "moe::moe_dispatch",
        formula: "the rows of x, K times each, in the order of their experts; places; 8 experts, K = 2",
        file: "indexing.metal",
        inputs: &[other("x", &TOKENS), other("indices", &INDICES)],
        call: |p| {
            let sent = moe_dispatch(&p[0], &p[1], EXPERTS as usize)?;
            Ok(vec![sent.rows, sent.experts, sent.starts, sent.places])
        },
        composite: |p| dispatch(&p[0], &p[1]),
        mlx: None,
        bytes: |rows, width, size| 3 * rows * width * size + 24 * rows,
        roundings: few_roundings,
    },
    Entry {
        name: "moe::moe_combine",
        formula: "sum over k of weights[k] expert_outputs[k, :]; K = 2",
        file: "indexing.metal",
        inputs: &[
            other("expert_outputs", &OUTPUTS),
            other("weights", &WEIGHTS),
        ],
        call: |p| Ok(vec![moe_combine(&p[0], &p[1])?]),
        composite: |p| Ok(vec![p[0].multiply(p[1].expand_dims(-1)?)?.sum(-2)?]),
        mlx: None,
        bytes: |rows, width, size| 3 * rows * width * size + 2 * rows * size,
        roundings: few_roundings,
    },
];
