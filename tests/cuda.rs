//! What is CUDA's own. Each test that needs a GPU says so and passes where there is none; those of the
//! compiler run wherever NVRTC is found (`scripts/check-cuda` brings one).

mod common;

use common::{Rng, all_close, f64s, on_worker};
use zmlx::engine::{EngineError, cuda};
use zmlx::prelude::*;
use zmlx::{Result, engine, grad, jvp, with_device};

/// Whether to go on.
fn gpu(test: &str) -> bool {
    let there = engine::info().cuda;
    if !there {
        eprintln!("skipped: {test} needs an NVIDIA GPU and MLX's CUDA build");
    }
    there
}

/// The same on both devices, `body` with its inputs made there.
fn both(body: impl Fn() -> Result<Vec<f64>>) -> [Vec<f64>; 2] {
    [Device::CPU, Device::GPU].map(|device| with_device(device, &body).unwrap())
}

#[test]
fn places_are_metals() {
    if !gpu("places_are_metals") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_places", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid, s = threads_per_grid, n = threadgroups_per_grid;
                 uint3 e = threads_per_threadgroup, t = dispatch_threads_per_threadgroup;
                 uint3 l = thread_position_in_threadgroup, g = threadgroup_position_in_grid;
                 uint at = ((p.z * s.y + p.y) * s.x + p.x) * 8;
                 out[at] = e.x + 100 * e.y + 10000 * e.z; out[at + 1] = t.x + 100 * t.y + 10000 * t.z;
                 out[at + 2] = l.x + 100 * l.y + 10000 * l.z; out[at + 3] = g.x + 100 * g.y + 10000 * g.z;
                 out[at + 4] = n.x + 100 * n.y + 10000 * n.z;
                 out[at + 5] = thread_index_in_threadgroup;
                 out[at + 6] = thread_index_in_simdgroup + 100 * simdgroup_index_in_threadgroup;
                 out[at + 7] = simd_sum(thread_index_in_threadgroup);",
            )
            .build()
            .unwrap();
        for (grid, group) in [
            ((40, 1, 1), (32, 1, 1)),
            ((7, 5, 3), (4, 4, 2)),
            ((33, 9, 2), (16, 8, 1)),
            ((3, 3, 70), (1, 1, 66)),
            // Whole threadgroups only.
            ((96, 1, 1), (32, 1, 1)),
            ((8, 6, 4), (4, 3, 2)),
        ] {
            let threads = grid.0 * grid.1 * grid.2;
            let [cpu, gpu] = both(|| {
                let x = Array::from_slice(&[0.0f32], 1)?;
                let [y] = kernel
                    .launch(&[&x])
                    .output(threads * 8, Dtype::Int32)
                    .grid(grid)
                    .threadgroup(group)
                    .run()?;
                Ok(y.to_vec::<i32>()?.into_iter().map(f64::from).collect())
            });
            assert_eq!(cpu, gpu, "{grid:?} {group:?}");
        }
    });
}

/// Threads that know nothing of each other, in one dimension: blocks of long grids stand for several
/// threadgroups, the more the less a thread writes.
#[test]
fn places_along_a_line() {
    if !gpu("places_along_a_line") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_line", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 uint word = threads_per_threadgroup.x + 1000 * thread_position_in_threadgroup.x;
                 word += dispatch_threads_per_threadgroup.x << 24;
                 word ^= 7 * threadgroup_position_in_grid.x + x_shape[0] + threads_per_grid.x;
                 for (uint k = 0; k < EACH; ++k) out[i * EACH + k] = word + k;",
            )
            .build()
            .unwrap();
        let x = Array::from_slice(&[0.0f32], 1).unwrap();
        for n in [20u32, 40, 1000, (1 << 21) - 1, 1 << 21, (1 << 21) + 77] {
            for each in [1u32, 2, 4] {
                let group = n.min(32);
                let [y] = kernel
                    .launch(&[&x])
                    .template("EACH", each as i32)
                    .output((n * each) as i32, Dtype::Uint32)
                    .grid(n)
                    .threadgroup(32)
                    .run()
                    .unwrap();
                let want = (0..n * each).map(|at| {
                    let (i, k) = (at / each, at % each);
                    let (g, l) = (i / group, i % group);
                    let here = (n - g * group).min(group) + 1000 * l + (group << 24);
                    (here ^ (7 * g + 1 + n)) + k
                });
                let got = y.to_vec::<u32>().unwrap();
                let wrong = got.iter().zip(want).position(|(g, w)| *g != w);
                assert_eq!(wrong, None, "{n} threads, {each} numbers each");
            }
        }
    });
}

