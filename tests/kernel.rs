//! What custom kernels on the CPU compute, against closed forms in f64.

mod common;

use common::kernels::{kernel, run_silu, silu, silu64};
use common::{Rng, all_close as close};
use half::{bf16, f16};
use rstest::rstest;
use zmlx::Element;
use zmlx::prelude::*;

trait Real: Element {
    fn of(v: f32) -> Self;
    fn f64(self) -> f64;
}

impl Real for f32 {
    fn of(v: f32) -> Self {
        v
    }
    fn f64(self) -> f64 {
        self.into()
    }
}

impl Real for f16 {
    fn of(v: f32) -> Self {
        f16::from_f32(v)
    }
    fn f64(self) -> f64 {
        self.into()
    }
}

impl Real for bf16 {
    fn of(v: f32) -> Self {
        bf16::from_f32(v)
    }
    fn f64(self) -> f64 {
        self.into()
    }
}

/// One rounding to the storage type and a few ulps of f32 in between.
#[rstest]
#[case::f32(1e-6, std::marker::PhantomData::<f32>)]
#[case::f16(6e-4, std::marker::PhantomData::<f16>)]
#[case::bf16(4.5e-3, std::marker::PhantomData::<bf16>)]
fn elementwise<T: Real>(
    #[case] tol: f64,
    #[case] _type: std::marker::PhantomData<T>,
    #[values(1, 7, 8, 255, 1000, 70_001)] n: usize,
) {
    let mut rng = Rng::new();
    let values: Vec<T> = (0..n).map(|_| T::of(rng.normal() * 4.0)).collect();
    let x = Array::from_slice(&values, n).unwrap();
    let y = run_silu(&x).unwrap();
    assert_eq!((y.shape(), y.dtype()), (x.shape(), T::DTYPE));
    let got: Vec<f64> = y.to_vec::<T>().unwrap().into_iter().map(T::f64).collect();
    let want: Vec<f64> = values.iter().map(|v| silu64(v.f64())).collect();
    close(&got, &want, tol);
}

#[test]
fn strided_inputs() {
    let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let x = Array::from_slice(&data, (3, 4))
        .unwrap()
        .transpose(..)
        .unwrap();
    let copy = "uint i = thread_position_in_grid.x; out[i] = x[i];";
    let [dense] = kernel("dense", &["x"], &["out"], copy)
        .launch(&[&x])
        .run()
        .unwrap();
    assert_eq!(dense.shape(), [4, 3]);
    assert_eq!(dense.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());

    let strided = MetalKernel::new("strided", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x;
             out[i] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)];",
        )
        .ensure_row_contiguous(false)
        .build()
        .unwrap();
    let [y] = strided.launch(&[&x]).run().unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());

    let raw = MetalKernel::new("raw", ["x"], ["out"])
        .source(copy)
        .ensure_row_contiguous(false)
        .build()
        .unwrap();
    let [y] = raw.launch(&[&x]).run().unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), data, "the storage as it lies");
}

#[test]
fn shapes_strides_and_ranks_reach_the_kernel() {
    let x = Array::from_slice(&[0.0f32; 24], (2, 3, 4)).unwrap();
    let k = kernel(
        "meta",
        &["x"],
        &["out"],
        "out[0] = x_ndim;
         for (int d = 0; d < x_ndim; ++d) { out[1 + d] = x_shape[d]; out[4 + d] = int(x_strides[d]); }",
    );
    let [y] = k.launch(&[&x]).output(7, I32).grid(1).run().unwrap();
    assert_eq!(y.to_vec::<i32>().unwrap(), [3, 2, 3, 4, 12, 4, 1]);
}

#[test]
fn a_name_that_ends_another_gets_its_own_shape() {
    // MLX looks for `x_shape` as text and finds it in `max_shape` too.
    let a = Array::from_slice(&[1.0f32; 6], (2, 3)).unwrap();
    let b = Array::from_slice(&[1.0f32; 20], (4, 5)).unwrap();
    for (order, want) in [(["x", "max"], [4, 5]), (["max", "x"], [2, 3])] {
        let k = kernel(
            "suffix",
            &order,
            &["out"],
            "out[0] = max_shape[0]; out[1] = max_shape[1];",
        );
        let [y] = k.launch(&[&a, &b]).output(2, I32).grid(1).run().unwrap();
        assert_eq!(y.to_vec::<i32>().unwrap(), want);
    }
}

