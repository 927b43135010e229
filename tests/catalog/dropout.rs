//! Whether dropout's masks look like chance. Limits are five standard deviations.

use zmlx::kernels::transformer::dropout;
use zmlx::prelude::*;
use zmlx::{Result, vjp};

use crate::chance::{chance, chi_square};
use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

const SIZE: usize = 1 << 20;

/// The elements of a mask, 64 a word; the first is the lowest bit.
struct Mask {
    words: Vec<u64>,
    kept: f64,
}

impl Mask {
    fn new(p: f32, seed: u64) -> Result<Self> {
        let ones = Array::ones(SIZE as i32, Dtype::Float32)?;
        let y = dropout(&ones, p, seed)?.to_vec::<f32>()?;
        let word = |c: &[f32]| c.iter().rev().fold(0, |w, &v| w << 1 | u64::from(v != 0.0));
        Ok(Mask {
            words: y.chunks(64).map(word).collect(),
            kept: 1.0 - f64::from(p),
        })
    }

    /// The word that starts at an element.
    fn word(&self, at: usize) -> u64 {
        let (i, shift) = (at / 64, at % 64);
        let next = self.words.get(i + 1).copied().unwrap_or(0);
        let high = if shift == 0 { 0 } else { next << (64 - shift) };
        self.words[i] >> shift | high
    }

    /// Standard deviations by which the share of kept elements is off.
    fn rate(&self) -> f64 {
        let kept: u32 = self.words.iter().map(|w| w.count_ones()).sum();
        let (n, q) = (SIZE as f64, self.kept);
        (f64::from(kept) - n * q) / (n * q * (1.0 - q)).sqrt()
    }

    /// Standard deviations by which the covariance with another mask, `lag` elements on, is off
    /// zero.
    fn covariance(&self, other: &Mask, lag: usize) -> f64 {
        let n = (SIZE - lag) / 64;
        let (mut both, mut either) = (0, 0);
        for i in 0..n {
            let (a, b) = (self.words[i], other.word(64 * i + lag));
            both += (a & b).count_ones();
            either += a.count_ones() + b.count_ones();
        }
        let (n, q) = (64.0 * n as f64, self.kept);
        let sum = f64::from(both) - q * f64::from(either) + n * q * q;
        sum / (n.sqrt() * q * (1.0 - q))
    }
}

#[test]
fn the_share_kept_is_as_asked() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for p in [0.01, 0.1, 0.25, 0.5, 0.9, 0.99] {
            chance(Mask::new(p, rng.next())?.rate(), &format!("p = {p}"));
        }
        // Seeds as people choose them.
        for seed in 0..20 {
            chance(Mask::new(0.5, seed)?.rate(), &format!("seed {seed}"));
        }
        Ok(())
    })
    .unwrap();
}

/// Elements near each other, and at the distances of rows: powers of two, and 1000.
#[test]
fn elements_are_independent() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let near = 1..=64;
        let far = (7..19).map(|k| 1 << k).chain([1000, 3000, 100_000]);
        let lags: Vec<usize> = near.chain(far).collect();
        for (p, seed) in [(0.1, rng.next()), (0.5, rng.next()), (0.5, 1), (0.9, 2)] {
            let mask = Mask::new(p, seed)?;
            for &lag in &lags {
                let sigmas = mask.covariance(&mask, lag);
                chance(sigmas, &format!("p = {p}, seed {seed}, lag {lag}"));
            }
        }
        Ok(())
    })
    .unwrap();
}

/// How often each pattern of eight occurs: of neighbours, of elements a row of 64 or of 1000 apart, and of the same element
/// under eight seeds that follow each other. A pattern with k kept has the share p^(8 - k) (1 - p)^k.
#[test]
fn patterns_have_their_shares() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for (p, seed) in [(0.5, 0), (0.5, rng.next()), (0.25, 7), (0.1, rng.next())] {
            let mask = Mask::new(p, seed)?;
            let (p, q) = (1.0 - mask.kept, mask.kept);
            let share = |pattern: usize| {
                let kept = pattern.count_ones() as i32;
                q.powi(kept) * p.powi(8 - kept)
            };
            for step in [1, 3, 64, 256, 1000] {
                let mut counts = [0; 256];
                // Each element belongs to one pattern.
                for block in 0..SIZE / (8 * step) {
                    for at in 8 * step * block..8 * step * block + step {
                        let bit = |k| (mask.word(at + k * step) & 1) << k;
                        counts[(0..8).map(bit).sum::<u64>() as usize] += 1;
                    }
                }
                let sigmas = chi_square(&counts, share);
                chance(sigmas, &format!("p = {p}, seed {seed}, step {step}"));
            }
            let seeds = (0..8).map(|k| Mask::new(p as f32, seed.wrapping_add(k)));
            let masks = seeds.collect::<Result<Vec<_>>>()?;
            let mut counts = [0; 256];
            for at in 0..SIZE {
                let bit = |k: usize| (masks[k].word(at) & 1) << k;
                counts[(0..8).map(bit).sum::<u64>() as usize] += 1;
            }
            let sigmas = chi_square(&counts, share);
            chance(sigmas, &format!("p = {p}, eight seeds from {seed} on"));
        }
        Ok(())
    })
    .unwrap();
}

