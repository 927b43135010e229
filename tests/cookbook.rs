//! The recipes of the Python original's cookbook, each against MLX's operations, gradients included.

mod common;
#[path = "common/toolkit.rs"]
mod toolkit;

use common::{Rng, exactly, on_worker};
use toolkit::{check, f64_of, normal};
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::{Result, grad, value_and_grad_of, vmap};

/// A value and the gradient of its weighted sum, of two functions.
fn same(
    got: impl Fn(&Array) -> Result<Array>,
    want: impl Fn(&Array) -> Result<Array>,
    x: &Array,
    tolerance: f64,
) {
    let y = got(x).unwrap();
    let value = exactly(|| want(&x.astype(F64).unwrap()).unwrap());
    check(&y, &value, tolerance, "value");
    let shape: Vec<usize> = y.shape().iter().map(|&d| d as usize).collect();
    let c = normal(&mut Rng::new(), &shape);
    let gradient = grad(|x| (got(x)? * &c)?.sum(..))(x).unwrap();
    let exact = exactly(|| {
        let [x64, c64] = [x, &c].map(|a| a.astype(F64).unwrap());
        grad(|x| (want(x)? * &c64)?.sum(..))(&x64).unwrap()
    });
    check(&gradient, &exact, tolerance, "gradient");
}

fn scalar(v: f64) -> Array {
    Array::scalar(v).unwrap()
}

#[test]
fn custom_activation() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[16, 100]);
        let silu64 = |x: &Array| x * x.sigmoid();
        let derived = api::elementwise("x * kk_sigmoid(x)")
            .name("silu")
            .build()
            .unwrap();
        same(|x| derived.call(x), silu64, &x, 1e-6);
        let by_hand = api::elementwise("kk_silu(x)")
            .name("silu_by_hand")
            .vjp_prelude("T s = kk_sigmoid(x);")
            .vjp("g * (s + x * s * (1.0f - s))")
            .use_output(false)
            .build()
            .unwrap();
        same(|x| by_hand.call(x), silu64, &x, 1e-6);
    });
}

#[test]
fn mish() {
    on_worker(|| {
        let x = (normal(&mut Rng::new(), &[1000]) * 5.0).unwrap();
        let mish64 = |x: &Array| x * x.logaddexp(scalar(0.0))?.tanh();
        let text = elementwise::unary("mish", "x * tanh(kk_softplus(x))").unwrap();
        same(|x| text.call(x), mish64, &x, 2e-6);
        let library = elementwise::unary("mish", "kk_mish(x)").unwrap();
        same(|x| library.call(x), mish64, &x, 2e-6);
    });
}

#[test]
fn entropy_loss() {
    on_worker(|| {
        let p = normal(&mut Rng::new(), &[16, 50]).softmax(-1).unwrap();
        let entropy = api::reduce("entropy")
            .init("0.0f")
            .update("acc - v * log(v + 1e-8f)");
        let entropy = entropy.build().unwrap();
        let want = |p: &Array| (p * (p + scalar(1e-8))?.log()?)?.sum(-1)?.negative();
        same(|p| entropy.call(p), want, &p, 2e-6);
    });
}

#[test]
fn row_max() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[16, 50]);
        let op = api::reduce("row_max")
            .init("-INFINITY")
            .update("max(acc, v)")
            .build()
            .unwrap();
        same(|x| op.call(x), |x| x.max(-1), &x, 1e-6);
    });
}

#[test]
fn softmax() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[16, 500]);
        let op = api::map_reduce("softmax")
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
            .unwrap();
        same(|x| op.call(x), |x| x.softmax(-1), &x, 1e-6);
    });
}

#[test]
fn layer_norm() {
    on_worker(|| {
        let x = (normal(&mut Rng::new(), &[16, 500]) + 3.0).unwrap();
        let op = api::map_reduce("layernorm")
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
            .write("(x - s1 / D) * rsqrt(s2 / D + 1e-5f)")
            .build()
            .unwrap();
        let want = |x: &Array| {
            let d = (x - x.mean(keepdims(-1))?)?;
            let scale = (d.square()?.mean(keepdims(-1))? + scalar(1e-5))?.rsqrt()?;
            d * scale
        };
        same(|x| op.call(x), want, &x, 1e-5);
    });
}

/// A constant row far from zero: a one-pass variance would be far off.
#[test]
fn layer_norm_far_from_zero() {
    on_worker(|| {
        let x = ((normal(&mut Rng::new(), &[4, 1024]) * 0.1).unwrap() + 1000.0).unwrap();
        let op = rowwise::map_reduce("layernorm")
            .pass(Pass {
                init: "0.0f",
                update: "acc + (x - 1000.0f)",
                reduce: "a + b",
            })
            .pass(Pass {
                init: "0.0f",
                update: "acc + (x - 1000.0f - s1 / D) * (x - 1000.0f - s1 / D)",
                reduce: "a + b",
            })
            .write_row("s2 / D")
            .build()
            .unwrap();
        let want = exactly(|| x.astype(F64).unwrap().var(-1, 0).unwrap());
        check(&op.call(&x).unwrap(), &want, 1e-6, "variance");
    });
}

