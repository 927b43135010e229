//! What the transformer and vlsp families promise beyond their formulas: gradients of several rows, rows far from zero,
//! constant rows, infinities, seeds.

use zmlx::kernels::{transformer, vlsp};
use zmlx::prelude::*;
use zmlx::{Result, grad, vjp};

use crate::common::{Rng, all_close, exactly, on_worker};
use crate::process;
use crate::tolerance::numbers;

pub fn normal(rng: &mut Rng, shape: &[i32]) -> Result<Array> {
    let size = shape.iter().product::<i32>() as usize;
    Array::from_slice(&rng.normals(size), shape)
}

pub fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + (-v).exp())
}

/// The gradient of a function of one array by a cotangent.
fn pulled(f: impl Fn(&Array) -> Result<Array>, x: &Array, g: &Array) -> Result<Array> {
    let f = |p: &[Array]| Ok(vec![f(&p[0])?]);
    let mut all = vjp(f, [x], [g])?.1;
    Ok(all.swap_remove(0))
}

/// One array of both halves, for each row its own. By hand, without the engine's or MLX's derivatives.
#[test]
fn gradients_of_gates_have_all_rows() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let (rows, n) = (5, 7);
        let x = normal(&mut rng, &[rows, 2 * n])?;
        let g = normal(&mut rng, &[rows, n])?;
        let dx = pulled(transformer::swiglu, &x, &g)?;
        assert_eq!(dx.shape(), x.shape());
        let (x, g, dx) = (numbers(&x)?, numbers(&g)?, numbers(&dx)?);
        let n = n as usize;
        for row in 0..rows as usize {
            for j in 0..n {
                let (a, b) = (x[2 * n * row + j], x[2 * n * row + n + j]);
                let (s, g) = (sigmoid(a), g[n * row + j]);
                let want = [g * b * (s + a * s * (1.0 - s)), g * a * s];
                let got = [dx[2 * n * row + j], dx[2 * n * row + n + j]];
                all_close(&got, &want, 2e-6);
            }
        }
        Ok(())
    })
    .unwrap();
}

/// The gradient of a bias is a sum over rows, and has the bias's shape.
#[test]
fn gradients_of_biases_are_sums() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let n = 6;
        for leading in [&[4][..], &[2, 3], &[1], &[300]] {
            let rows: i32 = leading.iter().product();
            let x = normal(&mut rng, &[leading, &[2 * n]].concat())?;
            let bias = normal(&mut rng, &[2 * n])?;
            let g = normal(&mut rng, &[leading, &[n]].concat())?;
            type Gate = (
                fn(&Array, &Array) -> Result<Array>,
                fn(&Array) -> Result<Array>,
            );
            let gates: [Gate; 2] = [
                (transformer::bias_swiglu, transformer::swiglu),
                (transformer::bias_geglu, transformer::geglu),
            ];
            for (with_bias, gate) in gates {
                let got = pulled(|bias| with_bias(&x, bias), &bias, &g)?;
                assert_eq!(got.shape(), [2 * n]);
                // The derivative of an element of the bias is that of the same element of each row.
                let each = pulled(gate, &(&x + &bias)?, &g)?;
                let each = numbers(&each)?;
                let mut want = vec![0.0; 2 * n as usize];
                for (i, v) in each.iter().enumerate() {
                    want[i % (2 * n as usize)] += v;
                }
                all_close(&numbers(&got)?, &want, 1e-5 * f64::from(rows).sqrt());
            }
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn halves_need_an_even_axis() {
    on_worker(|| -> Result<()> {
        let x = Array::zeros((2, 5), F32)?;
        let bias = Array::zeros(5, F32)?;
        for error in [
            transformer::swiglu(&x).unwrap_err(),
            transformer::geglu(&x).unwrap_err(),
            transformer::bias_swiglu(&x, &bias).unwrap_err(),
            transformer::bias_geglu(&x, &bias).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Shape { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("`x`") && text.contains("[2, 5]"), "{text}");
        }
        // A bias of the other width, and one of a half only.
        let x = Array::zeros((2, 6), F32)?;
        for n in [3, 5, 12] {
            let error = transformer::bias_swiglu(&x, &Array::zeros(n, F32)?).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("`bias`") && text.contains("[6]"), "{text}");
        }
        Ok(())
    })
    .unwrap();
}

