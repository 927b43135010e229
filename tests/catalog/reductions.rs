//! Reductions of integers, of what float32 cannot sum, and of NaN.

use zmlx::kernels::reductions::{max_lastdim, mean_lastdim, std_lastdim, sum_lastdim, var_lastdim};
use zmlx::prelude::*;
use zmlx::{Result, jvp, ops, vjp, vmap};

use crate::common::{Rng, on_worker};
use crate::process;
use crate::tolerance::numbers;

/// Numbers that cancel in pairs, in random order, and small ones that are left.
fn cancelling(rng: &mut Rng, width: usize) -> Vec<f32> {
    let mut all = Vec::with_capacity(width);
    while all.len() + 3 <= width {
        let unit = |rng: &mut Rng| (rng.next() >> 40) as f32 / (1 << 24) as f32;
        let large = (unit(rng) + 0.5) * 1e7;
        all.extend([large, -large, unit(rng) - 0.5]);
    }
    all.resize(width, 0.25);
    for i in (1..width).rev() {
        all.swap(i, rng.next() as usize % (i + 1));
    }
    all
}

fn relative(got: f64, want: f64) -> f64 {
    ((got - want) / want).abs()
}

/// Sums with compensation are near the exact one, and ratios of what float32 and the catalog's own order are off by to that nearness.
fn compensated(rng: &mut Rng, width: usize) -> Result<[f64; 2]> {
    let values = cancelling(rng, width);
    let want: f64 = values.iter().map(|&v| f64::from(v)).sum();
    let x = Array::from_slice(&values, width)?;
    let sum = numbers(&sum_lastdim(&x).kahan(true).call()?)?[0];
    let mean = numbers(&mean_lastdim(&x).kahan(true).call()?)?[0];
    // A rounding or two to float32, and what is left of the last of 48 bits.
    let size: f64 = values.iter().map(|&v| f64::from(v).abs()).sum();
    let near = 2f64.powi(-23) * want.abs() + 4.0 * 2f64.powi(-48) * size;
    assert!((sum - want).abs() < near, "{width}: {sum}, {want}");
    let mean_off = (mean * width as f64 - want).abs();
    assert!(mean_off < near, "{width}: {mean}");
    // Rows of 16 bits, which are exact in float32.
    let short: Vec<f32> = values.iter().map(|v| (v / 1024.0).trunc()).collect();
    let x16 = Array::from_slice(&short, (1, width))?.astype(BF16)?;
    let exact: f64 = numbers(&x16)?.iter().sum();
    let got = numbers(&sum_lastdim(&x16).kahan(true).call()?)?[0];
    assert!(
        (got - exact).abs() <= exact.abs() / 256.0,
        "{width}: {got}, {exact}"
    );
    let plain = f64::from(values.iter().sum::<f32>());
    let runs = numbers(&sum_lastdim(&x).call()?)?[0];
    Ok([plain, runs].map(|sum| (sum - want).abs() / near))
}

fn compensation(mut rng: Rng) -> Result<()> {
    for width in [3usize, 100, 1000, 4096, 40_000, 1_000_003] {
        let mut most = [0f64; 2];
        // One sum without compensation may be near by chance; six in a row are not.
        for _ in 0..6 {
            let off = compensated(&mut rng, width)?;
            most = [most[0].max(off[0]), most[1].max(off[1])];
        }
        if width >= 4096 {
            assert!(most[0] > 100.0, "{width}, in order: {most:?}");
            assert!(most[1] > 20.0, "{width}, in the catalog's runs: {most:?}");
        }
    }
    Ok(())
}

#[test]
fn kahan_compensates_where_float32_fails() {
    let rng = Rng::new();
    on_worker(move || compensation(rng)).unwrap();
    let environment = [("ZMLX_ROW_GROUPS", "gpu"), ("ZMLX_ENGINE", "cpu")];
    process::run("reductions::kahan_as_on_a_gpu", &environment, 1);
}

#[test]
#[ignore = "run by kahan_compensates_where_float32_fails"]
fn kahan_as_on_a_gpu() {
    let rng = Rng::new();
    on_worker(move || compensation(rng)).unwrap();
}