#[test]
fn safe_multiply() {
    on_worker(|| {
        let op = autograd::binary_from_expr("safe_mul", "a == 0 || b == 0 ? 0.0f : a * b")
            .vjp_prelude("bool skip = a == 0 || b == 0;")
            .vjp_lhs("skip ? 0.0f : g * b")
            .vjp_rhs("skip ? 0.0f : g * a")
            .build()
            .unwrap();
        let a = Array::from_slice(&[0.0f32, 2.0, 3.0], 3).unwrap();
        let b = Array::from_slice(&[f32::INFINITY, 0.0, 5.0], 3).unwrap();
        assert_eq!(
            op.call(&a, &b).unwrap().to_vec::<f32>().unwrap(),
            [0.0, 0.0, 15.0]
        );
        let (_, g) = value_and_grad_of(
            |p| Ok(vec![op.call(&p[0], &p[1])?.sum(..)?]),
            &[0, 1],
            [&a, &b],
        )
        .unwrap();
        assert_eq!(g[0].to_vec::<f32>().unwrap(), [0.0, 0.0, 5.0]);
        assert_eq!(g[1].to_vec::<f32>().unwrap(), [0.0, 0.0, 3.0]);
        // Both gradients by one kernel.
        let (x, y) = (
            normal(&mut Rng::new(), &[100]),
            normal(&mut Rng::new(), &[100]),
        );
        same(|a| op.call(a, &y), |a| a * y.astype(F64)?, &x, 1e-6);
    });
}

/// Raw sources for both directions, two outputs, each with a cotangent of its own.
#[test]
fn fused_gate_from_raw_source() {
    on_worker(|| {
        let op = autograd::nary_from_expr("fused_gate", ["x", "gate"], ["out", "open"])
            .forward(
                "uint i = thread_position_in_grid.x;
                 T s = kk_sigmoid(T(gate[i]));
                 out[i] = O(T(x[i]) * s);
                 open[i] = s;",
            )
            .backward(
                "uint i = thread_position_in_grid.x;
                 T s = kk_sigmoid(T(gate[i]));
                 T c = T(cotan_out[i]);
                 dx[i] = O(c * s);
                 dgate[i] = O((c * T(x[i]) + T(cotan_open[i])) * s * (T(1) - s));",
            )
            .output_shapes(|inputs| {
                let shape = inputs[0].shape().to_vec();
                Ok(vec![(shape.clone(), inputs[0].dtype()), (shape, F32)])
            })
            .build()
            .unwrap();
        let mut rng = Rng::new();
        let inputs = [0, 1].map(|_| normal(&mut rng, &[3, 50]));
        let exact = f64_of(&inputs);
        let op64 = |p: &[Array]| Ok(vec![(&p[0] * p[1].sigmoid()?)?, p[1].sigmoid()?]);
        let loss = |y: Vec<Array>| Ok(vec![(y[0].square()?.sum(..)? + y[1].sin()?.sum(..)?)?]);
        let nums = [0, 1];
        let y = op.call(&inputs).unwrap();
        let want = exactly(|| op64(&exact).unwrap());
        check(&y[0], &want[0], 1e-6, "out");
        check(&y[1], &want[1], 1e-6, "open");
        let (_, got) = value_and_grad_of(|p| loss(op.call(p)?), &nums, &inputs).unwrap();
        let (_, want) = exactly(|| value_and_grad_of(|p| loss(op64(p)?), &nums, &exact).unwrap());
        check(&got[0], &want[0], 1e-5, "gradient of x");
        check(&got[1], &want[1], 1e-5, "gradient of gate");
        // A launch for each element of the mapped axis, and gradients through it.
        let mapped = |p: &[Array]| {
            vmap(|p: &[Array]| op.call(p))
                .in_axes([Some(1), Some(1)])
                .call(p)
        };
        let (_, got) = value_and_grad_of(|p| loss(mapped(p)?), &nums, &inputs).unwrap();
        check(&got[1], &want[1], 1e-5, "mapped");
    });
}

/// One input, where the original took the first row for the whole array.
#[test]
fn raw_source_of_one_input() {
    on_worker(|| {
        let op = autograd::nary_from_expr("cube", ["x"], ["out"])
            .forward("uint i = thread_position_in_grid.x; T v = T(x[i]); out[i] = O(v * v * v);")
            .backward(
                "uint i = thread_position_in_grid.x; T v = T(x[i]);
                 dx[i] = O(T(cotan[i]) * 3 * v * v);",
            )
            .elementwise()
            .build()
            .unwrap();
        let x = normal(&mut Rng::new(), &[3, 8]);
        same(
            |x| Ok(op.call(&[x])?.remove(0)),
            |x| x.square()? * x,
            &x,
            1e-6,
        );
        for dtype in [F16, BF16] {
            let y = op.call(&[&x.astype(dtype).unwrap()]).unwrap().remove(0);
            assert_eq!(y.dtype(), dtype);
        }
        let (_, t) = zmlx::jvp(|p| op.call(p), [&x], [&x]).unwrap();
        let want = ((x.square().unwrap() * &x).unwrap() * 3.0).unwrap();
        check(&t[0], &want, 1e-5, "tangent");
        let again = grad(|x| grad(|x| op.call(&[x])?[0].sum(..))(x)?.sum(..))(&x);
        let text = again.unwrap_err().to_string();
        assert!(text.contains("written by hand"), "{text}");
    });
}
