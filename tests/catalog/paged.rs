//! Attention over caches of blocks, and the tile, against loops in float64.

use zmlx::kernels::attention::{attention_tile_proto, paged_attention};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

struct Case {
    /// `q`, keys and values.
    p: [Array; 3],
    table: Vec<i64>,
    lens: Vec<i64>,
    scale: Option<f32>,
}

struct Sizes {
    batch: usize,
    heads: usize,
    kv: usize,
    width: usize,
    blocks: usize,
    slots: usize,
    columns: usize,
}

impl Case {
    fn new(rng: &mut Rng, s: &Sizes, lens: &[i64], dtype: Dtype) -> Result<Case> {
        let mut normal = |shape: [usize; 4]| {
            let values = rng.normals(shape.iter().product());
            Array::from_slice(&values, shape.map(|n| n as i32))?.astype(dtype)
        };
        let q = normal([1, s.batch, s.heads, s.width])?.squeeze(0)?;
        let keys = normal([s.blocks, s.slots, s.kv, s.width])?;
        let values = normal([s.blocks, s.slots, s.kv, s.width])?;
        let mut table: Vec<i64> = (0..s.batch * s.columns)
            .map(|_| rng.below(s.blocks) as i64)
            .collect();
        // Blocks beyond the tokens are none.
        for (b, &n) in lens.iter().enumerate() {
            let used = (n.max(0) as usize).div_ceil(s.slots);
            for column in used..s.columns {
                table[b * s.columns + column] = [-1, s.blocks as i64, 1 << 40][column % 3];
            }
        }
        Ok(Case {
            p: [q, keys, values],
            table,
            lens: lens.to_vec(),
            scale: None,
        })
    }

    fn call(&self, p: &[Array]) -> Result<Array> {
        let batch = self.lens.len();
        let table = Array::from_slice(&self.table, (batch, self.table.len() / batch))?;
        let lens = Array::from_slice(&self.lens, batch)?;
        let call = paged_attention(&p[0], &p[1], &p[2], &table, &lens);
        match self.scale {
            Some(scale) => call.scale(scale).call(),
            None => call.call(),
        }
    }

    /// The output, and the gradients by the cotangent.
    fn want(&self, g: &[f64]) -> Result<[Vec<f64>; 4]> {
        let [batch, heads, width] = [0, 1, 2].map(|i| self.p[0].shape()[i] as usize);
        let [_, slots, kv] = [0, 1, 2].map(|i| self.p[1].shape()[i] as usize);
        let columns = self.table.len() / batch;
        let [q, keys, values] = [0, 1, 2].map(|i| numbers(&self.p[i]).unwrap());
        let scale = self.scale.map_or(1.0 / (width as f64).sqrt(), f64::from);
        let mut y = vec![0.0; q.len()];
        let mut d = [
            vec![0.0; q.len()],
            vec![0.0; keys.len()],
            vec![0.0; keys.len()],
        ];
        for b in 0..batch {
            for h in 0..heads {
                let row = (b * heads + h) * width;
                let at: Vec<usize> = (0..self.lens[b].max(0) as usize)
                    .map(|i| {
                        let block = self.table[b * columns + i / slots] as usize;
                        ((block * slots + i % slots) * kv + h / (heads / kv)) * width
                    })
                    .collect();
                let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> f64 {
                    (0..width).map(|k| a[i + k] * b[j + k]).sum()
                };
                let scores: Vec<f64> = at.iter().map(|&t| scale * dot(&q, row, &keys, t)).collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
                let weights: Vec<f64> = scores.iter().map(|s| (s - most).exp() / total).collect();
                let dw: Vec<f64> = at.iter().map(|&t| dot(g, row, &values, t)).collect();
                let mean: f64 = weights.iter().zip(&dw).map(|(w, d)| w * d).sum();
                for (i, &t) in at.iter().enumerate() {
                    let ds = weights[i] * (dw[i] - mean) * scale;
                    for k in 0..width {
                        y[row + k] += weights[i] * values[t + k];
                        d[0][row + k] += ds * keys[t + k];
                        d[1][t + k] += ds * q[row + k];
                        d[2][t + k] += weights[i] * g[row + k];
                    }
                }
            }
        }
        let [dq, dk, dv] = d;
        Ok([y, dq, dk, dv])
    }
}

#[track_caller]
fn close(what: &str, got: &Array, want: &[f64]) -> Result<()> {
    let unit = match got.dtype() {
        F32 => 1e-5,
        F16 => 1.0 / 1024.0,
        _ => 1.0 / 128.0,
    };
    let got = numbers(got)?;
    assert_eq!(got.len(), want.len(), "{what}");
    let most = want.iter().fold(1e-3f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!(
            (g - w).abs() <= unit * most,
            "{what}: element {i} is {g}, expected {w}"
        );
    }
    Ok(())
}

const SMALL: Sizes = Sizes {
    batch: 4,
    heads: 6,
    kv: 2,
    width: 20,
    blocks: 9,
    slots: 4,
    columns: 40,
};

