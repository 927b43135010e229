//! What calls save for gradients, what all rows share, and the edges of both.

use rstest::rstest;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::map_reduce;
use zmlx::{Result, compile, elementwise, grad, jvp, value_and_grad_of, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::gradients::{ALL, composed, layer_norm, loss, number, operation, sum};
use crate::toolkit::{check, f64_of, normal, softmax_passes};

/// Operations of elements with a row that all share: no digit of the sum is lost to 16 bits.
#[test]
fn elements_with_a_shared_row() {
    on_worker(|| {
        let mut rng = Rng::new();
        let op = elementwise::map("gate", ["x", "w", "b"], "kk_silu(x) * w + b").unwrap();
        let composed = |p: &[Array]| -> Result<Vec<Array>> {
            Ok(vec![((p[0].sigmoid()? * &p[0])? * &p[1] + &p[2])?])
        };
        for shapes in [
            [vec![7, 40], vec![40], vec![40]],
            [vec![3, 7, 40], vec![1, 1, 40], vec![7, 40]],
            [vec![3, 7, 40], vec![1, 40], vec![3, 7, 1]],
            [vec![3, 7, 40], vec![], vec![3, 1, 40]],
        ] {
            let inputs: Vec<Array> = shapes.iter().map(|s| normal(&mut rng, s)).collect();
            let exact = f64_of(&inputs);
            let f = |p: &[Array]| Ok(vec![loss(&[op.call(p)?])?]);
            let f64 = |p: &[Array]| Ok(vec![loss(&composed(p)?)?]);
            let (_, got) = value_and_grad_of(f, &ALL, &inputs).unwrap();
            let (_, want) = exactly(|| value_and_grad_of(f64, &ALL, &exact).unwrap());
            let second = |p: &[Array]| Ok(vec![loss(&value_and_grad_of(f, &ALL, p)?.1)?]);
            let second64 = |p: &[Array]| Ok(vec![loss(&value_and_grad_of(f64, &ALL, p)?.1)?]);
            let (_, got2) = value_and_grad_of(second, &ALL, &inputs).unwrap();
            let (_, want2) = exactly(|| value_and_grad_of(second64, &ALL, &exact).unwrap());
            for i in 0..3 {
                check(&got[i], &want[i], 1e-4, &format!("{shapes:?}: {i}"));
                check(
                    &got2[i],
                    &want2[i],
                    1e-3,
                    &format!("{shapes:?}: second {i}"),
                );
            }
        }
        // 3000 ones: a sum in bfloat16 would stop at 256.
        let inputs = [vec![3000, 8], vec![8], vec![8]];
        let inputs = inputs.map(|s| normal(&mut rng, &s).astype(BF16).unwrap());
        let f = |p: &[Array]| Ok(vec![op.call(p)?.astype(F32)?.sum(..)?]);
        let (_, got) = value_and_grad_of(f, &[2], &inputs).unwrap();
        let want = Array::full([8], 3000.0, F32).unwrap().astype(BF16).unwrap();
        check(&got[0], &want, 0.0, "ones");
    });
}

/// Gradients that the author wrote, of weights that all rows share.
#[test]
fn of_the_author() {
    on_worker(|| {
        let mut rng = Rng::new();
        let inputs = [normal(&mut rng, &[6, 30]), normal(&mut rng, &[30])];
        let op = map_reduce("scaled")
            .inputs(["x", "w"])
            .pass1(sum("acc1 + x * x"))
            .write("x * w / s1")
            .vjp("x", "3.0f * g * w / s1 + y")
            .vjp("w", "g * x / s1 - 2.0f")
            .build()
            .unwrap();
        let c = normal(&mut rng, &[6, 30]);
        let f = |p: &[Array]| op.call_all(p);
        let (y, got) = vjp(f, &inputs, [&c]).unwrap();
        let exact = f64_of(&[inputs.to_vec(), vec![c.clone(), y[0].clone()]].concat());
        let want = |p: &[Array]| -> Result<[Array; 2]> {
            let s = p[0].square()?.sum(keepdims(-1))?;
            let by = (&p[2] / s)?;
            let dx = (((&by * &p[1])? * number(&by, 3.0))? + &p[3])?;
            let dw = ((&by * &p[0])? - number(&by, 2.0))?.sum(0)?;
            Ok([dx, dw])
        };
        let want = exactly(|| want(&exact).unwrap());
        check(&got[0], &want[0], 1e-5, "x");
        check(&got[1], &want[1], 1e-5, "w");
    });
}

/// Only calls within a gradient save anything.
#[test]
fn saved_only_for_gradients() {
    on_worker(|| {
        let x = normal(&mut Rng::new(), &[5, 40]);
        let op = softmax_passes("saving")
            .write("exp(x - s1) / s2")
            .build()
            .unwrap();
        let f = |p: &[Array]| Ok(vec![op.call(&p[0])?]);
        let written = || {
            let kernels = op.kernels();
            kernels
                .iter()
                .map(|k| k.output_names().len())
                .max()
                .unwrap()
        };
        op.call(&x).unwrap().eval().unwrap();
        vmap(f).call([&x]).unwrap()[0].eval().unwrap();
        jvp(f, [&x], [&x]).unwrap().1[0].eval().unwrap();
        let same = op.clone();
        let compiled = compile(move |p: &[Array]| Ok(vec![same.call(&p[0])?])).unwrap();
        compiled.call([&x]).unwrap()[0].eval().unwrap();
        assert_eq!(written(), 1);
        let slope = grad(|x| op.call(x)?.square()?.sum(..))(&x).unwrap();
        let want = grad(|x| x.softmax(-1)?.square()?.sum(..))(&x).unwrap();
        check(&slope, &want, 1e-5, "gradient");
        // The gradient's kernel reads them; on a GPU it has the row in registers and reduces it again.
        let saves = zmlx::Device::default_device().unwrap() == zmlx::Device::CPU;
        assert_eq!(written(), if saves { 3 } else { 1 });
        let reads = |k: &&MetalKernel| k.input_names().iter().any(|n| n == "s2_in");
        assert_eq!(
            op.kernels().iter().filter(reads).count(),
            usize::from(saves)
        );
        // A function that was compiled outside of a gradient has one as well.
        let slope = grad(|x| {
            let y = compiled.call([x])?.swap_remove(0);
            y.square()?.sum(..)
        })(&x);
        check(
            &slope.unwrap(),
            &want,
            1e-5,
            "gradient of a compiled function",
        );
    });
}

/// No rows, rows without elements, one element; with every access tested.
#[rstest]
fn small(#[values([0, 5], [3, 0], [0, 0], [3, 1], [1, 5], [4, 5])] shape: [usize; 2]) {
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs = [shape.to_vec(), vec![shape[1]], vec![shape[1]]];
        let inputs = inputs.map(|s| normal(&mut rng, &s));
        let exact = f64_of(&inputs);
        for name in ["rms_norm", "layer_norm"] {
            let op = operation(name).checked().unwrap();
            let f = |p: &[Array]| Ok(vec![loss(&op.call_all(p)?)?]);
            let f64 = |p: &[Array]| Ok(vec![loss(&composed(name, p)?)?]);
            let (_, got) = value_and_grad_of(f, &ALL, &inputs).unwrap();
            let (_, want) = exactly(|| value_and_grad_of(f64, &ALL, &exact).unwrap());
            for i in 0..3 {
                check(&got[i], &want[i], 1e-4, &format!("{name} {i}"));
            }
        }
    });
}

