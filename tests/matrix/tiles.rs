//! The vocabulary of tiles itself: one text, by one thread and by simdgroups, against plain loops in float64.

use zmlx::prelude::*;
use zmlx::{MetalKernel, Result};

use crate::common::{Rng, on_worker};

/// Softmax of the rows of `q k^T`, times `v`; the numerators' transpose times `q`; and loads, stores and scales on the way. A threadgroup
/// has 16 rows for each of its simdgroups, 48 keys of which `keys` count, and a width of 32.
const TEXT: &str = "
constexpr int L = TG == 1 ? 1 : 32, GROUPS = TG == 1 ? 1 : TG / 32, ROWS = 16 * DOWN;
constexpr bool TURN = L != 1;
threadgroup kk_tile_line qs[kk_tile_lines<S>(kk_tile_room<L, ROWS, 32>::size)];
threadgroup kk_tile_line ks[kk_tile_lines<S>(kk_tile_room<L, 32, 48, TURN>::size)];
threadgroup kk_tile_line vs[kk_tile_lines<S>(kk_tile_room<L, 48, 32>::size)];
threadgroup kk_tile_line ps[kk_tile_lines<S>(kk_tile_room<L, ROWS, 48>::size)];
const kk_tile_thread at = {thread_position_in_threadgroup.x, thread_index_in_simdgroup, simdgroup_index_in_threadgroup};
const int rows = q_shape[0], keys = k_shape[0];
constexpr int R = ROWS / GROUPS;
const int r0 = int(at.simd) * R;
const auto qb = kk_tile_in<L, ROWS, 32, false>((threadgroup S*)(qs), rows, 32);
const auto kb = kk_tile_in<L, 32, 48, TURN>((threadgroup S*)(ks), 32, keys);
const auto vb = kk_tile_in<L, 48, 32, false>((threadgroup S*)(vs), keys, 32);
const auto pb = kk_tile_in<L, ROWS, 48, false>((threadgroup S*)(ps), rows, keys);
kk_tile_stage<TG>(qb, q, 32L, 1L, at);
kk_tile_stage<TG>(kb, k, 1L, 32L, at);
kk_tile_commit<L>();
kk_tile_stage<TG>(vb, v, 32L, 1L, at);
kk_tile_commit<L>();
kk_tile_wait<L, 1>();
kk_tile<L, R, 48> p;
kk_tile_fill(p, 0.0f);
kk_tile_mma(p, qb, r0, kb, 0);
kk_tile_map(p, at, masked{keys});
kk_tile_rows<L, R> most, sum;
kk_tile_max(p, most);
kk_tile_map_rows(p, most, power());
kk_tile_sum(p, sum);
for (int i = 0; i < kk_tile_rows<L, R>::count; ++i) sum.v[i] = 1.0f / sum.v[i];
kk_tile_wait<L, 0>();
kk_tile<L, R, 32> o;
kk_tile_fill(o, 0.0f);
kk_tile_mma(o, p, vb, 0);
kk_tile_scale(o, sum);
kk_tile_store<T>(o, out + r0 * 32, 32L, rows - r0, 32, at);
// Read again, and the product of the transpose.
kk_tile_put(p, pb, r0, 0, at);
kk_tile_wait<L, 0>();
if (r0 == 0) {
  kk_tile<L, 48, 32> d;
  kk_tile_load(d, start, 32L, keys, 32, at);
  kk_tile_mma(d, kk_tile_flip(pb), 0, qb, 0);
  kk_tile_each(d, keys, 32, at, places<device float*>{back});
}
";
const OWN: &str = "
struct masked {
  int keys;
  float operator()(float x, int, int c) const { return c < keys ? x : -INFINITY; }
};
struct power {
  float operator()(float x, float most) const { return metal::exp(x - most); }
};
template <typename P>
struct places {
  P p;
  void operator()(float x, int r, int c) const { p[r * 32 + c] = x; }
};
";

fn exact(q: &[f64], k: &[f64], v: &[f64], start: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (rows, keys) = (q.len() / 32, k.len() / 32);
    let (mut out, mut back) = (vec![0.0; q.len()], start.to_vec());
    for r in 0..rows {
        let dot = |key: usize| {
            (0..32)
                .map(|i| q[r * 32 + i] * k[key * 32 + i])
                .sum::<f64>()
        };
        let scores: Vec<f64> = (0..keys).map(dot).collect();
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let p: Vec<f64> = scores.iter().map(|s| (s - most).exp()).collect();
        let sum: f64 = p.iter().sum();
        for i in 0..32 {
            out[r * 32 + i] = (0..keys).map(|key| p[key] * v[key * 32 + i]).sum::<f64>() / sum;
            for key in 0..keys {
                back[key * 32 + i] += p[key] * q[r * 32 + i];
            }
        }
    }
    (out, back)
}

#[test]
fn every_function_on_every_way() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let own = format!("{}{OWN}", zmlx::msl::header_for(TEXT));
        let kernel = MetalKernel::new("tiles", ["q", "k", "v", "start"], ["out", "back"])
            .header(own)
            .source(TEXT)
            .build()?;
        for (threads, down) in [(1, 1), (1, 3), (32, 1), (64, 2), (32, 2)] {
            for dtype in [F32, F16, BF16] {
                // Whole tiles, and less.
                for (rows, keys) in [(16 * down, 48), (16 * down - 5, 37)] {
                    let mut make = |n: i32| -> Result<(Array, Vec<f64>)> {
                        let a = Array::from_slice(&rng.normals(n as usize * 32), (n, 32))?;
                        let a = a.multiply(0.5)?.astype(dtype)?;
                        let values = a.astype(F32)?.to_vec::<f32>()?;
                        Ok((a, values.into_iter().map(f64::from).collect()))
                    };
                    let (q, q64) = make(rows)?;
                    let (k, k64) = make(keys)?;
                    let (v, v64) = make(keys)?;
                    let (start, start64) = make(keys)?;
                    let staged = if threads == 1 { F32 } else { dtype };
                    let [out, back] = kernel
                        .launch(&[&q, &k, &v, &start])
                        .template("T", dtype)
                        .template("S", staged)
                        .template("TG", threads)
                        .template("DOWN", down)
                        .output((rows, 32), dtype)
                        .output((keys, 32), F32)
                        .grid(threads)
                        .threadgroup(threads)
                        .run()?;
                    let (want, want_back) = exact(&q64, &k64, &v64, &start64);
                    // Weights are rounded to the dtype before the second product, results after it.
                    let unit = match dtype {
                        F32 => 1e-5,
                        F16 => 3e-3,
                        _ => 2.5e-2,
                    };
                    for (what, got, want) in [("out", out, want), ("back", back, want_back)] {
                        let got = got.astype(F32)?.to_vec::<f32>()?;
                        let most = want.iter().fold(1.0f64, |m, w| m.max(w.abs()));
                        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
                            assert!(
                                (f64::from(*g) - w).abs() <= unit * most,
                                "{threads} threads, {dtype}, {rows} rows, {keys} keys, {what}: element {i} is {g}, expected {w}"
                            );
                        }
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}
