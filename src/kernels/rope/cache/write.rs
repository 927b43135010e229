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
    /// The token, block and slot of each that is written.
    kept: Vec<(i32, [i32; 2])>,
    /// What a GPU needs of it.
    indices: Option<Indices>,
}

#[derive(Debug)]
struct Indices {
    /// Blocks and slots.
    places: [Array; 2],
    /// The tokens, where those are not all.
    some: Option<Array>,
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
        let indices = match crate::stream::current().gpu && !kept.is_empty() {
            true => Some(Indices::new(&kept, slots.len())?),
            false => None,
        };
        Ok(Slots { kept, indices })
    }

    /// The cache, (blocks, slots, KV, D), with tokens, (B, KV, D), in their slots, in its dtype. A cache that nobody else holds is changed in
    /// place.
    #[track_caller]
    pub(crate) fn write(&self, cache: &Array, tokens: &Array) -> Result<Array> {
        if self.kept.is_empty() || cache.size() == 0 {
            return Ok(cache.clone());
        }
        let &[_, slots, heads, width] = cache.shape() else {
            return Ok(cache.clone());
        };
        let Some(Indices { places, some }) = &self.indices else {
            let from: Vec<i32> = self.kept.iter().map(|(token, _)| *token).collect();
            let row =
                |[block, slot]: [i32; 2]| i64::from(block) * i64::from(slots) + i64::from(slot);
            let to: Vec<i64> = self.kept.iter().map(|(_, at)| row(*at)).collect();
            return cache.write_rows(&tokens.astype(cache.dtype())?, &from, &to);
        };
        let tokens = match some {
            None => tokens.clone(),
            Some(some) => tokens.take(some, 0)?,
        };
        let count = self.kept.len() as i32;
        let tokens = tokens.reshape((count, 1, 1, heads, width))?;
        cache.scatter(places, &tokens, [0, 1])
    }
}

impl Indices {
    /// Of the tokens in `kept`, out of `all`.
    #[track_caller]
    fn new(kept: &[(i32, [i32; 2])], all: usize) -> Result<Self> {
        let axis = |numbers: Vec<i32>| Array::from_slice(&numbers, kept.len());
        let place = |i: usize| axis(kept.iter().map(|(_, at)| at[i]).collect());
        Ok(Indices {
            places: [place(0)?, place(1)?],
            some: match kept.len() == all {
                true => None,
                false => Some(axis(kept.iter().map(|(token, _)| *token).collect())?),
            },
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What MLX's scatter makes of it.
    fn expected(cache: &Array, tokens: &Array, slots: &[Option<[i32; 2]>]) -> Result<Array> {
        let mut all = cache.clone();
        for (token, slot) in slots.iter().enumerate() {
            if let Some([block, slot]) = *slot {
                let index = |i: i32| Array::from_slice(&[i], 1);
                let token = tokens
                    .index(token as i32)?
                    .expand_dims(0)?
                    .expand_dims(0)?
                    .expand_dims(0)?;
                all = all.scatter([&index(block)?, &index(slot)?], &token, [0, 1])?;
            }
        }
        Ok(all)
    }

    #[test]
    fn tokens_stand_in_their_slots_whoever_holds_the_cache() -> Result<()> {
        let slots = [Some([2, 1]), None, Some([0, 3]), Some([2, 0]), Some([1, 2])];
        let written = Slots::new(&slots)?;
        // As on a GPU.
        let by_indices = Slots {
            kept: written.kept.clone(),
            indices: Some(Indices::new(&written.kept, slots.len())?),
        };
        let numbers =
            |shape: [i32; 4]| Array::arange(shape.iter().product::<i32>())?.reshape(shape);
        let tokens = numbers([5, 2, 3, 1])?.squeeze(-1)?.negative()?;
        // Views whose elements are not neighbours.
        let turned = numbers([1, 3, 2, 5])?.squeeze(0)?.transpose([2, 1, 0])?;
        let apart = numbers([4, 3, 2, 3])?.transpose([1, 0, 2, 3])?;
        for dtype in [Dtype::Float32, Dtype::Float16, Dtype::Int8] {
            for cache in [&numbers([3, 4, 2, 3])?, &apart] {
                for tokens in [&tokens, &turned] {
                    let (cache, tokens) = (cache.astype(dtype)?, tokens.astype(dtype)?);
                    cache.eval()?;
                    let before = cache.add(Array::zeros((), dtype)?)?;
                    before.eval()?;
                    let want = expected(&cache, &tokens, &slots)?;
                    let got = written.write(&cache, &tokens)?;
                    assert!(got.equal(&want)?.all(..)?.item::<bool>()?, "{dtype}");
                    let got = by_indices.write(&cache, &tokens)?;
                    assert!(got.equal(&want)?.all(..)?.item::<bool>()?, "{dtype}");
                    // Somebody holds it, so it is what it was.
                    assert!(cache.equal(&before)?.all(..)?.item::<bool>()?, "{dtype}");
                    // Tokens of another dtype become the cache's.
                    let wide = tokens.astype(Dtype::Float32)?;
                    let got = written.write(&cache, &wide)?;
                    assert!(got.equal(&want)?.all(..)?.item::<bool>()?, "{dtype}");
                    // Nobody else holds what was made here.
                    let own = cache.add(Array::zeros((), dtype)?)?;
                    let got = written.write(&own, &tokens)?;
                    drop(own);
                    assert!(got.equal(&want)?.all(..)?.item::<bool>()?, "{dtype}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn rows_that_are_not_there_are_errors() -> Result<()> {
        let (cache, rows) = (
            Array::zeros((4, 3), Dtype::Float32)?,
            Array::ones((2, 3), Dtype::Float32)?,
        );
        if crate::stream::current().gpu {
            return Ok(());
        }
        for (from, to) in [(2, 0), (0, 4), (-1, 0), (0, -1)] {
            let failed = cache.write_rows(&rows, &[from], &[to]);
            assert!(failed.is_err(), "{from} to {to}");
        }
        let other = rows.astype(Dtype::Float16)?;
        assert!(cache.write_rows(&other, &[0], &[0]).is_err());
        assert!(
            cache
                .write_rows(&Array::ones((1, 5), Dtype::Float32)?, &[0], &[0])
                .is_err()
        );
        Ok(())
    }
}
