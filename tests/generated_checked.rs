//! Generated kernels in checked mode: every form of text, with derivatives, within its buffers, every element
//! written, and nothing that Metal's compiler would refuse.

mod common;
#[path = "common/toolkit.rs"]
mod toolkit;

use common::{Rng, host_engine, on_worker};
use rstest::rstest;
use toolkit::{normal, softmax_passes};
use zmlx::api::Pass;
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, jvp, vjp};

/// A value, a gradient and a tangent.
fn run(f: impl Fn(&[Array]) -> Result<Vec<Array>>, inputs: &[Array]) {
    let values = f(inputs).unwrap();
    let (_, gradients) = vjp(&f, inputs, &values).unwrap();
    let (_, tangents) = jvp(&f, inputs, inputs).unwrap();
    zmlx::eval([values, gradients, tangents].concat()).unwrap();
}

/// Each kernel ran and nothing was found.
#[track_caller]
fn clean(kernels: &[MetalKernel]) {
    assert!(kernels.len() >= 3, "forward, backward and tangent");
    for k in kernels {
        let report = k.checked_report().expect("a checked kernel");
        let fine = report.violations == 0 && report.unwritten.is_empty();
        assert!(fine, "{}: {report:?}", k.name());
    }
    assert!(
        kernels
            .iter()
            .any(|k| k.checked_report().unwrap().launches > 0)
    );
}

#[rstest]
#[case([vec![5, 33], vec![5, 33]])]
#[case([vec![5, 33], vec![]])]
#[case([vec![5, 33], vec![1]])]
#[case([vec![5, 33], vec![33]])]
#[case([vec![5, 1], vec![5, 33]])]
#[case([vec![5, 1], vec![33]])]
#[case([vec![2, 3, 4, 5], vec![3, 1, 5]])]
#[case([vec![2, 3, 4, 1], vec![3, 1, 5]])]
#[case([vec![2, 70_000], vec![70_000]])]
#[case([vec![2], vec![2]])]
fn elementwise_forms(#[case] shapes: [Vec<usize>; 2], #[values(F32, BF16)] dtype: Dtype) {
    host_engine();
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs: Vec<Array> = shapes
            .iter()
            .map(|s| normal(&mut rng, s).astype(dtype).unwrap())
            .collect();
        let op = elementwise::binary("checked", "a * kk_gelu(b) + exp(-a * a) / (1.0f + abs(b))");
        let op = op.unwrap().checked().unwrap();
        run(|p| Ok(vec![op.call(&p[0], &p[1])?]), &inputs);
        clean(&op.kernels());
    });
}

#[rstest]
fn row_forms(
    #[values(0, 7, 200)] n: usize,
    #[values(1, 16, 64)] threads: i64,
    #[values(F32, BF16)] dtype: Dtype,
) {
    host_engine();
    on_worker(move || {
        let mut rng = Rng::new();
        let x = normal(&mut rng, &[3, n]).astype(dtype).unwrap();
        let w = normal(&mut rng, &[n]).astype(dtype).unwrap();
        let softmax = softmax_passes("checked_softmax")
            .inputs(["x", "w"])
            .write("exp(x - s1) / s2 * w")
            .write_row("s1 + log(s2)")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap()
            .checked()
            .unwrap();
        run(|p| softmax.call_all(p), &[x.clone(), w]);
        clean(&softmax.kernels());
        let most = api::reduce("checked_max")
            .init("-INFINITY")
            .update("max(acc, v)")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap()
            .checked()
            .unwrap();
        run(|p| Ok(vec![most.call(&p[0])?]), std::slice::from_ref(&x));
        clean(&most.kernels());
        let product = api::reduce("checked_product")
            .init("1.0f")
            .update("acc * v")
            .combine("a * b")
            .vjp("v", "g * y / v")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap()
            .checked()
            .unwrap();
        let y = product.call(&x).unwrap();
        vjp(|p| Ok(vec![product.call(&p[0])?]), [&x], [&y])
            .unwrap()
            .1[0]
            .eval()
            .unwrap();
        let serial = api::reduce("checked_serial")
            .update("acc * 0.5f + v")
            .build()
            .unwrap();
        let serial = serial.checked().unwrap();
        serial.call(&x).unwrap().eval().unwrap();
        for k in product.kernels().iter().chain(&serial.kernels()) {
            let report = k.checked_report().unwrap();
            assert!(
                report.violations == 0 && report.unwritten.is_empty(),
                "{report:?}"
            );
        }
    });
}

/// Rows by a table of sizes, in parallel and in order.
#[rstest]
#[case([vec![4, 1], vec![33]])]
#[case([vec![3, 1, 5], vec![4, 1]])]
fn row_forms_by_strides(#[case] shapes: [Vec<usize>; 2], #[values(1, 64)] threads: i64) {
    host_engine();
    on_worker(move || {
        let mut rng = Rng::new();
        let inputs: Vec<Array> = shapes.iter().map(|s| normal(&mut rng, s)).collect();
        let op = rowwise::map_reduce("checked_strided")
            .inputs(["x", "w"])
            .pass(Pass {
                init: "0.0f",
                update: "acc1 + x * w",
                reduce: "a + b",
            })
            .write("x * s1 + w")
            .write_row("s1 / D")
            .threadgroup_everywhere(threads)
            .build()
            .unwrap()
            .checked()
            .unwrap();
        run(|p| op.call_all(p), &inputs);
        clean(&op.kernels());
    });
}
