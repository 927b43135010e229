//! Experts: each token's slots reach the experts that its indices name, and come back.

use zmlx::kernels::moe::{moe_combine, moe_dispatch, top2_gating_softmax};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, all_close, exactly, on_worker};

fn values(a: &Array) -> Vec<f64> {
    let all = a.astype(F32).unwrap().to_vec::<f32>().unwrap();
    all.into_iter().map(f64::from).collect()
}

/// The whole way, with experts that multiply by numbers of their own, against loops. The original applies expert k to slot k.
#[test]
fn indices_are_obeyed() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (tokens, k, experts, d) in
            [(1, 1, 1, 1), (7, 3, 5, 6), (50, 1, 8, 64), (33, 8, 16, 100)]
        {
            let x = rng.normals(tokens * d);
            let weights = rng.normals(tokens * k);
            // Some go to no expert.
            let draw = |_| rng.below(experts + 2) as i32 - 1;
            let indices: Vec<i32> = (0..tokens * k).map(draw).collect();
            let scales: Vec<f32> = (0..experts).map(|e| 1.0 + e as f32).collect();
            let mut want = vec![0.0f64; tokens * d];
            // How large the terms of a sum are: so much larger is its rounding.
            let mut sizes = want.clone();
            for t in 0..tokens {
                for s in t * k..(t + 1) * k {
                    let Some(e) = usize::try_from(indices[s]).ok().filter(|&e| e < experts) else {
                        continue;
                    };
                    for j in 0..d {
                        let term =
                            f64::from(weights[s]) * f64::from(scales[e]) * f64::from(x[t * d + j]);
                        want[t * d + j] += term;
                        sizes[t * d + j] += term.abs();
                    }
                }
            }
            let x = Array::from_slice(&x, (tokens, d))?;
            let at = Array::from_slice(&indices, (tokens, k))?;
            let weights = Array::from_slice(&weights, (tokens, k))?;
            let sent = moe_dispatch(&x, &at, experts)?;
            let of = sent.experts.to_vec::<u32>()?;
            let starts = sent.starts.to_vec::<u32>()?;
            let places = sent.places.to_vec::<u32>()?;
            assert_eq!(starts.len(), experts + 1);
            for (e, range) in starts.windows(2).enumerate() {
                assert!(
                    of[range[0] as usize..range[1] as usize]
                        .iter()
                        .all(|&o| o == e as u32)
                );
                let count = indices.iter().filter(|&&i| i == e as i32).count();
                assert_eq!((range[1] - range[0]) as usize, count);
            }
            assert!(
                of.is_sorted()
                    && of[starts[experts] as usize..]
                        .iter()
                        .all(|&e| e == experts as u32)
            );
            let rows = values(&sent.rows);
            let mut last = vec![None; experts];
            for (s, &place) in places.iter().enumerate() {
                let Some(e) = usize::try_from(indices[s]).ok().filter(|&e| e < experts) else {
                    assert_eq!(place, u32::MAX);
                    continue;
                };
                let p = place as usize;
                assert_eq!(of[p], e as u32);
                assert_eq!(rows[p * d..][..d], values(&x)[s / k * d..][..d]);
                // In the order of tokens.
                assert!(last[e] < Some(p));
                last[e] = Some(p);
            }
            assert!(
                rows[starts[experts] as usize * d..]
                    .iter()
                    .all(|&v| v == 0.0)
            );
            let known = Array::from_slice(&[scales, vec![f32::NAN]].concat(), experts as i32 + 1)?;
            let factors = known.take(&sent.experts, 0)?.expand_dims(1)?;
            let y = sent.combine(&(&sent.rows * &factors)?, &weights)?;
            let got = values(&y);
            assert_eq!(got.len(), want.len());
            for ((got, want), size) in got.iter().zip(&want).zip(&sizes) {
                assert!((got - want).abs() <= 1e-6 * size, "{got}, {want}, {size}");
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Gradients of a whole layer, the gate included, against the same by MLX's operations in float64.
#[test]
fn derivatives_of_a_layer() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let (tokens, experts, d) = (12, 5, 16);
        let x = Array::from_slice(&rng.normals(tokens * d), (3, 4, d))?;
        let gate = Array::from_slice(&rng.normals(d * experts), (d, experts))?;
        let scales = Array::from_slice(&rng.normals(experts * d), (experts, d))?;
        let g = Array::from_slice(&rng.normals(tokens * d), (3, 4, d))?;
        let tangents = [x.shape(), gate.shape(), scales.shape()].map(|s| {
            Array::from_slice(&rng.normals(s.iter().product::<i32>() as usize), s).unwrap()
        });
        // Products of few bits: a GPU rounds factors.
        let logits = |x: &Array, gate: &Array| x.expand_dims(-1)?.multiply(gate)?.sum(-2);
        let layer = |p: &[Array]| {
            let (weights, indices) = top2_gating_softmax(&logits(&p[0], &p[1])?)?;
            let sent = moe_dispatch(&p[0], &indices, experts)?;
            let y = (&sent.rows * p[2].take(&sent.experts, 0)?)?.tanh()?;
            Ok(vec![sent.combine(&y, &weights)?])
        };
        let p = [x, gate, scales];
        let (_, indices) = top2_gating_softmax(&logits(&p[0], &p[1])?)?;
        let exact = |p: &[Array]| {
            let chosen = logits(&p[0], &p[1])?.take_along_axis(&indices, -1)?;
            let weights = chosen.softmax(-1)?.expand_dims(-1)?;
            let y = (p[0].expand_dims(-2)? * p[2].take(&indices, 0)?)?.tanh()?;
            Ok(vec![(weights * y)?.sum(-2)?])
        };
        let got = layer(&p)?.remove(0);
        let gradients = vjp(layer, p.each_ref(), [&g])?.1;
        let tangent = jvp(layer, p.each_ref(), tangents.each_ref())?.1.remove(0);
        // Second order: how the gradient's product with a direction changes.
        let along =
            |f: &dyn Fn(&[Array]) -> Result<Vec<Array>>, p: &[Array], g: &Array, t: &[Array; 3]| {
                let slope = |q: &[Array]| {
                    let all = vjp(f, q, [g])?.1;
                    let mut sum = Array::zeros((), g.dtype())?;
                    for (a, t) in all.iter().zip(t) {
                        sum = sum.add(&a.multiply(t)?.sum(..)?)?;
                    }
                    Ok(vec![sum])
                };
                Ok(vjp(slope, p, [&Array::ones((), g.dtype())?])?.1)
            };
        let second: Vec<Array> = along(&layer, &p, &g, &tangents)?;
        exactly(|| -> Result<()> {
            let wide = |a: &Array| a.astype(F64).unwrap();
            let values64 = |a: &Array| a.astype(F64).unwrap().to_vec::<f64>().unwrap();
            let (q, g, t) = (
                p.each_ref().map(wide),
                wide(&g),
                tangents.each_ref().map(wide),
            );
            all_close(&values(&got), &values64(&exact(&q)?[0]), 1e-5);
            for (a, b) in gradients.iter().zip(vjp(exact, q.each_ref(), [&g])?.1) {
                all_close(&values(a), &values64(&b), 1e-5);
            }
            all_close(
                &values(&tangent),
                &values64(&jvp(exact, q.each_ref(), t.each_ref())?.1[0]),
                1e-5,
            );
            let want: Vec<Array> = along(&exact, &q, &g, &t)?;
            for (a, b) in second.iter().zip(&want) {
                all_close(&values(a), &values64(b), 1e-4);
            }
            Ok(())
        })
    })
    .unwrap();
}