#[test]
fn more_rows_of_threadgroups_than_the_chip_takes() {
    if !gpu("more_rows_of_threadgroups_than_the_chip_takes") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_rows", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid, n = threadgroups_per_grid;
                 out[p.y * 3 + p.x] = int(p.y + n.x + n.y);",
            )
            .build()
            .unwrap();
        let rows = 70_000;
        let x = Array::from_slice(&[0.0f32], 1).unwrap();
        let y = with_device(Device::GPU, || {
            let [y] = kernel
                .launch(&[&x])
                .output((rows, 3), Dtype::Int32)
                .grid((3, rows, 1))
                .threadgroup((2, 1, 1))
                .run()?;
            y.to_vec::<i32>()
        })
        .unwrap();
        assert_eq!((y[0], y[rows * 3 - 1]), (70_002, 140_001));
    });
}

/// A kernel of 256 threads in threadgroups of 128 gives the same on both. The body has the thread's index `i`,
/// its `lane` and its simdgroup `s`.
fn same_lanes(test: &'static str, body: &'static str) {
    if !gpu(test) {
        return;
    }
    on_worker(move || {
        let kernel = MetalKernel::new(&format!("cuda_{test}"), ["x"], ["out"])
            .source(format!(
                "uint i = thread_position_in_grid.x, lane = thread_index_in_simdgroup;
                 uint s = simdgroup_index_in_threadgroup; {body}"
            ))
            .build()
            .unwrap();
        let values: Vec<f32> = (0..256u16).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, 256)?;
            let [y] = kernel.launch(&[&x]).grid(256).threadgroup(128).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
    });
}

/// The others of the simdgroup have nothing to do meanwhile.
#[test]
fn operations_among_some_lanes() {
    same_lanes(
        "operations_among_some_lanes",
        "float a = 0.0f;
         if (lane < 8) { a = simd_sum(float(x[i])); }
         out[i] = a;",
    );
}

/// An operation and a barrier of the lanes that are left.
#[test]
fn operations_after_some_lanes_returned() {
    same_lanes(
        "operations_after_some_lanes_returned",
        "threadgroup float shared[4];
         if (lane == 0) shared[s] = float(x[i]);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         if (lane >= 20) { out[i] = float(x[i]); return; }
         float b = simd_sum(1.0f);
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = 1000.0f * b + shared[3];",
    );
}

/// Simdgroups as wholes in different branches, and a barrier behind both.
#[test]
fn simdgroups_in_different_branches() {
    same_lanes(
        "simdgroups_in_different_branches",
        "threadgroup float shared[4];
         float a;
         if (s % 2 == 0) { a = simd_sum(float(x[i])); } else { a = simd_max(float(x[i])); }
         if (lane == 0) shared[s] = a;
         threadgroup_barrier(mem_flags::mem_threadgroup);
         out[i] = a + shared[3 - s];",
    );
}

#[test]
fn one_kernel_under_vmap_on_both() {
    if !gpu("one_kernel_under_vmap_on_both") {
        return;
    }
    let values = Rng::new().normals(3 * 5 * 64);
    on_worker(move || {
        let kernel = MetalKernel::new("cuda_vmap", ["x", "k"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i] * k + float(x_shape[0]);")
            .build()
            .unwrap();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, (3, 5, 64))?;
            let k = Array::from_slice(&[2.0f32, 3.0, 4.0], 3)?;
            let f = |p: &[Array]| kernel.launch(&[&p[0], &p[1]]).run_vec();
            let inner = |p: &[Array]| vmap(f).in_axes([Some(0), None]).call([&p[0], &p[1]]);
            let y = vmap(inner).in_axes([Some(0), Some(0)]).call([&x, &k])?;
            assert_eq!(y[0].shape(), [3, 5, 64]);
            Ok(f64s(&y[0]))
        });
        all_close(&gpu, &cpu, 0.0);
    });
}

