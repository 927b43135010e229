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
fn places_at_ragged_edges_are_metals() {
    if !gpu("places_at_ragged_edges_are_metals") {
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

/// A 32x64 matrix times a 64x32 one, in tiles, one strip of rows a simdgroup. In TYPE, summed in SUM.
const PRODUCT: &str = "
uint s = simdgroup_index_in_threadgroup, lane = thread_index_in_simdgroup;
simdgroup_matrix<SUM, 8, 8> sums[4];
for (uint j = 0; j < 4; ++j) sums[j] = make_filled_simdgroup_matrix<SUM, 8, 8>(SUM(0));
for (uint k = 0; k < 64; k += 8) {
  simdgroup_matrix<TYPE, 8, 8> a, b;
  simdgroup_load(a, x + s * 8 * 64 + k, 64);
  for (uint j = 0; j < 4; ++j) {
    simdgroup_load(b, y + k * 32 + j * 8, 32);
    simdgroup_multiply_accumulate(sums[j], a, b, sums[j]);
  }
}
LOOK
for (uint j = 0; j < 4; ++j) simdgroup_store(sums[j], out + s * 8 * 32 + j * 8, 32);";

/// Adds a tile's row number to its elements, by the place that Metal documents.
const LOOK: &str = "
const ushort quad = lane / 4, row = (quad & 4) + (lane / 2) % 4;
for (uint j = 0; j < 4; ++j) {
  sums[j].thread_elements()[0] += SUM(row);
  sums[j].thread_elements()[1] += SUM(row);
}";

/// Products by tensor cores and by lanes alone, against sums in float64.
#[test]
fn products_of_simdgroup_matrices() {
    if !gpu("products_of_simdgroup_matrices") {
        return;
    }
    let mut rng = Rng::new();
    let (x, y) = (rng.normals(32 * 64), rng.normals(64 * 32));
    on_worker(move || {
        for (ty, dtype) in [
            ("half", Dtype::Float16),
            ("bfloat", Dtype::Bfloat16),
            ("float", Dtype::Float32),
        ] {
            let made = |values: &[f32], shape| {
                let a = Array::from_slice(values, shape).unwrap();
                a.astype(dtype).unwrap()
            };
            let (x, y) = (made(&x, (32, 64)), made(&y, (64, 32)));
            let (xs, ys) = (f64s(&x), f64s(&y));
            for sum in ["float", ty] {
                for (seen, ragged) in [(false, false), (true, false), (false, true)] {
                    let body = PRODUCT.replace("LOOK", if seen { LOOK } else { "" });
                    // One thread more, in a threadgroup that is not whole.
                    let body = format!("if (threadgroup_position_in_grid.x > 0) return;{body}");
                    let kernel = MetalKernel::new("cuda_product", ["x", "y"], ["out"])
                        .source(body.replace("TYPE", ty).replace("SUM", sum))
                        .build()
                        .unwrap();
                    let got = with_device(Device::GPU, || {
                        let [z] = kernel
                            .launch(&[&x, &y])
                            .output(
                                (32, 32),
                                if sum == "float" {
                                    Dtype::Float32
                                } else {
                                    dtype
                                },
                            )
                            .grid(128 + usize::from(ragged))
                            .threadgroup(128)
                            .run()?;
                        Ok::<_, Error>(f64s(&z))
                    })
                    .unwrap();
                    let want: Vec<f64> = (0..32 * 32)
                        .map(|at| {
                            let (r, c) = (at / 32, at % 32);
                            let product: f64 =
                                (0..64).map(|k| xs[r * 64 + k] * ys[k * 32 + c]).sum();
                            product + if seen { (r % 8) as f64 } else { 0.0 }
                        })
                        .collect();
                    // Sums of 64 terms reach about 30. In 16 bits each of 9 steps rounds.
                    let unit: f64 = match sum {
                        "float" => 2f64.powi(-23),
                        "half" => 2f64.powi(-11),
                        _ => 2f64.powi(-8),
                    };
                    let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs());
                    let worst = worst.fold(0.0, f64::max);
                    eprintln!("{ty} in {sum}, seen {seen}, ragged {ragged}: {worst:.1e}");
                    assert!(
                        worst <= 9.0 * 32.0 * unit,
                        "{ty} {sum} {seen} {ragged}: {worst}"
                    );
                }
            }
        }
    });
}

/// 64 KB: more than a GPU gives without being asked, and than Metal has.
#[test]
fn much_threadgroup_memory() {
    if !gpu("much_threadgroup_memory") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_large", ["x"], ["out"])
            .source(LARGE.replace("COUNT", "8192"))
            .build()
            .unwrap();
        let values: Vec<f32> = (0..512u16).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, 512)?;
            let [y] = kernel.launch(&[&x]).grid(512).threadgroup(256).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
        let kernel = MetalKernel::new("cuda_too_large", ["x"], ["out"])
            .source(LARGE.replace("COUNT", "32768"))
            .build()
            .unwrap();
        let x = Array::from_slice(&values, 512).unwrap();
        let refused = with_device(Device::GPU, || {
            kernel.launch(&[&x]).threadgroup(256).run_vec()
        });
        let words = refused.unwrap_err().to_string();
        assert!(words.contains("threadgroup memory"), "{words}");
    });
}

