//! What follows a product in its kernel, and derivatives: against MLX's operations on the matrix's elements.

use zmlx::kernels::quant::{QuantizedWeight, gather_quantized_matmul, quantized_matmul};
use zmlx::ops::Quantization;
use zmlx::prelude::*;
use zmlx::{Result, jvp, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::made;

/// The largest difference is below a share of the largest number.
#[track_caller]
fn near(got: &Array, want: &Array, share: f64, what: &str) {
    near_of(got, want, share, 1e-3, what);
}

/// `size` is what the terms of a result are at least as large as, where the result itself may be smaller.
fn near_of(got: &Array, want: &Array, share: f64, size: f64, what: &str) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    let all = |a: &Array| exactly(|| a.astype(Dtype::Float64).unwrap().to_vec::<f64>().unwrap());
    let (got, want) = (all(got), all(want));
    let most = want.iter().fold(size, |m: f64, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        assert!((g - w).abs() <= share * most, "{what} [{i}]: {g}, not {w}");
    }
}

struct Case {
    x: Array,
    gate: QuantizedWeight,
    up: QuantizedWeight,
    bias: Array,
    residual: Array,
}

const N: i32 = 36;
const K: i32 = 96;

fn case(rows: i32) -> Case {
    let mut rng = Rng::new();
    let mut normals = |shape: &[i32]| {
        let n = shape.iter().map(|&n| n as usize).product();
        Array::from_slice(&rng.normals(n), shape.to_vec()).unwrap()
    };
    let (x, bias, residual) = (normals(&[rows, K]), normals(&[N]), normals(&[rows, N]));
    let mut rng = Rng::new();
    Case {
        x,
        gate: made::affine(
            &mut rng,
            Quantization::affine(32, 4),
            &[N, K],
            Dtype::Float32,
        ),
        up: made::affine(
            &mut rng,
            Quantization::affine(32, 8),
            &[N, K],
            Dtype::Float32,
        ),
        bias,
        residual,
    }
}

/// The kernel's result.
fn ours(c: &Case, p: &[Array], silu: bool, pair: bool) -> Result<Array> {
    let mut call = quantized_matmul(&p[0], &c.gate).bias(&p[1]).residual(&p[2]);
    if silu {
        call = call.silu();
    }
    if pair {
        call = call.swiglu(&c.up);
    }
    call.call()
}

/// The same by MLX.
fn theirs(c: &Case, p: &[Array], silu: bool, pair: bool) -> Result<Array> {
    let of = |w: &QuantizedWeight| {
        w.dequantize(Dtype::Float32)?
            .astype(p[0].dtype())?
            .transpose(..)
    };
    let mut z = (p[0].matmul(&of(&c.gate)?)? + &p[1])?;
    if silu || pair {
        z = (&z * z.sigmoid()?)?;
    }
    if pair {
        z = (z * p[0].matmul(&of(&c.up)?)?)?;
    }
    z + &p[2]
}

fn in_float64(p: &[Array]) -> Vec<Array> {
    p.iter()
        .map(|a| a.astype(Dtype::Float64).unwrap())
        .collect()
}

#[test]
fn what_follows() {
    on_worker(|| {
        for rows in [1, 6] {
            let c = case(rows);
            let p = [c.x.clone(), c.bias.clone(), c.residual.clone()];
            for (silu, pair) in [(false, false), (true, false), (false, true)] {
                let want = exactly(|| theirs(&c, &in_float64(&p), silu, pair).unwrap());
                let got = ours(&c, &p, silu, pair).unwrap();
                near(&got, &want, 2e-6, &format!("{rows} {silu} {pair}"));
                let half: Vec<Array> = p
                    .iter()
                    .map(|a| a.astype(Dtype::Float16).unwrap())
                    .collect();
                let want = exactly(|| theirs(&c, &in_float64(&half), silu, pair).unwrap());
                near(&ours(&c, &half, silu, pair).unwrap(), &want, 1e-3, "half");
            }
        }
    });
}

