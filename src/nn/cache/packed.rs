//! All positions in a few bits.

use super::Seen;
use super::straight::STEP;
use super::strip::{Room, Strip};
use crate::ops::{Quantization, Quantized};
use crate::{Array, Dtype, Error, Result};

/// A strip for each part of a quantized matrix.
#[derive(Clone, Debug, Default)]
struct Parts {
    weight: Strip,
    scales: Strip,
    biases: Strip,
    dtype: Option<Dtype>,
}

#[derive(Clone, Debug)]
pub(super) struct Packed {
    quantization: Quantization,
    keys: Parts,
    values: Parts,
}

impl Packed {
    pub(super) fn new(quantization: Quantization) -> Self {
        Packed {
            quantization,
            keys: Parts::default(),
            values: Parts::default(),
        }
    }

    #[track_caller]
    pub(super) fn update(&mut self, keys: &Array, values: &Array, at: i32) -> Result<Seen> {
        let q = self.quantization;
        let (new_keys, new_values) = (quantized("keys", keys, q)?, quantized("values", values, q)?);
        self.keys.put("keys", &new_keys, keys.dtype(), at)?;
        self.values.put("values", &new_values, values.dtype(), at)?;
        let end = at + keys.shape()[2];
        Ok(Seen {
            keys: self.keys.first(end, q)?,
            values: self.values.first(end, q)?,
            mask: None,
        })
    }

    pub(super) fn arrays(&self) -> Vec<&Array> {
        let parts = [&self.keys, &self.values];
        let strips = parts
            .into_iter()
            .flat_map(|p| [&p.weight, &p.scales, &p.biases]);
        strips.filter_map(Strip::array).collect()
    }

    pub(super) fn reset(&mut self) {
        (self.keys, self.values) = (Parts::default(), Parts::default());
    }
}

#[track_caller]
fn quantized(name: &str, new: &Array, q: Quantization) -> Result<Quantized> {
    let width = new.shape().last().copied().unwrap_or(0);
    if q.group_size < 1 || width % q.group_size != 0 {
        let expected = format!("`{name}`: expected features in groups of {}", q.group_size);
        return Err(Error::shape(format!("{expected}, got {width}")));
    }
    new.quantize(q)
}

impl Parts {
    #[track_caller]
    fn put(&mut self, name: &str, new: &Quantized, dtype: Dtype, at: i32) -> Result<()> {
        let room = Room::Steps(STEP);
        self.weight.put(name, &new.weight, at, room)?;
        self.scales.put(name, &new.scales, at, room)?;
        if let Some(biases) = &new.biases {
            self.biases.put(name, biases, at, room)?;
        }
        self.dtype.get_or_insert(dtype);
        Ok(())
    }

    #[track_caller]
    fn first(&self, count: i32, quantization: Quantization) -> Result<Array> {
        let biases = self.biases.array().map(|_| self.biases.first(count));
        let parts = Quantized {
            weight: self.weight.first(count)?,
            scales: self.scales.first(count)?,
            biases: biases.transpose()?,
            global_scale: None,
            quantization,
        };
        parts
            .dequantize()?
            .astype(self.dtype.unwrap_or(Dtype::Float32))
    }
}
