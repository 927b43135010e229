//! Tokens into the slots of a cache: in place where the slots are known, by a copy otherwise.

use std::collections::HashSet;

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

/// Slots of tokens that are known when a call is made: block and slot of each token, the same for several caches.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Blocks and slots of the tokens that are written; none where no token is.
    places: Option<[Array; 2]>,
    /// The tokens that are written, where those are not all.
    some: Option<Array>,
    count: i32,
}

impl Slots {
    /// A token without a place is not written, and of several with one place the last one is.
    #[track_caller]
    pub(crate) fn new(slots: &[Option<[i32; 2]>]) -> Result<Self> {
        let mut taken = HashSet::new();
        let mut kept: Vec<(i32, [i32; 2])> = slots
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(token, slot)| Some((token as i32, (*slot)?)))
            .filter(|(_, slot)| taken.insert(*slot))
            .collect();
        kept.reverse();
        let count = kept.len();
        let axis = |i: usize| {
            let numbers: Vec<i32> = kept.iter().map(|(_, slot)| slot[i]).collect();
            Array::from_slice(&numbers, count)
        };
        let places = match count {
            0 => None,
            _ => Some([axis(0)?, axis(1)?]),
        };
        let some = match count == slots.len() {
            true => None,
            false => {
                let tokens: Vec<i32> = kept.iter().map(|(token, _)| *token).collect();
                Some(Array::from_slice(&tokens, count)?)
            }
        };
        Ok(Slots {
            places,
            some,
            count: count as i32,
        })
    }

    /// The cache, (blocks, slots, KV, D), with tokens, (B, KV, D), in their slots. MLX takes over a cache that nobody else holds.
    #[track_caller]
    pub(crate) fn write(&self, cache: &Array, tokens: &Array) -> Result<Array> {
        let Some(places) = &self.places else {
            return Ok(cache.clone());
        };
        if cache.size() == 0 {
            return Ok(cache.clone());
        }
        let tokens = match &self.some {
            None => tokens.clone(),
            Some(some) => tokens.take(some, 0)?,
        };
        let &[_, _, heads, width] = cache.shape() else {
            return Ok(cache.clone());
        };
        let tokens = tokens.reshape((self.count, 1, 1, heads, width))?;
        cache.scatter(places, &tokens, [0, 1])
    }
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
