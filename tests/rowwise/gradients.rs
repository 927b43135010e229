//! Gradients of operations that save reductions and share rows, against MLX's operations in float64.

use rstest::rstest;
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::rowwise::{MapReduce, map_reduce};
use zmlx::{Result, jvp, ops, value_and_grad_of, vjp, vmap};

use crate::common::{Rng, exactly, on_worker};
use crate::toolkit::{check, f64_of, normal, softmax_passes};

pub(crate) fn sum(update: &str) -> Pass<'_> {
    Pass {
        init: "0.0f",
        update,
        reduce: "a + b",
    }
}

fn rms_norm() -> MapReduce {
    map_reduce("rms_norm")
        .inputs(["x", "w", "b"])
        .pass1(sum("acc1 + x * x"))
        .write("x * w / sqrt(s1 / D + 0.01f) + b")
        .build()
        .unwrap()
}

pub(crate) fn layer_norm() -> MapReduce {
    map_reduce("layer_norm")
        .inputs(["x", "w", "b"])
        .pass1(sum("acc1 + x"))
        .pass2(sum("acc2 + (x - s1 / D) * (x - s1 / D)"))
        .write("(x - s1 / D) * rsqrt(s2 / D + 0.01f) * w + b")
        .build()
        .unwrap()
}

/// Softmax and its logarithm's denominator: elements and a value a row.
fn weighted_softmax() -> MapReduce {
    softmax_passes("weighted_softmax")
        .inputs(["x", "w", "b"])
        .write("exp(x - s1) / s2 * w + b")
        .write_row("s1 + log(s2)")
        .build()
        .unwrap()
}

pub(crate) fn number(like: &Array, v: f64) -> Array {
    exactly(|| Array::scalar(v).unwrap().astype(like.dtype()).unwrap())
}

/// What mapping over the first axes of the result means: the function of each place of the axes.
fn each(
    f: impl Fn(&[Array]) -> Result<Vec<Array>>,
    axes: [Option<i32>; 3],
    p: &[Array],
) -> Result<Vec<Array>> {
    let sizes = axes
        .iter()
        .zip(p)
        .map(|(&axis, a)| axis.map(|axis| a.dim(axis)));
    let size = sizes.flatten().next().expect("a mapped axis")?;
    let places = (0..size).map(|i| {
        let part = |(&axis, a): (&Option<i32>, &Array)| match axis {
            Some(axis) => a.take(&Array::scalar(i)?, axis),
            None => Ok(a.clone()),
        };
        f(&axes.iter().zip(p).map(part).collect::<Result<Vec<_>>>()?)
    });
    let places = places.collect::<Result<Vec<_>>>()?;
    (0..places[0].len())
        .map(|k| ops::stack(places.iter().map(|y| &y[k]).collect::<Vec<_>>(), 0))
        .collect()
}

/// The same three of MLX's operations.
pub(crate) fn composed(name: &str, p: &[Array]) -> Result<Vec<Array>> {
    let (x, w, b) = (&p[0], &p[1], &p[2]);
    let scale = |x: &Array| {
        let mean = x.square()?.mean(keepdims(-1))?;
        (mean + number(x, 0.01))?.rsqrt()
    };
    let y = match name {
        "rms_norm" => (x * scale(x)?)?,
        "layer_norm" => {
            let x = (x - x.mean(keepdims(-1))?)?;
            let by = scale(&x)?;
            (x * by)?
        }
        _ => x.softmax(-1)?,
    };
    let mut all = vec![((y * w)? + b)?];
    if name == "weighted_softmax" {
        let rows = all[0].shape()[..all[0].ndim() - 1].to_vec();
        all.push(x.logsumexp(-1)?.broadcast_to(rows)?);
    }
    Ok(all)
}

/// One number of all outputs.
pub(crate) fn loss(outputs: &[Array]) -> Result<Array> {
    let mut sum = outputs[0].sin()?.sum(..)?;
    for y in &outputs[1..] {
        sum = (sum + y.square()?.sum(..)?)?;
    }
    Ok(sum)
}

