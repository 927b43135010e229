//! What several test files use.
#![allow(dead_code, reason = "each file uses a part")]

use zmlx::worker;

/// Runs the body of a test on a few long-lived threads.
///
/// The test harness starts a thread for each test, and a thread that touches MLX costs
/// the process a stream and an operating system thread for good.
#[track_caller]
pub fn on_worker<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let pool = worker::shared().expect("threads");
    pool.run(|| Ok(body())).wait().expect("the test's worker")
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
