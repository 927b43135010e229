//! Linear layers with what follows, against MLX's operations in float64.

use zmlx::kernels::linear::{fused_linear_bias_gelu, fused_linear_bias_silu, fused_linear_rmsnorm};
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, exactly, factors_are_rounded, on_worker};
use crate::reference::{gradients, second, wide};
use crate::tolerance::numbers;

type Function = fn(&[Array]) -> Result<Vec<Array>>;

/// Functions and their textbook forms, which work in any dtype.
const FUNCTIONS: [(&str, Function, Function); 3] = [
    (
        "silu",
        |p| Ok(vec![fused_linear_bias_silu(&p[0], &p[1], &p[2])?]),
        |p| {
            let z = p[0].matmul(&p[1].transpose(..)?)?.add(&p[2])?;
            Ok(vec![z.multiply(&z.sigmoid()?)?])
        },
    ),
    (
        "gelu",
        |p| Ok(vec![fused_linear_bias_gelu(&p[0], &p[1], &p[2])?]),
        |p| {
            let z = p[0].matmul(&p[1].transpose(..)?)?.add(&p[2])?;
            let inner = z.add(&z.power(3.0)?.multiply(0.044715)?)?;
            let inner = inner.multiply((2.0 / std::f64::consts::PI).sqrt())?;
            Ok(vec![z.multiply(0.5)?.multiply(&inner.tanh()?.add(1.0)?)?])
        },
    ),
    (
        "rmsnorm",
        |p| {
            Ok(vec![
                fused_linear_rmsnorm(&p[0], &p[1], &p[2])
                    .eps(0.125)
                    .call()?,
            ])
        },
        |p| {
            let z = p[0].matmul(&p[1].transpose(..)?)?;
            let mean = z.square()?.mean(zmlx::keepdims(-1))?.add(0.125)?;
            Ok(vec![z.multiply(&mean.rsqrt()?)?.multiply(&p[2])?])
        },
    ),
];

/// `x` with some leading axes, `w` of so many rows, and the last argument.
fn inputs(
    rng: &mut Rng,
    leading: &[i32],
    n: i32,
    k: i32,
    dtypes: [Dtype; 3],
) -> Result<Vec<Array>> {
    let shapes = [[leading, &[k]].concat(), vec![n, k], vec![n]];
    let mut all = Vec::new();
    for (shape, dtype) in shapes.iter().zip(dtypes) {
        let values = rng.normals(shape.iter().product::<i32>() as usize);
        all.push(Array::from_slice(&values, shape.as_slice())?.astype(dtype)?);
    }
    Ok(all)
}

#[track_caller]
fn close(what: &str, got: &Array, want: &Array) -> Result<()> {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let unit = match got.dtype() {
        // Of sums of up to a hundred products.
        F32 if factors_are_rounded() => 1e-2,
        F32 => 1e-5,
        // The product is rounded before the rest.
        F16 => 1.0 / 128.0,
        _ => 1.0 / 16.0,
    };
    let (got, want) = (numbers(got)?, numbers(want)?);
    let most = want.iter().fold(1.0f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        assert!(
            (g - w).abs() <= unit * most,
            "{what}: element {i} is {g}, expected {w}"
        );
    }
    Ok(())
}

#[test]
fn linear_functions() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let shapes: [(&[i32], i32, i32); 7] = [
            (&[3, 4], 33, 20),
            (&[5], 100, 17),
            (&[], 8, 6),
            (&[2, 1, 3], 1, 1),
            (&[0], 5, 4),
            (&[3], 6, 0),
            (&[2], 0, 3),
        ];
        for (name, call, reference) in FUNCTIONS {
            for (leading, n, k) in shapes {
                for dtypes in [[F32; 3], [F16; 3], [BF16; 3], [BF16, F32, F16]] {
                    // Each dtype compiles kernels of its own, and the generator is the same for all functions.
                    let chosen = n == 33 && (name == "silu" || dtypes == [BF16; 3]);
                    if dtypes != [F32; 3] && !chosen {
                        continue;
                    }
                    let p = inputs(&mut rng, leading, n, k, dtypes)?;
                    let what = format!("{name} {leading:?} {n} {k} {dtypes:?}");
                    let y = call(&p)?;
                    assert_eq!(y[0].dtype(), dtypes[0], "{what}");
                    let g = Array::from_slice(&rng.normals(y[0].size()), y[0].shape())?
                        .astype(dtypes[0])?;
                    let got = gradients(&call, &p, std::slice::from_ref(&g))?;
                    let (want, of) = exactly(|| {
                        let p = wide(&p)?;
                        Ok::<_, Error>((
                            reference(&p)?,
                            gradients(&reference, &p, &wide(std::slice::from_ref(&g))?)?,
                        ))
                    })?;
                    close(&what, &y[0], &want[0])?;
                    for (i, (got, want)) in got.iter().zip(&of).enumerate() {
                        assert_eq!(got.dtype(), dtypes[i], "{what}");
                        close(&format!("{what}, gradient {i}"), got, want)?;
                    }
                }
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn linear_functions_in_other_modes() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (name, call, reference) in FUNCTIONS {
            let p = inputs(&mut rng, &[4], 7, 5, [F32; 3])?;
            let t = inputs(&mut rng, &[4], 7, 5, [F32; 3])?;
            let g = [Array::from_slice(&rng.normals(28), (4, 7))?];
            let got = [jvp(call, &p, &t)?.1, second(&call, &p, &g, &t)?].concat();
            let want = exactly(|| {
                let [p, t, g] = [wide(&p)?, wide(&t)?, wide(&g)?];
                Ok::<_, Error>(
                    [jvp(reference, &p, &t)?.1, second(&reference, &p, &g, &t)?].concat(),
                )
            })?;
            assert_eq!(got.len(), want.len());
            for (i, (got, want)) in got.iter().zip(&want).enumerate() {
                close(&format!("{name}, {i}"), got, want)?;
            }
            // Mapped over all inputs at once.
            let both = p.iter().zip(&t).map(|(a, b)| zmlx::ops::stack([a, b], 0));
            let mapped = vmap(call).call(both.collect::<Result<Vec<_>>>()?)?;
            close(
                &format!("{name}, mapped"),
                &mapped[0].index(1)?,
                &call(&t)?[0],
            )?;
            let (_, d) = vjp(call, &p[..], &g)?;
            assert_eq!(d.len(), 3);
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn linear_functions_refuse() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        for (name, call, _) in FUNCTIONS {
            let p = inputs(&mut rng, &[2, 3], 4, 5, [F32; 3])?;
            let with = |i: usize, a: Result<Array>| {
                let mut p = p.clone();
                p[i] = a?;
                call(&p).map(drop)
            };
            for (i, a) in p.iter().enumerate().take(3) {
                let dtype = with(i, a.astype(Dtype::Int32));
                assert!(
                    matches!(dtype, Err(Error::Dtype { .. })),
                    "{name} {i}: {dtype:?}"
                );
                let shape = with(i, a.index((Ellipsis, 0..3)));
                assert!(
                    matches!(shape, Err(Error::Shape { .. })),
                    "{name} {i}: {shape:?}"
                );
            }
            let scalar = with(0, Array::ones((), F32));
            assert!(
                matches!(scalar, Err(Error::Shape { .. })),
                "{name}: {scalar:?}"
            );
            let axes = with(1, p[1].expand_dims(0));
            assert!(matches!(axes, Err(Error::Shape { .. })), "{name}: {axes:?}");
        }
        Ok(())
    })
    .unwrap();
}
