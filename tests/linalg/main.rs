//! Linear algebra against its definitions, on random matrices. Factors are checked by what they multiply to, in float64.

#[path = "../support/mod.rs"]
mod support;

mod factors;
mod limits;
mod norms;
mod values;

use support::*;
use zmlx::prelude::*;
use zmlx::with_device;

/// The largest difference of two arrays, in float64 on the CPU.
pub(crate) fn apart(a: &Array, b: &Array) -> f64 {
    assert_eq!(a.shape(), b.shape());
    let difference = match a.dtype() == C64 || b.dtype() == C64 {
        true => a.subtract(b).unwrap().abs().unwrap(),
        false => {
            let (a, b) = (a.astype(F64).unwrap(), b.astype(F64).unwrap());
            a.subtract(&b).unwrap().abs().unwrap()
        }
    };
    match difference.size() {
        0 => 0.0,
        _ => difference
            .max(..)
            .unwrap()
            .astype(F64)
            .unwrap()
            .item()
            .unwrap(),
    }
}

#[track_caller]
pub(crate) fn same(a: &Array, b: &Array, bound: f64) {
    let distance = apart(a, b);
    assert!(distance <= bound, "{distance} apart: {a:?} and {b:?}");
}

/// Numbers from -1 to 1 of this dtype.
pub(crate) fn random(rng: &mut Rng, shape: &[i32], dtype: Dtype) -> Array {
    let real = rng.array(shape, -1.0, 1.0);
    match dtype {
        C64 => {
            let i = Array::from_slice(&[num_complex::Complex32::new(0.0, 1.0)], ()).unwrap();
            let imaginary = rng.array(shape, -1.0, 1.0).astype(C64).unwrap();
            real.astype(C64)
                .unwrap()
                .add(imaginary.multiply(&i).unwrap())
                .unwrap()
        }
        _ => real.astype(dtype).unwrap(),
    }
}

/// The transposed matrices, conjugated.
pub(crate) fn adjoint(a: &Array) -> Array {
    let t = a.swapaxes(-1, -2).unwrap();
    if a.dtype() == C64 {
        t.conjugate().unwrap()
    } else {
        t
    }
}

pub(crate) fn identity(a: &Array, n: i32) -> Array {
    let mut shape = a.shape().to_vec();
    let last = shape.len() - 2;
    shape[last..].fill(n);
    Array::eye(n, n, 0, F32)
        .unwrap()
        .broadcast_to(shape)
        .unwrap()
}

/// A few roundings of products of up to twenty terms below 1, times what an inverse of a well-conditioned matrix adds.
pub(crate) fn bound(dtype: Dtype) -> f64 {
    if dtype == F64 { 1e-12 } else { 2e-5 }
}

pub(crate) fn on_cpu(body: impl FnOnce() + Send + 'static) {
    on_worker(|| with_device(Device::CPU, body));
}