/// The gate is 0 at minus infinity, and so is every gradient there.
#[test]
fn gates_of_infinities() {
    on_worker(|| -> Result<()> {
        let inf = f32::INFINITY;
        let gate = Array::from_slice(&[-inf, -1e30, -inf, 1.0], (2, 2))?;
        let up = Array::from_slice(&[2.0f32, 3.0, 4.0, 5.0], (2, 2))?;
        let zero = Array::zeros((2, 2), F32)?;
        let x = zmlx::ops::concatenate(&[gate.clone(), up.clone()], -1)?;
        let none = Array::zeros(4, F32)?;
        type Function<'a> = Box<dyn Fn(&Array, &Array) -> Result<Array> + 'a>;
        let halves = |p: &Array, q: &Array| zmlx::ops::concatenate(&[p.clone(), q.clone()], -1);
        let functions: [Function; 7] = [
            Box::new(|a, b| transformer::swiglu(&halves(a, b)?)),
            Box::new(|a, b| transformer::geglu(&halves(a, b)?)),
            Box::new(transformer::swiglu2),
            Box::new(transformer::geglu2),
            Box::new(|a, b| transformer::bias_swiglu(&halves(a, b)?, &none)),
            Box::new(|a, b| transformer::bias_geglu(&halves(a, b)?, &none)),
            Box::new(|a, b| vlsp::silu_mul_residual(a, b, &zero)),
        ];
        assert_eq!(x.shape(), [2, 4]);
        for (i, f) in functions.iter().enumerate() {
            let y = numbers(&f(&gate, &up)?)?;
            assert_eq!(y[..3], [0.0; 3], "{i}");
            let da = numbers(&grad(|a| f(a, &up)?.sum(..))(&gate)?)?;
            let db = numbers(&grad(|b| f(&gate, b)?.sum(..))(&up)?)?;
            assert_eq!(da[..3], [0.0; 3], "{i}");
            assert_eq!(db[..3], [0.0; 3], "{i}");
            assert!(
                y[3] > 3.0 && da[3] > 4.0 && db[3] > 0.7,
                "{i}: {y:?} {da:?} {db:?}"
            );
        }
        Ok(())
    })
    .unwrap();
}

/// Gradients flow through the first result, through the second, and through both.
#[test]
fn both_results_have_gradients() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let (x, residual) = (normal(&mut rng, &[3, 8])?, normal(&mut rng, &[3, 8])?);
        let (gamma, beta) = (normal(&mut rng, &[8])?, normal(&mut rng, &[8])?);
        let g = normal(&mut rng, &[3, 8])?;
        type Results<'a> = Box<dyn Fn(&Array) -> Result<[Array; 2]> + 'a>;
        let rms = |x: &Array| transformer::rmsnorm_residual(x, &residual, &gamma).call();
        let layer = |x: &Array| transformer::layernorm_residual(x, &residual, &gamma, &beta).call();
        for f in [Box::new(rms) as Results, Box::new(layer)] {
            let first = grad(|x| (&f(x)?[0] * &g)?.sum(..))(&x)?;
            let second = grad(|x| (&f(x)?[1] * &g)?.sum(..))(&x)?;
            let both = |x: &Array| {
                let [normed, updated] = f(x)?;
                ((&normed * &g)? + (&updated * &g)?)?.sum(..)
            };
            let both = grad(both)(&x)?;
            assert_eq!(numbers(&second)?, numbers(&g)?);
            all_close(&numbers(&both)?, &numbers(&(&first + &second)?)?, 2e-6);
            assert!(numbers(&first)?.iter().any(|v| v.abs() > 0.01));
        }
        Ok(())
    })
    .unwrap();
}