#[test]
fn combine_of_slots() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (tokens, k, d) in [(1, 1, 1), (5, 2, 7), (6, 4, 64), (3, 8, 4100)] {
            for (dtype, tolerance) in [(F32, 1e-6), (F16, 2e-3), (BF16, 1.6e-2)] {
                let draw = |rng: &mut Rng, shape: &[usize]| {
                    let shape: Vec<i32> = shape.iter().map(|&n| n as i32).collect();
                    let n = shape.iter().product::<i32>() as usize;
                    Array::from_slice(&rng.normals(n), shape)?.astype(dtype)
                };
                let (y, w) = (
                    draw(&mut rng, &[tokens, k, d])?,
                    draw(&mut rng, &[tokens, k])?,
                );
                let g = draw(&mut rng, &[tokens, d])?;
                let (ty, tw) = (
                    draw(&mut rng, &[tokens, k, d])?,
                    draw(&mut rng, &[tokens, k])?,
                );
                let f = |p: &[Array]| Ok(vec![moe_combine(&p[0], &p[1])?]);
                let got = f(&[y.clone(), w.clone()])?.remove(0);
                assert_eq!((got.dtype(), got.shape()), (dtype, g.shape()));
                let gradients = vjp(f, [&y, &w], [&g])?.1;
                let tangent = jvp(f, [&y, &w], [&ty, &tw])?.1.remove(0);
                let mapped = vmap(f).call([&y, &w])?.remove(0);
                assert_eq!(values(&mapped), values(&got));
                exactly(|| -> Result<()> {
                    let wide = |a: &Array| a.astype(F64).unwrap();
                    let values64 = |a: &Array| a.to_vec::<f64>().unwrap();
                    let exact =
                        |p: &[Array]| Ok(vec![p[0].multiply(&p[1].expand_dims(-1)?)?.sum(-2)?]);
                    let q = [wide(&y), wide(&w)];
                    all_close(&values(&got), &values64(&exact(&q)?[0]), tolerance);
                    // The gradient of a weight adds up thousands of products, in float32, and may be small: what is lost follows
                    // from the sum of their sizes.
                    let large = [q[0].abs()?, q[1].abs()?];
                    let sizes = vjp(exact, large.each_ref(), [&wide(&g).abs()?])?.1;
                    let want = vjp(exact, q.each_ref(), [&wide(&g)])?.1;
                    for ((a, b), size) in gradients.iter().zip(&want).zip(&sizes) {
                        assert_eq!(a.dtype(), dtype);
                        let all = values64(b).into_iter().zip(values64(size));
                        for (got, (want, size)) in values(a).into_iter().zip(all) {
                            let most = tolerance * want.abs().max(1.0) + 3e-7 * size;
                            assert!((got - want).abs() <= most, "{got}, expected {want}");
                        }
                    }
                    let want = jvp(exact, q.each_ref(), [&wide(&ty), &wide(&tw)])?
                        .1
                        .remove(0);
                    // A sum of two results, each rounded, which may be much larger than it.
                    let size = |y: &Array, w: &Array| exact(&[wide(y).abs()?, wide(w).abs()?]);
                    let sizes = size(&ty, &w)?.remove(0).add(size(&y, &tw)?.remove(0))?;
                    let all = values64(&want).into_iter().zip(values64(&sizes));
                    for (got, (want, size)) in values(&tangent).into_iter().zip(all) {
                        let off = (got - want).abs();
                        assert!(off <= tolerance * size.max(1.0), "{got}, expected {want}");
                    }
                    Ok(())
                })?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn empty_and_refused() {
    on_worker(|| -> Result<()> {
        let x = Array::ones((4, 3), F32)?;
        let at = Array::zeros((4, 2), U32)?;
        let sent = moe_dispatch(&Array::zeros((0, 3), F32)?, &Array::zeros((0, 2), U32)?, 4)?;
        assert_eq!(
            (sent.rows.shape(), sent.places.shape()),
            (&[0, 3][..], &[0, 2][..])
        );
        assert_eq!(sent.starts.to_vec::<u32>()?, [0; 5]);
        assert_eq!(
            moe_combine(&Array::zeros((0, 2, 3), F32)?, &Array::zeros((0, 2), F32)?)?.shape(),
            [0, 3]
        );
        // Without slots there is nothing to add up.
        let none = moe_combine(&Array::zeros((2, 0, 3), F32)?, &Array::zeros((2, 0), F32)?)?;
        assert_eq!(none.to_vec::<f32>()?, [0.0; 6]);
        let shape = |e: Option<Error>, name: &str| {
            let e = e.expect("an error");
            assert!(
                matches!(e, Error::Shape { .. }) && e.to_string().contains(name),
                "{e}"
            );
        };
        shape(
            moe_dispatch(&x, &Array::zeros((3, 2), U32)?, 4).err(),
            "`indices`",
        );
        shape(
            moe_dispatch(&x, &Array::zeros((4, 0), U32)?, 4).err(),
            "`indices`",
        );
        shape(
            moe_dispatch(&x, &Array::zeros(4, U32)?, 4).err(),
            "`indices`",
        );
        shape(moe_dispatch(&Array::from(1.0f32), &at, 4).err(), "`x`");
        shape(moe_combine(&x, &Array::ones(3, F32)?).err(), "`weights`");
        shape(
            moe_combine(&Array::ones(3, F32)?, &x).err(),
            "`expert_outputs`",
        );
        let sent = moe_dispatch(&x, &at, 4)?;
        shape(
            sent.combine(&x, &Array::ones((4, 2), F32)?).err(),
            "`outputs`",
        );
        shape(
            sent.combine(&sent.rows, &Array::ones((2, 4), F32)?).err(),
            "`weights`",
        );
        assert!(matches!(
            moe_dispatch(&x, &at, 0),
            Err(Error::Argument { .. })
        ));
        assert!(matches!(moe_dispatch(&x, &x, 3), Err(Error::Dtype { .. })));
        assert!(matches!(
            moe_dispatch(&x.astype(I32)?, &at, 3),
            Err(Error::Dtype { .. })
        ));
        Ok(())
    })
    .unwrap();
}
