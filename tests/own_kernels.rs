//! The kernels of this repository in checked mode, which refuses what Metal's compiler would and
//! tests every access: nobody here has a Mac, so this is how our MSL stays MSL.

mod common;

use common::{Rng, all_close, f64s, host_engine};
use rstest::rstest;
use zmlx::prelude::*;

const ELEMENTWISE: &str = include_str!("../kernels/bench/elementwise.metal");
const ROWS: &str = include_str!("../kernels/bench/rows.metal");

/// One kernel, checked, without findings.
fn run(kernel: zmlx::metal::KernelBuilder, launch: impl Fn(&MetalKernel) -> Array) -> Array {
    host_engine();
    let kernel = kernel.build().unwrap().checked();
    let y = launch(&kernel);
    y.eval().unwrap();
    let report = kernel.checked_report().unwrap();
    assert_eq!(report.launches, 1);
    assert!(
        report.violations == 0 && report.unwritten.is_empty(),
        "{report:?}"
    );
    y
}

#[rstest]
#[case::twice("twice(v)", |v: f64| 2.0 * v)]
#[case::exp("exponential(v)", f64::exp)]
#[case::silu("silu(v)", |v: f64| v / (1.0 + (-v).exp()))]
#[case::gelu("gelu(v)", |v: f64| {
    0.5 * v * (1.0 + (0.797_884_560_802_865_4 * (v + 0.044_715 * v * v * v)).tanh())
})]
fn elementwise(#[case] call: &str, #[case] reference: fn(f64) -> f64) {
    let values = Rng::new().normals(1000);
    let x = Array::from_slice(&values, 1000).unwrap();
    let builder = MetalKernel::new("own_elementwise", ["x"], ["out"])
        .header(ELEMENTWISE)
        .source(format!(
            "uint i = thread_position_in_grid.x; float v = x[i]; out[i] = T({call});"
        ));
    let y = run(builder, |k| {
        let [y] = k.launch(&[&x]).template("T", F32).run().unwrap();
        y
    });
    let want: Vec<f64> = values.iter().map(|&v| reference(v.into())).collect();
    all_close(&f64s(&y), &want, 2e-6);
}

#[rstest]
fn rows(
    #[values("softmax", "sum", "rmsnorm")] what: &str,
    // From 8 elements on an input is in `device` memory, which these functions are written for.
    #[values(9, 63, 64, 200)] n: usize,
    #[values(1, 96)] tg: i32,
) {
    let rows = 3usize;
    let mut rng = Rng::new();
    let values = rng.normals(rows * n);
    let x = Array::from_slice(&values, (rows, n)).unwrap();
    let w = Array::from_slice(&rng.normals(n), n).unwrap();
    let call = match what {
        "softmax" => "softmax_row<T, TG, VEC>(x + start, out + start, n, shared, at)",
        "sum" => {
            "float sum = row_sum<T, TG, VEC>(x + start, n, shared, at, Same());
             if (at.index == 0) out[row] = T(sum)"
        }
        _ => "rmsnorm_row<T, TG, VEC>(x + start, w, out + start, n, 1e-5f, shared, at)",
    };
    let builder = MetalKernel::new("own_rows", ["x", "w"], ["out"])
        .header(ROWS)
        .source(format!(
            "threadgroup float shared[32];
             const uint n = x_shape[1], row = threadgroup_position_in_grid.x;
             const size_t start = size_t(row) * n;
             const Position at = {{thread_position_in_threadgroup.x, thread_index_in_simdgroup,
                                  simdgroup_index_in_threadgroup}};
             {call};"
        ));
    let shape = if what == "sum" {
        vec![rows]
    } else {
        vec![rows, n]
    };
    let y = run(builder, |k| {
        let [y] = k
            .launch(&[&x, &w])
            .template("T", F32)
            .template("TG", tg)
            .template("VEC", 64)
            .output(&shape, F32)
            .grid(rows as i32 * tg)
            .threadgroup(tg)
            .run()
            .unwrap();
        y
    });
    let w = f64s(&w);
    let mut want = Vec::new();
    for row in values.chunks(n) {
        let row: Vec<f64> = row.iter().map(|&v| v.into()).collect();
        let total: f64 = row.iter().sum();
        match what {
            "sum" => want.push(total),
            "softmax" => {
                let sum: f64 = row.iter().map(|v| v.exp()).sum();
                want.extend(row.iter().map(|v| v.exp() / sum));
            }
            _ => {
                let mean = row.iter().map(|v| v * v).sum::<f64>() / n as f64;
                let scale = (mean + 1e-5).sqrt().recip();
                want.extend(row.iter().zip(&w).map(|(v, w)| v * scale * w));
            }
        }
    }
    all_close(&f64s(&y), &want, 1e-5);
}