#[test]
fn strides_are_those_of_the_evaluated_input() {
    if !gpu("strides_are_those_of_the_evaluated_input") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_strides", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 out[i] = x[elem_to_loc(i, x_shape, x_strides, x_ndim)] + float(x_strides[0]);",
            )
            .ensure_row_contiguous(false)
            .build()
            .unwrap();
        let values: Vec<f32> = (0..60u8).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, (3, 4, 5))?.transpose([2, 0, 1])?;
            let [y] = kernel.launch(&[&x]).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
    });
}

/// The GPU is the default device here, and data has no device of its own: a derivative starts on that of the
/// scope, with its inputs, too.
#[test]
fn derivatives_of_float64_stay_on_the_cpu() {
    if !gpu("derivatives_of_float64_stay_on_the_cpu") {
        return;
    }
    on_worker(|| {
        with_device(Device::CPU, || {
            let x = Array::scalar(3.0f64).unwrap();
            let slope = grad(|x| x.square())(&x).unwrap();
            assert_eq!(slope.item::<f64>().unwrap(), 6.0);
            let (_, tangents) = jvp(|p| Ok(vec![p[0].square()?]), [&x], [&x]).unwrap();
            assert_eq!(tangents[0].item::<f64>().unwrap(), 18.0);
        });
    });
}

