//! `kernels::matrix`: values, derivatives, errors.

use zmlx::kernels::matrix::{Activation, Way, linear, matmul, product};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};

fn normals(rng: &mut Rng, shape: &[i32], dtype: Dtype) -> Result<Array> {
    let n = shape.iter().product::<i32>() as usize;
    Array::from_slice(&rng.normals(n), shape)?.astype(dtype)
}

/// The largest difference that sums in float32 and one rounding of the result leave, for a sum of `depth` products.
///
/// A sum in any order is off by at most `depth` roundings of the sum of absolute values, which for normal factors is 0.64 `depth`; errors
/// of random sign stay far below, so a quarter of it is no coincidence.
fn bound(dtype: Dtype, depth: i32, want: f64) -> f64 {
    let depth = f64::from(depth.max(1));
    let unit = match dtype {
        F32 => 0.0,
        F16 => 1.05 / 2048.0,
        _ => 1.05 / 256.0,
    };
    depth * 0.25 * depth / f64::from(1 << 24) + unit * want.abs() + 1e-6
}

#[track_caller]
fn close(what: &str, got: &Array, want: &Array, depth: i32) -> Result<()> {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let dtype = got.dtype();
    let got = got.astype(F32)?.to_vec::<f32>()?;
    let want = exactly(|| want.astype(F64)?.to_vec::<f64>())?;
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        assert!(
            (f64::from(*g) - w).abs() <= bound(dtype, depth, *w),
            "{what}: element {i} is {g}, expected {w}"
        );
    }
    Ok(())
}

/// The product in float64.
fn exact(a: &Array, b: &Array) -> Result<Array> {
    exactly(|| {
        let y = a.astype(F64)?.matmul(&b.astype(F64)?)?;
        zmlx::eval([&y])?;
        Ok(y)
    })
}

fn tiles(a: &Array, b: &Array) -> Result<Array> {
    product(a, b).way(Way::Tiles).call()
}

