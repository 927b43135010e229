//! Keys and values of many sequences in pages that they share.

use super::config::Config;
use super::model::{Attend, Model};
use crate::kernels::attention::paged_attention;
use crate::kernels::rope::turned_apart;
use crate::{Array, Dtype, Error, Result, ops};

/// The cache of a server: for each layer keys and values in pages of [`SLOTS`] tokens.
///
/// Which page belongs to whom is told by the tables of a [`Batch`], which [`Pages`](super::Pages) keeps.
#[derive(Debug)]
pub struct PagedCache {
    /// Keys and values of each layer: (pages, slots, kv_heads, width of a head).
    layers: Vec<[Array; 2]>,
    /// Cosines and sines, of layers that see all and of layers with a window.
    tables: [[Array; 2]; 2],
    config: Config,
    pages: usize,
    dtype: Dtype,
}

/// Tokens of a page.
pub const SLOTS: usize = 16;

/// Where the tokens of one computation stand.
#[derive(Debug)]
pub struct Batch {
    /// The position of each token in its sequence, (T,).
    positions: Array,
    /// The page of each token and its slot there, (T,) each.
    slots: [Array; 2],
    /// Neighbouring tokens of one sequence, whose attention reads keys and values together: the first one and their number. A token
    /// that is alone is a part of one; all tokens are, in order.
    runs: Vec<Run>,
}

/// Tokens whose attention is one call.
#[derive(Debug)]
struct Run {
    rows: std::ops::Range<i32>,
    /// The pages of each sequence, and how many of its tokens are seen: one row, or one for each token.
    table: Array,
    lengths: Array,
    /// Whether they are neighbours in one sequence, in place of one token each of several.
    of_one: bool,
}

impl Batch {
    /// From the position of each token and the pages of its sequence.
    ///
    /// # Errors
    /// [`Error::Argument`] where a position lies behind the last page, or there is no token.
    #[track_caller]
    pub fn new(tokens: &[(usize, &[u32])]) -> Result<Self> {
        let widest = tokens.iter().map(|(_, pages)| pages.len()).max();
        let Some(widest) = widest else {
            return Err(Error::argument("tokens", "at least one", 0));
        };
        let mut table = vec![-1i32; tokens.len() * widest.max(1)];
        let mut positions = Vec::with_capacity(tokens.len());
        for (row, (position, pages)) in table.chunks_mut(widest.max(1)).zip(tokens) {
            if *position >= pages.len() * SLOTS {
                let room = format!(
                    "below {}, as there are {} pages",
                    pages.len() * SLOTS,
                    pages.len()
                );
                return Err(Error::argument("position", room, position));
            }
            // A token sees the pages up to its own.
            for (place, page) in row.iter_mut().zip(&pages[..=position / SLOTS]) {
                *place = *page as i32;
            }
            positions.push(*position as i32);
        }
        let count = tokens.len();
        let lengths: Vec<i32> = positions.iter().map(|p| p + 1).collect();
        let page = |(position, pages): &(usize, &[u32])| pages[position / SLOTS] as i32;
        let slot = |(position, _): &(usize, &[u32])| (position % SLOTS) as i32;
        let slots = [
            tokens.iter().map(page).collect::<Vec<_>>(),
            tokens.iter().map(slot).collect(),
        ];
        let widest = widest.max(1);
        let mut runs = Vec::new();
        for (rows, of_one) in runs_of(tokens) {
            // Of neighbours the last one sees the most.
            let told = if of_one {
                rows.end - 1..rows.end
            } else {
                rows.clone()
            };
            let part = &table[told.start * widest..told.end * widest];
            runs.push(Run {
                table: Array::from_slice(part, (told.len(), widest))?,
                lengths: Array::from_slice(&lengths[told.clone()], told.len())?,
                rows: rows.start as i32..rows.end as i32,
                of_one,
            });
        }
        Ok(Batch {
            runs,
            slots: [
                Array::from_slice(&slots[0], count)?,
                Array::from_slice(&slots[1], count)?,
            ],
            positions: Array::from_slice(&positions, count)?,
        })
    }
}

/// Neighbouring tokens of one sequence (true), and between them those of others (false).
fn runs_of(tokens: &[(usize, &[u32])]) -> Vec<(std::ops::Range<usize>, bool)> {
    let follows = |i: usize| {
        let ((before, pages), (position, same)) = (tokens[i - 1], tokens[i]);
        position == before + 1 && pages == same
    };
    let mut runs: Vec<(std::ops::Range<usize>, bool)> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let more = (at + 1..tokens.len()).take_while(|&i| follows(i)).count();
        let of_one = more > 0;
        match runs.last_mut() {
            Some((rows, false)) if !of_one => rows.end = at + 1,
            _ => runs.push((at..at + 1 + more, of_one)),
        }
        at += 1 + more;
    }
    runs
}