pub(crate) fn operation(name: &str) -> MapReduce {
    match name {
        "rms_norm" => rms_norm(),
        "layer_norm" => layer_norm(),
        _ => weighted_softmax(),
    }
}

pub(crate) const ALL: [i32; 3] = [0, 1, 2];

/// Values, gradients and second derivatives, for weights of one row, of some rows, of all.
#[rstest]
fn against_compositions(
    #[values("rms_norm", "layer_norm", "weighted_softmax")] name: &'static str,
    #[values(
        [vec![6, 33], vec![33], vec![33]],
        [vec![2, 3, 33], vec![1, 33], vec![1, 1, 33]],
        [vec![2, 3, 33], vec![3, 33], vec![2, 1, 33]],
        [vec![33], vec![33], vec![33]],
        [vec![33], vec![5, 33], vec![33]],
        [vec![5, 1, 33], vec![33], vec![]],
        [vec![3, 33], vec![3, 33], vec![1]]
    )]
    shapes: [Vec<usize>; 3],
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs: Vec<Array> = shapes.iter().map(|s| normal(&mut rng, s)).collect();
        let exact = f64_of(&inputs);
        let op = operation(name);
        let ours = |p: &[Array]| op.call_all(p);
        let theirs = |p: &[Array]| composed(name, p);
        let value = ours(&inputs).unwrap();
        let want = exactly(|| theirs(&exact).unwrap());
        check(&value[0], &want[0], 1e-5, "value");
        let f = |p: &[Array]| Ok(vec![loss(&ours(p)?)?]);
        let f64 = |p: &[Array]| Ok(vec![loss(&theirs(p)?)?]);
        let (_, got) = value_and_grad_of(f, &ALL, &inputs).unwrap();
        let (_, want) = exactly(|| value_and_grad_of(f64, &ALL, &exact).unwrap());
        for i in 0..3 {
            check(&got[i], &want[i], 1e-4, &format!("gradient {i}"));
        }
        // Backward over backward, and forward over backward.
        let slopes = |p: &[Array]| Ok(value_and_grad_of(f, &ALL, p)?.1);
        let slopes64 = |p: &[Array]| Ok(value_and_grad_of(f64, &ALL, p)?.1);
        let total = |g: Vec<Array>| -> Result<Vec<Array>> {
            let rest = (g[1].cos()?.sum(..)? + g[2].square()?.sum(..)?)?;
            Ok(vec![(g[0].square()?.sum(..)? + rest)?])
        };
        let (_, got) = value_and_grad_of(|p| total(slopes(p)?), &ALL, &inputs).unwrap();
        let (_, want) =
            exactly(|| value_and_grad_of(|p| total(slopes64(p)?), &ALL, &exact).unwrap());
        for i in 0..3 {
            check(&got[i], &want[i], 5e-4, &format!("second derivative {i}"));
        }
        let (_, got) = jvp(slopes, &inputs, &inputs).unwrap();
        let (_, want) = exactly(|| jvp(slopes64, &exact, &exact).unwrap());
        for i in 0..3 {
            check(&got[i], &want[i], 5e-4, &format!("tangent of gradient {i}"));
        }
    });
}