/// The number kept in each block of 64 has the distribution of so many throws: neither blocks that are too even, as of a
/// sequence that fills the range, nor clusters.
#[test]
fn blocks_are_as_uneven_as_chance() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for (p, seed) in [(0.5f32, rng.next()), (0.5, 3), (0.2, rng.next())] {
            let mask = Mask::new(p, seed)?;
            // Cells from 8 below the mean to 8 above it; what is beyond goes to the last on its side.
            let mean = (64.0 * mask.kept).round() as i64;
            let cell = |kept: i64| (kept - mean).clamp(-8, 8) + 8;
            let mut shares = [0.0; 17];
            let mut choices = 1.0;
            for kept in 0..=64i64 {
                let one = choices
                    * mask.kept.powi(kept as i32)
                    * (1.0 - mask.kept).powi(64 - kept as i32);
                shares[cell(kept) as usize] += one;
                choices *= (64 - kept) as f64 / (kept + 1) as f64;
            }
            let mut counts = [0; 17];
            for word in &mask.words {
                counts[cell(i64::from(word.count_ones())) as usize] += 1;
            }
            let sigmas = chi_square(&counts, |i| shares[i]);
            chance(sigmas, &format!("p = {p}, seed {seed}"));
        }
        Ok(())
    })
    .unwrap();
}

/// Masks of neighbouring and of far seeds, in place and against each other shifted.
#[test]
fn seeds_are_independent() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for seed in [0, 41, rng.next()] {
            let mask = Mask::new(0.5, seed)?;
            for step in [1, 2, 1 << 16, 1 << 32, 1 << 63] {
                let other = Mask::new(0.5, seed.wrapping_add(step))?;
                for lag in 0..=64 {
                    let what = format!("seed {seed} and {step} on, lag {lag}");
                    chance(mask.covariance(&other, lag), &what);
                    chance(other.covariance(&mask, lag), &what);
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn the_mask_belongs_to_seed_and_element() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let seed = rng.next();
        // No element is 0 by itself: a zero says that it was dropped.
        let x = (random::normal((40, 250))?.abs()? + 0.5)?;
        let y = dropout(&x, 0.3, seed)?;
        assert_eq!(numbers(&y)?, numbers(&dropout(&x, 0.3, seed)?)?);
        assert_ne!(numbers(&y)?, numbers(&dropout(&x, 0.3, seed + 1)?)?);
        let other = dropout(&x.reshape((5, 20, 100))?, 0.3, seed)?;
        assert_eq!(numbers(&y)?, numbers(&other)?);

        // Either 0 or the element by the share kept, in every dtype.
        for dtype in [F32, F16, BF16] {
            let x = Array::ones((100, 100), dtype)?;
            let kept = numbers(&Array::full(1, 1.0f32 / 0.7, F32)?.astype(dtype)?)?[0];
            let y = numbers(&dropout(&x, 0.3, seed)?)?;
            assert!(y.iter().all(|&v| v == 0.0 || v == kept), "{dtype}");
        }

        // The gradient has the same mask.
        let f = |p: &[Array]| Ok(vec![dropout(&p[0], 0.3, seed)?]);
        let dx = vjp(f, [&x], [&Array::ones((40, 250), F32)?])?.1;
        let pairs = numbers(&y)?.into_iter().zip(numbers(&dx[0])?);
        assert!({ pairs }.all(|(y, dx)| (y != 0.0) == (dx != 0.0)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn probabilities_at_the_ends() {
    on_worker(|| -> Result<()> {
        let x = random::normal((3, 100))?;
        assert_eq!(numbers(&dropout(&x, 0.0, 1)?)?, numbers(&x)?);
        for p in [1.0, 1.5, -0.1, f32::NAN, f32::INFINITY] {
            let error = dropout(&x, p, 1).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{p}: {error:?}");
        }
        Ok(())
    })
    .unwrap();
}