/// Operations whose derivatives MLX computes in part on the process's default device.
#[test]
fn float64_of_operations_that_stray_stays_on_the_cpu() {
    if !gpu("float64_of_operations_that_stray_stays_on_the_cpu") {
        return;
    }
    let run = || -> Result<()> {
        let data: Vec<f64> = Rng::new().normals(12).iter().map(|&v| v.into()).collect();
        let x = Array::from_slice(&data, (3, 4))?;
        let close = |got: &Array, want: &[f64]| -> Result<()> {
            // MLX's exp of float64 is as good as float32's.
            all_close(&got.to_vec()?, want, 1e-5);
            Ok(())
        };
        let rows = |f: fn(&[f64]) -> Vec<f64>| data.chunks(4).flat_map(f).collect::<Vec<_>>();
        let p = rows(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| v.exp() / sum).collect()
        });
        close(&x.softmax(-1)?, &p)?;
        let total: Vec<f64> = data
            .chunks(4)
            .map(|row| row.iter().map(|v| v.exp()).sum::<f64>().ln())
            .collect();
        close(&x.logsumexp(-1)?, &total)?;
        let far = Array::from_slice(&[f64::NEG_INFINITY; 4], (2, 2))?;
        assert_eq!(far.logsumexp(-1)?.to_vec::<f64>()?, [f64::NEG_INFINITY; 2]);
        // The gradient of the sum of squares of p, and the second derivative of logsumexp, by formula.
        let want = rows(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            let p: Vec<f64> = row.iter().map(|v| v.exp() / sum).collect();
            let squares: f64 = p.iter().map(|p| p * p).sum();
            p.iter().map(|p| 2.0 * p * (p - squares)).collect()
        });
        close(&grad(|x| x.softmax(-1)?.square()?.sum(..))(&x)?, &want)?;
        let slope = grad(|x| x.logsumexp(-1)?.sum(..));
        close(&slope(&x)?, &p)?;
        close(&grad(|x| slope(x)?.square()?.sum(..))(&x)?, &want)?;
        // Forward mode through both sides of a choice, whose values keep their signs.
        let positive = x.greater(0.0)?;
        let choose = |p: &[Array]| Ok(vec![zmlx::ops::where_(&positive, &p[0], &p[1])?]);
        let (y, t) = jvp(choose, [&x, &x.negative()?], [&x, &x])?;
        close(&y[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        close(&t[0], &data)?;
        // And where the choice depends on the values.
        let choose = |p: &[Array]| {
            let chosen = zmlx::ops::where_(&p[0].greater(0.0)?, &p[0], &p[0].negative()?)?;
            Ok(vec![chosen])
        };
        let (_, t) = jvp(choose, [&x], [&x])?;
        close(&t[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        // And through magnitudes, of zeros and of what is no number, too.
        let (y, t) = jvp(|p| Ok(vec![p[0].abs()?]), [&x], [&x])?;
        close(&y[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        close(&t[0], &data.iter().map(|v| v.abs()).collect::<Vec<_>>())?;
        let odd = Array::from_slice(&[-0.0f64, f64::NEG_INFINITY, f64::NAN], 3)?;
        let y = odd.abs()?.to_vec::<f64>()?;
        assert!(y[0] == 0.0 && y[0].is_sign_positive() && y[1] == f64::INFINITY && y[2].is_nan());
        let zeros = Array::from_slice(&[-0.0f64, 0.0], 2)?;
        let y = zmlx::ops::where_(&Array::from_slice(&[true, false], 2)?, &zeros, &zeros)?;
        let signs: Vec<bool> = y
            .to_vec::<f64>()?
            .iter()
            .map(|v| v.is_sign_negative())
            .collect();
        assert_eq!(signs, [true, false]);
        Ok(())
    };
    on_worker(move || with_device(Device::CPU, run).unwrap());
}

fn options(name: &str) -> cuda::CompileOptions {
    cuda::CompileOptions {
        name: name.into(),
        math_mode: engine::msl::MathMode::Safe,
        inputs: vec!["x".into()],
        threads: 256,
        rank: 4,
        in_turn: 8,
        exact: false,
        architecture: "sm_90".into(),
        whole: false,
    }
}

/// The generated text of a kernel with this body.
fn text(body: &str) -> String {
    let kernel = MetalKernel::new("cuda_text", ["x"], ["out"])
        .source(body)
        .build()
        .unwrap();
    let x = Array::from_slice(&[1.0f32; 16], 16).unwrap();
    kernel.launch(&[&x]).source().unwrap().msl
}

#[test]
fn errors_name_the_line_of_the_source() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        let msl =
            text("uint i = thread_position_in_grid.x;\nout[i] = x[i];\nout[i] = nonsense(x[i]);");
        let error = cuda::compile(&msl, &options("cuda_text")).unwrap_err();
        let EngineError::Compile(error) = error else {
            panic!("{error}")
        };
        let place = error.location.clone().expect("a place");
        assert_eq!(place.region, engine::Region::Source);
        assert!(
            place.text.contains("nonsense") && place.column > 1,
            "{error}"
        );
        assert!(error.message.contains("nonsense"), "{error}");
    });
}

#[test]
fn only_whole_threadgroups_are_exact() {
    let exact = |grid, group| cuda::is_exact(grid, group, 8);
    assert!(exact([512, 1, 1], [256, 1, 1]) && exact([8, 6, 4], [4, 3, 2]));
    assert!(!exact([500, 1, 1], [256, 1, 1]) && !exact([8, 6, 5], [4, 3, 2]));
    // What the chip has no room for, and what a block may share.
    assert!(!exact([1, 65536, 1], [1, 1, 1]) && !exact([1, 1, 66], [1, 1, 66]));
    assert!(!exact([1 << 21, 1, 1], [256, 1, 1]));
}

#[test]
fn exact_code_takes_no_sizes() {
    on_worker(|| {
        let msl = text("uint i = thread_position_in_grid.x; out[i] = x[i];");
        let lower = |exact| {
            let options = cuda::CompileOptions {
                exact,
                ..options("exact")
            };
            cuda::lower(&msl, &options).unwrap().text
        };
        assert!(!lower(true).contains("zmlx_gsx"));
        assert!(lower(false).contains("zmlx_gsx"));
    });
}

#[test]
fn a_kernel_compiles_once() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        let msl = text("uint i = thread_position_in_grid.x; out[i] = x[i] + float(x_shape[0]);");
        let (first, _) = cuda::compile(&msl, &options("cuda_text")).unwrap();
        let (again, origin) = cuda::compile(&msl, &options("cuda_text")).unwrap();
        assert_eq!(origin, engine::host::Origin::Disk);
        assert_eq!((first.function, first.code), (again.function, again.code));
    });
}
