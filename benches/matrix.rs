//! A tiled matrix product over `simdgroup_matrix`, beside MLX's own.
//!
//! `cargo bench --bench matrix -- [SIZE]`
//!
//! On an NVIDIA GPU factors of 16 bits go to the tensor cores where all simdgroups are whole. A grid with
//! one thread too many, which returns at once, has the lanes do the work instead.

use std::time::Instant;

use zmlx::prelude::*;
use zmlx::{Result, synchronize};

/// A threadgroup of four simdgroups makes a tile of 64x64 in steps of 32; each has a quarter.
const BODY: &str = "
constexpr uint K = 32, AS = K + 8, BS = 64 + 8;
threadgroup T ta[64 * AS], tb[K * BS];
const uint n = x_shape[1], m = y_shape[1], tiles = m / 64;
const uint group = threadgroup_position_in_grid.x, s = simdgroup_index_in_threadgroup;
if (group >= tiles * (x_shape[0] / 64)) return;
const uint row = group / tiles * 64, col = group % tiles * 64, t = thread_index_in_threadgroup;
const uint qr = s / 2 * 32, qc = s % 2 * 32;
simdgroup_matrix<float, 8, 8> sums[4][4];
for (uint i = 0; i < 4; ++i)
  for (uint j = 0; j < 4; ++j) sums[i][j] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
for (uint k = 0; k < n; k += K) {
  for (uint e = t; e < 64 * K; e += 128) ta[e / K * AS + e % K] = x[(row + e / K) * n + k + e % K];
  for (uint e = t; e < K * 64; e += 128) tb[e / 64 * BS + e % 64] = y[(k + e / 64) * m + col + e % 64];
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint kk = 0; kk < K; kk += 8) {
    simdgroup_matrix<T, 8, 8> a[4], b[4];
    for (uint i = 0; i < 4; ++i) simdgroup_load(a[i], ta + (qr + i * 8) * AS + kk, AS);
    for (uint j = 0; j < 4; ++j) simdgroup_load(b[j], tb + kk * BS + qc + j * 8, BS);
    for (uint i = 0; i < 4; ++i)
      for (uint j = 0; j < 4; ++j) simdgroup_multiply_accumulate(sums[i][j], a[i], b[j], sums[i][j]);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}
for (uint i = 0; i < 4; ++i)
  for (uint j = 0; j < 4; ++j)
    simdgroup_store(sums[i][j], out + (row + qr + i * 8) * m + col + qc + j * 8, m);";

fn main() -> Result<()> {
    let size = std::env::args()
        .nth(1)
        .and_then(|n| n.parse::<usize>().ok())
        .unwrap_or(1024)
        .next_multiple_of(64);
    println!("{}", zmlx::engine::info());
    println!("{size} x {size} by {size} x {size}, sums in float32, median of 20");
    let kernel = MetalKernel::new("matrix", ["x", "y"], ["out"])
        .source(BODY)
        .build()?;
    for dtype in [Dtype::Float16, Dtype::Bfloat16, Dtype::Float32] {
        let x = zmlx::random::normal((size, size))?.astype(dtype)?;
        let y = zmlx::random::normal((size, size))?.astype(dtype)?;
        let threads = size / 64 * (size / 64) * 128;
        let tiled = |extra: usize| {
            let [z] = kernel
                .launch(&[&x, &y])
                .template("T", dtype)
                .output((size, size), Dtype::Float32)
                .grid(threads + extra)
                .threadgroup(128)
                .run()?;
            Ok(z)
        };
        let own = || x.matmul(&y);
        zmlx::eval([&x, &y])?;
        let want = own()?.astype(Dtype::Float32)?;
        for (name, make) in [
            (
                "whole simdgroups",
                &(|| tiled(0)) as &dyn Fn() -> Result<Array>,
            ),
            ("one thread too many", &|| tiled(1)),
            ("MLX's matmul", &own),
        ] {
            let far = make()?
                .astype(Dtype::Float32)?
                .subtract(&want)?
                .abs()?
                .max(..)?;
            let far = far.item::<f32>()?;
            let mut times: Vec<f64> = (0..20)
                .map(|_| {
                    // Several launches share the wait for the device.
                    let start = Instant::now();
                    let made = (0..8).map(|_| make()).collect::<Result<Vec<_>>>()?;
                    zmlx::eval(&made)?;
                    synchronize()?;
                    Ok(start.elapsed().as_secs_f64() / 8.0)
                })
                .collect::<Result<_>>()?;
            times.sort_by(f64::total_cmp);
            let time = times[times.len() / 2];
            println!(
                "{dtype:?} {name}: {:.1} us, {:.2} TFLOP/s, largest difference from MLX {far:.1e}",
                time * 1e6,
                2.0 * (size as f64).powi(3) / time / 1e12
            );
        }
    }
    Ok(())
}
