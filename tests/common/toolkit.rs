//! What the tests of the toolkit use.
#![allow(dead_code, reason = "each file uses a part")]

use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::{self, MapReduceBuilder};

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

/// The two passes of softmax over `x`: the largest element `s1`, and the sum `s2` of the exponentials of the distances to it.
pub fn softmax_passes(name: &str) -> MapReduceBuilder {
    rowwise::map_reduce(name)
        .pass(Pass {
            init: "-INFINITY",
            update: "max(acc1, x)",
            reduce: "max(a, b)",
        })
        .pass(Pass {
            init: "0.0f",
            update: "acc2 + exp(x - s1)",
            reduce: "a + b",
        })
}
