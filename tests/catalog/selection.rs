//! The largest elements of rows: against a sort of pairs of value and place in plain Rust, bit for bit.

use zmlx::kernels::moe::top2_gating_softmax;
use zmlx::kernels::reductions::{argmax_lastdim, topk_lastdim};
use zmlx::prelude::*;
use zmlx::{Result, jvp, keepdims, vjp, vmap};

use crate::common::{Rng, all_close, exactly, f64s, on_worker};

/// A row's places, the largest value first: NaN before everything, zeros alike, earlier places first.
fn places(row: &[f32]) -> Vec<u32> {
    let mut all: Vec<u32> = (0..row.len() as u32).collect();
    let rank = |i: u32| {
        let v = row[i as usize];
        if v.is_nan() { f32::INFINITY } else { v }
    };
    all.sort_by(|&a, &b| {
        let (nan_a, nan_b) = (row[a as usize].is_nan(), row[b as usize].is_nan());
        let by_value = nan_b
            .cmp(&nan_a)
            .then(rank(b).partial_cmp(&rank(a)).unwrap());
        by_value.then(a.cmp(&b))
    });
    all
}

/// Checks both functions on rows of a width.
#[track_caller]
fn check(what: &str, values: &[f32], width: usize, dtype: Dtype, ks: &[usize]) -> Result<()> {
    let rows = values.len() / width;
    let x = Array::from_slice(values, (rows, width))?.astype(dtype)?;
    let rounded = x.astype(F32)?.to_vec::<f32>()?;
    let want: Vec<Vec<u32>> = rounded.chunks(width).map(places).collect();
    let firsts: Vec<u32> = want.iter().map(|p| p[0]).collect();
    let got = argmax_lastdim(&x)?;
    assert_eq!((got.dtype(), got.shape()), (U32, &[rows as i32][..]));
    assert_eq!(
        got.to_vec::<u32>()?,
        firsts,
        "argmax of {what}, {width} {dtype}"
    );
    for &k in ks {
        let (top, indices) = topk_lastdim(&x, k)?;
        assert_eq!((top.dtype(), indices.dtype()), (dtype, U32));
        assert_eq!(indices.shape(), [rows as i32, k as i32]);
        let found = indices.to_vec::<u32>()?;
        let top = top.astype(F32)?.to_vec::<f32>()?;
        for r in 0..rows {
            let (found, want) = (&found[r * k..][..k], &want[r][..k]);
            assert_eq!(found, want, "top {k} of {what}, row {r}, {width} {dtype}");
            for (i, &p) in want.iter().enumerate() {
                let v = rounded[r * width + p as usize];
                let same = v == top[r * k + i] || v.is_nan() && top[r * k + i].is_nan();
                assert!(
                    same,
                    "{what}: value {i} of row {r} is {}, not {v}",
                    top[r * k + i]
                );
            }
        }
    }
    Ok(())
}

/// Few values, so that most are equal to others; some are zeros of both signs, infinities and NaN.
fn odd(rng: &mut Rng, n: usize) -> Vec<f32> {
    let few = [
        0.0,
        -0.0,
        1.5,
        -1.5,
        f32::INFINITY,
        f32::NEG_INFINITY,
        3.0,
        f32::NAN,
    ];
    let nan = rng.below(3) == 0;
    (0..n)
        .map(|_| few[rng.below(if nan { 8 } else { 7 })])
        .collect()
}

#[test]
fn short_rows() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for width in [1, 2, 7, 32, 64, 100, 1000] {
            let ks: Vec<usize> = [1, 2, 8, 33, width]
                .into_iter()
                .filter(|&k| k <= width)
                .collect();
            for dtype in [F32, F16, BF16] {
                check("normals", &rng.normals(5 * width), width, dtype, &ks)?;
                check("odd values", &odd(&mut rng, 5 * width), width, dtype, &ks)?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn long_rows() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (width, ks) in [
            (4096, &[1, 8, 64, 65, 256, 1000, 1500, 4096][..]),
            (4099, &[3, 300]),
            (40_000, &[8, 600]),
            (151_936, &[8, 256]),
        ] {
            for dtype in [F32, BF16] {
                check("normals", &rng.normals(2 * width), width, dtype, ks)?;
                check("odd values", &odd(&mut rng, 2 * width), width, dtype, ks)?;
            }
            let rising: Vec<f32> = (0..width).map(|i| i as f32).collect();
            let falling: Vec<f32> = rising.iter().map(|v| -v).collect();
            check("rising", &rising, width, F32, ks)?;
            check("falling", &falling, width, F32, ks)?;
            check("equal", &vec![-2.5; width], width, F16, ks)?;
            check("NaN", &vec![f32::NAN; width], width, F32, ks)?;
        }
        check("normals", &rng.normals(1_000_003), 1_000_003, F32, &[5])
    })
    .unwrap();
}

