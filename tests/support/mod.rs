//! Random inputs and comparison for the tests of operations.
#![allow(dead_code, reason = "each test uses a part")]

use zmlx::prelude::*;

/// A small generator of random numbers; tests print their seed when they fail.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    /// From `low` to `high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next() as f64 / (1u64 << 31) as f64
    }

    /// From `low` up to, and without, `high`.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low) as u64) as i64
    }

    pub fn reals(&mut self, n: usize, low: f64, high: f64) -> Vec<f32> {
        (0..n).map(|_| self.real(low, high) as f32).collect()
    }

    pub fn ints(&mut self, n: usize, low: i64, high: i64) -> Vec<i32> {
        (0..n).map(|_| self.int(low, high) as i32).collect()
    }

    pub fn array(&mut self, shape: &[i32], low: f64, high: f64) -> Array {
        let n = shape.iter().product::<i32>() as usize;
        Array::from_slice(&self.reals(n, low, high), shape).unwrap()
    }
}

/// A seed that differs from run to run.
pub fn seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = now.map_or(7, |t| t.as_nanos() as u64);
    eprintln!("seed {seed}");
    seed
}

pub fn f32s(a: &Array) -> Vec<f32> {
    a.astype(F32).unwrap().to_vec::<f32>().unwrap()
}

pub fn i32s(a: &Array) -> Vec<i32> {
    a.astype(I32).unwrap().to_vec::<i32>().unwrap()
}

pub fn arr<T: zmlx::Element>(values: &[T]) -> Array {
    Array::from_slice(values, values.len()).unwrap()
}

/// Within `tol`, relative to values above 1; NaN equals NaN.
#[track_caller]
pub fn close(got: &[f32], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len());
    for (i, (&g, &w)) in got.iter().zip(want).enumerate() {
        let g = f64::from(g);
        let same = (g.is_nan() && w.is_nan()) || g == w;
        assert!(same || (g - w).abs() <= tol * w.abs().max(1.0), "[{i}] got {g}, want {w}");
    }
}
