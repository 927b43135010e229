//! What several test files use.
#![allow(dead_code, unused_imports, reason = "each file uses a part")]

mod bits;
pub mod checked;
pub mod kernels;
pub mod ops;
mod rng;
mod root;
mod worker;

pub use bits::random_bits;
pub use rng::Rng;
pub use root::root;
pub use worker::{Running, on_worker, start};
use zmlx::engine::{Engine, force};
use zmlx::{Device, DeviceKind, Stream, with_device};

/// Computes a reference in float64, which only the CPU has, whatever the default device is.
///
/// A derivative belongs inside as a whole: its backward pass makes operations, too.
pub fn exactly<T>(body: impl FnOnce() -> T) -> T {
    with_device(Device::CPU, body)
}

/// Leaves the whole process to the host engine, in files that test what only that one has.
pub fn host_engine() {
    force(Some(Engine::Cpu));
}

/// One of many cases that differ in what MLX's own kernels are compiled for. On a GPU that happens at the first
/// use and takes seconds for each, so there only those that are `chosen` run; the others run on the CPU.
pub fn sampled<T>(chosen: bool, body: impl FnOnce() -> T) -> T {
    if chosen { body() } else { exactly(body) }
}

/// The number cut to 11 significant bits, which a GPU's matrix units take as it is: see [`factors_are_rounded`].
pub fn short(v: f32) -> f32 {
    f32::from_bits(v.to_bits() & !0x1FFF)
}

/// Whether products of float32 matrices have their factors rounded to 11 significant bits (TF32), which MLX does
/// on NVIDIA's GPUs unless `MLX_ENABLE_TF32=0`.
pub fn factors_are_rounded() -> bool {
    let device = Stream::current().expect("a stream").device();
    let off = std::env::var_os("MLX_ENABLE_TF32").is_some_and(|v| v == "0");
    device.kind == DeviceKind::Gpu && zmlx::engine::info().cuda && !off
}

/// Deterministic numbers in `[-1, 1)`, not from MLX.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..n)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        })
        .collect()
}

/// Elements differ by at most `tol * (1 + |want|)`.
#[track_caller]
pub fn close(got: &zmlx::Array, want: &[f64], tol: f64) {
    let got = got.to_vec::<f32>().unwrap();
    assert_eq!(got.len(), want.len());
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*g) - w).abs();
        assert!(
            error <= tol * (1.0 + w.abs()),
            "element {i}: {g} against {w}"
        );
    }
}

/// Each element within `tol * (1 + |want|)`.
#[track_caller]
pub fn all_close(got: &[f64], want: &[f64], tol: f64) {
    assert_eq!(got.len(), want.len(), "lengths");
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let good = (g - w).abs() <= tol * (1.0 + w.abs()) || (g.is_nan() && w.is_nan()) || g == w;
        assert!(good, "element {i}: got {g}, want {w}, tolerance {tol}");
    }
}

/// The values of a float32 array.
#[track_caller]
pub fn f64s(a: &zmlx::Array) -> Vec<f64> {
    let values = a.to_vec::<f32>().expect("a float32 array");
    values.into_iter().map(f64::from).collect()
}
