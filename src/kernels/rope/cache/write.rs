//! Tokens into the slots of a cache: in place where the slots are known, by a copy otherwise.

use crate::kernels::kernel::RowKernel;
use crate::kernels::op::{Op, reverse_mode};
use crate::{Array, Dtype, Result};

/// Slots by number, in all blocks together.
pub(super) struct Place {
    pub(super) there: Array,
    pub(super) slot: Array,
    pub(super) slots: i32,
}

impl Place {
    /// Which token each slot takes, (slots,), or -1: the last of those that belong there.
    #[track_caller]
    pub(super) fn source(&self) -> Result<Array> {
        let batch = self.slot.shape()[0];
        // One slot more, for tokens that have none.
        let none = Array::full((self.slots + 1, 1), -1, Dtype::Int32)?;
        let to = crate::ops::where_(&self.there, &self.slot, self.slots)?;
        let tokens = Array::arange(batch)?.reshape((batch, 1, 1))?;
        let source = none.scatter_max([&to], &tokens, 0)?;
        source.index((0..self.slots, 0))
    }
}

/// The cache with tokens in known slots; MLX takes over a cache that nobody else holds.
#[track_caller]
pub(super) fn in_place(cache: &Array, token: &Array, slots: &[Option<[i32; 2]>]) -> Result<Array> {
    // The last of those that belong in a slot.
    let last = |b: usize| slots[b].is_some() && !slots[b + 1..].contains(&slots[b]);
    let kept: Vec<i32> = (0..slots.len())
        .filter(|&b| last(b))
        .map(|b| b as i32)
        .collect();
    if kept.is_empty() || cache.size() == 0 {
        return Ok(cache.clone());
    }
    let count = kept.len() as i32;
    let axis = |i: usize| -> Vec<i32> {
        let those = kept.iter().filter_map(|&b| slots[b as usize]);
        those.map(|slot| slot[i]).collect()
    };
    let token = match kept.len() == slots.len() {
        true => token.clone(),
        false => token.take(&Array::from_slice(&kept, count)?, 0)?,
    };
    let (blocks, slots) = (axis(0), axis(1));
    let indices = [
        Array::from_slice(&blocks, count)?,
        Array::from_slice(&slots, count)?,
    ];
    let token = token.reshape((count, 1, 1, cache.shape()[2], cache.shape()[3]))?;
    cache.scatter(&indices, &token, [0, 1])
}

/// Inputs: a cache, (blocks, slots, KV, D), tokens, (B, KV, D), and which of them each slot takes.
pub(super) static WRITE: Op<()> = Op {
    name: "cache_update",
    rows: 0,
    visible: 1,
    forward: |(), p| {
        let shape = p[0].shape();
        let (rows, width) = (shape[0] * shape[1], shape[2] * shape[3]);
        let cache = p[0].reshape((rows, width))?;
        let tokens = p[1].reshape((p[1].shape()[0], width))?;
        let like = (shape, p[0].dtype());
        Ok(COPY
            .launch(
                &[&cache, &tokens, p[2]],
                [like],
                rows as usize,
                width as usize,
            )?
            .into())
    },
    vjp: |(), p, g, _| reverse_mode(|p| (WRITE.composite)(&(), p), p, g),
    composite: |(), p| {
        let (cache, source) = (&p[0], &p[2]);
        let token = p[1].take(&source.maximum(0)?, 0)?.reshape(cache.shape())?;
        let shape = cache.shape();
        let takes = source
            .greater_equal(0)?
            .reshape((shape[0], shape[1], 1, 1))?;
        Ok(vec![crate::ops::where_(&takes, &token, cache)?])
    },
};

static COPY: RowKernel = RowKernel::new(
    "cache_update",
    &["cache", "tokens", "source"],
    &["out"],
    "const int from = source[row];\n\
     if (from >= 0) kk_map(n, g, out + row * n, kk_read(tokens + from * n));\n\
     else kk_map(n, g, out + row * n, kk_read(cache + row * n))",
);
