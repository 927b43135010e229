//! Operations along rows: values, derivatives and shapes against MLX's operations in float64.

mod common;
#[path = "common/toolkit.rs"]
mod toolkit;

use common::{Rng, exactly, on_worker};
use rstest::rstest;
use toolkit::{check, f64_of, normal};
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::MapReduce;
use zmlx::{Result, compile, grad, jvp, value_and_grad_of, vmap};

fn softmax() -> MapReduce {
    api::map_reduce("softmax")
        .pass1(Pass {
            init: "-INFINITY",
            update: "max(acc1, x)",
            reduce: "max(a, b)",
        })
        .pass2(Pass {
            init: "0.0f",
            update: "acc2 + exp(x - s1)",
            reduce: "a + b",
        })
        .write("exp(x - s1) / s2")
        .build()
        .unwrap()
}

fn layernorm() -> MapReduce {
    api::map_reduce("layernorm")
        .inputs(["x", "w"])
        .pass1(Pass {
            init: "0.0f",
            update: "acc1 + x",
            reduce: "a + b",
        })
        .pass2(Pass {
            init: "0.0f",
            update: "acc2 + (x - s1 / D) * (x - s1 / D)",
            reduce: "a + b",
        })
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

fn reduce(update: &str) -> api::ReduceBuilder {
    api::reduce("reduced").update(update)
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

/// The text for many threads a row gives the same as that for one.
#[rstest]
fn threadgroups(
    #[values(1, 2, 16, 32, 64, 256)] threads: i64,
    #[values(1, 31, 200, 1000)] n: usize,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, n]);
        let c = normal(&mut rng, &[3, n]);
        let op = api::map_reduce("grouped")
            .pass1(Pass {
                init: "-INFINITY",
                update: "max(acc1, x)",
                reduce: "max(a, b)",
            })
            .pass2(Pass {
                init: "0.0f",
                update: "acc2 + exp(x - s1)",
                reduce: "a + b",
            })
            .write("exp(x - s1) / s2")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap()
            .checked()
            .unwrap();
        let [x64, c64] = exactly(|| [&x, &c].map(|a| a.astype(F64).unwrap()));
        let want = exactly(|| x64.softmax(-1).unwrap());
        check(&op.call(&x).unwrap(), &want, 2e-6, "value");
        let got = grad(|x| (op.call(x)? * &c)?.sum(..))(&x).unwrap();
        let want = exactly(|| grad(|x| (x.softmax(-1)? * &c64)?.sum(..))(&x64).unwrap());
        check(&got, &want, 2e-6, "gradient");
        let product = api::reduce("product")
            .init("1.0f")
            .update("acc * (1.0f + 0.01f * v)")
            .combine("a * b")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap();
        let want = exactly(|| {
            let factors = (Array::scalar(0.01f64).unwrap() * &x64).unwrap();
            let factors = (factors + Array::scalar(1.0f64).unwrap()).unwrap();
            factors.prod(-1).unwrap()
        });
        check(&product.call(&x).unwrap(), &want, 1e-5, "product");
    });
}

