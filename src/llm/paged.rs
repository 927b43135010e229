//! Keys and values of many sequences in pages that they share.

use super::batch::Batch;
use super::config::Config;
use super::model::{Attend, Model};
use super::options::PageKind;
use super::store::Store;
use crate::kernels::rope::turned_apart;
use crate::{Array, Dtype, Error, Result, ops};

/// The cache of a server: for each layer keys and values in pages of [`SLOTS`] tokens.
///
/// Which page belongs to whom is told by the tables of a [`Batch`], which [`Pages`](super::Pages) keeps.
#[derive(Clone, Debug)]
pub struct PagedCache {
    layers: Vec<Store>,
    /// Cosines and sines, of layers that see all and of layers with a window.
    tables: [[Array; 2]; 2],
    config: Config,
    pages: usize,
    dtype: Dtype,
    kind: PageKind,
}

/// Tokens of a page.
pub const SLOTS: usize = 16;

impl PagedCache {
    /// A cache with no page yet for sequences of at most `longest` tokens. It grows with [`reserve`](Self::reserve).
    ///
    /// # Errors
    /// [`Error::Memory`] and what the operations fail with.
    #[track_caller]
    pub fn new(model: &Model, longest: usize) -> Result<Self> {
        PagedCache::of(model, longest, PageKind::Floats)
    }

    /// One whose pages hold keys and values in another form.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::Argument`] where pages of few bits do not fit the width of the model's heads.
    #[track_caller]
    pub fn of(model: &Model, longest: usize, kind: PageKind) -> Result<Self> {
        let config = model.config().clone();
        let positions = longest.min(config.context as usize) as i32;
        let tables = [
            model.angles(false).tables(positions)?,
            model.angles(true).tables(positions)?,
        ];
        let empty = Store::empty(kind, config.kv_heads, config.head_width, model.dtype())?;
        Ok(PagedCache {
            layers: vec![empty; config.layers],
            tables,
            config,
            pages: 0,
            dtype: model.dtype(),
            kind,
        })
    }

    /// How many pages there are.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// The form of keys and values.
    pub fn kind(&self) -> PageKind {
        self.kind
    }

    /// Bytes of a page, all layers together.
    pub fn page_bytes(&self) -> usize {
        let c = &self.config;
        let row = Store::row_bytes(self.kind, c.head_width as usize, self.dtype);
        2 * c.layers * SLOTS * c.kv_heads as usize * row
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
        let more = (pages - self.pages) as i32;
        for layer in &mut self.layers {
            layer.grow(more)?;
        }
        self.pages = pages;
        Ok(())
    }

    /// All keys and values, to evaluate them with the results of a computation.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.layers.iter().flat_map(Store::arrays)
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
    /// Cosines and sines of the tokens, once they were asked for.
    angles: [Option<[Array; 2]>; 2],
}

impl PagedAttend<'_> {
    /// Cosines and sines of the tokens in layers of a kind, (T, pairs).
    #[track_caller]
    fn angles(&mut self, window: bool) -> Result<[Array; 2]> {
        let which = usize::from(window);
        if let Some(known) = &self.angles[which] {
            return Ok(known.clone());
        }
        let [cos, sin] = &self.cache.tables[which];
        let (batch, rows) = (self.batch, cos.shape()[0] as usize);
        if batch.highest >= rows {
            let expected = format!("below {rows}, as long as the cache's sequences are");
            return Err(Error::argument("position", expected, batch.highest));
        }
        if batch.last_page as usize >= self.cache.pages {
            let expected = format!("below {}, which are reserved", self.cache.pages);
            return Err(Error::argument("page", expected, batch.last_page));
        }
        let of = |table: &Array| table.take(&batch.positions, 0);
        let own = [of(cos)?, of(sin)?];
        self.angles[which] = Some(own.clone());
        Ok(own)
    }
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
        let window = self.cache.config.window_of(layer);
        let [cos, sin] = self.angles(window.is_some())?;
        let PagedAttend { cache, batch, .. } = self;
        let c = &cache.config;
        let [queries, keys, values] = turned_apart(all, [&cos, &sin], heads, c.rope_neighbours)?;
        let store = &mut cache.layers[layer];
        store.write(&batch.slots, &keys, &values)?;
        let mut parts = Vec::with_capacity(batch.runs.len());
        for run in &batch.runs {
            parts.push(run.attention(&queries, store.caches(), window, c.attention_scale)?);
        }
        match &parts[..] {
            [one] => Ok(one.clone()),
            several => ops::concatenate(several, 0),
        }
    }
}
