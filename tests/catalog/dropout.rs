//! Whether dropout's masks look like chance. Limits are five standard deviations.

use zmlx::kernels::transformer::dropout;
use zmlx::prelude::*;
use zmlx::{Result, vjp};

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
        let y = dropout(&ones, p).seed(seed).call()?.to_vec::<f32>()?;
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

#[track_caller]
fn chance(sigmas: f64, what: &str) {
    assert!(
        sigmas.abs() < 5.0,
        "{what}: {sigmas:.1} standard deviations"
    );
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
        let x = random::normal((40, 250))?;
        let y = dropout(&x, 0.3).seed(seed).call()?;
        assert_eq!(numbers(&y)?, numbers(&dropout(&x, 0.3).seed(seed).call()?)?);
        assert_ne!(
            numbers(&y)?,
            numbers(&dropout(&x, 0.3).seed(seed + 1).call()?)?
        );
        let other = dropout(&x.reshape((5, 20, 100))?, 0.3).seed(seed).call()?;
        assert_eq!(numbers(&y)?, numbers(&other)?);

        // Either 0 or the element by the share kept, in every dtype.
        for dtype in [F32, F16, BF16] {
            let x = Array::ones((100, 100), dtype)?;
            let kept = numbers(&Array::full(1, 1.0f32 / 0.7, F32)?.astype(dtype)?)?[0];
            let y = numbers(&dropout(&x, 0.3).seed(seed).call()?)?;
            assert!(y.iter().all(|&v| v == 0.0 || v == kept), "{dtype}");
        }

        // The gradient has the same mask.
        let f = |p: &[Array]| Ok(vec![dropout(&p[0], 0.3).seed(seed).call()?]);
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
        assert_eq!(numbers(&dropout(&x, 0.0).seed(1).call()?)?, numbers(&x)?);
        for p in [1.0, 1.5, -0.1, f32::NAN, f32::INFINITY] {
            let error = dropout(&x, p).seed(1).call().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{p}: {error:?}");
        }
        Ok(())
    })
    .unwrap();
}
