//! Rows of every width, in each dtype.

use rstest::rstest;
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, normal};
use crate::{layernorm, layernorm64, pull, reduce, softmax};

#[rstest]
fn softmax_of_any_width(
    #[values(0, 1, 31, 32, 33, 64, 1000, 4099)] n: usize,
    #[values(F32, F16, BF16)] dtype: Dtype,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, n]).astype(dtype).unwrap();
        let c = normal(&mut rng, &[3, n]).astype(dtype).unwrap();
        let tolerance = match dtype {
            F32 => 2e-6,
            F16 => 1e-3,
            _ => 8e-3,
        };
        let x64 = exactly(|| x.astype(F64).unwrap());
        let op = softmax();
        let y = op.call(&x).unwrap();
        assert_eq!(y.dtype(), dtype);
        let want = exactly(|| x64.softmax(-1).unwrap());
        check(&y, &want, tolerance, "value");
        if n == 0 {
            return;
        }
        let got = pull(|x| op.call(x), &x, &c);
        assert_eq!(got.dtype(), dtype);
        let c64 = exactly(|| c.astype(F64).unwrap());
        let want = exactly(|| pull(|x| x.softmax(-1), &x64, &c64));
        check(&got, &want, tolerance, "gradient");
        let (_, t) = jvp(|p| Ok(vec![op.call(&p[0])?]), [&x], [&c]).unwrap();
        let (_, u) = exactly(|| jvp(|p| Ok(vec![p[0].softmax(-1)?]), [&x64], [&c64]).unwrap());
        check(&t[0], &u[0], tolerance, "tangent");
    });
}

#[rstest]
fn softmax_twice(#[values(1, 33, 200)] n: usize) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, n]);
        let c = normal(&mut rng, &[3, n]);
        let op = softmax();
        let first = |x: &Array| grad(|x| (op.call(x)? * &c)?.square()?.sum(..))(x);
        let got = grad(|x| first(x)?.square()?.sum(..))(&x).unwrap();
        let want = exactly(|| {
            let [x64, c64] = [&x, &c].map(|a| a.astype(F64).unwrap());
            let first = |x: &Array| grad(|x| (x.softmax(-1)? * &c64)?.square()?.sum(..))(x);
            grad(|x| first(x)?.square()?.sum(..))(&x64).unwrap()
        });
        check(&got, &want, 2e-6, "second derivative");
    });
}

#[rstest]
fn layernorm_of_any_width(#[values(1, 31, 32, 33, 1000, 4099)] n: usize) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = (normal(&mut rng, &[2, 3, n]) + 10.0).unwrap();
        let w = normal(&mut rng, &[n]);
        let c = normal(&mut rng, &[2, 3, n]);
        let op = layernorm();
        let y = op.call_all(&[&x, &w]).unwrap().remove(0);
        let want = exactly(|| layernorm64(&x, &w).unwrap());
        check(&y, &want, 2e-5, "value");
        if n == 1 {
            return;
        }
        let loss = |p: &[Array]| (op.call_all(p)?.remove(0) * &c)?.sum(..);
        let (_, got) = zmlx::value_and_grad_of(|p| Ok(vec![loss(p)?]), &[0, 1], [&x, &w]).unwrap();
        let (_, want) = exactly(|| {
            let [x64, w64, c64] = [&x, &w, &c].map(|a| a.astype(F64).unwrap());
            let loss64 = |p: &[Array]| (layernorm64(&p[0], &p[1])? * &c64)?.sum(..);
            zmlx::value_and_grad_of(|p| Ok(vec![loss64(p)?]), &[0, 1], [&x64, &w64]).unwrap()
        });
        check(&got[0], &want[0], 5e-5, "gradient of x");
        check(&got[1], &want[1], 5e-5, "gradient of w");
    });
}

