//! Operations along rows: values, derivatives and shapes against MLX's operations in float64.

mod common;

use common::{Rng, on_worker};
use rstest::rstest;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::MapReduce;
use zmlx::{Result, grad, jvp, vmap};

fn normal(rng: &mut Rng, shape: &[usize]) -> Array {
    let n = shape.iter().product();
    Array::from_slice(&rng.normals(n), shape).unwrap()
}

/// Largest error against a float64 array, relative to 1 + its size.
#[track_caller]
fn check(got: &Array, want: &Array, tolerance: f64, what: &str) {
    assert_eq!(got.shape(), want.shape(), "{what}");
    if got.size() == 0 {
        return;
    }
    let got = got.astype(F64).unwrap().to_vec::<f64>().unwrap();
    let want = want.astype(F64).unwrap().to_vec::<f64>().unwrap();
    for (i, (g, w)) in got.iter().zip(&want).enumerate() {
        let fits = (g - w).abs() <= tolerance * (1.0 + w.abs()) || g == w || (g.is_nan() && w.is_nan());
        assert!(fits, "{what}: element {i}: got {g}, want {w}");
    }
}

fn softmax() -> MapReduce {
    api::map_reduce("softmax")
        .pass1(Pass { init: "-INFINITY", update: "max(acc1, x)", reduce: "max(a, b)" })
        .pass2(Pass { init: "0.0f", update: "acc2 + exp(x - s1)", reduce: "a + b" })
        .write("exp(x - s1) / s2")
        .build()
        .unwrap()
}

fn layernorm() -> MapReduce {
    api::map_reduce("layernorm")
        .inputs(["x", "w"])
        .pass1(Pass { init: "0.0f", update: "acc1 + x", reduce: "a + b" })
        .pass2(Pass { init: "0.0f", update: "acc2 + (x - s1 / D) * (x - s1 / D)", reduce: "a + b" })
        .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f) * w")
        .build()
        .unwrap()
}

fn layernorm64(x: &Array, w: &Array) -> Result<Array> {
    let x = x.astype(F64)?;
    let d = (&x - x.mean(keepdims(-1))?)?;
    let scale = (d.square()?.mean(keepdims(-1))? + Array::scalar(1e-5f64)?)?.rsqrt()?;
    (d * scale)? * w.astype(F64)?
}

/// The gradient of the weighted sum of `f`, by MLX.
fn pull(f: impl Fn(&Array) -> Result<Array>, x: &Array, w: &Array) -> Array {
    let w = w.clone();
    grad(move |x| (f(x)? * w.astype(f(x)?.dtype())?)?.sum(..))(x).unwrap()
}

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
        let x64 = x.astype(F64).unwrap();
        let op = softmax();
        let y = op.call(&x).unwrap();
        assert_eq!(y.dtype(), dtype);
        check(&y, &x64.softmax(-1).unwrap(), tolerance, "value");
        if n == 0 {
            return;
        }
        let got = pull(|x| op.call(x), &x, &c);
        assert_eq!(got.dtype(), dtype);
        let c64 = c.astype(F64).unwrap();
        let want = pull(|x| x.softmax(-1), &x64, &c64);
        check(&got, &want, tolerance, "gradient");
        let (_, t) = jvp(|p| Ok(vec![op.call(&p[0])?]), [&x], [&c]).unwrap();
        let (_, u) = jvp(|p| Ok(vec![p[0].softmax(-1)?]), [&x64], [&c64]).unwrap();
        check(&t[0], &u[0], tolerance, "tangent");
    });
}

#[rstest]
fn softmax_twice(#[values(1, 33, 200)] n: usize) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, n]);
        let c = normal(&mut rng, &[3, n]);
        let [x64, c64] = [&x, &c].map(|a| a.astype(F64).unwrap());
        let op = softmax();
        let first = |x: &Array| grad(|x| (op.call(x)? * &c)?.square()?.sum(..))(x);
        let got = grad(|x| first(x)?.square()?.sum(..))(&x).unwrap();
        let first = |x: &Array| grad(|x| (x.softmax(-1)? * &c64)?.square()?.sum(..))(x);
        let want = grad(|x| first(x)?.square()?.sum(..))(&x64).unwrap();
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
        check(&y, &layernorm64(&x, &w).unwrap(), 2e-5, "value");
        if n == 1 {
            return;
        }
        let c64 = c.astype(F64).unwrap();
        let loss = |p: &[Array]| (op.call_all(p)?.remove(0) * &c)?.sum(..);
        let loss64 = |p: &[Array]| (layernorm64(&p[0], &p[1])? * &c64)?.sum(..);
        let (_, got) = zmlx::value_and_grad_of(|p| Ok(vec![loss(p)?]), &[0, 1], [&x, &w]).unwrap();
        let [x64, w64] = [&x, &w].map(|a| a.astype(F64).unwrap());
        let (_, want) =
            zmlx::value_and_grad_of(|p| Ok(vec![loss64(p)?]), &[0, 1], [&x64, &w64]).unwrap();
        check(&got[0], &want[0], 5e-5, "gradient of x");
        check(&got[1], &want[1], 5e-5, "gradient of w");
    });
}