/// Inputs that broadcast: a row for all, a number a row, both, and none of full size.
#[rstest]
#[case([vec![4, 33], vec![33], vec![]])]
#[case([vec![2, 4, 33], vec![4, 1], vec![1]])]
#[case([vec![4, 1], vec![33], vec![2, 1, 1]])]
#[case([vec![3, 1, 5], vec![4, 1], vec![2, 1, 1, 5]])]
fn broadcasting(#[case] shapes: [Vec<usize>; 3]) {
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs: Vec<Array> = shapes.iter().map(|s| normal(&mut rng, s)).collect();
        let exact = f64_of(&inputs);
        let op = rowwise::map_reduce("weighted")
            .inputs(["x", "w", "b"])
            .pass(Pass {
                init: "0.0f",
                update: "acc1 + x * w",
                reduce: "a + b",
            })
            .write("x * s1 + b")
            .write_row("s1 / D")
            .build()
            .unwrap();
        let op64 = |p: &[Array]| -> Result<Vec<Array>> {
            let xw = (&p[0] * &p[1])?;
            // The row is as long as the longest input's.
            let full = (&xw + (&p[2] * Array::scalar(0.0f64)?)?)?;
            let n = Array::scalar(f64::from(full.dim(-1)?))?;
            let s = full.sum(keepdims(-1))?;
            let y = ((&p[0] * &s)? + &p[2])?.broadcast_to(full.shape())?;
            Ok(vec![y, (s.squeeze(-1)? / n)?])
        };
        let y = op.call_all(&inputs).unwrap();
        let want = exactly(|| op64(&exact).unwrap());
        check(&y[0], &want[0], 1e-5, "elements");
        check(&y[1], &want[1], 1e-5, "rows");
        let nums = [0, 1, 2];
        let loss = |y: Vec<Array>| Ok(vec![(y[0].sin()?.sum(..)? + y[1].square()?.sum(..)?)?]);
        let (_, got) = value_and_grad_of(|p| loss(op.call_all(p)?), &nums, &inputs).unwrap();
        let (_, want) = exactly(|| value_and_grad_of(|p| loss(op64(p)?), &nums, &exact).unwrap());
        for (i, (g, w)) in got.iter().zip(&want).enumerate() {
            check(g, w, 1e-4, &format!("gradient {i}"));
        }
        let (_, t) = jvp(|p| op.call_all(p), &inputs, &inputs).unwrap();
        let (_, u) = exactly(|| jvp(op64, &exact, &exact).unwrap());
        check(&t[0], &u[0], 1e-4, "tangent of elements");
        check(&t[1], &u[1], 1e-4, "tangent of rows");
    });
}

#[test]
fn strided_one_dimension_and_dtypes() {
    on_worker(|| {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[40, 30]);
        let op = softmax();
        let t = x.transpose([1, 0]).unwrap();
        check(
            &op.call(&t).unwrap(),
            &t.softmax(-1).unwrap(),
            1e-6,
            "transposed",
        );
        let one = normal(&mut rng, &[40]);
        check(
            &op.call(&one).unwrap(),
            &one.softmax(-1).unwrap(),
            1e-6,
            "one row",
        );
        let mean = reduce("acc + v").finalize("s / D").build().unwrap();
        let y = mean.call(&one).unwrap();
        assert_eq!(y.ndim(), 0);
        check(&y, &one.mean(-1).unwrap(), 1e-6, "one number");
        assert!(mean.call(&1.0.into()).is_err(), "a 0-d array has no rows");
        let half = (x.astype(F16).unwrap() * 300.0).unwrap();
        let y = reduce("acc + v * v")
            .output_dtype(F32)
            .build()
            .unwrap()
            .call(&half)
            .unwrap();
        let want = exactly(|| half.astype(F64).unwrap().square()?.sum(-1)).unwrap();
        check(&y, &want, 1e-5, "beyond what float16 holds");
        let ints = Array::from_slice(&[16_777_217i32, 2, 3, 4], (2, 2)).unwrap();
        let exact = reduce("acc + v")
            .init("0")
            .compute_dtype(I32)
            .build()
            .unwrap();
        assert_eq!(
            exact.call(&ints).unwrap().to_vec::<i32>().unwrap(),
            [16_777_219, 7]
        );
        let most = reduce("max(acc, v)")
            .init("-100")
            .compute_dtype(I32)
            .build()
            .unwrap();
        assert_eq!(
            most.call(&ints).unwrap().to_vec::<i32>().unwrap(),
            [16_777_217, 4]
        );
    });
}

#[test]
fn no_rows() {
    on_worker(|| {
        for shape in [vec![0, 5], vec![2, 0, 5], vec![0, 0]] {
            let x = Array::zeros(&shape, F32).unwrap();
            assert_eq!(softmax().call(&x).unwrap().shape(), shape);
            let sum = reduce("acc + v").build().unwrap().call(&x).unwrap();
            assert_eq!(sum.shape(), &shape[..shape.len() - 1]);
            let g = grad(|x| softmax().call(x)?.sum(..))(&x).unwrap();
            assert_eq!(g.shape(), shape);
        }
    });
}

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