/// A mean far from zero costs no digits: sums and means of these numbers are exact, and what differs from the mean is, too.
#[test]
fn far_from_zero() {
    on_worker(|| {
        let mut rng = Rng::new();
        let near: Vec<f32> = rng.normals(4 * 16);
        let far: Vec<f32> = near
            .iter()
            .map(|v| 30_000.0 + (v * 8.0).round() / 8.0)
            .collect();
        let x = Array::from_slice(&far, (4, 16)).unwrap();
        let inputs = [x, normal(&mut rng, &[16]), normal(&mut rng, &[16])];
        let exact = f64_of(&inputs);
        let op = layer_norm();
        let f = |p: &[Array]| Ok(vec![loss(&op.call_all(p)?)?]);
        let f64 = |p: &[Array]| Ok(vec![loss(&composed("layer_norm", p)?)?]);
        let (_, got) = value_and_grad_of(f, &ALL, &inputs).unwrap();
        let (_, want) = exactly(|| value_and_grad_of(f64, &ALL, &exact).unwrap());
        for i in 0..3 {
            check(&got[i], &want[i], 2e-5, &format!("gradient {i}"));
        }
        // The derivative of the gradient's kernel finds its reductions itself.
        let slopes = |p: &[Array]| Ok(value_and_grad_of(f, &ALL, p)?.1);
        let slopes64 = |p: &[Array]| Ok(value_and_grad_of(f64, &ALL, p)?.1);
        let tangents = [0, 1, 2].map(|_| normal(&mut rng, &[16]));
        let tangents: Vec<Array> = inputs
            .iter()
            .zip(&tangents)
            .map(|(a, t)| t.broadcast_to(a.shape()).unwrap())
            .collect();
        let exact_tangents = f64_of(&tangents);
        let (_, got) = jvp(slopes, &inputs, &tangents).unwrap();
        let (_, want) = exactly(|| jvp(slopes64, &exact, &exact_tangents).unwrap());
        for i in 0..3 {
            check(&got[i], &want[i], 1e-4, &format!("tangent of gradient {i}"));
        }
    });
}

