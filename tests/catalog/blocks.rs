//! Elementwise kernels as GPUs run them, where a thread takes a block of neighbours: arrays that are made of
//! whole blocks, views that begin anywhere, dtypes that mix.

use zmlx::kernels::transformer::dropout;
use zmlx::prelude::*;
use zmlx::{Result, grad, vjp};

use crate::common::{Rng, exactly, on_worker};
use crate::process;
use crate::tolerance::numbers;

/// How work is shared out comes from the environment, so the tests are a process.
#[test]
fn as_on_a_gpu() {
    process::run("blocks::by_", &[("ZMLX_ROW_GROUPS", "gpu")], 3);
}

/// Rows of whole blocks of 8 elements, of 4 only, and of none.
const SIZES: [i32; 3] = [2048, 1500, 1501];

/// An array in `dtype` that begins so many elements behind the start of its memory.
fn view(rng: &mut Rng, size: i32, offset: i32, dtype: Dtype) -> Result<Array> {
    let values = rng.normals((size + offset) as usize);
    let values: Vec<f32> = values.iter().map(|v| v.clamp(-3.0, 3.0)).collect();
    let all = Array::from_slice(&values, size + offset)?.astype(dtype)?;
    zmlx::eval([&all])?;
    all.index(offset..)
}

fn close(got: &Array, want: &Array, what: &str) -> Result<()> {
    let limit = match got.dtype() {
        F16 => 1e-3,
        BF16 => 8e-3,
        _ => 3e-6,
    };
    let (got, want) = (numbers(got)?, numbers(want)?);
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        let good = (g - w).abs() <= limit * (1.0 + w.abs());
        assert!(good, "{what}: element {i}: {g}, expected {w}");
    }
    Ok(())
}

#[test]
#[ignore = "run by as_on_a_gpu"]
fn by_views_and_dtypes() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let text = "a * kk_sigmoid(b) + c * c + elem * 0.001f";
        let op = elementwise::map("blocks", ["a", "b", "c"], text)?;
        let exact = |p: &[Array]| -> Result<Array> {
            let elem = Array::arange(p[0].size() as i32)?.astype(F64)?;
            ((&p[0] * p[1].sigmoid()?)? + p[2].square()?)? + (elem * 0.001)?
        };
        let dtypes = [
            [F32, F32, F32],
            [BF16, BF16, BF16],
            [F16, F16, F16],
            [BF16, F32, F32],
            [F32, BF16, F16],
            [F32, I8, F32],
        ];
        for dtypes in dtypes {
            for size in SIZES {
                for offsets in [[0, 0], [1, 0], [0, 3], [4, 2], [8, 4], [7, 8]] {
                    let a = view(&mut rng, size, offsets[0], dtypes[0])?;
                    let b = view(&mut rng, size, offsets[1], dtypes[1])?;
                    let c = Array::from(1.5f32).astype(dtypes[2])?;
                    let what = format!("{dtypes:?}, {size}, {offsets:?}");
                    let all = [a, b, c];
                    let y = op.call(&all)?;
                    assert_eq!(y.dtype(), dtypes[0]);
                    let wide = || all.each_ref().map(|x| x.astype(F64).unwrap());
                    let want = exactly(|| exact(&wide()))?;
                    close(&y, &want, &what)?;

                    let g = view(&mut rng, size, offsets[1], dtypes[0])?;
                    let f = |p: &[Array]| {
                        let all = [p[0].clone(), all[1].clone(), all[2].clone()];
                        Ok(vec![op.call(&all)?])
                    };
                    let got = vjp(f, [&all[0]], [&g])?.1;
                    let want = exactly(|| wide()[1].sigmoid()? * g.astype(F64)?)?;
                    close(&got[0], &want, &format!("{what}, gradient"))?;
                }
            }
        }
        // Blocks and single elements are two kernels of each program, whatever sizes and dtypes.
        let own = op.kernels();
        let forward = own.iter().filter(|k| k.name() == "blocks").count();
        assert_eq!(forward, 2);
        Ok(())
    })
    .unwrap();
}

/// Derivatives of two outputs, of the second order, and odd numbers.
#[test]
#[ignore = "run by as_on_a_gpu"]
fn by_derivatives() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let op = elementwise::binary("two", "kk_silu(a) * b")?;
        let exact = |a: &Array, b: &Array| (a * a.sigmoid()?)? * b;
        for (size, offset) in [(2048, 0), (2048, 1), (1500, 2), (1501, 0)] {
            let a = view(&mut rng, size, offset, F32)?;
            let b = view(&mut rng, size, 0, F32)?;
            let loss = |a: &Array| {
                let g = grad(|b| op.call(a, b)?.square()?.sum(..))(&b)?;
                let h = grad(|a| op.call(a, &b)?.square()?.sum(..))(a)?;
                (g + h)?.sum(..)
            };
            let got = grad(loss)(&a)?;
            let want = exactly(|| {
                let (a, b) = (a.astype(F64)?, b.astype(F64)?);
                let loss = |a: &Array| {
                    let g = grad(|b| exact(a, b)?.square()?.sum(..))(&b)?;
                    let h = grad(|a| exact(a, &b)?.square()?.sum(..))(a)?;
                    (g + h)?.sum(..)
                };
                grad(loss)(&a)
            })?;
            let (got, want) = (numbers(&got)?, numbers(&want)?);
            let most = want.iter().fold(1.0f64, |m, w| m.max(w.abs()));
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() < 1e-5 * most, "{g}, expected {w}");
            }
        }
        let odd = [
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            3e38,
            -3e38,
            1e-30,
            0.0,
            -90.0,
        ];
        for dtype in [F32, F16, BF16] {
            let x = Array::from_slice(&odd.repeat(200), 1600)?.astype(dtype)?;
            let y = numbers(&zmlx::kernels::activations::gelu_tanh(&x)?)?;
            for y in y.chunks(8) {
                assert!(y[0].is_nan() && y[1] == f64::INFINITY && y[3] > 6e4);
                assert!(
                    y[2] == 0.0 && y[4] == 0.0 && y[5].abs() < 1e-30 && y[6] == 0.0 && y[7] == 0.0
                );
            }
        }
        Ok(())
    })
    .unwrap();
}

/// The same elements are dropped, whichever kernel does it.
#[test]
#[ignore = "run by as_on_a_gpu"]
fn by_dropout() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for dtype in [F32, F16, BF16] {
            for offset in [0, 1, 4, 6, 8] {
                // An odd number of elements has no blocks.
                let x = view(&mut rng, 4097, offset, dtype)?;
                let (p, seed) = (0.3, rng.next());
                let want = numbers(&dropout(&x, p).seed(seed).call()?)?;
                let got = numbers(&dropout(&x.index(..4096)?, p).seed(seed).call()?)?;
                assert_eq!(got, want[..4096], "{dtype}, {offset}");
            }
        }
        Ok(())
    })
    .unwrap();
}
