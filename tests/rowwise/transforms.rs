//! Within transforms, and with what authors add.

use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::{compile, grad, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, normal};
use crate::{layernorm, reduce, softmax};

#[test]
fn mapped() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[4, 3, 20]);
        let w = normal(&mut rng, &[20, 4]);
        let op = layernorm();
        let f = |p: &[Array]| op.call_all(&[&p[0], &p[1]]);
        let want = |p: &[Array]| Ok(vec![fast::layer_norm(&p[0], Some(&p[1]), None, 1e-5)?]);
        let axes = [Some(0), Some(1)];
        let got = vmap(f).in_axes(axes).call([&x, &w]).unwrap();
        let expect = vmap(want).in_axes(axes).call([&x, &w]).unwrap();
        check(&got[0], &expect[0], 1e-4, "weights of their own");
        let one = normal(&mut rng, &[20]);
        let got = vmap(f)
            .in_axes([Some(1), None])
            .out_axes([Some(2)])
            .call([&x, &one])
            .unwrap();
        let expect = vmap(want)
            .in_axes([Some(1), None])
            .out_axes([Some(2)])
            .call([&x, &one])
            .unwrap();
        check(&got[0], &expect[0], 1e-4, "weights of all");
        // A value a row, nested, with a gradient inside.
        let sum = reduce("acc + v * v").build().unwrap();
        let slope = |p: &[Array]| Ok(vec![grad(|x| sum.call(x))(&p[0])?]);
        let nested = |p: &[Array]| vmap(slope).call([&p[0]]);
        let got = vmap(nested).call([&x]).unwrap();
        check(&got[0], &(&x * 2.0).unwrap(), 1e-6, "nested");
    });
}

#[test]
fn compiled() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[4, 50]);
        let op = softmax();
        let f = compile(move |p: &[Array]| {
            let op = op.clone();
            Ok(vec![grad(move |x| op.call(x)?.square()?.sum(..))(&p[0])?])
        })
        .unwrap();
        let want = grad(|x| x.softmax(-1)?.square()?.sum(..))(&x).unwrap();
        for _ in 0..2 {
            check(&f.call([&x]).unwrap()[0], &want, 1e-6, "compiled gradient");
        }
    });
}

#[test]
fn gradients_of_the_author() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = (normal(&mut rng, &[3, 7]) * 0.1).unwrap();
        let x = (x + 1.0).unwrap();
        let product = reduce("acc * v").init("1.0f").combine("a * b");
        let without = product.clone().build().unwrap();
        let error = grad(|x| without.call(x)?.sum(..))(&x)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("explicit derivative") && error.contains("no sum"),
            "{error}"
        );
        let with = product.vjp("v", "g * y / v").build().unwrap();
        let got = grad(|x| with.call(x)?.square()?.sum(..))(&x).unwrap();
        let want = exactly(|| {
            let x64 = x.astype(F64).unwrap();
            grad(|x| x.prod(-1)?.square()?.sum(..))(&x64).unwrap()
        });
        check(&got, &want, 1e-5, "product");
        // Through a reduction of its own, of an operation of elements.
        let op = api::map_reduce("normalized")
            .pass1(Pass {
                init: "0.0f",
                update: "acc1 + x * x",
                reduce: "a + b",
            })
            .write("x * rsqrt(s1)")
            .vjp("x", "(g - y * 0.0f) * rsqrt(s1)")
            .build()
            .unwrap();
        let got = grad(|x| op.call(x)?.sum(..))(&x).unwrap();
        let norm = x
            .square()
            .unwrap()
            .sum(keepdims(-1))
            .unwrap()
            .rsqrt()
            .unwrap();
        let want = norm.broadcast_to((3, 7)).unwrap();
        check(&got, &want, 1e-5, "as the author says");
    });
}

