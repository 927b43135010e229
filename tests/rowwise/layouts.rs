//! Threads a row, broadcast and strided inputs, no rows at all.

use rstest::rstest;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::{Result, grad, jvp, value_and_grad_of};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, f64_of, normal, softmax_passes};
use crate::{reduce, softmax};

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
        let op = softmax_passes("grouped")
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
        // Small, as the sine of a large number has lost the digits that its gradient would need.
        let input = |s: &Vec<usize>| (normal(&mut rng, s) * 0.5).unwrap();
        let inputs: Vec<Array> = shapes.iter().map(input).collect();
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