/// Two arrays of COUNT floats in threadgroup memory and a little more.
const LARGE: &str = "
uint i = thread_position_in_threadgroup.x, n = threads_per_threadgroup.x;
uint p = thread_position_in_grid.x;
threadgroup float a[COUNT], b[COUNT / 64][64];
threadgroup uchar one;
if (i == 0) one = 1;
for (uint k = i; k < COUNT; k += n) { a[k] = float(x[p]) + k; b[k / 64][k % 64] = a[k] * 2.0f; }
threadgroup_barrier(mem_flags::mem_threadgroup);
float sum = 0.0f;
for (uint k = 0; k < 16; ++k) {
  uint at = (i * 31 + k * 997) % COUNT;
  sum += a[at] - b[at / 64][at % 64] + one;
}
out[p] = sum;";

/// Types with constructors, declared in all ways.
const CLASSES: &str = "
uint i = thread_position_in_threadgroup.x, p = thread_position_in_grid.x;
threadgroup complex64_t a[128], one;
threadgroup Pair<float> pairs[2][64], *first = pairs[0];
threadgroup metal::array<float, 4> four, *fours = &four;
a[i] = complex64_t(float(x[p]), 1.0f);
pairs[i / 64][i % 64].second = float(i);
if (i == 0) { one = complex64_t(0.0f, 2.0f); four[3] = 5.0f; }
threadgroup_barrier(mem_flags::mem_threadgroup);
complex64_t z = a[127 - i] * one;
out[p] = z.real + z.imag + first[127 - i].second + (*fours)[3];";
const PAIR: &str =
    "template <typename T> struct Pair { T first; T second; Pair() : first(1), second(2) {} };\n";

#[test]
fn threadgroup_memory_of_types_with_constructors() {
    if !gpu("threadgroup_memory_of_types_with_constructors") {
        return;
    }
    on_worker(|| {
        let kernel = MetalKernel::new("cuda_classes", ["x"], ["out"])
            .header(PAIR)
            .source(CLASSES)
            .build()
            .unwrap();
        let values: Vec<f32> = (0..256u16).map(f32::from).collect();
        let [cpu, gpu] = both(|| {
            let x = Array::from_slice(&values, 256)?;
            let [y] = kernel.launch(&[&x]).grid(256).threadgroup(128).run()?;
            Ok(f64s(&y))
        });
        assert_eq!(cpu, gpu);
        // z = (x + 1i) * 2i = -2 + 2xi of the thread across.
        let across = |p: usize| (p / 128 * 128 + 127 - p % 128) as f64;
        let want = |p: usize| 2.0 * across(p) - 2.0 + (127 - p % 128) as f64 + 5.0;
        assert_eq!(cpu, (0..256).map(want).collect::<Vec<_>>());
    });
}

fn options(name: &str) -> cuda::CompileOptions {
    cuda::CompileOptions {
        name: name.into(),
        math_mode: engine::msl::MathMode::Safe,
        inputs: vec!["x".into()],
        threads: 256,
        rank: 4,
        architecture: "sm_90".into(),
        whole: false,
    }
}

/// The generated text of a kernel with this body.
fn text(body: &str) -> String {
    let kernel = MetalKernel::new("cuda_text", ["x"], ["out"])
        .header(PAIR)
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

#[test]
fn threadgroup_memory_is_asked_for_above_48_kb() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        let compiled = |body: &str| cuda::compile(&text(body), &options("cuda_text"));
        assert_eq!(compiled(CLASSES).unwrap().0.shared, 0);
        for (count, bytes) in [("4096", 0), ("8192", 65_537), ("16384", 131_073)] {
            // Again from the cache.
            for _ in 0..2 {
                let (kernel, _) = compiled(&LARGE.replace("COUNT", count)).unwrap();
                assert_eq!(kernel.shared, bytes, "{count}");
            }
        }
        let error = compiled(&LARGE.replace("COUNT", "32768")).unwrap_err();
        let EngineError::ThreadgroupMemory { bytes, limit, .. } = error else {
            panic!("{error}")
        };
        assert_eq!((bytes, limit), (262_145, 227 * 1024));
        assert!(error.to_string().contains("262145 bytes"), "{error}");
    });
}

/// In what the GPU gets there are instructions for tensor cores, where factors allow and simdgroups are whole.
#[test]
fn products_of_16_bits_go_to_tensor_cores() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        let tiles = |ty: &str, look: &str| {
            text(
                &PRODUCT
                    .replace("TYPE", ty)
                    .replace("SUM", "float")
                    .replace("LOOK", look)
                    .replace("y +", "x +")
                    .replace("x +", "(const device TYPE*)x +")
                    .replace("TYPE", ty),
            )
        };
        for ty in ["half", "bfloat", "float"] {
            for look in ["", LOOK] {
                let msl = tiles(ty, &look.replace("SUM", "float"));
                for whole in [true, false] {
                    let options = cuda::CompileOptions {
                        whole,
                        ..options("cuda_text")
                    };
                    let lowered = cuda::lower(&msl, &options).unwrap();
                    assert_eq!(lowered.text.contains("ZMLX_MATRIX_MMA"), whole);
                    cuda::compile(&msl, &options).unwrap();
                }
            }
        }
    });
}