/// The mean of a row may be far larger than what differs from it, and differences may be none.
#[test]
fn normalization_far_from_zero() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let n = 1024;
        for (mean, deviation) in [(100.0f32, 0.1), (1000.0, 0.1), (1e4, 1.0), (-1e5, 10.0)] {
            let row: Vec<f32> = rng
                .normals(n)
                .iter()
                .map(|v| mean + deviation * v)
                .collect();
            let x = Array::from_slice(&row, (1, n as i32))?;
            let (zero, one) = (Array::zeros_like(&x)?, Array::ones(n as i32, F32)?);
            let none = Array::zeros(n as i32, F32)?;
            let want = exactly(|| {
                let x = x.astype(F64)?;
                let d = (&x - x.mean(zmlx::keepdims(-1))?)?;
                let var = d.square()?.mean(zmlx::keepdims(-1))?;
                numbers(&(d / (var + 1e-6)?.sqrt()?)?)
            })?;
            let [y, _] = transformer::layernorm_residual(&x, &zero, &one, &none)
                .eps(1e-6)
                .call()?;
            all_close(&numbers(&y)?, &want, 4e-6);
            let y = transformer::fused_add_layernorm(&x, &zero, &one, &none)
                .eps(1e-6)
                .call()?;
            all_close(&numbers(&y)?, &want, 4e-6);
            let y = vlsp::grpo_advantage_norm(&x).call()?;
            all_close(&numbers(&y)?, &want, 4e-6);
        }
        // Groups of equal rewards, as the sum of six of them is not six times the number.
        for size in [6, 7, 33] {
            let rewards: Vec<f32> = (1..=500).map(|i| i as f32 * 0.1).collect();
            let rewards = Array::from_slice(&rewards, (500, 1))?.broadcast_to((500, size))?;
            let y = vlsp::grpo_advantage_norm(&rewards).call()?;
            assert_eq!(numbers(&y)?, vec![0.0; 500 * size as usize]);
            let beta = normal(&mut rng, &[size])?;
            let (gamma, zero) = (Array::ones(size, F32)?, rewards.zeros_like()?);
            let y = transformer::fused_add_layernorm(&rewards, &zero, &gamma, &beta).call()?;
            assert_eq!(numbers(&y)?, numbers(&beta)?.repeat(500));
            let slope = grad(|r| vlsp::grpo_advantage_norm(r).call()?.square()?.sum(..))(&rewards)?;
            assert_eq!(numbers(&slope)?, vec![0.0; 500 * size as usize]);
        }
        // One axis is one group.
        let y = vlsp::grpo_advantage_norm(&Array::from_slice(&[1.0f32, 3.0], 2)?).call()?;
        assert_eq!(y.shape(), [2]);
        all_close(&numbers(&y)?, &[-1.0, 1.0], 2e-6);
        Ok(())
    })
    .unwrap();
}

/// Squares of what half precision holds may overflow half precision, not float32: in gradients of weights, too.
#[test]
fn weights_of_large_rows() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[3000.0f32, -4000.0, 3000.0, -4000.0], (2, 2))?.astype(F16)?;
        let zero = x.zeros_like()?;
        let weight = Array::ones(2, F16)?;
        let loss = |w: &Array| transformer::rmsnorm_residual(&x, &zero, w).call()?[0].sum(..);
        let slope = numbers(&grad(loss)(&weight)?)?;
        let rms = 12.5e6f64.sqrt();
        all_close(&slope, &[6000.0 / rms, -8000.0 / rms], 2e-3);
        Ok(())
    })
    .unwrap();
}

/// What is normalized is the sum before it is rounded: a small addend that bfloat16 does not show beside a large one counts.
#[test]
fn sums_are_normalized_unrounded() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[256.0f32, 256.0], (1, 2))?.astype(BF16)?;
        let residual = Array::from_slice(&[0.75f32, -0.75], (1, 2))?.astype(BF16)?;
        let (gamma, beta) = (Array::ones(2, F32)?, Array::zeros(2, F32)?);
        let call = transformer::layernorm_residual(&x, &residual, &gamma, &beta);
        let [normed, updated] = call.eps(0.0).call()?;
        assert_eq!(numbers(&normed)?, [1.0, -1.0]);
        assert_eq!((normed.dtype(), updated.dtype()), (BF16, BF16));
        // 256.75 and 255.25.
        assert_eq!(numbers(&updated)?, [256.0, 255.0]);
        Ok(())
    })
    .unwrap();
}

