//! A token's rotation and its place in the caches of keys and values.

mod table;
mod write;

pub(in crate::kernels) use table::TABLE;
pub(crate) use write::Slots;
use write::{Place, WRITE};

use super::rotate::{Form, ROTATE};
use super::{Offset, Rows, check_tables, pairs_of};
use crate::kernels::arguments::{check_float, check_integers, check_shape, places, signed};
use crate::transforms::rules::traced;
use crate::{Array, Dtype, Error, Result};

/// Rotates the query and the key of one token a sequence, and writes key and value into the sequence's cache: the result
/// is `[q, k_cache, v_cache]`, where all other slots of the caches hold what they held.
///
/// `q`: (B, H, D); `k`, `v`: (B, KV, D); `cos`, `sin`: (T, D / 2); `k_cache`, `v_cache`: (B, slots, KV, D); each float32, float16 or
/// bfloat16. `offset`: the token's position, which is also its slot: a number, or an array of integers, (B,). Results have the
/// dtypes of `q`, `k_cache` and `v_cache`.
///
/// Where an array's offset is below 0, or is no position of the tables or no slot, `q` is NaN and nothing is written.
///
/// Caches are changed in place if nobody else holds them when the results are computed, outside of transforms, and if the offsets are
/// known at the call: a number, or an array that is evaluated. Otherwise they are copied. Differentiable in `q`, `k`, `v`, the tables
/// and the caches; forward mode over a gradient is an error, as MLX's scatter has none.
///
/// ```
/// use zmlx::kernels::rope::{rope_and_cache_update, rope_tables};
/// use zmlx::prelude::*;
/// # fn main() -> zmlx::Result<()> {
/// let [cos, sin] = rope_tables(8, 4).call()?;
/// let (q, kv) = (Array::ones((1, 2, 4), F32)?, Array::ones((1, 1, 4), F32)?);
/// let mut k_cache = Array::full((1, 8, 1, 4), 7.0, F32)?;
/// let mut v_cache = k_cache.clone();
/// for token in 0..3 {
///     let update = rope_and_cache_update(&q, &kv, &kv, &cos, &sin, &k_cache, &v_cache, token);
///     [_, k_cache, v_cache] = update.call()?;
/// }
/// assert_eq!(v_cache.index((0, .., 0, 0))?.to_vec::<f32>()?, [1.0, 1.0, 1.0, 7.0, 7.0, 7.0, 7.0, 7.0]);
/// # Ok(())
/// # }
/// ```
#[allow(clippy::too_many_arguments, reason = "the original's")]
pub fn rope_and_cache_update<'a>(
    q: &'a Array,
    k: &'a Array,
    v: &'a Array,
    cos: &'a Array,
    sin: &'a Array,
    k_cache: &'a Array,
    v_cache: &'a Array,
    offset: impl Into<Offset<'a>>,
) -> CacheUpdate<'a> {
    CacheUpdate {
        q,
        tokens: [k, v],
        cos,
        sin,
        caches: [k_cache, v_cache],
        offset: offset.into(),
        table: None,
        traditional: false,
        dims: None,
    }
}

/// [`rope_and_cache_update`] with caches of blocks that sequences share: the token at position p of sequence b stands in slot
/// `p % slots` of the block `block_table[b, p / slots]`.
///
/// `k_cache`, `v_cache`: (blocks, slots, KV, D); `block_table`: (B, blocks of a sequence), integers. Where the table's entry is no
/// block, as the -1 of a sequence that is none, `q` is NaN and nothing is written. If two sequences have the
/// same slot, the later one's token stays.
///
/// ```
/// use zmlx::kernels::rope::{paged_rope_and_cache_update, rope_tables};
/// # use zmlx::prelude::*;
/// let [cos, sin] = rope_tables(8, 4).call()?;
/// let (q, kv) = (Array::ones((1, 2, 4), F32)?, Array::ones((1, 1, 4), F32)?);
/// let cache = Array::full((3, 2, 1, 4), 7.0, F32)?; // three blocks of two slots
/// let table = Array::from_slice(&[2, 0], (1, 2))?;
/// // Position 3 is the second slot of the sequence's second block, which is block 0.
/// let update = paged_rope_and_cache_update(&q, &kv, &kv, &cos, &sin, &cache, &cache, 3, &table);
/// let [_, _, v_cache] = update.traditional(true).call()?;
/// assert_eq!(v_cache.index((.., .., 0, 0))?.to_vec::<f32>()?, [7.0, 1.0, 7.0, 7.0, 7.0, 7.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
#[allow(clippy::too_many_arguments, reason = "the original's")]
pub fn paged_rope_and_cache_update<'a>(
    q: &'a Array,
    k: &'a Array,
    v: &'a Array,
    cos: &'a Array,
    sin: &'a Array,
    k_cache: &'a Array,
    v_cache: &'a Array,
    offset: impl Into<Offset<'a>>,
    block_table: &'a Array,
) -> CacheUpdate<'a> {
    CacheUpdate {
        table: Some(block_table),
        ..rope_and_cache_update(q, k, v, cos, sin, k_cache, v_cache, offset)
    }
}