#[test]
fn derivatives() {
    on_worker(|| {
        let mut rng = Rng::new();
        let c = case(5);
        let p = [c.x.clone(), c.bias.clone(), c.residual.clone()];
        let g = Array::from_slice(&rng.normals((5 * N) as usize), (5, N)).unwrap();
        let along: Vec<Array> = p
            .iter()
            .map(|a| Array::from_slice(&rng.normals(a.size()), a.shape().to_vec()).unwrap())
            .collect();
        for (silu, pair) in [(false, false), (true, false), (false, true)] {
            let f = |p: &[Array]| Ok(vec![ours(&c, p, silu, pair)?]);
            let r = |p: &[Array]| Ok(vec![theirs(&c, p, silu, pair)?]);
            let what = format!("{silu} {pair}");
            // The CPU computes products of float32 without rounding their factors.
            exactly(|| {
                let (_, got) = vjp(f, &p, [&g]).unwrap();
                let (_, want) =
                    vjp(r, in_float64(&p), in_float64(std::slice::from_ref(&g))).unwrap();
                for (got, want) in got.iter().zip(&want) {
                    near(got, want, 4e-6, &format!("vjp {what}"));
                }
                let (_, got) = jvp(f, &p, &along).unwrap();
                let (_, want) = jvp(r, in_float64(&p), in_float64(&along)).unwrap();
                near(&got[0], &want[0], 4e-6, &format!("jvp {what}"));
                // The gradient's own derivative.
                let twice = |p: &[Array], f: &dyn Fn(&[Array]) -> Result<Vec<Array>>, g: &Array| {
                    let (_, d) = vjp(|q: &[Array]| f(q), p, [g])?;
                    Ok(vec![(&d[0] * &d[0])?.sum(..)?])
                };
                let one = Array::from(1.0f32);
                let (_, got) = vjp(|q: &[Array]| twice(q, &f, &g), &p, [&one]).unwrap();
                let wide = g.astype(Dtype::Float64).unwrap();
                let (_, want) = vjp(
                    |q: &[Array]| twice(q, &r, &wide),
                    in_float64(&p),
                    [&one.astype(Dtype::Float64).unwrap()],
                )
                .unwrap();
                near(&got[0], &want[0], 2e-5, &format!("second {what}"));
            });
        }
    });
}

#[test]
fn derivatives_of_experts() {
    on_worker(|| {
        let mut rng = Rng::new();
        let (e, n, k) = (3, 9, 64);
        let w = made::affine(
            &mut rng,
            Quantization::affine(32, 6),
            &[e, n, k],
            Dtype::Float32,
        );
        let bias = Array::from_slice(&rng.normals((e * n) as usize), (e, n)).unwrap();
        let x = Array::from_slice(&rng.normals((4 * k) as usize), (4, k)).unwrap();
        for slots in [2, 0] {
            let shape = if slots == 0 { vec![4] } else { vec![4, slots] };
            let count = 4 * slots.max(1) as usize;
            let picked: Vec<u32> = (0..count).map(|_| rng.below(4) as u32).collect();
            let experts = Array::from_slice(&picked, shape.clone()).unwrap();
            let out = [&shape[..], &[n]].concat();
            let g = Array::from_slice(&rng.normals(count * n as usize), out).unwrap();
            let f = |p: &[Array]| {
                let call = gather_quantized_matmul(&p[0], &w, &experts)
                    .bias(&p[1])
                    .silu();
                Ok(vec![call.call()?])
            };
            // Each row by the matrices of its slots, one after the other, with zeros for those that are none.
            let r = |p: &[Array]| {
                let all = w.dequantize(Dtype::Float32)?.astype(p[0].dtype())?;
                let mut rows = Vec::new();
                for (slot, &expert) in picked.iter().enumerate() {
                    let row = p[0].index(slot as i32 / slots.max(1))?;
                    let at = expert as i32 % e;
                    let z = (all.index(at)?.matmul(&row)? + p[1].index(at)?)?;
                    let valid = if expert as i32 == at { 1.0 } else { 0.0 };
                    rows.push(((&z * z.sigmoid()?)? * valid)?);
                }
                let out = [&shape[..], &[n]].concat();
                Ok(vec![zmlx::ops::stack(&rows, 0)?.reshape(out)?])
            };
            exactly(|| {
                let p = [x.clone(), bias.clone()];
                // A silu of sums of 64 terms of size 1 may be small all over, their rounding is not.
                near_of(
                    &f(&p).unwrap()[0],
                    &r(&in_float64(&p)).unwrap()[0],
                    2e-6,
                    1.0,
                    "experts",
                );
                let (_, got) = vjp(f, &p, [&g]).unwrap();
                let (_, want) =
                    vjp(r, in_float64(&p), in_float64(std::slice::from_ref(&g))).unwrap();
                for (got, want) in got.iter().zip(&want) {
                    near(got, want, 4e-6, "vjp of experts");
                }
            });
        }
    });
}

#[test]
fn mapped() {
    on_worker(|| {
        let c = case(6);
        let x = c.x.reshape((3, 2, K)).unwrap();
        let f = |p: &[Array]| {
            let call = quantized_matmul(&p[0], &c.gate).silu();
            Ok(vec![call.call()?])
        };
        let got = vmap(f).call([&x]).unwrap();
        let want = quantized_matmul(&x, &c.gate).silu().call().unwrap();
        near(&got[0], &want, 1e-6, "mapped");
    });
}
