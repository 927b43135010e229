//! Custom kernels on the CPU as nodes of MLX's graph: under transforms, on streams, from threads.

mod common;

use common::kernels::{kernel, run_silu, silu, silu_slope, silu64};
use common::{Rng, all_close as close};
use zmlx::prelude::*;

/// silu with its gradient as a second kernel.
fn differentiable() -> zmlx::CustomFunction {
    let backward = kernel(
        "test_silu_backward",
        &["x", "g"],
        &["dx"],
        "uint i = thread_position_in_grid.x;
         float v = x[i], s = 1.0f / (1.0f + metal::exp(-v));
         dx[i] = g[i] * s * (1.0f + v * (1.0f - s));",
    );
    custom_function(|p: &[Array]| Ok(vec![run_silu(&p[0])?]))
        .with_vjp(move |primals, cotangents, _| {
            backward.launch(&[&primals[0], &cotangents[0]]).run_vec()
        })
        .with_vmap(|inputs, axes| Ok((vec![run_silu(&inputs[0])?], axes.to_vec())))
}

#[test]
fn gradients_vectorization_and_compilation() {
    let mut rng = Rng::new();
    let values: Vec<f32> = (0..60).map(|_| rng.normal() * 3.0).collect();
    let x = Array::from_slice(&values, (5, 12)).unwrap();
    let f = differentiable();
    let slope = grad(|x: &Array| f.call1(x)?.sum(..))(&x).unwrap();
    let want: Vec<f64> = values.iter().map(|&v| silu_slope(v.into())).collect();
    close(&common::f64s(&slope), &want, 2e-6);

    let mapped = vmap(|p| f.call(p))
        .in_axes([Some(1)])
        .out_axes([Some(1)])
        .call([&x])
        .unwrap();
    let want: Vec<f64> = values.iter().map(|&v| silu64(v.into())).collect();
    close(&common::f64s(&mapped[0]), &want, 1e-6);

    // The rest of the graph is MLX's, fused by its compiler around the kernel.
    let compiled = compile(move |p: &[Array]| {
        let g = grad(|x: &Array| f.call1(x)?.square()?.sum(..))(&p[0])?;
        Ok(vec![(&g * 0.5 + &p[0])?])
    })
    .unwrap();
    let want: Vec<f64> = values
        .iter()
        .map(|&v| f64::from(v))
        .map(|v| silu64(v) * silu_slope(v) + v)
        .collect();
    for _ in 0..2 {
        close(&common::f64s(&compiled.call([&x]).unwrap()[0]), &want, 4e-6);
    }
}

#[test]
fn vmap_launches_once_for_each_element() {
    // Depends on the shape it sees and on where its rows begin.
    let k = kernel(
        "row_scale",
        &["x", "w"],
        &["out", "n"],
        "uint i = thread_position_in_grid.x;
         out[i] = x[i] * w[i % w_shape[0]] + x[0];
         if (i == 0) n[0] = x_shape[0];",
    );
    let one = move |p: &[Array]| {
        k.launch(&[&p[0], &p[1]])
            .output(p[0].shape(), F32)
            .output(1, I32)
            .grid(p[0].size())
            .run_vec()
    };
    let mut rng = Rng::new();
    let (a, b, n) = (3, 4, 10);
    let values = rng.normals(a * n * b);
    let x = Array::from_slice(&values, (a, n, b)).unwrap();
    let w = Array::from_slice(&rng.normals(n), n).unwrap();
    let weights = w.to_vec::<f32>().unwrap();
    // Inner: over the last axis (strided), outer: over the first; w is shared.
    let inner = |p: &[Array]| vmap(&one).in_axes([Some(1), None]).call(p);
    let y = vmap(inner).in_axes([Some(0), None]).call([&x, &w]).unwrap();
    assert_eq!(y[0].shape(), [3, 4, 10]);
    let mut want = Vec::new();
    for i in 0..a {
        for j in 0..b {
            let at = |k: usize| f64::from(values[(i * n + k) * b + j]);
            want.extend((0..n).map(|k| at(k) * f64::from(weights[k]) + at(0)));
        }
    }
    close(&common::f64s(&y[0]), &want, 1e-6);
    assert_eq!(y[1].to_vec::<i32>().unwrap(), [10; 12]);
}

#[test]
fn a_kernel_without_rules_says_so_when_differentiated() {
    let x = Array::from_slice(&[1.0f32, 2.0], 2).unwrap();
    let e = grad(|x: &Array| run_silu(x)?.sum(..))(&x).unwrap_err();
    // The user's kernel and the remedy, not the engine's node.
    let said = e.to_string();
    assert!(
        said.contains("`test_silu`") && said.contains("with_vjp"),
        "{e}"
    );
}

#[test]
fn chains_async_and_other_streams() {
    let x = Array::from_slice(&[0.25f32; 4096], 4096).unwrap();
    let stream = Stream::new(Device::CPU).unwrap();
    let mut y = run_silu(&x).unwrap();
    for _ in 0..20 {
        y = zmlx::with_stream(&stream, || run_silu(&y)).unwrap();
        y = (&run_silu(&y).unwrap() + 1.0).unwrap();
    }
    async_eval([&y]).unwrap().wait().unwrap();
    let mut want = silu64(0.25);
    for _ in 0..20 {
        want = silu64(silu64(want)) + 1.0;
    }
    close(&common::f64s(&y)[..1], &[want], 1e-4);
}

#[test]
fn one_kernel_from_many_threads() {
    let k = silu();
    std::thread::scope(|s| {
        for t in 0..8 {
            let k = &k;
            s.spawn(move || {
                for n in 1..40usize {
                    let v = (t * 100 + n) as f32 / 200.0;
                    let x = Array::from_slice(&vec![v; n], n).unwrap();
                    let [y] = k.launch(&[&x]).template("T", F32).run().unwrap();
                    close(&common::f64s(&y), &vec![silu64(v.into()); n], 1e-6);
                }
                zmlx::stream::clear_streams().unwrap();
            });
        }
    });
}