#[test]
fn kahan_with_transforms() {
    on_worker(|| -> Result<()> {
        for dtype in [F32, F16, BF16] {
            let x = random::normal((3, 4, 100))?.astype(dtype)?;
            let g = random::normal((3, 4))?.astype(dtype)?;
            let sum = |p: &[Array]| Ok(vec![sum_lastdim(&p[0]).kahan(true).call()?]);
            let mean = |p: &[Array]| Ok(vec![mean_lastdim(&p[0]).kahan(true).call()?]);
            let spread = g.expand_dims(-1)?.broadcast_to((3, 4, 100))?;
            let d = vjp(sum, [&x], [&g])?.1.remove(0);
            assert_eq!((d.dtype(), numbers(&d)?), (dtype, numbers(&spread)?));
            let d = vjp(mean, [&x], [&g])?.1.remove(0);
            let pairs = numbers(&d)?.into_iter().zip(numbers(&spread)?);
            // Below 6.1e-5 the steps of float16 are 6e-8 wide, however small the number is.
            let off = |g: f64| g.abs() / 100.0 / 200.0 + 6e-8;
            assert!({ pairs }.all(|(d, g)| (d - g / 100.0).abs() <= off(g)));
            // The tangent of a sum is the sum of the tangents.
            let tangent = jvp(sum, [&x], [&x])?.1.remove(0);
            let pairs = numbers(&tangent)?
                .into_iter()
                .zip(numbers(&sum(std::slice::from_ref(&x))?[0])?);
            assert!({ pairs }.all(|(t, s)| (t - s).abs() <= s.abs() / 100.0 + 1e-3));
            let mapped = vmap(sum)
                .in_axes([Some(1)])
                .call(std::slice::from_ref(&x))?
                .remove(0);
            let want = sum(&[x.swapaxes(0, 1)?])?.remove(0);
            assert_eq!(numbers(&mapped)?, numbers(&want)?);
        }
        for shape in [(0, 5), (3, 0)] {
            let y = sum_lastdim(&Array::zeros(shape, F32)?).kahan(true).call()?;
            assert_eq!(numbers(&y)?, vec![0.0; shape.0 as usize]);
        }
        Ok(())
    })
    .unwrap();
}

/// Means and spreads of integers whose sums, or whose differences, 64 bits do not hold.
#[test]
fn integers_whose_sums_leave_64_bits() {
    on_worker(|| -> Result<()> {
        let near = |got: Array, want: &[f64]| -> Result<()> {
            for (got, want) in got.to_vec::<f32>()?.into_iter().zip(want) {
                let got = f64::from(got);
                assert!((got - want).abs() <= 4e-7 * want.abs(), "{got}, {want}");
            }
            Ok(())
        };
        let (least, most) = (i64::MIN, i64::MAX);
        let rows = [
            [most, most, most],
            [least, least, least],
            [most, most - 2, most - 4],
            [least, most, most],
            [-1, 0, 0],
            [1 << 40, (1 << 40) + 3, -5],
        ];
        let x = Array::from_slice(&rows.concat(), (6, 3))?;
        let exact = |row: &[i128]| {
            let n = row.len() as f64;
            // In units of a third, so that the mean is a whole number.
            let sum: i128 = row.iter().sum();
            let off = row.iter().map(|v| (v * row.len() as i128 - sum) as f64 / n);
            (sum as f64 / n, off.map(|d| d * d).sum::<f64>() / n)
        };
        let of = |rows: Vec<Vec<i128>>| -> (Vec<f64>, Vec<f64>) {
            rows.iter().map(|row| exact(row)).unzip()
        };
        let (means, vars) = of(rows
            .iter()
            .map(|r| r.iter().map(|&v| v.into()).collect())
            .collect());
        near(mean_lastdim(&x).call()?, &means)?;
        near(var_lastdim(&x)?, &vars)?;
        let rows = [
            [u64::MAX; 4],
            [0, 0, 0, u64::MAX],
            [u64::MAX, u64::MAX - 4, u64::MAX, u64::MAX - 4],
            [0, 1, 2, 4],
        ];
        let x = Array::from_slice(&rows.concat(), (4, 4))?;
        let (means, vars) = of(rows
            .iter()
            .map(|r| r.iter().map(|&v| v.into()).collect())
            .collect());
        near(mean_lastdim(&x).call()?, &means)?;
        near(var_lastdim(&x)?, &vars)
    })
    .unwrap();
}

