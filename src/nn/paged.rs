//! Attention over blocks: one position a sequence.

use super::attention::Attention;
use super::cache::PagedCache;
use crate::kernels::attention::paged_attention;
use crate::kernels::rope::paged_rope_and_cache_update;
use crate::{Array, Dtype, Error, Result};

/// Where the next positions of a batch of sequences stand.
#[derive(Clone, Debug)]
pub struct Pages {
    table: Array,
    offsets: Array,
    limit: i32,
}

impl Pages {
    /// The blocks of each sequence, and the number of its next position: 0 for a new one.
    ///
    /// # Errors
    /// [`Error::Argument`] for another number of offsets than of tables, for no sequence or a negative offset. A position for which
    /// the table has no block gives NaN in the attention.
    #[track_caller]
    pub fn new(tables: &[Vec<i32>], offsets: &[i32]) -> Result<Self> {
        if tables.len() != offsets.len() || tables.is_empty() {
            let expected = format!("one for each of the {} tables, at least one", tables.len());
            return Err(Error::argument("offsets", expected, offsets.len()));
        }
        if let Some(wrong) = offsets.iter().find(|at| !(0..i32::MAX).contains(*at)) {
            return Err(Error::argument(
                "offsets",
                "numbers of positions from 0 on",
                wrong,
            ));
        }
        let columns = tables.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let row = |t: &Vec<i32>| -> Vec<i32> {
            let none = std::iter::repeat(-1);
            t.iter().copied().chain(none).take(columns).collect()
        };
        let flat: Vec<i32> = tables.iter().flat_map(row).collect();
        Ok(Pages {
            table: Array::from_slice(&flat, (tables.len(), columns))?,
            offsets: Array::from_slice(offsets, offsets.len())?,
            limit: offsets.iter().max().map_or(1, |at| at + 1),
        })
    }
}

impl Attention {
    /// Applies the layer to the next position of each sequence, (sequences, 1, width): keys and values go to the sequence's blocks, and
    /// the position sees all of the sequence up to its own.
    ///
    /// ```
    /// use zmlx::{Dtype, nn::{self, Pages}, random};
    /// # fn main() -> zmlx::Result<()> {
    /// let config = nn::AttentionConfig::new(32, 4).kv_heads(2);
    /// let attention = nn::Attention::new(config, &mut nn::Init::seed(7))?;
    /// let mut cache = nn::PagedCache::new(4, 16, 2, 8, Dtype::Float32)?;
    /// // Two sequences; one has two blocks.
    /// let pages = Pages::new(&[vec![2], vec![0, 3]], &[5, 16])?;
    /// let y = attention.forward_paged(&random::normal((2, 1, 32))?, &mut cache, &pages)?;
    /// assert_eq!(y.shape(), [2, 1, 32]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] for another shape; [`Error::Argument`] for a layer without rotary positions or with a window, which the kernels
    /// do not have.
    #[track_caller]
    pub fn forward_paged(&self, x: &Array, cache: &mut PagedCache, pages: &Pages) -> Result<Array> {
        let batch = pages.offsets.shape()[0];
        if x.ndim() != 3 || x.shape()[..2] != [batch, 1] {
            return Err(Error::shape(format!(
                "`x`: expected shape ({batch}, 1, width), got {:?}",
                x.shape()
            )));
        }
        let Some(rope) = self.rope.as_ref().filter(|_| !self.config().has_window()) else {
            let expected = "a layer with rotary positions and without a window";
            return Err(Error::argument("self", expected, "another"));
        };
        let one = |a: &Array| a.squeeze(2);
        let [q, k, v] = self.heads_of(x)?;
        let [cos, sin] = rope.tables(pages.limit)?;
        let (q, k, v) = (one(&q)?, one(&k)?, one(&v)?);
        let update = paged_rope_and_cache_update(
            &q,
            &k,
            &v,
            &cos,
            &sin,
            &cache.keys,
            &cache.values,
            &pages.offsets,
            &pages.table,
        );
        let [q, keys, values] = update
            .traditional(rope.is_traditional())
            .dims(rope.dims())
            .call()?;
        let lens = pages.offsets.add(1)?.astype(Dtype::Int32)?;
        let y = paged_attention(&q, &keys, &values, &pages.table, &lens)
            .scale(self.scale())
            .call()?;
        let y = self.o.forward(&y.reshape((batch, 1, -1))?)?;
        (cache.keys, cache.values) = (keys, values);
        Ok(y)
    }
}
