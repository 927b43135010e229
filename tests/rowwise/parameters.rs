//! Numbers that are given with a call.

use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::MapReduce;
use zmlx::{Result, grad, jvp, value_and_grad_of, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, normal};

fn norm() -> MapReduce {
    rowwise::map_reduce("norm")
        .parameter("eps")
        .pass(Pass {
            init: "0.0f",
            update: "acc + x * x",
            reduce: "a + b",
        })
        .write("x * rsqrt(s1 / D + eps)")
        .build()
        .unwrap()
}

fn norm64(x: &Array, eps: f64) -> Result<Array> {
    let mean = x.square()?.mean(keepdims(-1))?;
    x * (mean + Array::scalar(eps)?)?.rsqrt()?
}

#[test]
fn another_number_compiles_nothing() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let op = norm();
        let x = normal(&mut rng, &[3, 40]);
        let c = normal(&mut rng, &[3, 40]);
        let [x64, c64] = exactly(|| [&x, &c].map(|a| a.astype(F64).unwrap()));
        let mut kernels = 0;
        for eps in [1e-6f32, 0.1, 3.0, 1e-12] {
            let number = Array::scalar(eps)?;
            let f = |x: &Array| Ok::<_, Error>(op.call_all(&[x, &number])?.remove(0));
            let exact = f64::from(eps);
            check(&f(&x)?, &exactly(|| norm64(&x64, exact))?, 5e-6, "value");
            let got = grad(|x| (f(x)? * &c)?.sum(..))(&x)?;
            let want = exactly(|| grad(|x| (norm64(x, exact)? * &c64)?.sum(..))(&x64))?;
            check(&got, &want, 1e-5, "gradient");
            let (_, t) = jvp(|p| Ok(vec![f(&p[0])?]), [&x], [&c])?;
            let (_, u) = exactly(|| jvp(|p| Ok(vec![norm64(&p[0], exact)?]), [&x64], [&c64]))?;
            check(&t[0], &u[0], 1e-5, "tangent");
            let made = op.kernels().len();
            assert!(made > 0 && (kernels == 0 || made == kernels), "{made}");
            kernels = made;
        }
        Ok(())
    })
    .unwrap();
}

/// It takes no part in the result's shape, has no gradient, and is a float whatever the arithmetic.
#[test]
fn one_number_of_any_shape() {
    on_worker(|| -> Result<()> {
        let op = norm();
        let x = normal(&mut Rng::new(), &[5]);
        let want = op.call_all(&[&x, &0.5.into()])?.remove(0);
        for shape in [&[1][..], &[1, 1, 1]] {
            let eps = Array::full(shape, 0.5, F32)?;
            let y = op.call_all(&[&x, &eps])?.remove(0);
            assert_eq!(y.shape(), [5]);
            assert_eq!(y.to_vec::<f32>()?, want.to_vec::<f32>()?);
            let loss = |p: &[Array]| Ok(vec![op.call_all(p)?.remove(0).square()?.sum(..)?]);
            let (_, g) = value_and_grad_of(loss, &[0, 1], [&x, &eps])?;
            assert_eq!(g[1].shape(), shape);
            assert_eq!(g[1].to_vec::<f32>()?, [0.0]);
            // Beside a tangent of its own, which counts for nothing.
            let f = |p: &[Array]| op.call_all(p);
            let (_, t) = jvp(f, [&x, &eps], [&x, &eps])?;
            let (_, u) = jvp(|p| op.call_all(&[&p[0], &eps]), [&x], [&x])?;
            assert_eq!(t[0].to_vec::<f32>()?, u[0].to_vec::<f32>()?);
        }
        // 1e-8 is 0 in half precision.
        let half = rowwise::map_reduce("half")
            .parameter("eps")
            .compute_dtype(F16)
            .output_dtype(F32)
            .write("x + eps")
            .build()?;
        let y = half
            .call_all(&[&Array::zeros(1, F16)?, &1e-8.into()])?
            .remove(0);
        assert_eq!(y.item::<f32>()?, 1e-8);
        // Beside integers.
        let ints = Array::from_slice(&[1i32, 2], 2)?;
        let scaled = rowwise::map_reduce("scaled")
            .parameter("by")
            .output_dtype(F32);
        let y = scaled
            .write("x * by")
            .build()?
            .call_all(&[&ints, &0.5.into()])?;
        assert_eq!(y[0].to_vec::<f32>()?, [0.5, 1.0]);
        Ok(())
    })
    .unwrap();
}

#[test]
fn mapped_numbers() {
    on_worker(|| -> Result<()> {
        let mut rng = Rng::new();
        let op = norm();
        let x = normal(&mut rng, &[3, 2, 7]);
        let eps = Array::from_slice(&[0.1f32, 1.0, 3.0], 3)?;
        let wide = eps.reshape((3, 1, 1))?;
        let mean = x.square()?.mean(keepdims(-1))?;
        let want = (&x * (mean + &wide)?.rsqrt()?)?;
        let f = |p: &[Array]| op.call_all(p);
        check(&vmap(f).call([&x, &eps])?[0], &want, 1e-5, "both");
        let slope = |p: &[Array]| {
            Ok(vec![grad(|x| op.call_all(&[x, &p[1]])?.remove(0).sum(..))(
                &p[0],
            )?])
        };
        let got = vmap(slope).call([&x, &eps])?.remove(0);
        let want = grad(|x| {
            let mean = x.square()?.mean(keepdims(-1))?;
            (x * (mean + &wide)?.rsqrt()?)?.sum(..)
        })(&x)?;
        check(&got, &want, 1e-4, "gradient");
        Ok(())
    })
    .unwrap();
}

#[test]
fn what_is_refused() {
    on_worker(|| -> Result<()> {
        let op = norm();
        let x = Array::zeros((2, 3), F32)?;
        let call = |eps: &Array| op.call_all(&[&x, eps]).unwrap_err();
        let error = call(&Array::zeros(2, F32)?);
        assert!(
            matches!(error, Error::Shape { .. }) && error.to_string().contains("`eps`"),
            "{error}"
        );
        for dtype in [I32, Dtype::Float64, Dtype::Bool] {
            let error = exactly(|| call(&Array::zeros((), dtype).unwrap()));
            let named = error.to_string().contains("`eps`");
            assert!(matches!(error, Error::Dtype { .. }) && named, "{error}");
        }
        let map = elementwise::map("scaled", ["x", "by"], "x * by")?;
        let error = map.clone().parameter("z").unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        let scaled = map.parameter("by")?;
        assert_eq!(
            scaled
                .call(&[&Array::ones((), F32)?, &Array::ones((1, 1), F32)?])?
                .ndim(),
            0
        );
        assert!(scaled.call(&[&x, &x]).is_err());
        Ok(())
    })
    .unwrap();
}
