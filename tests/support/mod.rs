//! Random inputs and comparison for the tests of operations.
#![allow(dead_code, unused_imports, reason = "each test uses a part")]

#[path = "../common/mod.rs"]
mod common;

use common::short;
pub use common::{Rng, exactly, on_worker, ops, root, sampled};
use zmlx::prelude::*;

/// Numbers of several kinds from the common generator.
impl Rng {
    /// From `low` to `high`.
    pub fn real(&mut self, low: f64, high: f64) -> f64 {
        self.between(low, high)
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

    /// For products, whose factors are rounded on some GPUs: these are not.
    pub fn factors(&mut self, shape: &[i32], low: f64, high: f64) -> Array {
        let n = shape.iter().product::<i32>() as usize;
        let data: Vec<f32> = self.reals(n, low, high).into_iter().map(short).collect();
        Array::from_slice(&data, shape).unwrap()
    }
}

/// The values as float32.
pub fn f32s(a: &Array) -> Vec<f32> {
    a.astype(F32).unwrap().to_vec::<f32>().unwrap()
}

/// The values as int32.
pub fn i32s(a: &Array) -> Vec<i32> {
    a.astype(I32).unwrap().to_vec::<i32>().unwrap()
}

/// A vector.
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
        assert!(
            same || (g - w).abs() <= tol * w.abs().max(1.0),
            "[{i}] got {g}, want {w}"
        );
    }
}