#[test]
fn scalars_small_and_large_inputs() {
    let k = kernel(
        "classes",
        &["s", "small", "large"],
        &["out"],
        "uint i = thread_position_in_grid.x; out[i] = s * small[i % 3] + large[i];",
    );
    let small = Array::from_slice(&[1.0f32, 2.0, 3.0], 3).unwrap();
    let large = Array::from_slice(&[0.5f32; 9], 9).unwrap();
    let [y] = k
        .launch(&[&10.0.into(), &small, &large])
        .output(9, F32)
        .run()
        .unwrap();
    let want = [10.5, 20.5, 30.5, 10.5, 20.5, 30.5, 10.5, 20.5, 30.5];
    assert_eq!(y.to_vec::<f32>().unwrap(), want);
}

#[test]
fn template_arguments() {
    let k = kernel(
        "template",
        &["x"],
        &["out"],
        "uint i = thread_position_in_grid.x; out[i] = T(NEG ? -N : N) * T(x[i]);",
    );
    let x = Array::from_slice(&[1i32, 2, 3], 3).unwrap();
    for (negate, want) in [(true, [-7.0f32, -14.0, -21.0]), (false, [7.0, 14.0, 21.0])] {
        let [y] = k
            .launch(&[&x])
            .template("T", F32)
            .template("N", 7)
            .template("NEG", negate)
            .output(3, F32)
            .run()
            .unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), want);
    }
}

