//! Where the tokens of a computation stand in the pages of a cache.

use super::paged::SLOTS;
use crate::kernels::attention::{Cache, paged_attention};
use crate::kernels::rope::Slots;
use crate::{Array, Error, Result};

/// Where the tokens of one computation stand.
#[derive(Debug)]
pub struct Batch {
    /// The position of each token in its sequence, (T,).
    pub(super) positions: Array,
    /// The highest position.
    pub(super) highest: usize,
    /// The highest number of a page.
    pub(super) last_page: u32,
    /// Page and slot of each token.
    pub(super) slots: Slots,
    /// Neighbouring tokens of one sequence, whose attention reads keys and values together: the first one and their number. A token
    /// that is alone is a part of one; all tokens are, in order.
    pub(super) runs: Vec<Run>,
}

/// Tokens whose attention is one call.
#[derive(Debug)]
pub(super) struct Run {
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
        let mut slots = Vec::with_capacity(tokens.len());
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
            slots.push(Some([
                pages[position / SLOTS] as i32,
                (position % SLOTS) as i32,
            ]));
        }
        let count = tokens.len();
        let lengths: Vec<i32> = positions.iter().map(|p| p + 1).collect();
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
        let pages = tokens.iter().flat_map(|(_, pages)| pages.iter());
        Ok(Batch {
            runs,
            highest: tokens.iter().map(|(p, _)| *p).max().unwrap_or(0),
            last_page: pages.copied().max().unwrap_or(0),
            slots: Slots::new(&slots)?,
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

impl Run {
    /// Attention of its tokens among `queries` (T, heads, width of a head), in the shape of those.
    #[track_caller]
    pub(super) fn attention(
        &self,
        queries: &Array,
        [keys, values]: [Cache<'_>; 2],
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
