//! What attention over blocks gives, by loops in float64, and how far off rounding may take it.

use zmlx::Result;
use zmlx::kernels::attention::paged_attention;
use zmlx::prelude::*;

use crate::common::{Rng, factors_are_rounded};
use crate::tolerance::numbers;

pub struct Sizes {
    pub batch: usize,
    pub heads: usize,
    pub kv: usize,
    pub width: usize,
    pub blocks: usize,
    pub slots: usize,
    pub columns: usize,
}

pub struct Case {
    /// `q`, keys and values.
    pub p: [Array; 3],
    pub table: Vec<i64>,
    pub lens: Vec<i64>,
    pub scale: Option<f32>,
}

/// An exact result: its elements, and for each the sum of its terms' magnitudes.
#[derive(Clone)]
pub struct Exact {
    pub values: Vec<f64>,
    pub sizes: Vec<f64>,
}

impl Exact {
    pub fn zeros(n: usize) -> Exact {
        Exact {
            values: vec![0.0; n],
            sizes: vec![0.0; n],
        }
    }

    pub fn add(&mut self, at: usize, term: f64, size: f64) {
        self.values[at] += term;
        self.sizes[at] += size;
    }
}

impl Case {
    pub fn new(rng: &mut Rng, s: &Sizes, lens: &[i64], dtype: Dtype) -> Result<Case> {
        let mut normal = |shape: [usize; 4]| {
            let values = rng.normals(shape.iter().product());
            Array::from_slice(&values, shape.map(|n| n as i32))?.astype(dtype)
        };
        let q = normal([1, s.batch, s.heads, s.width])?.squeeze(0)?;
        let keys = normal([s.blocks, s.slots, s.kv, s.width])?;
        let values = normal([s.blocks, s.slots, s.kv, s.width])?;
        let mut table: Vec<i64> = (0..s.batch * s.columns)
            .map(|_| rng.below(s.blocks) as i64)
            .collect();
        // Blocks beyond the tokens are none.
        for (b, &n) in lens.iter().enumerate() {
            let used = (n.max(0) as usize).div_ceil(s.slots);
            for column in used..s.columns {
                table[b * s.columns + column] = [-1, s.blocks as i64, 1 << 40][column % 3];
            }
        }
        Ok(Case {
            p: [q, keys, values],
            table,
            lens: lens.to_vec(),
            scale: None,
        })
    }

    pub fn call(&self, p: &[Array]) -> Result<Array> {
        let batch = self.lens.len();
        let table = Array::from_slice(&self.table, (batch, self.table.len() / batch))?;
        let lens = Array::from_slice(&self.lens, batch)?;
        let call = paged_attention(&p[0], &p[1], &p[2], &table, &lens);
        match self.scale {
            Some(scale) => call.scale(scale).call(),
            None => call.call(),
        }
    }

    /// The output, and the gradients by the cotangent.
    pub fn want(&self, g: &[f64]) -> Result<[Exact; 4]> {
        self.want_at(&numbers(&self.p[0])?, g)
    }