/// A gradient for each example, also of what the examples share, and gradients of that.
#[rstest]
fn mapped(#[values("rms_norm", "layer_norm", "weighted_softmax")] name: &'static str) {
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[4, 3, 20]);
        let (w, b) = (normal(&mut rng, &[20]), normal(&mut rng, &[1, 20]));
        let many = normal(&mut rng, &[4, 20]);
        let op = operation(name);
        let slopes = |p: &[Array]| {
            let f = |p: &[Array]| Ok(vec![loss(&op.call_all(p)?)?]);
            Ok(value_and_grad_of(f, &ALL, p)?.1)
        };
        let slopes64 = |p: &[Array]| {
            let f = |p: &[Array]| Ok(vec![loss(&composed(name, p)?)?]);
            Ok(value_and_grad_of(f, &ALL, p)?.1)
        };
        for (inputs, axes) in [
            ([&x, &w, &b], [Some(0), None, None]),
            ([&x, &many, &b], [Some(0), Some(0), None]),
            ([&x, &many, &b], [None, Some(0), None]),
            ([&x, &x, &b], [Some(1), Some(1), None]),
        ] {
            let exact = f64_of(&inputs.map(Clone::clone));
            let got = vmap(slopes).in_axes(axes).call(inputs).unwrap();
            let want = exactly(|| each(slopes64, axes, &exact).unwrap());
            for i in 0..3 {
                check(&got[i], &want[i], 1e-4, &format!("{axes:?}: gradient {i}"));
            }
            let total = |g: Vec<Array>| -> Result<Vec<Array>> {
                let rest = (g[1].square()?.sum(..)? + g[2].sin()?.sum(..)?)?;
                Ok(vec![(g[0].square()?.sum(..)? + rest)?])
            };
            let outer = |p: &[Array]| total(vmap(slopes).in_axes(axes).call(p)?);
            let outer64 = |p: &[Array]| total(each(slopes64, axes, p)?);
            let inputs = inputs.map(Clone::clone);
            let (_, got) = value_and_grad_of(outer, &ALL, &inputs).unwrap();
            let (_, want) = exactly(|| value_and_grad_of(outer64, &ALL, &exact).unwrap());
            for i in 0..3 {
                check(&got[i], &want[i], 1e-3, &format!("{axes:?}: second {i}"));
            }
        }
        // Several cotangents at one place.
        let c = normal(&mut rng, &[5, 3, 20]);
        let one = x.index(0).unwrap();
        let pull = |c: &[Array]| {
            let f = |p: &[Array]| Ok(vec![op.call_all(p)?.swap_remove(0)]);
            Ok(vjp(f, [&one, &w, &b], [&c[0]])?.1)
        };
        let exact = f64_of(&[one.clone(), w.clone(), b.clone(), c.clone()]);
        let pull64 = |c: &[Array]| {
            let f = |p: &[Array]| Ok(vec![composed(name, p)?.swap_remove(0)]);
            Ok(vjp(f, &exact[..3], [&c[0]])?.1)
        };
        let got = vmap(pull).call([&c]).unwrap();
        let want = exactly(|| vmap(pull64).call([&exact[3]]).unwrap());
        for i in 0..3 {
            check(
                &got[i],
                &want[i],
                1e-4,
                &format!("cotangents: gradient {i}"),
            );
        }
    });
}

/// Arrays of 16 bits: gradients have their dtype, and are as exact as it is.
#[rstest]
fn short_dtypes(
    #[values("rms_norm", "layer_norm", "weighted_softmax")] name: &'static str,
    #[values(F16, BF16)] dtype: Dtype,
) {
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs = [vec![40, 65], vec![65], vec![65]];
        let inputs = inputs.map(|s| normal(&mut rng, &s).astype(dtype).unwrap());
        let c = normal(&mut rng, &[40, 65]).astype(dtype).unwrap();
        let exact = f64_of(&[inputs.to_vec(), vec![c.clone()]].concat());
        let op = operation(name);
        let f = |p: &[Array]| Ok(vec![op.call_all(p)?.swap_remove(0)]);
        let f64 = |p: &[Array]| Ok(vec![composed(name, p)?.swap_remove(0)]);
        let (_, got) = vjp(f, &inputs, [&c]).unwrap();
        let (_, want) = exactly(|| vjp(f64, &exact[..3], [&exact[3]]).unwrap());
        let tolerance = if dtype == F16 { 1e-3 } else { 8e-3 };
        for i in 0..3 {
            assert_eq!(got[i].dtype(), dtype);
            check(&got[i], &want[i], tolerance, &format!("gradient {i}"));
        }
    });
}
