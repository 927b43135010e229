//! Rows by index, against loops in float64.

use zmlx::kernels::indexing::{fused_gather_add, fused_scatter_add};
use zmlx::prelude::*;
use zmlx::{Result, jvp, ops, vjp, vmap};

use crate::common::{Rng, all_close, on_worker};

/// The row that an index means.
fn row(i: i64, rows: usize) -> Option<usize> {
    let at = if i < 0 { i + rows as i64 } else { i };
    usize::try_from(at).ok().filter(|&at| at < rows)
}

fn values(a: &Array) -> Vec<f64> {
    let all = a.astype(F32).unwrap().to_vec::<f32>().unwrap();
    all.into_iter().map(f64::from).collect()
}

fn gathered(
    src: &[f64],
    rows: usize,
    d: usize,
    indices: &[i64],
    other: &[f64],
    missing: f64,
) -> Vec<f64> {
    let at = |m: usize, j: usize| match row(indices[m], rows) {
        Some(r) => src[r * d + j] + other[m * d + j],
        None => missing,
    };
    (0..indices.len() * d).map(|i| at(i / d, i % d)).collect()
}

fn scattered(updates: &[f64], rows: usize, d: usize, indices: &[i64]) -> Vec<f64> {
    let mut out = vec![0.0; rows * d];
    for (m, &i) in indices.iter().enumerate() {
        if let Some(r) = row(i, rows) {
            for j in 0..d {
                out[r * d + j] += updates[m * d + j];
            }
        }
    }
    out
}

const SIZES: [(usize, usize, usize); 7] = [
    (1, 1, 1),
    (5, 3, 7),
    (4, 9, 1),
    (10, 100, 64),
    (300, 50, 100),
    (3, 200, 4096),
    (2, 2, 10_000),
];
const TOLERANCES: [(Dtype, f64); 3] = [(F32, 1e-6), (F16, 1e-3), (BF16, 8e-3)];