#[test]
fn preludes_headers_and_places() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[3, 10]);
        let op = api::map_reduce("shifted")
            .prelude("float z = x * 2.0f; const float q = z + 1.0f;")
            .header("inline float half_of(float v) { return 0.5f * v; }")
            .pass1(Pass {
                init: "0.0f",
                update: "acc + q",
                reduce: "a + b",
            })
            .write("half_of(z) + 0.0f * s1 + j + 10 * row")
            .build()
            .unwrap();
        let y = op.call(&x).unwrap();
        let places = Array::arange(10).unwrap().astype(F32).unwrap();
        let rows = Array::from_slice(&[0.0f32, 10.0, 20.0], (3, 1)).unwrap();
        let want = ((&x + places).unwrap() + rows).unwrap();
        check(&y, &want, 1e-6, "prelude");
    });
}

/// Sums and maxima of integers are exact.
#[test]
fn integers_are_exact() {
    on_worker(|| -> zmlx::Result<()> {
        let sum = api::reduce("sum_of_integers").update("acc + v").build()?;
        let most = api::reduce("most")
            .init("-INFINITY")
            .update("max(acc, v)")
            .build()?;
        let mut row = vec![1i32; 300];
        row[7] = 1 << 24;
        let x = Array::from_slice(&row, (1, 300))?;
        assert_eq!(sum.call(&x)?.item::<i32>()?, (1 << 24) + 299);
        assert_eq!(most.call(&x)?.item::<i32>()?, 1 << 24);
        let big = (1i64 << 53) + 1;
        let x = Array::from_slice(&[big, -big, 3, big - 1, 2, -4], (2, 3))?;
        assert_eq!(sum.call(&x)?.to_vec::<i64>()?, [3, big - 3]);
        assert_eq!(most.call(&x)?.to_vec::<i64>()?, [big, big - 1]);
        let x = Array::from_slice(&[i32::MIN, i32::MIN], (1, 2))?;
        assert_eq!(most.call(&x)?.item::<i32>()?, i32::MIN);
        let product = api::reduce("product")
            .init("1.0f")
            .update("acc * v")
            .combine("a * b")
            .build()?;
        let x = Array::from_slice(&[8191i32, 8191, 31, 1], (1, 4))?;
        assert_eq!(product.call(&x)?.item::<i32>()?, 8191 * 8191 * 31);
        Ok(())
    })
    .unwrap();
}

/// A large element does not swallow the many small ones beside it, whatever lane holds it: only those that its thread
/// adds to it one after the other, of which there are no more than 32.
#[test]
fn sums_beside_a_large_element() {
    on_worker(|| -> zmlx::Result<()> {
        let sum = api::reduce("sum_beside").update("acc + v").build()?;
        let n = 300_000;
        for at in [0, 7, n - 1] {
            let mut row = vec![4e-8f32; n];
            row[at] = 1.0;
            let got = sum.call(&Array::from_slice(&row, (1, n))?)?.item::<f32>()?;
            let want = 1.0 + (n - 1) as f64 * f64::from(4e-8f32);
            // Each addition rounds by 2^-24 of the sum: those of a thread, ten by halves, and those of its pieces.
            let bound = 48.0 * 2f64.powi(-24) * want;
            let error = (f64::from(got) - want).abs();
            assert!(error < bound, "{at}: {got} {want}");
        }
        // What overflows is infinite, not NaN.
        let x = Array::full((1, 1000), f32::MAX, F32)?;
        assert_eq!(sum.call(&x)?.item::<f32>()?, f32::INFINITY);
        Ok(())
    })
    .unwrap();
}

/// A mapped axis of no places gives results of no places.
#[test]
fn mapped_over_nothing() {
    on_worker(|| {
        let x = Array::zeros((0, 3, 5), F32).unwrap();
        let many = reduce("acc + v").build().unwrap();
        let numbered = elementwise::unary("numbered", "x + elem").unwrap();
        let y = vmap(|p: &[Array]| Ok(vec![many.call(&p[0])?, p[0].clone()]));
        let y = y.call([&x]).unwrap();
        assert_eq!(y[0].shape(), [0, 3]);
        let y = vmap(|p: &[Array]| Ok(vec![numbered.call(&p[0])?])).call([&x]);
        assert_eq!(y.unwrap()[0].shape(), [0, 3, 5]);
    });
}
