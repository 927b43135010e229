//! The rows of the catalog's table.

use super::{paged_rope_and_cache_update, rope_and_cache_update};
use crate::kernels::catalog::{Axes, Entry, Other, few_roundings, floats, integers, other};
use crate::kernels::rope::rotate::{Form, ROTATE};
use crate::{Array, Result};

// In benchmarks: four heads of queries and two of keys, 16 slots a sequence.
static QUERY: Other = floats("(B, H, D)", &[Axes::Rows(1), Axes::Size(4), Axes::Width]);
static TOKEN: Other = floats("(B, KV, D)", &[Axes::Rows(1), Axes::Size(2), Axes::Width]);
static ANGLES: Other = floats("(T, D / 2)", &[Axes::Size(16), Axes::Half]);
static CACHE: Other = floats(
    "(B, slots, KV, D)",
    &[Axes::Rows(1), Axes::Size(16), Axes::Size(2), Axes::Width],
);
static BLOCKS: Other = floats(
    "(blocks, slots, KV, D)",
    &[Axes::Rows(4), Axes::Size(4), Axes::Size(2), Axes::Width],
);
static OFFSET: Other = integers("(B,), integers", &[Axes::Rows(1)], 16);
static BLOCK_TABLE: Other = integers("(B, blocks), integers", &[Axes::Rows(1), Axes::Size(4)], 4);

/// The same by MLX's operations, for offsets that are slots.
fn composite(p: &[Array]) -> Result<Vec<Array>> {
    let offset = &p[7];
    let tables = [p[3].take(offset, 0)?, p[4].take(offset, 0)?];
    let form = Form {
        pairs: false,
        heads: true,
        more: 1,
    };
    let turned = |x: &Array| -> Result<Array> {
        let [cos, sin] = &tables;
        (ROTATE.composite)(&form, &[x.clone(), cos.clone(), sin.clone()])?[0].astype(x.dtype())
    };
    let (batch, slots) = (p[0].shape()[0], p[5].shape()[1]);
    let at = match p.get(8) {
        None => [Array::arange(batch)?, offset.clone()],
        Some(table) => {
            let column = offset.floor_divide(slots)?.expand_dims(-1)?;
            [
                table.take_along_axis(&column, 1)?.squeeze(-1)?,
                offset.remainder(slots)?,
            ]
        }
    };
    let written =
        |cache: &Array, token: &Array| cache.scatter(&at, &token.expand_dims([1, 2])?, [0, 1]);
    Ok(vec![
        turned(&p[0])?,
        written(&p[5], &turned(&p[1])?)?,
        written(&p[6], &p[2])?,
    ])
}

pub(in crate::kernels) static TABLE: &[Entry] = &[
    Entry {
        name: "rope::rope_and_cache_update",
        formula: "rope(q), caches with rope(k) and v in slot offset",
        file: "rope.metal",
        inputs: &[
            other("q", &QUERY),
            other("k", &TOKEN),
            other("v", &TOKEN),
            other("cos", &ANGLES),
            other("sin", &ANGLES),
            other("k_cache", &CACHE),
            other("v_cache", &CACHE),
            other("offset", &OFFSET),
        ],
        call: |p| {
            let call =
                rope_and_cache_update(&p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7]);
            Ok(call.call()?.into())
        },
        composite,
        mlx: None,
        // What it takes in place.
        bytes: |rows, width, size| 17 * rows * width * size,
        roundings: few_roundings,
    },
    Entry {
        name: "rope::paged_rope_and_cache_update",
        formula: "rope(q), caches with rope(k) and v in slot offset of a sequence's blocks",
        file: "rope.metal",
        inputs: &[
            other("q", &QUERY),
            other("k", &TOKEN),
            other("v", &TOKEN),
            other("cos", &ANGLES),
            other("sin", &ANGLES),
            other("k_cache", &BLOCKS),
            other("v_cache", &BLOCKS),
            other("offset", &OFFSET),
            other("block_table", &BLOCK_TABLE),
        ],
        call: |p| {
            let call = paged_rope_and_cache_update(
                &p[0], &p[1], &p[2], &p[3], &p[4], &p[5], &p[6], &p[7], &p[8],
            );
            Ok(call.call()?.into())
        },
        composite,
        mlx: None,
        bytes: |rows, width, size| 17 * rows * width * size,
        roundings: few_roundings,
    },
];