impl PagedCache {
    /// A cache with a few pages for sequences of at most `longest` tokens. It grows with [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// [`Error::Memory`] and what the operations fail with.
    #[track_caller]
    pub fn new(model: &Model, longest: usize) -> Result<Self> {
        let config = model.config().clone();
        let positions = longest.min(config.context as usize) as i32;
        let tables = [
            model.angles(false).tables(positions)?,
            model.angles(true).tables(positions)?,
        ];
        let empty = Array::zeros(
            (0, SLOTS as i32, config.kv_heads, config.head_width),
            model.dtype(),
        )?;
        Ok(PagedCache {
            layers: vec![[empty.clone(), empty]; config.layers],
            tables,
            config,
            pages: 0,
            dtype: model.dtype(),
        })
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes of a page, all layers together.
    pub fn page_bytes(&self) -> usize {
        let c = &self.config;
        2 * c.layers * SLOTS * (c.kv_heads * c.head_width) as usize * self.dtype.size()
    }

    /// Makes room for at least `pages` pages; what is in the others stays. **Evaluates** the cache.
    ///
    /// # Errors
    /// [`Error::Memory`] and what the operations fail with.
    #[track_caller]
    pub fn reserve(&mut self, pages: usize) -> Result<()> {
        if pages <= self.pages {
            return Ok(());
        }
        let c = &self.config;
        let more = (pages - self.pages) as i32;
        let shape = (more, SLOTS as i32, c.kv_heads, c.head_width);
        for layer in &mut self.layers {
            for cache in layer {
                let room = Array::zeros(shape, self.dtype)?;
                *cache = ops::concatenate([&*cache, &room], 0)?;
                cache.eval()?;
            }
        }
        self.pages = pages;
        Ok(())
    }

    /// All keys and values, to evaluate them with the results of a computation.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.layers.iter().flatten()
    }

    /// The cache as the attention of the tokens of `batch`.
    pub fn with<'a>(&'a mut self, batch: &'a Batch) -> PagedAttend<'a> {
        PagedAttend {
            cache: self,
            batch,
            angles: [None, None],
        }
    }
}

/// A [`PagedCache`] and the places of the tokens that are computed.
#[derive(Debug)]
pub struct PagedAttend<'a> {
    cache: &'a mut PagedCache,
    batch: &'a Batch,
    /// Cosines and sines of the tokens, (T, pairs), of layers that see all and of layers with a window, once one of those has come.
    angles: [Option<[Array; 2]>; 2],
}

impl Attend for PagedAttend<'_> {
    #[track_caller]
    fn attend(
        &mut self,
        layer: usize,
        queries: &Array,
        keys: Array,
        values: Array,
    ) -> Result<Array> {
        let all = ops::concatenate([queries, &keys, &values], 1)?;
        self.attend_together(layer, &all, queries.shape()[1])
    }

    #[track_caller]
    fn attend_together(&mut self, layer: usize, all: &Array, heads: i32) -> Result<Array> {
        let PagedAttend {
            cache,
            batch,
            angles,
        } = self;
        let c = &cache.config;
        let window = c.window_of(layer);
        let kind = usize::from(window.is_some());
        let [cos, sin] = match &mut angles[kind] {
            Some(there) => there,
            none => {
                let [cos, sin] = &cache.tables[kind];
                let rows = |table: &Array| table.take(&batch.positions, 0);
                none.insert([rows(cos)?, rows(sin)?])
            }
        };
        let [queries, keys, values] = turned_apart(all, [cos, sin], heads, c.rope_neighbours)?;
        // Nobody else holds the arrays that are here while this is computed, so the new ones take their memory.
        let [pages, slots] = &batch.slots;
        let kept = |old: &Array, new: &Array| {
            let shape = new.shape();
            let new = new.reshape((shape[0], 1, 1, shape[1], shape[2]))?;
            old.scatter(&[pages.clone(), slots.clone()], &new, [0, 1])
        };
        let [k_cache, v_cache] = &cache.layers[layer];
        let (k, v) = (kept(k_cache, &keys)?, kept(v_cache, &values)?);
        let mut parts = Vec::with_capacity(batch.runs.len());
        for run in &batch.runs {
            parts.push(run.attention(&queries, [&k, &v], window, c.attention_scale)?);
        }
        let y = match &parts[..] {
            [one] => one.clone(),
            several => ops::concatenate(several, 0)?,
        };
        cache.layers[layer] = [k, v];
        Ok(y)
    }
}

impl Run {
    /// Attention of its tokens among `queries` (T, heads, width of a head), in the shape of those.
    #[track_caller]
    fn attention(
        &self,
        queries: &Array,
        [keys, values]: [&Array; 2],
        window: Option<i32>,
        scale: f32,
    ) -> Result<Array> {
        let whole = self.rows == (0..queries.shape()[0]);
        let own = match whole {
            true => queries.clone(),
            false => queries.index(self.rows.clone())?,
        };
        let own = match self.of_one {
            // (1, heads, tokens, width).
            true => own.expand_dims(0)?.transpose([0, 2, 1, 3])?,
            false => own,
        };
        let mut call = paged_attention(&own, keys, values, &self.table, &self.lengths);
        if let Some(window) = window {
            call = call.window(window);
        }
        if !self.of_one {
            return call.scale(scale).call();
        }
        let y = call.causal().scale(scale).call()?;
        y.transpose([0, 2, 1, 3])?.squeeze(0)
    }
}
