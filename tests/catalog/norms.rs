//! Normalizations where a textbook's one-pass variance fails, and dropout fused with one.

use zmlx::kernels::{norms, transformer};
use zmlx::prelude::*;
use zmlx::{Result, jvp, ops, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::tolerance::numbers;

/// The largest difference.
fn off(got: &Array, want: &Array) -> Result<f64> {
    assert_eq!(got.shape(), want.shape());
    let pairs = numbers(got)?.into_iter().zip(numbers(want)?);
    // A NaN counts as infinitely far.
    Ok(pairs.fold(0.0, |most, (g, w)| {
        let d = (g - w).abs();
        if d <= most {
            most
        } else {
            d.min(f64::INFINITY)
        }
    }))
}

/// Layer normalization in float64.
fn exact(x: &Array, gamma: &Array, beta: &Array, eps: f64) -> Result<Array> {
    let d = (x - x.mean(zmlx::keepdims(-1))?)?;
    let v = d.square()?.mean(zmlx::keepdims(-1))?;
    (d / (v + eps)?.sqrt()?)?.multiply(gamma)?.add(beta)
}

/// By the mean of squares less the square of the mean, in float32.
fn in_one_pass(x: &Array, eps: f32) -> Result<Array> {
    let mean = x.mean(zmlx::keepdims(-1))?;
    let v = (x.square()?.mean(zmlx::keepdims(-1))? - mean.square()?)?;
    (x - mean)? * (v + eps)?.rsqrt()?
}

#[test]
fn a_mean_far_above_the_spread() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for (mean, spread, width) in [
            (1e4f32, 1.0f32, 1024),
            (1e4, 1.0, 4099),
            (-1e4, 1.0, 33),
            (100.0, 0.1, 1024),
            (1000.0, 0.1, 1000),
            (3e6, 4.0, 40_000),
        ] {
            random::seed(rng.next());
            let x = ((random::normal((5, width))? * spread)? + mean)?;
            let gamma = random::normal(width)?;
            let beta = random::normal(width)?;
            let g = random::normal((5, width))?;
            let f = |p: &[Array]| Ok(vec![norms::layernorm(&p[0], &p[1], &p[2]).call()?]);
            let (y, dy) = vjp(f, [&x, &gamma, &beta], [&g])?;
            let plain = norms::layer_norm_no_weight(&x).call()?;
            let (want, want_d, want_plain) = exactly(|| {
                let wide = |a: &Array| a.astype(F64);
                let all = [wide(&x)?, wide(&gamma)?, wide(&beta)?];
                let f = |p: &[Array]| Ok(vec![exact(&p[0], &p[1], &p[2], 1e-5)?]);
                let (y, d) = vjp(f, &all, [&wide(&g)?])?;
                let (one, none) = (Array::scalar(1.0f64)?, Array::scalar(0.0f64)?);
                Ok((y[0].clone(), d, exact(&all[0], &one, &none, 1e-5)?))
            })?;
            let what = format!("mean {mean}, spread {spread}, width {width}");
            // Of values up to about 20, and gradients divided by the spread.
            assert!(off(&y[0], &want)? < 2e-5, "{what}: {}", off(&y[0], &want)?);
            assert!(off(&plain, &want_plain)? < 5e-6, "{what}");
            let dx = off(&dy[0], &want_d[0])? * f64::from(spread);
            assert!(dx < 2e-5, "{what}, dx: {dx}");
            for i in [1, 2] {
                assert!(off(&dy[i], &want_d[i])? < 5e-5, "{what}, gradient {i}");
            }
            // What the test is about.
            if mean.abs() / spread >= 1e4 {
                let bad = off(&in_one_pass(&x, 1e-5)?, &want_plain)?;
                assert!(bad.is_nan() || bad >= 0.01, "{what}: {bad}");
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Sums of equal numbers are not exact, and what is left over must not be divided by the root of `eps`.
#[test]
fn constant_rows_give_beta() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        random::seed(rng.next());
        let odd = random::normal(20)?.multiply(1e4f32)?.to_vec::<f32>()?;
        let known = [0.0f32, 0.1, 3.4, 5.8, 6.3, 1e4, -12_345.678];
        for width in [1, 6, 100, 1000, 4099] {
            for dtype in [F32, F16, BF16] {
                let gamma = random::normal(width)?.astype(dtype)?;
                let beta = random::normal(width)?.astype(dtype)?;
                let want = numbers(&beta)?;
                for &value in known.iter().chain(&odd) {
                    let x = Array::full((1, width), value, dtype)?;
                    let y = norms::layernorm(&x, &gamma, &beta).call()?;
                    assert_eq!(numbers(&y)?, want, "{value} {dtype} x {width}");
                    let y = norms::layer_norm_no_weight(&x).call()?;
                    assert!(numbers(&y)?.iter().all(|&v| v == 0.0), "{value} x {width}");
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn layer_norm_dropout_is_dropout_of_layernorm() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let seed = rng.next();
        random::seed(seed);
        for (rows, width) in [(1, 1), (7, 33), (40, 1000), (3, 40_000)] {
            let x = random::normal((rows, width))?;
            let (gamma, beta) = (random::normal(width)?, random::normal(width)?);
            let fused = |p: &[Array]| {
                Ok(vec![
                    norms::layer_norm_dropout(&p[0], &p[1], &p[2], 0.3, seed).call()?,
                ])
            };
            let apart = |p: &[Array]| {
                let y = norms::layernorm(&p[0], &p[1], &p[2]).call()?;
                Ok(vec![transformer::dropout(&y, 0.3, seed)?])
            };
            let g = random::normal((rows, width))?;
            let p = [&x, &gamma, &beta];
            let ((y, dy), (want, want_d)) = (vjp(fused, p, [&g])?, vjp(apart, p, [&g])?);
            // The same elements are 0, of the value and where the bias meets its gradient.
            let dropped = |a: &Array| -> Result<Vec<bool>> {
                Ok(numbers(a)?.iter().map(|&v| v == 0.0).collect())
            };
            assert_eq!(dropped(&y[0])?, dropped(&want[0])?, "{rows} x {width}");
            assert!(off(&y[0], &want[0])? < 2e-5, "{rows} x {width}");
            // A row of one number is divided by the root of eps, so derivatives near 0 are differences of terms of that size.
            let terms = match width {
                1 => gamma.multiply(&g)?.abs()?.max(..)?.item::<f32>()? / (0.7 * 1e-5f32.sqrt()),
                _ => 0.0,
            };
            let far = 5e-5 + f64::from(4.0 * f32::EPSILON * terms);
            for (i, (got, want)) in dy.iter().zip(&want_d).enumerate() {
                assert!(off(got, want)? < far, "{rows} x {width}, gradient {i}");
            }
            let t = [&g, &beta, &gamma];
            let (got, want) = (jvp(fused, p, t)?.1, jvp(apart, p, t)?.1);
            assert!(off(&got[0], &want[0])? < far, "{rows} x {width}, tangent");
        }
        // The share of the kept, and no trace of the period of 10 elements of a counter that is hardly mixed.
        let width = 1 << 16;
        let x = random::normal((4, width))?;
        let (gamma, beta) = (Array::zeros(width, F32)?, Array::ones(width, F32)?);
        let y = norms::layer_norm_dropout(&x, &gamma, &beta, 0.5, seed).call()?;
        let kept: Vec<f64> = numbers(&y)?.iter().map(|&v| v / 2.0).collect();
        let n = kept.len() as f64;
        let share = kept.iter().sum::<f64>() / n;
        assert!((share - 0.5).abs() < 5.0 * 0.5 / n.sqrt(), "{share}");
        for lag in [1, 5, 10] {
            let both: f64 = kept.iter().zip(&kept[lag..]).map(|(a, b)| a * b).sum();
            let sigmas = (both / n - 0.25) * 4.0 * n.sqrt();
            assert!(sigmas.abs() < 10.0, "lag {lag}: {sigmas}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn layer_norm_dropout_mapped_and_refused() {
    on_worker(|| -> Result<()> {
        let x = random::normal((3, 5, 64))?;
        let (gamma, beta) = (random::normal(64)?, random::normal(64)?);
        let f = |p: &[Array]| {
            Ok(vec![
                norms::layer_norm_dropout(&p[0], &gamma, &beta, 0.3, 9).call()?,
            ])
        };
        let got = vmap(f).call(std::slice::from_ref(&x))?.remove(0);
        let each = (0..3).map(|i| f(&[x.index(i)?]).map(|mut y| y.remove(0)));
        let want = ops::stack(&each.collect::<Result<Vec<_>>>()?, 0)?;
        assert_eq!(numbers(&got)?, numbers(&want)?);

        for p in [1.0, -0.5, f32::NAN] {
            let error = norms::layer_norm_dropout(&x, &gamma, &beta, p, 0).call();
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

/// Weights are summed over all rows, and the gradient of the input has its shape: not that of one row.
#[test]
fn the_gradient_as_a_function() {
    on_worker(|| -> Result<()> {
        let (x, weight, g) = (
            random::normal((4, 6, 100))?,
            random::normal(100)?,
            random::normal((4, 6, 100))?,
        );
        let f = |p: &[Array]| Ok(vec![norms::rmsnorm(&p[0], &p[1]).call()?]);
        let d = vjp(f, [&x, &weight], [&g])?.1;
        assert_eq!(d[1].shape(), [100]);
        let dx = norms::rmsnorm_grad(&x, &weight, &g).call()?;
        assert!(off(&dx, &d[0])? < 1e-5);
        Ok(())
    })
    .unwrap();
}