#[rstest]
fn reductions_of_any_width(#[values(0, 1, 31, 32, 33, 1000, 4099)] n: usize) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[2, 3, n]);
        let x64 = exactly(|| x.astype(F64).unwrap());
        let sum = reduce("acc + v")
            .init("2.0f")
            .finalize("s * 0.5f")
            .build()
            .unwrap();
        let want = exactly(|| {
            let sum = (x64.sum(-1).unwrap() + Array::scalar(2.0f64).unwrap()).unwrap();
            (sum * Array::scalar(0.5f64).unwrap()).unwrap()
        });
        check(&sum.call(&x).unwrap(), &want, 2e-5, "sum");
        let most = reduce("max(acc, v)").init("-INFINITY").build().unwrap();
        let y = most.call(&x).unwrap();
        assert_eq!(y.shape(), [2, 3]);
        if n == 0 {
            let lowest = Array::full((2, 3), f32::NEG_INFINITY, F32).unwrap();
            check(&y, &lowest, 0.0, "no element");
        } else {
            let want = exactly(|| x64.max(-1).unwrap());
            check(&y, &want, 0.0, "maximum");
        }
        // At least 3: the initial value takes part.
        let floor = reduce("acc < v ? v : acc").init("3.0f").build().unwrap();
        let three = Array::scalar(3.0f64).unwrap();
        let want = match n {
            0 => Array::full((2, 3), 3.0, F32).unwrap(),
            _ => exactly(|| x64.max(-1).unwrap().maximum(&three).unwrap()),
        };
        check(&floor.call(&x).unwrap(), &want, 0.0, "from 3 on");
        let least = reduce("min(acc, x)").init("INFINITY").build().unwrap();
        if n > 0 {
            let want = exactly(|| x64.min(-1).unwrap());
            check(&least.call(&x).unwrap(), &want, 0.0, "minimum");
            let gradient = |f: &dyn Fn(&Array) -> Result<Array>, x: &Array| {
                grad(|x| f(x)?.square()?.sum(..))(x).unwrap()
            };
            let got = gradient(&|x| most.call(x), &x);
            let want = exactly(|| gradient(&|x| x.max(-1), &x64));
            check(&got, &want, 1e-6, "gradient of the maximum");
            let got = gradient(&|x| least.call(x), &x);
            let want = exactly(|| gradient(&|x| x.min(-1), &x64));
            check(&got, &want, 1e-6, "gradient of the minimum");
        }
        // No known fold, in order.
        let horner = reduce("acc * 0.5f + v").build().unwrap();
        let values = x.to_vec::<f32>().unwrap();
        let want: Vec<f64> = (0..6)
            .map(|r| {
                let row = &values[r * n..(r + 1) * n];
                row.iter().fold(0.0, |acc, &v| acc * 0.5 + f64::from(v))
            })
            .collect();
        let want = Array::from_slice(&want, (2, 3)).unwrap();
        check(&horner.call(&x).unwrap(), &want, 1e-6, "in order");
        // No known fold, in parallel.
        let product = reduce("acc * (1.0f + 0.01f * v)")
            .init("1.0f")
            .combine("a * b")
            .build();
        let want: Vec<f64> = (0..6)
            .map(|r| {
                let row = &values[r * n..(r + 1) * n];
                row.iter()
                    .fold(1.0, |acc, &v| acc * (1.0 + 0.01 * f64::from(v)))
            })
            .collect();
        let want = Array::from_slice(&want, (2, 3)).unwrap();
        check(&product.unwrap().call(&x).unwrap(), &want, 1e-4, "product");
    });
}

/// Ties share a maximum's gradient, as in MLX.
#[test]
fn ties() {
    on_worker(|| {
        let x = Array::from_slice(&[1.0f32, 3.0, 3.0, 0.0, 3.0, 2.0], (1, 6)).unwrap();
        let most = reduce("max(acc, v)").init("-INFINITY").build().unwrap();
        let got = grad(|x| most.call(x)?.sum(..))(&x).unwrap();
        let want = grad(|x| x.max(-1)?.sum(..))(&x).unwrap();
        check(&got, &want, 1e-6, "ties");
    });
}
