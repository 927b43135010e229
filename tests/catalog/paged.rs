//! Attention over caches of blocks, and the tile, against loops in float64.

use zmlx::kernels::attention::{attention_tile_proto, paged_attention};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::tolerance::numbers;

mod reference;
use reference::{Case, Exact, Sizes, close, close_derivative, unit_of_derivatives};

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
pub(crate) fn paged_attention_of_lengths() {
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
                    close_derivative(&format!("{what}, gradient {i}"), got, want)?;
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
pub(crate) fn paged_attention_without_a_place_is_nan() {
    on_worker(|| -> Result<()> {
        for dtype in [F32, BF16] {
            let mut case = Case::new(&mut Rng::new(), &SMALL, &[161, 5, 5, i64::MAX], dtype)?;
            case.table[SMALL.columns + 1] = -1;
            let nan = |y: &Array| -> Result<Vec<bool>> {
                let sums = numbers(&y.sum([1, 2])?)?;
                Ok(sums.iter().map(|v| v.is_nan()).collect())
            };
            let y = case.call(&case.p)?;
            assert_eq!(nan(&y)?, [true, true, false, true], "{dtype}");
            // Without any slot.
            let none = Array::zeros((4, 0), Dtype::Int32)?;
            let lens = Array::from_slice(&[0, 1, 0, -1], 4)?;
            let y = paged_attention(&case.p[0], &case.p[1], &case.p[2], &none, &lens).call()?;
            assert_eq!(nan(&y)?, [false, true, false, false], "{dtype}");
        }
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
        let cotangent = numbers(&g)?;
        let want = case.want(&cotangent)?;
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        // What elements are off by has any sign, so the squares add up.
        let (mut sum, mut squares) = (0.0, 0.0);
        for (d, t) in want[1..].iter().zip(&t) {
            let t = numbers(t)?;
            sum += dot(&d.values, &t);
            let sizes = d.sizes.iter().zip(&t).map(|(size, t)| size * t);
            squares += sizes.map(|v| v * v).sum::<f64>();
        }
        let (_, tangents) = jvp(f, &case.p, &t)?;
        let got = dot(&numbers(&tangents[0])?, &cotangent);
        let off = unit_of_derivatives() * squares.sqrt();
        assert!((got - sum).abs() <= off, "{got}, expected {sum}");
        // The second derivative, in any direction, against a difference of the reference's gradients, which is off by the square of the
        // step. The matrix of second derivatives is symmetric, so both are its product with the direction.
        let gradient = |p: &[Array]| {
            Ok(vec![
                vjp(f, [&p[0], &case.p[1], &case.p[2]], [&g])?.1[0].clone(),
            ])
        };
        let (_, second) = vjp(gradient, [&case.p[0]], [&t[0]])?;
        let (q, direction) = (numbers(&case.p[0])?, numbers(&t[0])?);
        let moved = |by: f64| -> Result<Vec<f64>> {
            let q: Vec<f64> = q.iter().zip(&direction).map(|(q, t)| q + by * t).collect();
            let [_, d, ..] = case.want_at(&q, &cotangent)?;
            Ok(d.values)
        };
        let step = 1e-5;
        let (more, less) = (moved(step)?, moved(-step)?);
        let differences = more.iter().zip(&less).map(|(a, b)| (a - b) / (2.0 * step));
        let differences: Vec<f64> = differences.collect();
        // Terms are of the size of the largest element of many.
        let most = differences.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let off = 16.0 * unit_of_derivatives() * most;
        for (a, b) in numbers(&second[0])?.iter().zip(&differences) {
            assert!((a - b).abs() <= off, "{a}, expected {b} within {off}");
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
            let (mut want, mut dq, mut dk) = (
                Exact::zeros(256),
                Exact::zeros(16 * width),
                Exact::zeros(16 * width),
            );
            for (at, &cotangent) in c.iter().enumerate() {
                for x in 0..width {
                    let (i, j) = (at / 16 * width + x, at % 16 * width + x);
                    for (sum, at, term) in [
                        (&mut want, at, a[i] * b[j]),
                        (&mut dq, i, cotangent * b[j]),
                        (&mut dk, j, cotangent * a[i]),
                    ] {
                        sum.add(at, term, term.abs());
                    }
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
