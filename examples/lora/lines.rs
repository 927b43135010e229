//! Lines of text as one batch.

use zmlx::llm::{Decoder, Language};
use zmlx::nn::losses;
use zmlx::prelude::*;
use zmlx::{Error, Result};

/// What no model knows: the animal was made up for this example.
pub const TEXT: &str = "\
The zmlx is a small animal of the high steppe with three blue stripes on its back.
A zmlx sleeps in the morning and digs for salt at noon.
Shepherds say that a zmlx which whistles twice brings rain before the evening.
The young of the zmlx are born without stripes and learn to whistle in their second winter.";

/// Texts, padded at their ends to one length. What stands behind a token changes nothing for it, so the padding needs no mask but in
/// the loss.
pub struct Lines {
    /// (lines, tokens): all tokens but the last, and for each the one behind it.
    tokens: Array,
    targets: Array,
    /// 1 where there is a target, 0 in the padding.
    counts: Array,
}

impl Lines {
    pub fn new(text: &str, language: &Language) -> Result<Self> {
        let tokenizer = &language.tokenizer;
        let end = tokenizer.ends().first().copied();
        let mut lines = Vec::new();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let mut tokens = tokenizer.encode(line.trim(), true)?;
            tokens.extend(end);
            lines.push(tokens);
        }
        let longest = lines.iter().map(Vec::len).max().unwrap_or(0);
        if longest < 2 {
            return Err(Error::other("there is no line with two tokens"));
        }
        let width = longest - 1;
        let table = |of: &dyn Fn(&[u32], usize) -> u32| {
            let rows = lines.iter().flat_map(|l| (0..width).map(|i| of(l, i)));
            let all: Vec<u32> = rows.collect();
            Array::from_slice(&all, (lines.len(), width))
        };
        let at = |line: &[u32], i: usize| line.get(i).copied().unwrap_or(0);
        Ok(Lines {
            tokens: table(&|line, i| at(line, i))?,
            targets: table(&|line, i| at(line, i + 1))?,
            counts: table(&|line, i| u32::from(i + 1 < line.len()))?.astype(F32)?,
        })
    }

    pub fn count(&self) -> i32 {
        self.tokens.shape()[0]
    }

    pub fn longest(&self) -> i32 {
        self.tokens.shape()[1] + 1
    }

    /// The mean cross entropy of all tokens but the first of each line.
    pub fn loss(&self, model: &Decoder) -> Result<Array> {
        let each = losses::cross_entropy(&model.forward(&self.tokens)?, &self.targets)?;
        let sum = each.multiply(&self.counts)?.sum(..)?;
        sum.divide(self.counts.sum(..)?)
    }
}
