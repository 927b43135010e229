//! The way from a place in the lowered text back to the line that the user wrote.

use crate::engine::error::{Location, Region};

/// Where the parts of the original text went.
#[derive(Clone, Debug)]
pub struct SourceMap {
    original: String,
    /// Region, its start in the original, its start in the lowered text.
    regions: Vec<(Region, usize, usize)>,
    /// Start of each token in the lowered text and in the original, ascending.
    tokens: Vec<(usize, usize)>,
    /// Lines of the lowered text: start of each, up to the entry points.
    end: usize,
}

impl SourceMap {
    pub(super) fn new(original: &str) -> Self {
        Self {
            original: original.to_owned(),
            regions: Vec::new(),
            tokens: Vec::new(),
            end: 0,
        }
    }

    pub(super) fn begin(&mut self, region: Region, original: usize, lowered: usize) {
        self.regions.push((region, original, lowered));
    }

    pub(super) fn finish(&mut self, tokens: Vec<(usize, usize)>, end: usize) {
        (self.tokens, self.end) = (tokens, end);
    }

    /// The place in the original for the compiler's `file:line:column` in the lowered `text`.
    pub fn locate(&self, text: &str, file: &str, line: usize, column: usize) -> Option<Location> {
        let &(region, original, lowered) = self.regions.iter().find(|(r, ..)| r.file() == file)?;
        let lines = |start: usize, within: &str| -> Option<usize> {
            let skipped: usize = within
                .split_inclusive('\n')
                .take(line.checked_sub(1)?)
                .map(str::len)
                .sum();
            Some(start + skipped)
        };
        let out_line = lines(lowered, text.get(lowered..self.end)?)?;
        let in_line = lines(original, self.original.get(original..)?)?;
        let in_text = self.original.get(in_line..)?.lines().next().unwrap_or("");
        Some(Location {
            region,
            line,
            column: self.column(out_line + column.saturating_sub(1), in_line, in_text.len()),
            text: in_text.to_owned(),
        })
    }

    /// The column, from 1, of the token that covers offset `at` of the lowered text.
    fn column(&self, at: usize, line_start: usize, line_len: usize) -> usize {
        let next = self.tokens.partition_point(|&(lowered, _)| lowered <= at);
        let Some(&(_, original)) = next.checked_sub(1).and_then(|i| self.tokens.get(i)) else {
            return 1;
        };
        original.saturating_sub(line_start).min(line_len) + 1
    }
}