/// Reductions that start with a number of the author's, whose own results have names of their own.
#[test]
fn started_with_a_number() {
    on_worker(|| {
        let mut rng = Rng::new();
        let from = |init| Pass { init, ..sum("") };
        let op = map_reduce("started")
            .inputs(["x", "w"])
            .pass(Pass {
                update: "acc1 + x * x",
                ..from("1.0f")
            })
            .pass(Pass {
                update: "acc2 + x * s1",
                ..from("2.0f")
            })
            .pass(Pass {
                update: "acc3 + x * s2",
                ..from("3.0f")
            })
            .write("x * w / s1 + w * s2 * s3")
            .threadgroup_everywhere(64)
            .build()
            .unwrap();
        let inputs = [normal(&mut rng, &[4, 9]), normal(&mut rng, &[9])];
        let exact = f64_of(&inputs);
        let composed = |p: &[Array]| -> Result<Array> {
            let all = |a: Array, start: f64| a.sum(keepdims(-1))? + number(&p[0], start);
            let s1 = all(p[0].square()?, 1.0)?;
            let s2 = all((&p[0] * &s1)?, 2.0)?;
            let s3 = all((&p[0] * &s2)?, 3.0)?;
            ((&p[0] * &p[1])? / s1)? + ((&p[1] * s2)? * s3)?
        };
        let f = |p: &[Array]| Ok(vec![op.call_all(p)?[0].sum(..)?]);
        let f64 = |p: &[Array]| Ok(vec![composed(p)?.sum(..)?]);
        let (_, got) = value_and_grad_of(f, &[0, 1], &inputs).unwrap();
        let (_, want) = exactly(|| value_and_grad_of(f64, &[0, 1], &exact).unwrap());
        check(&got[0], &want[0], 1e-4, "x");
        check(&got[1], &want[1], 1e-4, "w");
    });
}

/// Sums whose squares no float holds.
#[rstest]
fn large_and_small_sums(#[values(1e-25, 1e25)] size: f64) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[4, 50]).abs().unwrap();
        let x = (x * number(&Array::from(0.0), size)).unwrap();
        let c = normal(&mut rng, &[4, 50]);
        let op = map_reduce("share").pass(sum("acc1 + x"));
        let op = op.write("x / s1").build().unwrap();
        let got = grad(|x| (op.call(x)? * &c)?.sum(..))(&x).unwrap();
        let exact = f64_of(&[x, c]);
        let scaled = |a: &Array| (a * number(&exact[0], size)).unwrap();
        let want = exactly(|| {
            let share = |x: &Array| x / x.sum(keepdims(-1))?;
            let slope = grad(|x| (share(x)? * &exact[1])?.sum(..))(&exact[0]);
            scaled(&slope.unwrap())
        });
        let got = exactly(|| scaled(&got.astype(F64).unwrap()));
        check(&got, &want, 1e-5, "gradient");
    });
}