    /// The same with other queries.
    ///
    /// Sizes. A score is off by roundings of the products that it sums, and a weight by that, relative to itself; the sum that
    /// weights are divided by likewise, on average over the tokens. So a term with weight w and score s has the size
    /// |term| * (1 + |s| + mean of |s|), where |s| stands for the sum of the products' magnitudes.
    pub fn want_at(&self, q: &[f64], g: &[f64]) -> Result<[Exact; 4]> {
        let [batch, heads, width] = [0, 1, 2].map(|i| self.p[0].shape()[i] as usize);
        let [_, slots, kv] = [0, 1, 2].map(|i| self.p[1].shape()[i] as usize);
        let columns = self.table.len() / batch;
        let [keys, values] = [1, 2].map(|i| numbers(&self.p[i]).unwrap());
        let scale = self.scale.map_or(1.0 / (width as f64).sqrt(), f64::from);
        let mut y = Exact::zeros(q.len());
        let mut d = [q.len(), keys.len(), values.len()].map(Exact::zeros);
        // An inner product, and the same of the magnitudes.
        let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> (f64, f64) {
            let products = (0..width).map(|k| a[i + k] * b[j + k]);
            products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
        };
        for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
            let row = (b * heads + h) * width;
            let at: Vec<usize> = (0..self.lens[b].max(0) as usize)
                .map(|i| {
                    let block = self.table[b * columns + i / slots] as usize;
                    ((block * slots + i % slots) * kv + h / (heads / kv)) * width
                })
                .collect();
            let scores: Vec<(f64, f64)> = at.iter().map(|&t| dot(q, row, &keys, t)).collect();
            let most = scores.iter().map(|s| scale * s.0);
            let most = most.fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (scale * s.0 - most).exp()).collect();
            let total: f64 = weights.iter().sum();
            let weights: Vec<f64> = weights.iter().map(|w| w / total).collect();
            let rows = || weights.iter().zip(&scores);
            let mean_size: f64 = rows().map(|(w, s)| w * scale.abs() * s.1).sum();
            let sizes: Vec<f64> = rows()
                .map(|(w, s)| w * (1.0 + scale.abs() * s.1 + mean_size))
                .collect();
            let dw: Vec<(f64, f64)> = at.iter().map(|&t| dot(g, row, &values, t)).collect();
            let mean: f64 = weights.iter().zip(&dw).map(|(w, d)| w * d.0).sum();
            let mean_size: f64 = sizes.iter().zip(&dw).map(|(w, d)| w * d.1).sum();
            for (i, &t) in at.iter().enumerate() {
                let ds = weights[i] * (dw[i].0 - mean) * scale;
                let ds_size = sizes[i] * (dw[i].1 + mean_size) * scale.abs();
                for k in 0..width {
                    let (v, key, q, g) = (values[t + k], keys[t + k], q[row + k], g[row + k]);
                    y.add(row + k, weights[i] * v, sizes[i] * v.abs());
                    d[0].add(row + k, ds * key, ds_size * key.abs());
                    d[1].add(t + k, ds * q, ds_size * q.abs());
                    d[2].add(t + k, weights[i] * g, sizes[i] * g.abs());
                }
            }
        }
        let [dq, dk, dv] = d;
        Ok([y, dq, dk, dv])
    }
}

/// Results in float32, each rounded to its dtype at the end: an element may be off by that rounding, and by `UNIT` of the sum of
/// its terms' magnitudes, which a result that nearly cancels can be far below. That is 80 roundings of float32: the square root of the
/// thousands of tokens that are added up, as errors of either sign grow.
pub fn close(what: &str, got: &Array, want: &Exact) -> Result<()> {
    close_by(UNIT, what, got, want)
}

/// The same for derivatives.
pub fn close_derivative(what: &str, got: &Array, want: &Exact) -> Result<()> {
    close_by(unit_of_derivatives(), what, got, want)
}

/// Derivatives come from products of MLX's, which may round both factors to 11 bits.
pub fn unit_of_derivatives() -> f64 {
    if factors_are_rounded() {
        1.0 / 1024.0
    } else {
        UNIT
    }
}

const UNIT: f64 = 5e-6;

#[track_caller]
fn close_by(unit: f64, what: &str, got: &Array, want: &Exact) -> Result<()> {
    // Half a step of the dtype, relative and below the smallest normal number.
    let (relative, step) = match got.dtype() {
        F32 => (0.0, f64::from(f32::MIN_POSITIVE)),
        F16 => (1.0 / 2048.0, 2f64.powi(-25)),
        _ => (1.0 / 256.0, f64::from(f32::MIN_POSITIVE)),
    };
    let got = numbers(got)?;
    assert_eq!(got.len(), want.values.len(), "{what}");
    for (i, (g, (w, size))) in got
        .iter()
        .zip(want.values.iter().zip(&want.sizes))
        .enumerate()
    {
        // Rounding sees what is off already, so it is a little more than that of the exact value.
        let off = unit * size * 1.01 + 1.01 * relative * w.abs() + step;
        assert!(
            (g - w).abs() <= off,
            "{what}: element {i} is {g}, expected {w}, of terms of {size}"
        );
    }
    Ok(())
}