/// One seed drops the same elements, alone and behind a norm, forward and back; `p` has to be a probability below 1.
#[test]
fn dropout_behind_a_norm() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let x = normal(&mut rng, &[40, 100])?;
        let weight = Array::full(100, 2.0f32, F32)?;
        let seed = rng.next();
        let ones = Array::ones((40, 100), F32)?;
        let call = |x: &Array, w: &Array| transformer::rms_norm_dropout(x, w, 0.3, seed).call();
        let plain = numbers(&transformer::dropout(&ones, 0.3, seed)?)?;
        let y = numbers(&call(&x, &weight)?)?;
        let same = y
            .iter()
            .zip(&plain)
            .all(|(y, p)| (*y != 0.0) == (*p != 0.0));
        assert!(same);
        let other = transformer::rms_norm_dropout(&x, &weight, 0.3, seed.wrapping_add(1));
        assert_ne!(y, numbers(&other.call()?)?);
        // The gradient of the weight sums what was kept.
        let g = normal(&mut rng, &[40, 100])?;
        let dw = numbers(&pulled(|w| call(&x, w), &weight, &g)?)?;
        let mut want = vec![0.0; 100];
        for (i, (y, g)) in y.iter().zip(numbers(&g)?).enumerate() {
            want[i % 100] += y / 2.0 * g;
        }
        all_close(&dw, &want, 2e-5);
        for p in [1.0, 2.0, -0.5, f32::NAN, f32::INFINITY] {
            let error = transformer::rms_norm_dropout(&x, &weight, p, 1)
                .call()
                .unwrap_err();
            assert!(matches!(error, Error::Argument { .. }), "{p}: {error:?}");
            assert!(error.to_string().contains("`p`"), "{error}");
        }
        Ok(())
    })
    .unwrap();
}

/// A mapped function drops the same elements for each place of the mapped axis, as calls would.
#[test]
fn mapped_dropout() {
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        let x = normal(&mut rng, &[3, 4, 50])?;
        let f = |p: &[Array]| Ok(vec![transformer::dropout(&p[0], 0.5, 3)?]);
        let got = numbers(&zmlx::vmap(f).call(std::slice::from_ref(&x))?[0])?;
        let mut want = Vec::new();
        for i in 0..3 {
            want.extend(numbers(&transformer::dropout(&x.index(i)?, 0.5, 3)?)?);
        }
        assert_eq!(got, want);
        Ok(())
    })
    .unwrap();
}

/// How rows are shared out is settled once in a process.
#[test]
fn families_as_on_a_gpu() {
    let environment = [("ZMLX_ROW_GROUPS", "gpu"), ("ZMLX_ENGINE", "cpu")];
    process::run("transformer::in_the_way_of_gpus", &environment, 1);
}

/// Sums over rows of two halves: rows that registers hold, of one element, of whole blocks and not, and rows by
/// pieces.
#[test]
#[ignore = "run by families_as_on_a_gpu"]
fn in_the_way_of_gpus() {
    assert!(std::env::var_os("ZMLX_ROW_GROUPS").is_some());
    let mut rng = Rng::new();
    on_worker(move || -> Result<()> {
        for (rows, n) in [
            (1, 1),
            (2, 1),
            (5, 3),
            (70, 64),
            (9, 100),
            (40, 1000),
            (3, 40_001),
        ] {
            let x = normal(&mut rng, &[rows, 2 * n])?;
            let bias = normal(&mut rng, &[2 * n])?;
            let g = normal(&mut rng, &[rows, n])?;
            let call = |p: &[Array]| Ok(vec![transformer::bias_swiglu(&p[0], &p[1])?]);
            let got = vjp(call, [&x, &bias], [&g])?.1;
            let want = exactly(|| -> Result<Vec<Array>> {
                let composite = |p: &[Array]| {
                    let halves = (&p[0] + &p[1])?.split(2, -1)?;
                    Ok(vec![((&halves[0] * halves[0].sigmoid()?)? * &halves[1])?])
                };
                let wide = |a: &Array| a.astype(F64);
                Ok(vjp(composite, [wide(&x)?, wide(&bias)?], [wide(&g)?])?.1)
            })?;
            for (got, want) in got.iter().zip(&want) {
                assert_eq!(got.shape(), want.shape());
                let tolerance = 4e-6 * f64::from(rows).sqrt();
                all_close(&numbers(got)?, &numbers(want)?, tolerance);
            }
        }
        Ok(())
    })
    .unwrap();
}