/// Values, gradients and tangents, for indices of which some count from the end and some have no row.
#[test]
fn gather_add() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (n, m, d) in SIZES {
            for (dtype, tolerance) in TOLERANCES {
                let draw = |rng: &mut Rng, r: usize| {
                    Array::from_slice(&rng.normals(r * d), (r, d))?.astype(dtype)
                };
                let (src, other, g) = (draw(&mut rng, n)?, draw(&mut rng, m)?, draw(&mut rng, m)?);
                let (ts, to) = (draw(&mut rng, n)?, draw(&mut rng, m)?);
                let indices: Vec<i64> = (0..m)
                    .map(|_| rng.below(3 * n) as i64 - 2 * n as i64 + 1)
                    .collect();
                let at = Array::from_slice(&indices, m as i32)?;
                let y = fused_gather_add(&src, &at, &other)?;
                assert_eq!((y.dtype(), y.shape()), (dtype, other.shape()));
                let want = gathered(&values(&src), n, d, &indices, &values(&other), f64::NAN);
                all_close(&values(&y), &want, tolerance);
                let f = |p: &[Array]| Ok(vec![fused_gather_add(&p[0], &at, &p[1])?]);
                let gradients = vjp(f, [&src, &other], [&g])?.1;
                // The sum of a hundred and more is rounded once.
                all_close(
                    &values(&gradients[0]),
                    &scattered(&values(&g), n, d, &indices),
                    8.0 * tolerance,
                );
                assert_eq!(values(&gradients[1]), values(&g));
                let tangent = jvp(f, [&src, &other], [&ts, &to])?.1.remove(0);
                let mut want = gathered(&values(&ts), n, d, &indices, &values(&to), 0.0);
                let added = values(&to);
                for (i, w) in want.iter_mut().enumerate() {
                    if row(indices[i / d], n).is_none() {
                        *w = added[i];
                    }
                }
                all_close(&values(&tangent), &want, tolerance);
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn scatter_add() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (n, m, d) in SIZES {
            for (dtype, tolerance) in TOLERANCES {
                let draw = |rng: &mut Rng, r: usize| {
                    Array::from_slice(&rng.normals(r * d), (r, d))?.astype(dtype)
                };
                let (updates, g, t) = (draw(&mut rng, m)?, draw(&mut rng, n)?, draw(&mut rng, m)?);
                let indices: Vec<i64> = (0..m)
                    .map(|_| rng.below(3 * n) as i64 - 2 * n as i64 + 1)
                    .collect();
                let at = Array::from_slice(&indices, m as i32)?;
                let want = scattered(&values(&updates), n, d, &indices);
                for atomic in [false, true] {
                    let f = |p: &[Array]| {
                        Ok(vec![
                            fused_scatter_add(&at, &p[0], (n, d))
                                .atomic(atomic)
                                .call()?,
                        ])
                    };
                    let y = f(std::slice::from_ref(&updates))?.remove(0);
                    assert_eq!((y.dtype(), y.shape()), (dtype, &[n as i32, d as i32][..]));
                    // Up to a hundred terms, each rounded to float32.
                    all_close(&values(&y), &want, 8.0 * tolerance);
                    let gradient = vjp(f, [&updates], [&g])?.1.remove(0);
                    let zeros = vec![0.0; m * d];
                    let back = gathered(&values(&g), n, d, &indices, &zeros, 0.0);
                    assert_eq!(values(&gradient), back);
                    let tangent = jvp(f, [&updates], [&t])?.1.remove(0);
                    all_close(
                        &values(&tangent),
                        &scattered(&values(&t), n, d, &indices),
                        8.0 * tolerance,
                    );
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

/// Sums whose result depends on the order come out the same each time, and in the order of the updates.
#[test]
fn the_order_is_that_of_updates() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let (n, m, d) = (3, 3000, 40);
        let updates: Vec<f32> = (0..m * d)
            .map(|_| rng.normal() * 10f32.powi(rng.below(9) as i32))
            .collect();
        let indices: Vec<u32> = (0..m).map(|_| rng.below(n) as u32).collect();
        let mut want = vec![0.0f32; n * d];
        for (i, &to) in indices.iter().enumerate() {
            for j in 0..d {
                want[to as usize * d + j] += updates[i * d + j];
            }
        }
        let (indices, updates) = (
            Array::from_slice(&indices, m as i32)?,
            Array::from_slice(&updates, (m, d))?,
        );
        for _ in 0..3 {
            let y = fused_scatter_add(&indices, &updates, (n, d)).call()?;
            assert_eq!(y.to_vec::<f32>()?, want);
        }
        Ok(())
    })
    .unwrap();
}

/// Every integer dtype, and numbers far outside: nothing outside is read or written.
#[test]
fn indices_of_all_dtypes() {
    on_worker(|| -> Result<()> {
        let src = Array::from_slice(&[1.0f32, 2.0, 3.0], (3, 1))?;
        let other = Array::from_slice(&[10.0f32, 20.0, 30.0], (3, 1))?;
        for dtype in [U8, U16, U32, U64, I8, I16, I32, I64] {
            let at = Array::from_slice(&[2, 0, 100], 3)?.astype(dtype)?;
            let y = fused_gather_add(&src, &at, &other)?.to_vec::<f32>()?;
            assert_eq!(y[..2], [13.0, 21.0], "{dtype}");
            assert!(y[2].is_nan());
            let y = fused_scatter_add(&at, &other, (3, 1)).call()?;
            assert_eq!(y.to_vec::<f32>()?, [20.0, 0.0, 10.0], "{dtype}");
        }
        let far = Array::from_slice(&[i64::MIN, i64::MAX, -4], 3)?;
        let y = fused_gather_add(&src, &far, &other)?.to_vec::<f32>()?;
        assert!(y.iter().all(|v| v.is_nan()), "{y:?}");
        // The largest uint64 is no -1.
        let far = Array::from_slice(&[u64::MAX, 1 << 63, 3], 3)?;
        assert!(
            fused_gather_add(&src, &far, &other)?
                .to_vec::<f32>()?
                .iter()
                .all(|v| v.is_nan())
        );
        for atomic in [false, true] {
            let y = fused_scatter_add(&far, &other, (3, 1))
                .atomic(atomic)
                .call()?;
            assert_eq!(y.to_vec::<f32>()?, [0.0; 3]);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn empty_and_refused() {
    on_worker(|| -> Result<()> {
        let (none, at) = (Array::zeros((0, 3), F32)?, Array::zeros(2, I32)?);
        let two = Array::ones((2, 3), F32)?;
        assert!(
            fused_gather_add(&none, &at, &two)?
                .to_vec::<f32>()?
                .iter()
                .all(|v| v.is_nan())
        );
        let no = Array::zeros(0, I32)?;
        assert_eq!(fused_gather_add(&two, &no, &none)?.shape(), [0, 3]);
        assert_eq!(
            fused_scatter_add(&no, &none, (2, 3))
                .call()?
                .to_vec::<f32>()?,
            [0.0; 6]
        );
        assert_eq!(fused_scatter_add(&at, &two, (0, 3)).call()?.shape(), [0, 3]);
        let shape = |e: Result<Array>, name: &str| {
            let e = e.unwrap_err();
            assert!(
                matches!(e, Error::Shape { .. }) && e.to_string().contains(name),
                "{e}"
            );
        };
        shape(fused_gather_add(&Array::ones(3, F32)?, &at, &two), "`src`");
        shape(
            fused_gather_add(&two, &Array::zeros(3, I32)?, &two),
            "`other`",
        );
        shape(fused_scatter_add(&at, &two, (2, 4)).call(), "`updates`");
        shape(fused_scatter_add(&at, &two, 6).call(), "`out_shape`");
        assert!(fused_scatter_add(&at, &two, (-1, 3)).call().is_err());
        let floats = at.astype(F32)?;
        assert!(matches!(
            fused_gather_add(&two, &floats, &two),
            Err(Error::Dtype { .. })
        ));
        assert!(matches!(
            fused_scatter_add(&floats, &two, (2, 3)).call(),
            Err(Error::Dtype { .. })
        ));
        assert!(matches!(
            fused_gather_add(&two.astype(I32)?, &at, &two),
            Err(Error::Dtype { .. })
        ));
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_axes_and_second_order() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let src = Array::from_slice(&rng.normals(2 * 20), (2, 4, 5))?;
        let other = Array::from_slice(&rng.normals(15), (3, 5))?;
        let at = Array::from_slice(&[1, 1, 3], 3)?;
        let f = |p: &[Array]| Ok(vec![fused_gather_add(&p[0], &at, &other)?]);
        let got = vmap(f).call([&src])?.remove(0);
        for b in 0..2 {
            assert_eq!(values(&got.index(b)?), values(&f(&[src.index(b)?])?[0]));
        }
        let g = |p: &[Array]| Ok(vec![fused_scatter_add(&at, &p[0], (4, 5)).call()?]);
        let got = vmap(g)
            .call([&ops::stack([&other, &(&other * 2.0)?], 0)?])?
            .remove(0);
        assert_eq!(
            values(&got.index(1)?),
            values(&(&g(std::slice::from_ref(&other))?[0] * 2.0)?)
        );
        // Of the sum of the squares of what is fetched: 2 for each time that a row is fetched.
        let one = src.index(0)?;
        let gradient = |p: &[Array]| {
            let inner = |q: &[Array]| {
                let y = fused_gather_add(&q[0], &at, &other)?;
                Ok(vec![(&y * &y)?.sum(..)?])
            };
            Ok(vjp(inner, [&p[0]], [&Array::from(1.0f32)])?.1)
        };
        let second = vjp(gradient, [&one], [&Array::ones((4, 5), F32)?])?
            .1
            .remove(0);
        let want: Vec<f64> = [0.0, 4.0, 0.0, 2.0].iter().flat_map(|&v| [v; 5]).collect();
        all_close(&values(&second), &want, 1e-6);
        Ok(())
    })
    .unwrap();
}