/// Float32 holds integers up to 2^24 only.
#[test]
fn integers_are_exact() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let width = 1001usize;
        let values: Vec<i64> = (0..3 * width).map(|_| rng.next() as i64 >> 16).collect();
        let rows: Vec<&[i64]> = values.chunks(width).collect();
        let x = Array::from_slice(&values, (3, width))?;
        let sums: Vec<i64> = rows.iter().map(|r| r.iter().sum()).collect();
        let most: Vec<i64> = rows.iter().map(|r| *r.iter().max().unwrap()).collect();
        assert_eq!(sum_lastdim(&x).call()?.to_vec::<i64>()?, sums);
        assert_eq!(max_lastdim(&x)?.to_vec::<i64>()?, most);
        let mean = mean_lastdim(&x).call()?;
        assert_eq!(mean.dtype(), F32);
        for (got, sum) in numbers(&mean)?.iter().zip(&sums) {
            let want = *sum as f64 / width as f64;
            assert!(relative(*got, want) < 3e-7, "{got}, {want}");
        }

        // Sums that no float32 holds, of every type.
        for (dtype, base) in [
            (Dtype::Int32, 16_777_217i64),
            (Dtype::Uint32, 16_777_217),
            (Dtype::Int64, 1 << 40 | 1),
            (Dtype::Uint64, 1 << 40 | 1),
        ] {
            let x = Array::from_slice(&[base, base, base, base + 2], (2, 2))?.astype(dtype)?;
            let sum = sum_lastdim(&x).call()?;
            assert_eq!(sum.dtype(), dtype);
            let sum = sum.astype(Dtype::Int64)?.to_vec::<i64>()?;
            assert_eq!(sum, [2 * base, 2 * base + 2], "{dtype}");
            assert_eq!(var_lastdim(&x)?.to_vec::<f32>()?, [0.0, 1.0], "{dtype}");
            assert_eq!(
                std_lastdim(&x).call()?.to_vec::<f32>()?,
                [0.0, 1.0],
                "{dtype}"
            );
        }
        for dtype in [Dtype::Int8, Dtype::Uint8, Dtype::Int16, Dtype::Uint16] {
            let x = Array::full((2, 1000), 100, dtype)?;
            assert_eq!(numbers(&sum_lastdim(&x).call()?)?, [1e5, 1e5], "{dtype}");
            assert_eq!(
                numbers(&mean_lastdim(&x).call()?)?,
                [100.0, 100.0],
                "{dtype}"
            );
            assert_eq!(max_lastdim(&x)?.dtype(), dtype);
        }
        let x = Array::from_slice(&[true, false, true, true], (2, 2))?;
        assert_eq!(numbers(&sum_lastdim(&x).call()?)?, [1.0, 2.0]);
        assert_eq!(numbers(&mean_lastdim(&x).call()?)?, [0.5, 1.0]);
        assert_eq!(numbers(&var_lastdim(&x)?)?, [0.25, 0.0]);

        let none = Array::zeros((2, 0), Dtype::Int32)?;
        assert_eq!(numbers(&sum_lastdim(&none).call()?)?, [0.0, 0.0]);
        assert!(numbers(&mean_lastdim(&none).call()?)?[0].is_nan());
        assert!(numbers(&var_lastdim(&none)?)?[0].is_nan());
        let error = max_lastdim(&none).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        let scalar = Array::scalar(1i32)?;
        for error in [
            sum_lastdim(&scalar).call(),
            mean_lastdim(&scalar).call(),
            max_lastdim(&scalar),
            var_lastdim(&scalar),
        ] {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn nan_reaches_every_reduction() {
    on_worker(|| -> Result<()> {
        for width in [1, 2, 33, 1000, 40_000] {
            for at in [0, width / 2, width - 1] {
                for dtype in [F32, F16, BF16] {
                    let place = Array::arange(width)?.equal(at)?;
                    let nan = Array::from(f32::NAN);
                    let x = ops::where_(&place, &nan, random::normal((2, width))?)?;
                    let fine = Array::zeros((1, width), F32)?;
                    let x = ops::concatenate(&[x, fine], 0)?.astype(dtype)?;
                    for (name, y) in [
                        ("sum", sum_lastdim(&x).call()?),
                        ("kahan", sum_lastdim(&x).kahan(true).call()?),
                        ("mean", mean_lastdim(&x).call()?),
                        ("max", max_lastdim(&x)?),
                        ("var", var_lastdim(&x)?),
                        ("std", std_lastdim(&x).call()?),
                    ] {
                        let y = numbers(&y)?;
                        let good = y[0].is_nan() && y[1].is_nan() && y[2] == 0.0;
                        assert!(good, "{name} {dtype} {at} of {width}: {y:?}");
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn infinities_and_empty_rows() {
    on_worker(|| -> Result<()> {
        const INF: f32 = f32::INFINITY;
        let x = Array::from_slice(&[INF, 1.0, -INF, 1.0, -INF, -INF, INF, -INF], (4, 2))?;
        let inf = f64::INFINITY;
        assert_eq!(numbers(&max_lastdim(&x)?)?, [inf, 1.0, -inf, inf]);
        for kahan in [false, true] {
            let y = numbers(&sum_lastdim(&x).kahan(kahan).call()?)?;
            assert!(y[..3] == [inf, -inf, -inf] && y[3].is_nan(), "{y:?}");
        }
        let none = Array::zeros((2, 0), F32)?;
        assert_eq!(numbers(&max_lastdim(&none)?)?, [-inf, -inf]);
        assert_eq!(numbers(&sum_lastdim(&none).call()?)?, [0.0, 0.0]);
        assert!(numbers(&mean_lastdim(&none).call()?)?[0].is_nan());
        assert!(numbers(&std_lastdim(&none).call()?)?[0].is_nan());
        // One row is a row, too.
        assert_eq!(
            max_lastdim(&Array::from_slice(&[1.0f32, 2.0], 2)?)?.shape(),
            [0i32; 0]
        );
        Ok(())
    })
    .unwrap();
}

/// No step of 16 bits: a variance above what float16 holds has a root, and eps is not lost beside it.
#[test]
fn sixteen_bits_at_their_ends() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[-60_000.0f32, 60_000.0], 2)?.astype(F16)?;
        let want = numbers(&x)?[1];
        assert_eq!(numbers(&std_lastdim(&x).call()?)?, [want]);
        let x = Array::full(1000, 60_000.0f32, F16)?;
        assert_eq!(numbers(&mean_lastdim(&x).call()?)?, [want]);
        assert_eq!(numbers(&sum_lastdim(&x).call()?)?, [f64::INFINITY]);
        // Float32's sums hold more than 2^8 ones of bfloat16.
        let x = Array::ones(1000, BF16)?;
        assert_eq!(numbers(&sum_lastdim(&x).call()?)?, [1000.0]);
        let x = Array::from_slice(&[1e-3f32, -1e-3], 2)?.astype(F16)?;
        let y = numbers(&std_lastdim(&x).eps(1e-6).call()?)?[0];
        assert!((y - 2f64.sqrt() * 1e-3).abs() < 2e-6, "{y}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn spread_of_equal_numbers_and_far_from_zero() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for value in [0.1f32, 3.4, 5.8, 6.3, 1e4, -7.77e6] {
            for width in [1, 6, 1000] {
                let x = Array::full((2, width), value, F32)?;
                assert_eq!(numbers(&var_lastdim(&x)?)?, [0.0, 0.0], "{value} x {width}");
                let std = |x: &Array| std_lastdim(x).call();
                assert_eq!(numbers(&std(&x)?)?, [0.0, 0.0]);
                let slope = numbers(&grad(|x| std(x)?.sum(..))(&x)?)?;
                assert!(
                    slope.iter().all(|&d| d == 0.0),
                    "{value} x {width}: {slope:?}"
                );
            }
        }
        random::seed(rng.next());
        let x = (random::normal((3, 4099))? + 1e4f32)?;
        let exact = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64
        };
        let values = numbers(&x)?;
        let want: Vec<f64> = values.chunks(4099).map(exact).collect();
        for (got, want) in numbers(&var_lastdim(&x)?)?.iter().zip(&want) {
            assert!(relative(*got, *want) < 1e-6, "{got}, {want}");
        }
        for eps in [-1.0, f32::NAN, f32::INFINITY] {
            let error = std_lastdim(&x).eps(eps).call().unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn equal_largest_elements_share_the_gradient() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[3.0f32, 1.0, 3.0, 2.0, 5.0, 4.0], (2, 3))?;
        let d = grad(|x| max_lastdim(x)?.sum(..))(&x)?;
        assert_eq!(numbers(&d)?, [0.5, 0.0, 0.5, 0.0, 1.0, 0.0]);
        Ok(())
    })
    .unwrap();
}