/// The original's order of equal elements depends on threads: of places 1 and 256 it takes 256, of four equal experts 3 and 1.
#[test]
fn equal_elements_in_order() {
    on_worker(|| -> Result<()> {
        let mut row = vec![0.0f32; 1000];
        row[1] = 1.0;
        row[256] = 1.0;
        let x = Array::from_slice(&row, 1000)?;
        assert_eq!(argmax_lastdim(&x)?.item::<u32>()?, 1);
        assert_eq!(topk_lastdim(&x, 2)?.1.to_vec::<u32>()?, [1, 256]);
        let x = Array::zeros(4, F32)?;
        assert_eq!(top2_gating_softmax(&x)?.1.to_vec::<u32>()?, [0, 1]);
        let x = Array::from_slice(&[3.0f32, 1.0, 1.0, 1.0], 4)?;
        assert_eq!(top2_gating_softmax(&x)?.1.to_vec::<u32>()?, [0, 1]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn integers_are_exact() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for dtype in [U8, I8, U16, I16, U32, I32, U64, I64, BOOL] {
            let width = 300;
            // Large numbers that float32 cannot tell apart.
            let big: Vec<i64> = (0..2 * width)
                .map(|_| (rng.next() % 5) as i64 - 3)
                .collect();
            let shift = if dtype.size() >= 4 { 1 << 30 } else { 0 };
            let x = Array::from_slice(&big, (2, width))?;
            let x = (&x + Array::scalar::<i64>(shift)?)?.astype(dtype)?;
            let exact: Vec<i128> = match dtype {
                U64 => x.to_vec::<u64>()?.into_iter().map(i128::from).collect(),
                _ => x
                    .astype(I64)?
                    .to_vec::<i64>()?
                    .into_iter()
                    .map(i128::from)
                    .collect(),
            };
            let (values, indices) = topk_lastdim(&x, 20)?;
            assert_eq!(values.dtype(), dtype);
            let found = indices.to_vec::<u32>()?;
            let first = argmax_lastdim(&x)?.to_vec::<u32>()?;
            for (r, row) in exact.chunks(width).enumerate() {
                let mut want: Vec<u32> = (0..width as u32).collect();
                want.sort_by_key(|&i| (-row[i as usize], i));
                assert_eq!(&found[20 * r..][..20], &want[..20], "{dtype}");
                assert_eq!(first[r], want[0], "{dtype}");
            }
            let taken = x.take_along_axis(&indices, -1)?;
            assert!(
                taken.array_equal(&values, false)?.item::<bool>()?,
                "{dtype}"
            );
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_refused() {
    on_worker(|| -> Result<()> {
        let x = Array::ones((2, 5), F32)?;
        for k in [0, 6] {
            let e = topk_lastdim(&x, k).unwrap_err();
            assert!(
                matches!(&e, Error::Argument { argument, .. } if argument == "k"),
                "{e}"
            );
            assert!(e.to_string().contains("selection.rs"), "{e}");
        }
        let empty = Array::zeros((2, 0), F32)?;
        assert!(matches!(argmax_lastdim(&empty), Err(Error::Shape { .. })));
        assert!(matches!(
            top2_gating_softmax(&empty),
            Err(Error::Shape { .. })
        ));
        assert!(topk_lastdim(&empty, 1).is_err());
        let scalar = Array::from(1.0f32);
        assert!(matches!(argmax_lastdim(&scalar), Err(Error::Shape { .. })));
        assert!(matches!(topk_lastdim(&scalar, 1), Err(Error::Shape { .. })));
        assert!(matches!(
            top2_gating_softmax(&scalar),
            Err(Error::Shape { .. })
        ));
        let wide = exactly(|| x.astype(F64))?;
        exactly(|| {
            assert!(matches!(argmax_lastdim(&wide), Err(Error::Dtype { .. })));
            assert!(matches!(topk_lastdim(&wide, 1), Err(Error::Dtype { .. })));
        });
        assert!(matches!(
            top2_gating_softmax(&x.astype(I32)?),
            Err(Error::Dtype { .. })
        ));
        // No rows: no values.
        let none = Array::zeros((0, 5), F16)?;
        assert_eq!(argmax_lastdim(&none)?.shape(), [0]);
        assert_eq!(topk_lastdim(&none, 3)?.0.shape(), [0, 3]);
        // The place of the largest has no derivative.
        let f = |p: &[Array]| Ok(vec![argmax_lastdim(&p[0])?.astype(F32)?]);
        let e = vjp(f, [&x], [&Array::ones(2, F32)?]).unwrap_err();
        assert!(matches!(e, Error::Argument { .. }), "{e}");
        assert!(matches!(jvp(f, [&x], [&x]), Err(Error::Argument { .. })));
        let f = |p: &[Array]| {
            argmax_lastdim(&p[0].stop_gradient()?)?
                .astype(F32)
                .map(|y| vec![y])
        };
        assert_eq!(
            f64s(&vjp(f, [&x], [&Array::ones(2, F32)?])?.1[0]),
            [0.0; 10]
        );
        Ok(())
    })
    .unwrap();
}

/// The gradient of the values goes back to where they came from.
#[test]
fn derivatives_of_values() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (width, k) in [(9, 4), (5000, 3), (2000, 1200)] {
            let x = Array::from_slice(&rng.normals(3 * width), (3, width))?;
            let g = Array::from_slice(&rng.normals(3 * k), (3, k))?;
            let t = Array::from_slice(&rng.normals(3 * width), (3, width))?;
            let f = |p: &[Array]| Ok(vec![topk_lastdim(&p[0], k)?.0]);
            let indices = topk_lastdim(&x, k)?.1.to_vec::<u32>()?;
            let (gv, tv) = (f64s(&g), f64s(&t));
            let mut want = vec![0.0; 3 * width];
            let mut tangent = Vec::new();
            for (i, &p) in indices.iter().enumerate() {
                let at = i / k * width + p as usize;
                want[at] = gv[i];
                tangent.push(tv[at]);
            }
            assert_eq!(f64s(&vjp(f, [&x], [&g])?.1[0]), want);
            assert_eq!(f64s(&jvp(f, [&x], [&t])?.1[0]), tangent);
            // Second order: of the sum of squares it is twice the identity on what was chosen.
            let gradient = |p: &[Array]| {
                let inner = |q: &[Array]| {
                    let v = topk_lastdim(&q[0], k)?.0;
                    Ok(vec![(&v * &v)?.sum(..)?])
                };
                Ok(vjp(inner, [&p[0]], [&Array::from(1.0f32)])?.1)
            };
            let twice = f64s(&vjp(gradient, [&x], [&t])?.1[0]);
            let want: Vec<f64> = want
                .iter()
                .zip(&tv)
                .map(|(w, t)| if *w == 0.0 { 0.0 } else { 2.0 * t })
                .collect();
            assert_eq!(twice, want);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_axes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let x = Array::from_slice(&rng.normals(4 * 3 * 50), (4, 50, 3))?;
        let rows = x.transpose([2, 0, 1])?;
        let f = |p: &[Array]| {
            let (v, i) = topk_lastdim(&p[0], 5)?;
            let (w, e) = top2_gating_softmax(&p[0])?;
            Ok(vec![v, i, w, e, argmax_lastdim(&p[0])?])
        };
        let got = vmap(f).in_axes([Some(2)]).call([&x])?;
        let want = f(&[rows])?;
        for (a, b) in got.iter().zip(&want) {
            assert!(a.array_equal(b, false)?.item::<bool>()?, "{a} {b}");
        }
        Ok(())
    })
    .unwrap();
}

/// The weights of two experts, and their gradients, against MLX's softmax over the two in float64.
#[test]
fn gates() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for experts in [2, 3, 8, 64, 1000, 5000] {
            for (dtype, tolerance) in [(F32, 1e-6), (F16, 2e-3), (BF16, 1.6e-2)] {
                let x =
                    Array::from_slice(&rng.normals(6 * experts), (2, 3, experts))?.astype(dtype)?;
                let (weights, indices) = top2_gating_softmax(&x)?;
                assert_eq!((weights.dtype(), indices.dtype()), (dtype, U32));
                assert_eq!(weights.shape(), [2, 3, 2]);
                let rows = x.astype(F32)?.to_vec::<f32>()?;
                let want: Vec<u32> = rows
                    .chunks(experts)
                    .flat_map(|r| places(r)[..2].to_vec())
                    .collect();
                assert_eq!(indices.to_vec::<u32>()?, want, "{experts} {dtype}");
                let g = Array::from_slice(&rng.normals(12), (2, 3, 2))?.astype(dtype)?;
                let t = Array::from_slice(&rng.normals(6 * experts), x.shape())?.astype(dtype)?;
                let f = |p: &[Array]| Ok(vec![top2_gating_softmax(&p[0])?.0]);
                let gradient = vjp(f, [&x], [&g])?.1.remove(0);
                let tangent = jvp(f, [&x], [&t])?.1.remove(0);
                assert_eq!((gradient.dtype(), tangent.dtype()), (dtype, dtype));
                exactly(|| -> Result<()> {
                    let wide = |a: &Array| a.astype(F64);
                    let exact = |p: &[Array]| {
                        let v = p[0].take_along_axis(&indices, -1)?.exp()?;
                        Ok(vec![v.divide(v.sum(keepdims(-1))?)?])
                    };
                    let x = wide(&x)?;
                    let values = |a: &Array| a.astype(F64)?.to_vec::<f64>();
                    all_close(
                        &values(&weights)?,
                        &values(&exact(std::slice::from_ref(&x))?[0])?,
                        tolerance,
                    );
                    let want = vjp(exact, [&x], [&wide(&g)?])?.1.remove(0);
                    all_close(&values(&gradient)?, &values(&want)?, tolerance);
                    let want = jvp(exact, [&x], [&wide(&t)?])?.1.remove(0);
                    all_close(&values(&tangent)?, &values(&want)?, tolerance);
                    Ok(())
                })?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn odd_gates() {
    on_worker(|| -> Result<()> {
        let gate = |row: &[f32]| -> Result<(Vec<f32>, Vec<u32>)> {
            let (w, i) = top2_gating_softmax(&Array::from_slice(row, row.len() as i32)?)?;
            Ok((w.to_vec()?, i.to_vec()?))
        };
        let inf = f32::INFINITY;
        assert_eq!(gate(&[-3.0])?, (vec![1.0, 0.0], vec![0, 0]));
        assert_eq!(gate(&[-inf, -inf, -inf])?, (vec![0.5, 0.5], vec![0, 1]));
        assert_eq!(gate(&[-inf, 2.0, -inf])?, (vec![1.0, 0.0], vec![1, 0]));
        assert_eq!(gate(&[1e4, -1e4])?, (vec![1.0, 0.0], vec![0, 1]));
        assert_eq!(gate(&[inf, 0.0, inf])?, (vec![0.5, 0.5], vec![0, 2]));
        let (weights, places) = gate(&[1.0, f32::NAN, 2.0])?;
        assert!(weights.iter().all(|w| w.is_nan()));
        assert_eq!(places, [1, 2]);
        // Of a row of minus infinities gradients are numbers.
        let x = Array::full(3, -inf, F32)?;
        let f = |p: &[Array]| Ok(vec![top2_gating_softmax(&p[0])?.0]);
        let g = vjp(f, [&x], [&Array::from_slice(&[1.0f32, 0.0], 2)?])?
            .1
            .remove(0);
        assert_eq!(f64s(&g), [0.25, -0.25, 0.0]);
        Ok(())
    })
    .unwrap();
}