/// A call of [`rope_and_cache_update`] or [`paged_rope_and_cache_update`].
#[must_use = "does nothing until `call`"]
#[derive(Clone, Copy, Debug)]
pub struct CacheUpdate<'a> {
    q: &'a Array,
    tokens: [&'a Array; 2],
    cos: &'a Array,
    sin: &'a Array,
    caches: [&'a Array; 2],
    offset: Offset<'a>,
    table: Option<&'a Array>,
    traditional: bool,
    dims: Option<i32>,
}

impl CacheUpdate<'_> {
    /// Whether pairs are neighbours in place of halves.
    pub fn traditional(mut self, traditional: bool) -> Self {
        self.traditional = traditional;
        self
    }

    /// How many of the D elements turn, from the first on (default D).
    ///
    /// ```
    /// use zmlx::kernels::rope::{rope_and_cache_update, rope_tables};
    /// # use zmlx::prelude::*;
    /// let [cos, sin] = rope_tables(8, 2).call()?;
    /// let (q, kv) = (Array::ones((1, 1, 4), F32)?, Array::ones((1, 1, 4), F32)?);
    /// let cache = Array::zeros((1, 8, 1, 4), F32)?;
    /// let update = rope_and_cache_update(&q, &kv, &kv, &cos, &sin, &cache, &cache, 5).dims(2);
    /// let [q, ..] = update.call()?;
    /// assert_eq!(q.index((0, 0, 2..))?.to_vec::<f32>()?, [1.0, 1.0]); // the others stay
    /// # Ok::<(), zmlx::Error>(())
    /// ```
    pub fn dims(mut self, dims: i32) -> Self {
        self.dims = Some(dims);
        self
    }

    /// Adds it to the graph: `[q, k_cache, v_cache]`.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::Dtype`] for arrays that do not fit, [`Error::Argument`] for `dims` that are odd or no part of
    /// D, and for a number as an offset that is out of range.
    #[track_caller]
    pub fn call(self) -> Result<[Array; 3]> {
        let CacheUpdate {
            q, tokens, caches, ..
        } = self;
        let (batch, limit) = self.check()?;
        let last = limit - 1;
        let offsets = match self.offset {
            Offset::Same(at) if at < 0 || at > last => {
                let expected = format!("a number from 0 to {last}");
                return Err(Error::argument("offset", expected, at));
            }
            Offset::Same(at) => Array::full(batch, at, Dtype::Int64)?,
            Offset::Each(at) => signed(at)?,
        };
        if batch == 0 {
            return Ok([q.clone(), caches[0].clone(), caches[1].clone()]);
        }
        let place = self.place(&offsets, limit)?;
        let rows = Rows::at(&offsets, limit, Some(&place.there))?;
        // A row of the tables for each sequence: the batch is the axis of positions.
        let tables = [rows.of(self.cos)?, rows.of(self.sin)?];
        let form = Form {
            pairs: self.traditional,
            heads: true,
            more: 1,
        };
        let turned = |x: &Array| ROTATE.call1(form, &[x, &tables[0], &tables[1]]);
        let q = turned(q)?;
        let [k, v] = tokens;
        // Rounded once.
        let k = match k.dtype() == caches[0].dtype() {
            true => turned(k)?,
            false => turned(&k.astype(Dtype::Float32)?)?,
        };
        let known = self.known(limit)?;
        let known = known.as_deref().map(Slots::new).transpose()?;
        let write = |cache: &Array, token: &Array| {
            let token = token.astype(cache.dtype())?;
            match &known {
                Some(slots) if !traced(&[cache, &token]) => slots.write(cache, &token),
                _ => WRITE.call1((), &[cache, &token, &place.source()?]),
            }
        };
        Ok([q, write(caches[0], &k)?, write(caches[1], v)?])
    }

    /// The number of sequences, and from which position on none has a slot or a row of the tables.
    #[track_caller]
    fn check(&self) -> Result<(i32, i32)> {
        let names = ["q", "k", "v", "k_cache", "v_cache"];
        let all = [
            self.q,
            self.tokens[0],
            self.tokens[1],
            self.caches[0],
            self.caches[1],
        ];
        let axes = [3, 3, 3, 4, 4];
        for ((name, a), axes) in names.iter().zip(all).zip(axes) {
            check_float(name, a)?;
            if a.ndim() != axes {
                let wanted = if axes == 3 {
                    "(B, heads, D)"
                } else {
                    "(sequences or blocks, slots, heads, D)"
                };
                let shape = a.shape();
                return Err(Error::shape(format!(
                    "`{name}`: expected shape {wanted}, got {shape:?}"
                )));
            }
        }
        let [q, k, v, k_cache, _] = all.map(Array::shape);
        let (batch, width) = (q[0], q[2]);
        check_shape("k", self.tokens[0], &[batch, k[1], width])?;
        check_shape("v", self.tokens[1], &[batch, k[1], v[2]])?;
        let first = if self.table.is_some() {
            k_cache[0]
        } else {
            batch
        };
        check_shape("k_cache", self.caches[0], &[first, k_cache[1], k[1], width])?;
        check_shape("v_cache", self.caches[1], &[first, k_cache[1], k[1], v[2]])?;
        let mut slots = i64::from(k_cache[1]);
        if let Some(table) = self.table {
            check_integers("block_table", table)?;
            match *table.shape() {
                [rows, blocks] if rows == batch => slots *= i64::from(blocks),
                ref shape => {
                    let wanted = format!("`block_table`: expected shape ({batch}, blocks)");
                    return Err(Error::shape(format!("{wanted}, got {shape:?}")));
                }
            }
        }
        let pairs = pairs_of("q", self.q, width, self.dims)?;
        check_tables(self.cos, self.sin, 1, pairs)?;
        if let Offset::Each(at) = self.offset {
            check_integers("offset", at)?;
            check_shape("offset", at, &[batch])?;
        }
        if slots == 0 || first == 0 && batch > 0 {
            let shape = k_cache;
            return Err(Error::shape(format!(
                "`k_cache`: expected at least one slot, got shape {shape:?}"
            )));
        }
        let limit = slots.min(i64::from(self.cos.shape()[0]));
        Ok((batch, i32::try_from(limit).unwrap_or(i32::MAX)))
    }

    /// Where the tokens go, by operations: nothing is known of the values.
    #[track_caller]
    fn place(&self, offsets: &Array, limit: i32) -> Result<Place> {
        let (blocks, slots) = (self.caches[0].shape()[0], self.caches[0].shape()[1]);
        let batch = offsets.shape()[0];
        let mut there = offsets
            .greater_equal(0)?
            .logical_and(offsets.less(limit)?)?;
        let at = offsets.clip(0..=limit - 1)?;
        let block = match self.table {
            None => Array::arange(batch)?.astype(Dtype::Int64)?,
            Some(table) => {
                let column = at.floor_divide(slots)?.expand_dims(-1)?;
                let block = table.take_along_axis(&column, 1)?.squeeze(-1)?;
                let block = signed(&block)?;
                let is = block.greater_equal(0)?.logical_and(block.less(blocks)?)?;
                there = there.logical_and(is)?;
                block
            }
        };
        let slot = block.multiply(slots)?.add(at.remainder(slots)?)?;
        Ok(Place {
            there,
            slot,
            slots: places("k_cache", blocks, slots)?,
        })
    }

    /// Block and slot of each token, if the values are there to look at.
    #[track_caller]
    fn known(&self, limit: i32) -> Result<Option<Vec<Option<[i32; 2]>>>> {
        let batch = self.q.shape()[0] as usize;
        let offsets = match self.offset {
            Offset::Same(at) => vec![i64::from(at); batch],
            Offset::Each(at) => match values(at)? {
                Some(values) => values,
                None => return Ok(None),
            },
        };
        let table = match self.table {
            None => None,
            Some(table) => match values(table)? {
                Some(values) => Some(values),
                None => return Ok(None),
            },
        };
        let (blocks, slots) = (self.caches[0].shape()[0], self.caches[0].shape()[1]);
        let columns = self.table.map_or(0, |t| t.shape()[1] as usize);
        let place = |(b, at): (usize, i64)| {
            let at = i32::try_from(at)
                .ok()
                .filter(|at| (0..limit).contains(at))?;
            let block = match &table {
                None => b as i32,
                Some(table) => {
                    let id = table.get(b * columns + (at / slots) as usize)?;
                    i32::try_from(*id)
                        .ok()
                        .filter(|id| (0..blocks).contains(id))?
                }
            };
            Some([block, at % slots])
        };
        Ok(Some(offsets.into_iter().enumerate().map(place).collect()))
    }
}

/// The integers of an array, if they are computed and no transform traces them.
#[track_caller]
fn values(a: &Array) -> Result<Option<Vec<i64>>> {
    if a.is_tracer() || !a.is_ready()? {
        return Ok(None);
    }
    Ok(Some(crate::with_device(crate::Device::CPU, || {
        signed(a)?.to_vec()
    })?))
}
