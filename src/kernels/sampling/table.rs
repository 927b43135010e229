//! The row of the catalog's table.

use super::sample;
use crate::kernels::catalog::{Entry, Kind, few_roundings, input};
use crate::kernels::transformer::random_bits;
use crate::{Array, Dtype, Result};

const SEED: u64 = 17;
const TEMPERATURE: f32 = 0.75;

/// Tokens of rows of logits by MLX's operations, from the same random numbers.
fn drawn(logits: &Array) -> Result<Array> {
    let (width, rows) = (logits.shape()[logits.ndim() - 1], logits.size() as u64);
    let rows = rows / (width as u64).max(1);
    let dice = (0..rows).map(|row| super::words(SEED, row));
    let (a, b): (Vec<u32>, Vec<u32>) = dice.map(|[a, b]| (a, b)).unzip();
    let column = |words: &[u32]| Array::from_slice(words, (rows as i32, 1));
    let place = Array::arange(width)?.astype(Dtype::Uint32)?;
    let bits = random_bits(&place, &column(&a)?, &column(&b)?)?;
    let u = ((bits.astype(Dtype::Float32)? + 0.5)? * 2f32.powi(-32))?;
    let u = u.minimum(1.0 - f32::EPSILON / 2.0)?;
    let late = u.negative()?.log1p()?.negative()?.log()?;
    let late = late.reshape(logits.shape())?;
    (logits / TEMPERATURE)?.subtract(late)?.argmax(-1)
}

pub(in crate::kernels) static TABLE: &[Entry] = &[Entry {
    name: "sampling::sample",
    formula: "a token drawn with the probabilities softmax(logits / temperature)",
    file: "sampling.metal",
    inputs: &[input("logits", Kind::Logits)],
    call: |p| {
        let call = sample(&p[0]).temperature(TEMPERATURE).seed(SEED);
        Ok(vec![call.call()?])
    },
    composite: |p| Ok(vec![drawn(&p[0])?]),
    mlx: Some(|p| {
        let tokens = crate::random::categorical(&(&p[0] / TEMPERATURE)?, -1)?;
        Ok(vec![tokens])
    }),
    bytes: |rows, width, size| rows * width * size,
    roundings: few_roundings,
}];
