//! Batches of a text, each a function of its number: a run that is resumed sees the same ones.

use zmlx::prelude::*;
use zmlx::{Error, Result};

pub struct Data {
    bytes: Vec<u8>,
    batch: usize,
    context: usize,
}

impl Data {
    /// Batches of `batch` pieces of `context` bytes.
    pub fn new(bytes: Vec<u8>, batch: usize, context: usize) -> Result<Self> {
        if bytes.len() <= context + 1 {
            return Err(Error::other(format!(
                "a text of {} bytes is too short",
                bytes.len()
            )));
        }
        Ok(Data {
            bytes,
            batch,
            context,
        })
    }

    /// The pieces of a step, and for each byte the one behind it: both (batch, context), uint32.
    pub fn batch(&self, step: u64) -> Result<(Array, Array)> {
        // Mixed: neighbouring steps would otherwise draw the same pieces.
        let mut state = splitmix(&mut step.clone());
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        for _ in 0..self.batch {
            let at = splitmix(&mut state) as usize % (self.bytes.len() - self.context - 1);
            let piece = &self.bytes[at..=at + self.context];
            tokens.extend(piece[..self.context].iter().map(|b| u32::from(*b)));
            targets.extend(piece[1..].iter().map(|b| u32::from(*b)));
        }
        let shape = (self.batch, self.context);
        Ok((
            Array::from_slice(&tokens, shape)?,
            Array::from_slice(&targets, shape)?,
        ))
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
