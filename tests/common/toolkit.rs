//! What the tests of the toolkit use.
#![allow(dead_code, reason = "each file uses a part")]

use zmlx::prelude::*;

use crate::common::{Rng, exactly};

/// Random numbers of this shape.
pub fn normal(rng: &mut Rng, shape: &[usize]) -> Array {
    let n = shape.iter().product();
    Array::from_slice(&rng.normals(n), shape).unwrap()
}

/// The same values in float64.
pub fn f64_of(arrays: &[Array]) -> Vec<Array> {
    exactly(|| arrays.iter().map(|a| a.astype(F64).unwrap()).collect())
}

/// Every element is within `tolerance * (1 + |want|)`.
#[track_caller]
pub fn check(got: &Array, want: &Array, tolerance: f64, what: &str) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    if got.size() == 0 {
        return;
    }
    let [got, want] =
        exactly(|| [got, want].map(|a| a.astype(F64).unwrap().to_vec::<f64>().unwrap()));
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        let fits =
            (g - w).abs() <= tolerance * (1.0 + w.abs()) || g == w || (g.is_nan() && w.is_nan());
        assert!(fits, "{what}: element {i}: got {g}, want {w}");
    }
}
