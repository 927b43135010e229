//! Masks of every kind, and rows of which nothing is left; the same for softmax and its logarithm.

use zmlx::kernels::attention::{logsumexp_lastdim, masked_softmax, scale_mask_softmax};
use zmlx::kernels::softmax::{log_softmax_lastdim, softmax_lastdim};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{exactly, on_worker};
use crate::tolerance::numbers;

const INF: f32 = f32::INFINITY;

/// Softmax of the elements that are kept, in float64.
fn exact(x: &[f64], keep: &[bool], width: usize) -> Vec<f64> {
    let mut all = Vec::new();
    for (x, keep) in x.chunks(width).zip(keep.chunks(width)) {
        let kept = || x.iter().zip(keep).filter(|(_, k)| **k).map(|(v, _)| *v);
        let most = kept().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = kept().map(|v| (v - most).exp()).sum();
        all.extend(x.iter().zip(keep).map(|(v, k)| match k {
            true => (v - most).exp() / total,
            false => 0.0,
        }));
    }
    all
}

#[track_caller]
fn close(got: &Array, want: &[f64], tolerance: f64) {
    let got = numbers(got).unwrap();
    assert_eq!(got.len(), want.len());
    let good = |(g, w): (&f64, &f64)| (g - w).abs() <= tolerance;
    assert!(got.iter().zip(want).all(good), "{got:?}, expected {want:?}");
}

