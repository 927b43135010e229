//! Keys and values in blocks that sequences share.

use super::at_least_one;
use crate::{Array, Dtype, Error, Result};

/// Keys and values of one attention layer for many sequences, in blocks of a fixed number of positions (W. Kwon and others,
/// "Efficient Memory Management for Large Language Model Serving with PagedAttention", 2023).
///
/// Which blocks a sequence has is the caller's to say, in tables: [`Attention::forward_paged`](crate::nn::Attention::forward_paged)
/// writes and reads by them.
#[derive(Clone, Debug)]
pub struct PagedCache {
    /// (blocks, slots, kv_heads, features).
    pub(in crate::nn) keys: Array,
    /// The same of values.
    pub(in crate::nn) values: Array,
}

impl PagedCache {
    /// So many blocks of so many positions each.
    ///
    /// # Errors
    /// [`Error::Argument`] for sizes below 1.
    #[track_caller]
    pub fn new(
        blocks: i32,
        slots: i32,
        kv_heads: i32,
        features: i32,
        dtype: Dtype,
    ) -> Result<Self> {
        let names = ["blocks", "slots", "kv_heads", "features"];
        let shape = [blocks, slots, kv_heads, features];
        for (name, size) in names.into_iter().zip(shape) {
            at_least_one(name, size)?;
        }
        let keys = Array::zeros(shape, dtype)?;
        let values = keys.clone();
        Ok(PagedCache { keys, values })
    }

    /// How many positions a block has.
    pub fn slots(&self) -> i32 {
        self.keys.shape()[1]
    }

    /// Writes the positions of one sequence from number `start` on: `keys`, `values` (kv_heads, positions, features), turned already, as
    /// a [`KvCache`](super::KvCache) has them after a prompt; `table` names the sequence's blocks.
    ///
    /// ```
    /// use zmlx::{Array, Dtype, nn};
    /// let mut cache = nn::PagedCache::new(4, 2, 1, 8, Dtype::Float32)?; // four blocks of two positions
    /// let tokens = Array::ones((1, 3, 8), Dtype::Float32)?;
    /// cache.write(&[2, 0], 0, &tokens, &tokens)?;
    /// let [keys, _] = cache.arrays();
    /// // The first two positions stand in block 2, the third in block 0.
    /// assert_eq!(keys.sum([1, 2, 3])?.to_vec::<f32>()?, [8.0, 0.0, 16.0, 0.0]);
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes, [`Error::Argument`] where the table is too short or names no block.
    #[track_caller]
    pub fn write(&mut self, table: &[i32], start: i32, keys: &Array, values: &Array) -> Result<()> {
        let &[blocks, slots, heads, width] = self.keys.shape() else {
            return Err(Error::not_ready("the cache has no blocks"));
        };
        let count = keys.shape().get(1).copied().unwrap_or(0);
        for (name, a) in [("keys", keys), ("values", values)] {
            if a.shape() != [heads, count, width] {
                return Err(Error::shape(format!(
                    "`{name}`: expected shape ({heads}, {count}, {width}), got {:?}",
                    a.shape()
                )));
            }
        }
        if start < 0 {
            return Err(Error::argument("start", "a position from 0 on", start));
        }
        let end = i64::from(start) + i64::from(count);
        let place = |at: i64| {
            let slots = i64::from(slots);
            let block = usize::try_from(at / slots).ok().and_then(|i| table.get(i));
            let block = block.filter(|b| (0..blocks).contains(*b));
            block.map(|&b| (i64::from(b) * slots + at % slots) as i32)
        };
        let places: Option<Vec<i32>> = (i64::from(start)..end).map(place).collect();
        let Some(places) = places else {
            let expected = format!("blocks below {blocks} for positions up to {end}");
            return Err(Error::argument(
                "table",
                expected,
                format_args!("{table:?}"),
            ));
        };
        let places = Array::from_slice(&places, count)?;
        let written = |cache: &Array, new: &Array| {
            let rows = new
                .transpose([1, 0, 2])?
                .astype(cache.dtype())?
                .expand_dims(1)?;
            let flat = cache.reshape((blocks * slots, heads, width))?;
            flat.scatter([&places], &rows, 0)?.reshape(cache.shape())
        };
        let (new_keys, new_values) = (written(&self.keys, keys)?, written(&self.values, values)?);
        (self.keys, self.values) = (new_keys, new_values);
        Ok(())
    }

    /// The arrays that it holds, to evaluate them with the result of a step.
    pub fn arrays(&self) -> [&Array; 2] {
        [&self.keys, &self.values]
    }
}