#[test]
fn sizes_and_dtypes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let sizes = [
            (1, 1, 1),
            (1, 64, 33),
            (2, 300, 70),
            (7, 5, 3),
            (12, 32, 256),
            (13, 257, 31),
            (4, 1100, 1050),
            (16, 2050, 97),
            (16, 16, 16),
            (33, 1, 65),
            (64, 700, 96),
            (200, 129, 300),
            (385, 40, 290),
        ];
        for (m, k, n) in sizes {
            for (left, right) in [(F32, F32), (F16, F16), (BF16, BF16), (F32, BF16)] {
                let a = normals(&mut rng, &[m, k], left)?;
                let b = normals(&mut rng, &[k, n], right)?;
                let y = tiles(&a, &b)?;
                assert_eq!(y.dtype(), if left == right { left } else { F32 });
                close(
                    &format!("{m} {k} {n} {left} {right}"),
                    &y,
                    &exact(&a, &b)?,
                    k,
                )?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn layouts_of_factors() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (m, k, n) in [(5, 70, 40), (50, 33, 100), (1, 90, 37)] {
            for dtype in [F32, BF16] {
                let what = format!("{m} {k} {n} {dtype}");
                let a = normals(&mut rng, &[m, k], dtype)?;
                let b = normals(&mut rng, &[k, n], dtype)?;
                let want = exact(&a, &b)?;
                // The same values, lying as the transposes.
                let at = a.transpose(..)?.contiguous()?;
                let bt = b.transpose(..)?.contiguous()?;
                for (ta, tb) in [(false, true), (true, false), (true, true)] {
                    let (p, q) = (if ta { &at } else { &a }, if tb { &bt } else { &b });
                    let y = product(p, q).transposed(ta, tb).way(Way::Tiles).call()?;
                    close(&format!("{what} {ta} {tb}, given"), &y, &want, k)?;
                    let view = |x: &Array, t| if t { x.transpose(..) } else { Ok(x.clone()) };
                    let y = tiles(&view(p, ta)?, &view(q, tb)?)?;
                    close(&format!("{what} {ta} {tb}, views"), &y, &want, k)?;
                }
                // Every second column, backwards.
                let wide = normals(&mut rng, &[k, 2 * n], dtype)?;
                let some = wide.index((.., zmlx::step(.., -2)))?;
                let y = tiles(&a, &some)?;
                close(&what, &y, &exact(&a, &some)?, k)?;
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn batches() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let shapes: [(&[i32], &[i32]); 6] = [
            (&[3, 4, 5], &[3, 5, 6]),
            (&[2, 3, 1, 40], &[2, 3, 40, 33]),
            (&[2, 1, 4, 5], &[3, 5, 6]),
            (&[4, 5], &[2, 3, 5, 6]),
            (&[2, 3, 4, 5], &[5, 6]),
            (&[70, 9, 8], &[1, 8, 9]),
        ];
        for (left, right) in shapes {
            let a = normals(&mut rng, left, F32)?;
            let b = normals(&mut rng, right, F32)?;
            let what = format!("{left:?} {right:?}");
            close(&what, &tiles(&a, &b)?, &exact(&a, &b)?, 40)?;
        }
        for (left, right) in [([0, 4], [4, 5]), ([4, 0], [0, 5]), ([4, 5], [5, 0])] {
            let a = normals(&mut rng, &left, F32)?;
            let b = normals(&mut rng, &right, F32)?;
            let y = tiles(&a, &b)?;
            assert_eq!(y.shape(), [left[0], right[1]]);
            assert!(y.to_vec::<f32>()?.iter().all(|&v| v == 0.0));
        }
        let none = tiles(
            &Array::zeros((2, 0, 3, 0), F32)?,
            &Array::zeros((1, 0, 0, 4), F32)?,
        )?;
        assert_eq!(none.shape(), [2, 0, 3, 4]);
        let flat = tiles(&Array::zeros((2, 3, 0), F32)?, &Array::zeros((0, 4), F32)?)?;
        assert_eq!(flat.to_vec::<f32>()?, [0.0; 24]);
        Ok(())
    })
    .unwrap();
}

type Function<'a> = dyn Fn(&[Array]) -> Result<Vec<Array>> + 'a;

/// Gradients, tangents, and the gradients of a projection of the gradients.
fn derivatives(f: &Function, p: &[Array], t: &[Array], g: &Array) -> Result<Vec<Array>> {
    let first = |q: &[Array]| {
        let gradients = vjp(f, &q[..2], &q[2..3])?.1.into_iter();
        gradients.map(|g| g * 1.0).collect::<Result<Vec<_>>>()
    };
    let all = [p[0].clone(), p[1].clone(), g.clone()];
    let mut found = first(&all)?;
    found.extend(jvp(f, p, t)?.1);
    found.extend(vjp(first, &all[..], t)?.1);
    zmlx::eval(&found)?;
    Ok(found)
}

#[test]
fn derivatives_of_every_order() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for dtypes in [[F32, F32], [BF16, F32]] {
            for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
                let shape = |r, c, t: bool| if t { [2, c, r] } else { [2, r, c] };
                let (left, right) = (shape(6, 9, ta), shape(9, 7, tb));
                let mut make = || -> Result<Vec<Array>> {
                    Ok(vec![
                        normals(&mut rng, &left, dtypes[0])?,
                        normals(&mut rng, &right, dtypes[1])?,
                    ])
                };
                let (p, t) = (make()?, make()?);
                let g = normals(&mut rng, &[2, 6, 7], F32)?;
                let own = |p: &[Array]| {
                    let y = product(&p[0], &p[1]).transposed(ta, tb).way(Way::Tiles);
                    Ok(vec![y.call()?])
                };
                let got = derivatives(&own, &p, &t, &g)?;
                let want = exactly(|| {
                    let wide =
                        |p: &[Array]| p.iter().map(|a| a.astype(F64)).collect::<Result<Vec<_>>>();
                    let turn = |a: &Array, t| if t { a.swapaxes(-1, -2) } else { Ok(a.clone()) };
                    let mlx = |p: &[Array]| Ok(vec![turn(&p[0], ta)?.matmul(&turn(&p[1], tb)?)?]);
                    derivatives(&mlx, &wide(&p)?, &wide(&t)?, &g.astype(F64)?)
                })?;
                for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                    close(&format!("{dtypes:?} {ta} {tb}, {i}"), got, want, 64)?;
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let a = normals(&mut rng, &[4, 3, 5], F32)?;
        let b = normals(&mut rng, &[5, 6], F32)?;
        let f = |p: &[Array]| Ok(vec![tiles(&p[0], &p[1])?]);
        let y = vmap(f).in_axes([Some(0), None]).call([&a, &b])?;
        close("left", &y[0], &exact(&a, &b)?, 5)?;
        let c = normals(&mut rng, &[5, 4, 6], F32)?;
        let y = vmap(f).in_axes([Some(0), Some(1)]).call([&a, &c])?;
        close("both", &y[0], &exact(&a, &c.moveaxis(1, 0)?)?, 5)?;
        Ok(())
    })
    .unwrap();
}