#[test]
fn masks_broadcast_and_have_any_dtype() {
    on_worker(|| -> Result<()> {
        let x = (random::normal((2, 3, 4, 33))? * 3.0f32)?;
        let values = numbers(&x)?;
        let shapes: [&[i32]; 9] = [
            &[2, 3, 4, 33],
            &[33],
            &[4, 33],
            &[2, 1, 1, 33],
            &[3, 1, 33],
            &[1, 1, 4, 33],
            &[2, 3, 4, 1],
            &[1],
            &[],
        ];
        for shape in shapes {
            let mask = random::bernoulli(0.6, shape)?;
            let keep = mask.broadcast_to(x.shape())?.contiguous()?;
            let keep: Vec<bool> = numbers(&keep)?.iter().map(|&v| v != 0.0).collect();
            let want = exact(&values, &keep, 33);
            close(&masked_softmax(&x, &mask)?, &want, 1e-6);
            let half: Vec<f64> = values.iter().map(|v| v * 0.5).collect();
            let want = exact(&half, &keep, 33);
            close(&scale_mask_softmax(&x, &mask, 0.5)?, &want, 1e-6);
        }
        let mask = random::bernoulli(0.6, (4, 33))?;
        let want = numbers(&masked_softmax(&x, &mask)?)?;
        for dtype in [
            Dtype::Int8,
            Dtype::Uint16,
            Dtype::Int32,
            Dtype::Int64,
            Dtype::Uint64,
            F32,
            F16,
            BF16,
            F64,
            Dtype::Complex64,
        ] {
            // Any number other than 0 keeps, a negative one too.
            let other = exactly(|| {
                let other = mask.astype(dtype)?;
                match dtype {
                    Dtype::Uint16 | Dtype::Uint64 => Ok(other),
                    _ => other.negative(),
                }
            })?;
            if dtype == F64 {
                let [got, want] = exactly(|| {
                    [&other, &mask].map(|mask| numbers(&masked_softmax(&x, mask).unwrap()))
                });
                assert_eq!(got?, want?);
                continue;
            }
            close(&masked_softmax(&x, &other)?, &want, 0.0);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn masks_of_other_shapes_are_refused() {
    on_worker(|| -> Result<()> {
        let x = random::normal((2, 3, 32))?;
        let shapes: [&[i32]; 5] = [&[31], &[2, 32], &[3, 3, 32], &[1, 2, 3, 32], &[2, 3, 0]];
        for shape in shapes {
            let mask = Array::ones(shape, Dtype::Bool)?;
            for outcome in [
                masked_softmax(&x, &mask),
                scale_mask_softmax(&x, &mask, 2.0),
            ] {
                let error = outcome.unwrap_err();
                assert!(matches!(error, Error::Shape { .. }), "{shape:?}: {error}");
                let text = error.to_string();
                assert!(
                    text.contains("`mask`") && text.contains("[2, 3, 32]"),
                    "{text}"
                );
            }
        }
        let mask = Array::ones(32, Dtype::Bool)?;
        for scale in [INF, -INF, f32::NAN] {
            let error = scale_mask_softmax(&x, &mask, scale).unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

/// Whatever stands at a masked element, it is 0, and so are its gradient and all of a row without elements.
#[test]
fn what_is_masked_does_not_count() {
    on_worker(|| -> Result<()> {
        for dtype in [F32, F16, BF16] {
            let x = [
                1.0f32,
                2.0,
                INF,
                0.0,
                f32::NAN,
                6e4,
                5.0,
                5.0,
                -INF,
                -INF,
                1.0,
                1.0,
            ];
            let keep = [
                true, true, false, false, false, false, true, true, true, true, false, false,
            ];
            let x = Array::from_slice(&x, (3, 4))?.astype(dtype)?;
            let mask = Array::from_slice(&keep, (3, 4))?;
            let e = std::f64::consts::E;
            let first = [1.0 / (1.0 + e), e / (1.0 + e), 0.0, 0.0];
            let second = [0.0, 0.0, 0.5, 0.5];
            let want = [first, second, [0.0; 4]].concat();
            let f = |p: &[Array]| Ok(vec![masked_softmax(&p[0], &mask)?]);
            close(&f(std::slice::from_ref(&x))?[0], &want, 2e-3);
            close(&scale_mask_softmax(&x, &mask, 1.0)?, &want, 2e-3);
            let g = Array::from_slice(
                &[
                    1.0f32, 0.0, 3.0, 4.0, 1.0, 2.0, 1.0, -1.0, 1.0, 2.0, 3.0, 4.0,
                ],
                (3, 4),
            )?;
            let d = vjp(f, [&x], [&g.astype(dtype)?])?.1.remove(0);
            let s = e / (1.0 + e) / (1.0 + e);
            let want = [s, -s, 0.0, 0.0, 0.0, 0.0, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0];
            close(&d, &want, 2e-3);
            let t = jvp(f, [&x], [&g.astype(dtype)?])?.1.remove(0);
            close(&t, &want, 2e-3);
        }
        // A mask of floats has no slope.
        let x = random::normal((3, 8))?;
        let d = grad(|m| masked_softmax(&x, m)?.square()?.sum(..))(&Array::ones((3, 8), F32)?)?;
        close(&d, &[0.0; 24], 0.0);
        // Mapped over the mask, over both and over the elements only.
        let masks = random::bernoulli(0.5, (2, 8))?;
        let f = |p: &[Array]| Ok(vec![masked_softmax(&x, &p[0])?]);
        let got = vmap(f).call(std::slice::from_ref(&masks))?.remove(0);
        for i in 0..2 {
            let want = numbers(&masked_softmax(&x, &masks.index(i)?)?)?;
            close(&got.index(i)?, &want, 0.0);
        }
        Ok(())
    })
    .unwrap();
}

/// Nothing overflows far from 0, and a row of minus infinity has a value and a gradient.
#[test]
fn far_rows_and_rows_of_minus_infinity() {
    on_worker(|| -> Result<()> {
        let ln2 = std::f64::consts::LN_2;
        for dtype in [F32, F16, BF16] {
            for far in [1e4f32, -1e4] {
                let x =
                    Array::from_slice(&[far, far, far, -INF, -INF, -INF], (3, 2))?.astype(dtype)?;
                let far = numbers(&x)?[0];
                let y = numbers(&logsumexp_lastdim(&x)?)?;
                let sum = (far + ln2 - y[0]).abs()
                    <= far.abs() / 200.0 * f64::from(u8::from(dtype != F32)) + 1e-3;
                assert!(sum && y[1] == far && y[2] == f64::NEG_INFINITY, "{y:?}");
                let y = numbers(&log_softmax_lastdim(&x)?)?;
                let good = (y[0] + ln2).abs() < 3e-3 && y[2] == 0.0;
                assert!(good && y[3..] == [f64::NEG_INFINITY; 3], "{y:?}");
                let y = numbers(&softmax_lastdim(&x)?)?;
                assert_eq!(y, [0.5, 0.5, 1.0, 0.0, 0.0, 0.0]);
                let d = grad(|x| logsumexp_lastdim(x)?.sum(..))(&x)?;
                close(&d, &[0.5, 0.5, 1.0, 0.0, 0.0, 0.0], 0.0);
            }
        }
        let x = Array::full((2, 40_000), -INF, F32)?;
        assert_eq!(numbers(&logsumexp_lastdim(&x)?)?, [f64::NEG_INFINITY; 2]);
        let g = random::normal((2, 40_000))?;
        let d = vjp(
            |p: &[Array]| Ok(vec![log_softmax_lastdim(&p[0])?]),
            [&x],
            [&g],
        )?
        .1
        .remove(0);
        close(&d, &vec![0.0; 80_000], 0.0);
        let x = Array::from_slice(&[INF, 1.0, f32::NAN, 1.0], (2, 2))?;
        let y = numbers(&logsumexp_lastdim(&x)?)?;
        assert!(y[0] == f64::INFINITY && y[1].is_nan(), "{y:?}");
        Ok(())
    })
    .unwrap();
}

/// From the input and not from the rounded result: in 16 bits those differ by more than a rounding of the gradient.
#[test]
fn the_gradient_of_softmax_is_not_that_of_its_rounding() {
    on_worker(|| -> Result<()> {
        let x = random::normal((64, 16))?.astype(BF16)?;
        let g = random::normal((64, 16))?.astype(BF16)?;
        let d = vjp(|p: &[Array]| Ok(vec![softmax_lastdim(&p[0])?]), [&x], [&g])?
            .1
            .remove(0);
        let (x, g, d) = (numbers(&x)?, numbers(&g)?, numbers(&d)?);
        for row in 0..64 {
            let at = 16 * row..16 * (row + 1);
            let y = exact(&x[at.clone()], &[true; 16], 16);
            let dot: f64 = y.iter().zip(&g[at.clone()]).map(|(y, g)| y * g).sum();
            for ((y, g), d) in y.iter().zip(&g[at.clone()]).zip(&d[at]) {
                let want = y * (g - dot);
                assert!((d - want).abs() <= want.abs() / 256.0 + 1e-6, "{d}, {want}");
            }
        }
        Ok(())
    })
    .unwrap();
}