#[test]
fn several_outputs_and_init_value() {
    let k = kernel(
        "two",
        &["x"],
        &["a", "b"],
        "uint i = thread_position_in_grid.x; if (i % 2 == 0) { a[i] = x[i]; } b[i] = int(i);",
    );
    let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0, 5.0], 5).unwrap();
    let [a, b] = k
        .launch(&[&x])
        .output(5, F32)
        .output(5, I32)
        .init_value(-1.0)
        .run()
        .unwrap();
    assert_eq!(a.to_vec::<f32>().unwrap(), [1.0, -1.0, 3.0, -1.0, 5.0]);
    assert_eq!(b.to_vec::<i32>().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn grids_and_edge_threadgroups() {
    let k = kernel(
        "where_am_i",
        &[],
        &["group", "local", "extent"],
        "uint3 p = thread_position_in_grid;
         uint i = (p.z * threads_per_grid.y + p.y) * threads_per_grid.x + p.x;
         uint3 g = threadgroup_position_in_grid, l = thread_position_in_threadgroup;
         uint3 e = threads_per_threadgroup;
         group[i] = g.x + 100 * g.y + 10000 * g.z;
         local[i] = l.x + 100 * l.y + 10000 * l.z;
         extent[i] = e.x + 100 * e.y + 10000 * e.z;",
    );
    let (gx, gy, gz) = (10u32, 5u32, 3u32);
    let (tx, ty, tz) = (4u32, 2u32, 2u32);
    let n = (gx * gy * gz) as usize;
    let none: [&Array; 0] = [];
    let [group, local, extent] = k
        .launch(&none)
        .output(n, U32)
        .output(n, U32)
        .output(n, U32)
        .grid((gx, gy, gz))
        .threadgroup((tx, ty, tz))
        .run()
        .unwrap();
    let pack = |v: [u32; 3]| v[0] + 100 * v[1] + 10000 * v[2];
    let mut want = [vec![], vec![], vec![]];
    for z in 0..gz {
        for y in 0..gy {
            for x in 0..gx {
                want[0].push(pack([x / tx, y / ty, z / tz]));
                want[1].push(pack([x % tx, y % ty, z % tz]));
                let edge = |p: u32, t: u32, g: u32| t.min(g - p / t * t);
                want[2].push(pack([edge(x, tx, gx), edge(y, ty, gy), edge(z, tz, gz)]));
            }
        }
    }
    for (got, want) in [group, local, extent].iter().zip(&want) {
        assert_eq!(&got.to_vec::<u32>().unwrap(), want);
    }
}

#[rstest]
fn threadgroup_memory_barriers_and_simdgroups(
    #[values(1, 31, 32, 33, 100, 1000)] columns: usize,
    #[values(1, 32, 48, 256)] tg: i32,
) {
    let k = kernel(
        "row_sum",
        &["x"],
        &["out"],
        "uint row = threadgroup_position_in_grid.x, t = thread_position_in_threadgroup.x;
         uint n = x_shape[1];
         threadgroup float parts[32];
         float acc = 0;
         for (uint j = t; j < n; j += TG) acc += x[row * n + j];
         acc = simd_sum(acc);
         if (thread_index_in_simdgroup == 0) parts[simdgroup_index_in_threadgroup] = acc;
         threadgroup_barrier(mem_flags::mem_threadgroup);
         if (t == 0) {
           float total = 0;
           for (uint s = 0; s < simdgroups_per_threadgroup; ++s) total += parts[s];
           out[row] = total;
         }",
    );
    let rows = 5;
    let mut rng = Rng::new();
    let values: Vec<f32> = (0..rows * columns).map(|_| rng.normal()).collect();
    let x = Array::from_slice(&values, (rows, columns)).unwrap();
    let [y] = k
        .launch(&[&x])
        .template("TG", tg)
        .output(rows, F32)
        .grid(rows as i32 * tg)
        .threadgroup(tg)
        .run()
        .unwrap();
    let got: Vec<f64> = y
        .to_vec::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect();
    let want: Vec<f64> = values
        .chunks(columns)
        .map(|r| r.iter().map(|&v| f64::from(v)).sum())
        .collect();
    close(&got, &want, 1e-5 * (columns as f64).sqrt());
}

#[test]
fn atomic_outputs() {
    let k = MetalKernel::new("histogram", ["x"], ["out"])
        .source(
            "uint i = thread_position_in_grid.x;
             atomic_fetch_add_explicit(&out[x[i]], 1, memory_order_relaxed);",
        )
        .atomic_outputs(true)
        .build()
        .unwrap();
    let values: Vec<u32> = (0..10_000u32).map(|i| (i * 7919) % 16).collect();
    let x = Array::from_slice(&values, values.len()).unwrap();
    let [y] = k
        .launch(&[&x])
        .output(16, I32)
        .grid(values.len())
        .init_value(0.0)
        .run()
        .unwrap();
    let mut want = [0i32; 16];
    values.iter().for_each(|&v| want[v as usize] += 1);
    assert_eq!(y.to_vec::<i32>().unwrap(), want);
}

#[test]
fn empty_arrays_launch_nothing() {
    let x = Array::from_slice::<f32>(&[], (0, 4)).unwrap();
    let y = run_silu(&x).unwrap();
    assert_eq!(y.shape(), [0, 4]);
    assert!(y.to_vec::<f32>().unwrap().is_empty());
}

#[test]
fn texts() {
    let x = Array::from_slice(&[1.0f32; 9], 9).unwrap();
    let texts = silu().launch(&[&x]).template("T", F32).source().unwrap();
    assert!(
        texts
            .msl
            .contains("[[kernel]] void custom_kernel_test_silu")
    );
    assert!(texts.msl.contains("const device float* x [[buffer(0)]]"));
    assert!(texts.lowered.contains("zmlx_run"));
}

#[test]
fn verbose_prints_both_texts() {
    // Printed by a child, whose output can be read.
    if std::env::var_os("ZMLX_TEST_VERBOSE").is_some() {
        let x = Array::from_slice(&[1.0f32; 9], 9).unwrap();
        let launch = silu();
        let launch = launch.launch(std::slice::from_ref(&x)).template("T", F32);
        let [y] = launch.verbose(true).run().unwrap();
        y.eval().unwrap();
        return;
    }
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "verbose_prints_both_texts", "--nocapture"])
        .env("ZMLX_TEST_VERBOSE", "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{out}");
    assert!(out.contains("[[kernel]] void custom_kernel_test_silu") && out.contains("zmlx_run"));
}