#[test]
fn refused() {
    on_worker(|| -> Result<()> {
        let ones = |shape: &[i32]| Array::ones(shape, F32);
        let (a, b) = (ones(&[3, 4])?, ones(&[4, 5])?);
        for (left, right) in [
            (ones(&[4])?, b.clone()),
            (a.clone(), ones(&[4])?),
            (a.clone(), ones(&[5, 4])?),
            (ones(&[2, 3, 4])?, ones(&[3, 4, 5])?),
        ] {
            let got = matmul(&left, &right);
            assert!(matches!(got, Err(Error::Shape { .. })), "{got:?}");
        }
        for (left, right) in [(a.astype(I32)?, b.clone()), (a.clone(), b.astype(I64)?)] {
            let got = matmul(&left, &right);
            assert!(matches!(got, Err(Error::Dtype { .. })), "{got:?}");
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn linear_layers() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let ends = [
            Activation::None,
            Activation::Silu,
            Activation::GeluTanh,
            Activation::Gelu,
        ];
        let shapes: [(&[i32], i32, i32); 5] = [
            (&[3, 20], 40, 33),
            (&[2], 33, 65),
            (&[], 7, 5),
            (&[0], 5, 4),
            (&[3], 0, 4),
        ];
        for (i, (leading, k, n)) in shapes.into_iter().enumerate() {
            for (j, activation) in ends.into_iter().enumerate() {
                // Each choice is a text of its own.
                if i > 1 && j > 1 {
                    continue;
                }
                let dtype = if (i + j) % 2 == 0 { F32 } else { BF16 };
                let shape = [leading, &[k]].concat();
                let x = normals(&mut rng, &shape, dtype)?;
                let w = normals(&mut rng, &[n, k], dtype)?;
                let bias = normals(&mut rng, &[n], F32)?;
                let residual = normals(&mut rng, &[1, n], dtype)?;
                let mut call = linear(&x, &w).way(Way::Tiles).activation(activation);
                if j != 1 {
                    call = call.bias(&bias);
                }
                if j != 2 && !leading.is_empty() {
                    call = call.residual(&residual);
                }
                let y = call.call()?;
                assert_eq!(y.dtype(), dtype);
                let want = exactly(|| {
                    let mut z = x.astype(F64)?.matmul(&w.astype(F64)?.transpose(..)?)?;
                    if j != 1 {
                        z = z.add(&bias.astype(F64)?)?;
                    }
                    z = match activation {
                        Activation::Silu => z.multiply(&z.sigmoid()?)?,
                        Activation::Gelu => {
                            let phi = z.divide(2f64.sqrt())?.erf()?.add(1.0)?;
                            z.multiply(&phi)?.multiply(0.5)?
                        }
                        Activation::GeluTanh => {
                            let inner = z.add(&z.power(3.0)?.multiply(0.044715)?)?;
                            let inner = inner.multiply((2.0 / std::f64::consts::PI).sqrt())?;
                            z.multiply(&inner.tanh()?.add(1.0)?)?.multiply(0.5)?
                        }
                        _ => z,
                    };
                    if j != 2 && !leading.is_empty() {
                        z = z.add(&residual.astype(F64)?)?;
                    }
                    zmlx::eval([&z])?;
                    Ok::<_, Error>(z)
                })?;
                // Steps of their own round to the dtype between them, where nothing is to be added up.
                let slack = if dtype == BF16 && k == 0 { 400 } else { 64 };
                close(
                    &format!("{leading:?} {k} {n} {activation:?}"),
                    &y,
                    &want,
                    slack,
                )?;
            }
        }
        Ok(())
    })
    .unwrap();
}
