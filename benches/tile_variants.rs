//! The tile product with other tiles, beside MLX's: which sizes and how many stages of copies suit a GPU.
//!
//! `cargo bench --bench tile_variants -- [MxKxN...]`, with `t` behind a shape where the second factor is given as its transpose. Prints the
//! shortest time of several, and how far the result is from MLX's.

use std::time::Instant;

use zmlx::kernels::matrix::{Way, product};
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, synchronize};

const TEXT: &str = "\
const int m = out_shape_m[0], n = out_shape_m[1];
const long depth = out_shape_m[2];
const kk_matrix_place place = kk_matrix_find(threadgroup_position_in_grid.x, m, n, BM, BN);
if (place.product > 0) return;
threadgroup kk_tile_line as[kk_tile_lines<T>(STAGES * kk_tile_room<32, BM, BK, false>::size)];
threadgroup kk_tile_line bs[kk_tile_lines<T>(STAGES * kk_tile_room<32, BK, BN, TB>::size)];
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
kk_matrix_tile<T, TG, BM, BN, BK, DOWN, ACROSS, STAGES, false, TB>(
    kk_matrix_of(a + place.row * depth, depth, 1L),
    kk_matrix_of(b + (TB ? place.col * depth : long(place.col)), TB ? 1L : long(n), TB ? depth : 1L),
    metal::min(BM, m - place.row), metal::min(BN, n - place.col), depth, out + (place.row * long(n) + place.col), long(n),
    kk_tile_same(), (threadgroup T*)(as), (threadgroup T*)(bs), at);
";

/// Rows, columns, depth, simdgroups below and beside each other, stages.
const VARIANTS: [[i32; 6]; 14] = [
    [128, 128, 32, 2, 2, 3],
    [128, 128, 32, 2, 2, 4],
    [128, 128, 64, 2, 2, 2],
    [128, 128, 64, 2, 2, 3],
    [128, 128, 32, 2, 4, 3],
    [128, 128, 32, 2, 4, 4],
    [128, 128, 64, 2, 4, 3],
    [128, 256, 32, 2, 4, 3],
    [128, 256, 32, 2, 4, 4],
    [128, 256, 64, 2, 4, 3],
    [256, 128, 32, 4, 2, 3],
    [256, 128, 64, 4, 2, 3],
    [64, 128, 64, 2, 2, 3],
    [64, 64, 64, 2, 2, 4],
];

fn time(mut run: impl FnMut() -> Result<Array>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..12 {
        // Several launches share the wait for the device.
        let start = Instant::now();
        let made = (0..8).map(|_| run()).collect::<Result<Vec<_>>>()?;
        zmlx::eval(&made)?;
        synchronize()?;
        best = best.min(start.elapsed().as_secs_f64() / 8.0);
    }
    Ok(best)
}

fn main() -> Result<()> {
    println!("{}", zmlx::engine::info());
    let kernel = MetalKernel::new("tile_variant", ["a", "b", "out_shape_m"], ["out"])
        .header(zmlx::msl::header_for(TEXT))
        .source(TEXT)
        .build()?;
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|t| t.contains('x'))
        .collect();
    let shapes = match given.is_empty() {
        true => vec!["4096x4096x4096".into(), "1024x4096x14336t".into()],
        false => given,
    };
    for text in shapes {
        let (sizes, turned) = match text.strip_suffix('t') {
            Some(rest) => (rest.to_owned(), true),
            None => (text.clone(), false),
        };
        let sizes: Vec<i32> = sizes.split('x').filter_map(|n| n.parse().ok()).collect();
        let [m, k, n] = sizes[..] else { continue };
        for dtype in [Dtype::Bfloat16, Dtype::Float16, Dtype::Float32] {
            let a = zmlx::random::normal((m, k))?.astype(dtype)?;
            let b = zmlx::random::normal(if turned { (n, k) } else { (k, n) })?.astype(dtype)?;
            let shape = Array::from_slice(&[m, n, k, 0, 0, 0, 0, 0], 8)?;
            zmlx::eval([&a, &b, &shape])?;
            let mlx = || {
                product(&a, &b)
                    .transposed(false, turned)
                    .way(Way::Mlx)
                    .call()
            };
            let want = mlx()?.astype(Dtype::Float32)?;
            let rate = |t: f64| 2.0 * f64::from(m) * f64::from(k) * f64::from(n) / t / 1e12;
            let t = time(mlx)?;
            println!(
                "{text} {dtype} MLX: {:.1} us, {:.1} TFLOP/s",
                t * 1e6,
                rate(t)
            );
            for [bm, bn, bk, down, across, stages] in VARIANTS {
                if dtype != Dtype::Bfloat16 && [bm, bn, bk, stages] != [128, 128, 32, 3] {
                    continue;
                }
                let threads = down * across * 32;
                let groups = m.div_ceil_by(bm) * n.div_ceil_by(bn);
                let run = || {
                    let [y] = kernel
                        .launch(&[&a, &b, &shape])
                        .template("T", dtype)
                        .template("TG", threads)
                        .template("BM", bm)
                        .template("BN", bn)
                        .template("BK", bk)
                        .template("DOWN", down)
                        .template("ACROSS", across)
                        .template("STAGES", stages)
                        .template("TB", turned)
                        .output((m, n), dtype)
                        .grid(groups * threads)
                        .threadgroup(threads)
                        .run()?;
                    Ok(y)
                };
                let what = format!(
                    "{text} {dtype} {bm}x{bn}x{bk}, {down}x{across} simdgroups, {stages} stages"
                );
                let measured = run().and_then(|y| {
                    let far = y.astype(Dtype::Float32)?.subtract(&want)?.abs()?.max(..)?;
                    Ok((far.item::<f32>()?, time(run)?))
                });
                match measured {
                    Ok((far, t)) => println!(
                        "{what}: {:.1} us, {:.1} TFLOP/s, off by {far:.1e}",
                        t * 1e6,
                        rate(t)
                    ),
                    Err(e) => println!("{what}: {e}"),
                }
            }
        }
    }
    Ok(())
}

trait DivCeil {
    fn div_ceil_by(self, by: i32) -> i32;
}
impl DivCeil for i32 {
    fn div_ceil_by(self, by: i32) -> i32 {
        (self + by - 1) / by
    }
}