#[test]
fn paged_attention_of_lengths() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        // Of no token and one, at the ends of blocks and chunks, more than the original's 4096, one slot a block, D of 1 and more
        // than a group has threads.
        let cases: [(Sizes, &[i64]); 4] = [
            (SMALL, &[0, 1, 128, 160]),
            (SMALL, &[-3, 129, 5, 8]),
            (
                Sizes {
                    batch: 1,
                    heads: 2,
                    kv: 1,
                    width: 1,
                    blocks: 70,
                    slots: 128,
                    columns: 70,
                },
                &[8803],
            ),
            (
                Sizes {
                    batch: 2,
                    heads: 3,
                    kv: 3,
                    width: 300,
                    blocks: 5,
                    slots: 1,
                    columns: 3,
                },
                &[3, 2],
            ),
        ];
        for (sizes, lens) in cases {
            for dtype in [F32, F16, BF16] {
                let mut case = Case::new(&mut rng, &sizes, lens, dtype)?;
                if sizes.width == 20 {
                    case.scale = Some(0.3);
                }
                let what = format!("{lens:?} {dtype}");
                let g = Array::from_slice(&rng.normals(case.p[0].size()), case.p[0].shape())?
                    .astype(dtype)?;
                let want = case.want(&numbers(&g)?)?;
                let y = case.call(&case.p)?;
                assert_eq!((y.shape(), y.dtype()), (case.p[0].shape(), dtype));
                close(&what, &y, &want[0])?;
                if dtype == F16 {
                    continue;
                }
                let (_, d) = vjp(|p: &[Array]| Ok(vec![case.call(p)?]), &case.p, [&g])?;
                for (i, (got, want)) in d.iter().zip(&want[1..]).enumerate() {
                    close(&format!("{what}, gradient {i}"), got, want)?;
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// What stands in slots beyond the length, and in blocks that no table names, does not matter.
#[test]
fn paged_attention_reads_no_other_slot() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let mut case = Case::new(&mut rng, &SMALL, &[3, 6, 0, 1], F32)?;
        let blocks = [5i64, 0, 2, 0, 7];
        for (b, at) in [(0, 0), (1, 1), (1, 2), (3, 4)] {
            let column = usize::from(at == 2);
            case.table[b * SMALL.columns + column] = blocks[at];
        }
        let g = vec![0.0; case.p[0].size()];
        let want = case.want(&g)?;
        let used = |slot: usize| {
            let (block, slot) = ((slot / SMALL.slots) as i64, slot % SMALL.slots);
            (block == 5 && slot < 3)
                || block == 0
                || (block == 2 && slot < 2)
                || (block == 7 && slot < 1)
        };
        let size = SMALL.kv * SMALL.width;
        for i in [1, 2] {
            let mut values = case.p[i].to_vec::<f32>()?;
            for slot in (0..SMALL.blocks * SMALL.slots).filter(|&s| !used(s)) {
                values[slot * size..][..size].fill(f32::NAN);
            }
            case.p[i] = Array::from_slice(&values, case.p[i].shape())?;
        }
        close("output", &case.call(&case.p)?, &want[0])?;
        let ones = Array::ones(case.p[0].shape(), F32)?;
        let (_, d) = vjp(|p: &[Array]| Ok(vec![case.call(p)?]), &case.p, [&ones])?;
        for d in &d {
            assert!(numbers(d)?.iter().all(|v| v.is_finite()));
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn paged_attention_without_a_place_is_nan() {
    on_worker(|| -> Result<()> {
        let mut case = Case::new(&mut Rng::new(), &SMALL, &[161, 5, 5, i64::MAX], F32)?;
        case.table[SMALL.columns + 1] = -1;
        let nan = |y: &Array| -> Result<Vec<bool>> {
            let sums = numbers(&y.sum([1, 2])?)?;
            Ok(sums.iter().map(|v| v.is_nan()).collect())
        };
        assert_eq!(nan(&case.call(&case.p)?)?, [true, true, false, true]);
        // Without any slot.
        let none = Array::zeros((4, 0), Dtype::Int32)?;
        let lens = Array::from_slice(&[0, 1, 0, -1], 4)?;
        let y = paged_attention(&case.p[0], &case.p[1], &case.p[2], &none, &lens).call()?;
        assert_eq!(nan(&y)?, [false, true, false, false]);
        Ok(())
    })
    .unwrap();
}

/// <g, tangent> = <gradient, direction>, with the reference's gradient.
#[test]
fn paged_attention_in_other_modes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let case = Case::new(&mut rng, &SMALL, &[0, 7, 130, 2], F32)?;
        let f = |p: &[Array]| Ok(vec![case.call(p)?]);
        let mut like = |a: &Array| Array::from_slice(&rng.normals(a.size()), a.shape());
        let g = like(&case.p[0])?;
        let t = [like(&case.p[0])?, like(&case.p[1])?, like(&case.p[2])?];
        let want = case.want(&numbers(&g)?)?;
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let mut sum = 0.0;
        for i in 0..3 {
            sum += dot(&want[i + 1], &numbers(&t[i])?);
        }
        let (_, tangents) = jvp(f, &case.p, &t)?;
        let got = dot(&numbers(&tangents[0])?, &numbers(&g)?);
        assert!((got - sum).abs() < 1e-3, "{got}, expected {sum}");
        // The second derivative, in any direction, against a difference of gradients.
        let gradient = |p: &[Array]| {
            Ok(vec![
                vjp(f, [&p[0], &case.p[1], &case.p[2]], [&g])?.1[0].clone(),
            ])
        };
        let (_, second) = vjp(gradient, [&case.p[0]], [&t[0]])?;
        let moved = |by: f32| gradient(&[case.p[0].add(&t[0].multiply(by)?)?]);
        let difference = (&moved(0.01)?[0] - &moved(-0.01)?[0])?.divide(0.02)?;
        // The matrix of second derivatives is symmetric, so both are its product with the direction.
        for (a, b) in numbers(&second[0])?.iter().zip(numbers(&difference)?) {
            assert!((a - b).abs() < 2e-3, "{a}, expected {b}");
        }
        let two = zmlx::ops::stack([&case.p[0], &g], 0)?;
        let mapped = vmap(|p: &[Array]| f(&[p[0].clone(), case.p[1].clone(), case.p[2].clone()]))
            .call([&two])?;
        close("mapped", &mapped[0].index(0)?, &want[0])
    })
    .unwrap();
}

#[test]
fn tile_of_scores() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        // The original stops at 256.
        for (width, dtype) in [(0, F32), (1, F32), (33, F16), (64, BF16), (1000, F32)] {
            let mut draw =
                || Array::from_slice(&rng.normals(16 * width), (16, width as i32))?.astype(dtype);
            let (q, k) = (draw()?, draw()?);
            let g = Array::from_slice(&rng.normals(256), (16, 16))?;
            let [a, b, c] = [numbers(&q)?, numbers(&k)?, numbers(&g)?];
            let (mut want, mut dq, mut dk) =
                (vec![0.0; 256], vec![0.0; 16 * width], vec![0.0; 16 * width]);
            for at in 0..256 {
                for x in 0..width {
                    let (i, j) = (at / 16 * width + x, at % 16 * width + x);
                    want[at] += a[i] * b[j];
                    dq[i] += c[at] * b[j];
                    dk[j] += c[at] * a[i];
                }
            }
            let y = attention_tile_proto(&q, &k)?;
            assert_eq!((y.shape(), y.dtype()), (&[16, 16][..], F32));
            close("tile", &y, &want)?;
            let (_, d) = vjp(
                |p: &[Array]| Ok(vec![attention_tile_proto(&p[0], &p[1])?]),
                [&q, &k],
                [&g],
            )?;
            close("dq", &d[0], &dq)?;
            close("dk", &d[1], &dk)?;
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn attention_refuses() {
    on_worker(|| -> Result<()> {
        let [q, cache] = [
            Array::ones((2, 6, 4), F32)?,
            Array::ones((3, 5, 2, 4), F32)?,
        ];
        let (table, lens) = (
            Array::zeros((2, 3), Dtype::Int32)?,
            Array::zeros(2, Dtype::Int32)?,
        );
        let all = [q, cache.clone(), cache, table, lens];
        let names = [
            "`q`",
            "`k_cache`",
            "`v_cache`",
            "`block_table`",
            "`context_lens`",
        ];
        let with = |i: usize, a: Array| {
            let mut p = all.clone();
            p[i] = a;
            paged_attention(&p[0], &p[1], &p[2], &p[3], &p[4])
                .call()
                .map(drop)
        };
        for (i, name) in names.iter().enumerate() {
            // Queries may have an axis more.
            let more = if i == 0 {
                all[i].expand_dims(0)?
            } else {
                all[i].clone()
            };
            let shape = with(i, more.expand_dims(0)?);
            assert!(
                matches!(&shape, Err(e @ Error::Shape { .. }) if e.to_string().contains(name)),
                "{name}: {shape:?}"
            );
            let other = if i < 3 { Dtype::Int32 } else { F32 };
            let dtype = with(i, all[i].astype(other)?);
            assert!(
                matches!(&dtype, Err(e @ Error::Dtype { .. }) if e.to_string().contains(name)),
                "{name}: {dtype:?}"
            );
        }
        // Heads that the keys' heads do not divide.
        assert!(matches!(
            with(0, Array::ones((2, 5, 4), F32)?),
            Err(Error::Shape { .. })
        ));
        let scale = paged_attention(&all[0], &all[1], &all[2], &all[3], &all[4]).scale(f32::NAN);
        assert!(matches!(scale.call(), Err(Error::Argument { .. })));
        let tile = |q: (i32, i32), k: (i32, i32)| {
            attention_tile_proto(&Array::ones(q, F32)?, &Array::ones(k, F32)?)
        };
        assert!(matches!(tile((15, 4), (16, 4)), Err(Error::Shape { .. })));
        assert!(matches!(tile((16, 4), (16, 5)), Err(Error::Shape { .. })));
        Ok(())
    })
    .unwrap();
}
