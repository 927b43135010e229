//! Matrices over simdgroups and threadgroup memory on NVIDIA GPUs. Tests that need a GPU say so and pass where there
//! is none; those of the compiler run wherever NVRTC is found (`scripts/check-cuda` brings one).

mod common;

use common::{Rng, f64s, on_worker};
use zmlx::engine::{EngineError, cuda};
use zmlx::prelude::*;
use zmlx::{engine, with_device};

/// The CPU, and the GPU where there is one.
fn devices(test: &str) -> Vec<Device> {
    if engine::info().cuda {
        return vec![Device::CPU, Device::GPU];
    }
    eprintln!("{test}: skipped on the GPU, which takes an NVIDIA GPU and MLX's CUDA build");
    vec![Device::CPU]
}

const TYPES: [(&str, Dtype); 3] = [
    ("half", Dtype::Float16),
    ("bfloat", Dtype::Bfloat16),
    ("float", Dtype::Float32),
];

/// The values of an array of floats.
fn floats(x: &Array) -> Vec<f64> {
    f64s(&x.astype(Dtype::Float32).unwrap())
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
    let mut rng = Rng::new();
    let (x, y) = (rng.normals(32 * 64), rng.normals(64 * 32));
    let devices = devices("products_of_simdgroup_matrices");
    on_worker(move || {
        for (ty, dtype) in TYPES {
            let made = |values: &[f32], shape| {
                let a = Array::from_slice(values, shape).unwrap();
                a.astype(dtype).unwrap()
            };
            let (x, y) = (made(&x, (32, 64)), made(&y, (64, 32)));
            let (xs, ys) = (floats(&x), floats(&y));
            let mut want = vec![0.0; 32 * 32];
            for (at, w) in want.iter_mut().enumerate() {
                let (r, c) = (at / 32, at % 32);
                *w = (0..64).map(|k| xs[r * 64 + k] * ys[k * 32 + c]).sum();
            }
            for (sum, to) in [("float", Dtype::Float32), (ty, dtype)] {
                for (look, ragged) in [("", 0), (LOOK, 0), ("", 1)] {
                    // One thread more is a threadgroup that is not whole.
                    let body = format!("if (threadgroup_position_in_grid.x > 0) return;{PRODUCT}");
                    let body = body.replace("LOOK", look).replace("SUM", sum);
                    let kernel = MetalKernel::new("cuda_product", ["x", "y"], ["out"])
                        .source(body.replace("TYPE", ty))
                        .build()
                        .unwrap();
                    for &device in &devices {
                        let got = with_device(device, || {
                            let [z] = kernel
                                .launch(&[&x, &y])
                                .output((32, 32), to)
                                .grid(128 + ragged)
                                .threadgroup(128)
                                .run()?;
                            Ok::<_, Error>(floats(&z))
                        })
                        .unwrap();
                        let row = |at: usize| if look.is_empty() { 0 } else { at / 32 % 8 };
                        let far = got.iter().zip(&want).enumerate();
                        let far = far.map(|(at, (g, w))| (g - w - row(at) as f64).abs());
                        let worst = far.fold(0.0, f64::max);
                        let case = format!(
                            "{device:?} {ty} in {sum}, looked at {}, ragged {ragged}",
                            !look.is_empty()
                        );
                        eprintln!("{case}: {worst:.1e}");
                        // Sums of 64 terms stay below 64. In 16 bits each of 9 steps rounds; in float tensor
                        // cores may cut off what others round.
                        let digits = match sum {
                            "float" => 22,
                            "half" => 11,
                            _ => 8,
                        };
                        assert!(
                            worst <= 9.0 * 32.0 / f64::from(1 << digits),
                            "{case}: {worst}"
                        );
                    }
                }
            }
        }
    });
}

/// 64 KB: more than a GPU gives without being asked, and than Metal has.
#[test]
fn much_threadgroup_memory() {
    let devices = devices("much_threadgroup_memory");
    on_worker(move || {
        let kernel = MetalKernel::new("cuda_large", ["x"], ["out"])
            .source(LARGE.replace("COUNT", "8192"))
            .build()
            .unwrap();
        let values: Vec<f32> = (0..512u16).map(f32::from).collect();
        let x = Array::from_slice(&values, 512).unwrap();
        // What a thread reads was written by that of its threadgroup whose turn it was.
        let want = |p: usize| -> f64 {
            let at = (0..16).map(|k| (p % 256 * 31 + k * 997) % 8192);
            at.map(|at| 1.0 - (p / 256 * 256 + at % 256 + at) as f64)
                .sum()
        };
        let want: Vec<f64> = (0..512).map(want).collect();
        for &device in &devices {
            let run = || kernel.launch(&[&x]).grid(512).threadgroup(256).run_vec();
            assert_eq!(
                f64s(&with_device(device, run).unwrap()[0]),
                want,
                "{device:?}"
            );
        }
        if devices.contains(&Device::GPU) {
            let kernel = MetalKernel::new("cuda_too_large", ["x"], ["out"])
                .source(LARGE.replace("COUNT", "32768"))
                .build()
                .unwrap();
            let run = || kernel.launch(&[&x]).threadgroup(256).run_vec();
            let words = with_device(Device::GPU, run).unwrap_err().to_string();
            assert!(words.contains("bytes of threadgroup memory"), "{words}");
        }
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
    let devices = devices("threadgroup_memory_of_types_with_constructors");
    on_worker(move || {
        let kernel = MetalKernel::new("cuda_classes", ["x"], ["out"])
            .header(PAIR)
            .source(CLASSES)
            .build()
            .unwrap();
        let values: Vec<f32> = (0..256u16).map(f32::from).collect();
        let x = Array::from_slice(&values, 256).unwrap();
        // z = (x + 1i) * 2i = -2 + 2xi of the thread across.
        let across = |p: usize| (p / 128 * 128 + 127 - p % 128) as f64;
        let want = |p: usize| 2.0 * across(p) - 2.0 + (127 - p % 128) as f64 + 5.0;
        let want: Vec<f64> = (0..256).map(want).collect();
        for &device in &devices {
            let run = || kernel.launch(&[&x]).grid(256).threadgroup(128).run_vec();
            assert_eq!(
                f64s(&with_device(device, run).unwrap()[0]),
                want,
                "{device:?}"
            );
        }
    });
}

fn options() -> cuda::CompileOptions {
    cuda::CompileOptions {
        name: "cuda_text".into(),
        math_mode: engine::msl::MathMode::Safe,
        inputs: vec!["x".into(), "y".into()],
        threads: 256,
        rank: 4,
        architecture: "sm_90".into(),
        in_turn: 8,
        exact: false,
        whole: false,
    }
}

/// The generated text of a kernel with this body, `x` and `y` being of a dtype.
fn text(body: &str, dtype: Dtype) -> String {
    let kernel = MetalKernel::new("cuda_text", ["x", "y"], ["out"])
        .header(PAIR)
        .source(body)
        .build()
        .unwrap();
    let x = Array::zeros(2048, dtype).unwrap();
    let inputs = [&x, &x];
    let launch = kernel.launch(&inputs).output(1024, Dtype::Float32);
    launch.source().unwrap().msl
}

#[test]
fn threadgroup_memory_is_asked_for_above_48_kb() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        let compiled = |body: &str| cuda::compile(&text(body, Dtype::Float32), &options());
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

/// Matrices are made for tensor cores where all simdgroups are whole, and all ways compile.
#[test]
fn products_compile_for_tensor_cores() {
    if let Err(tried) = cuda::compiler() {
        eprintln!("skipped: no NVRTC ({tried})");
        return;
    }
    on_worker(|| {
        for (ty, dtype) in TYPES {
            for look in ["", LOOK] {
                let body = PRODUCT.replace("LOOK", look).replace("TYPE", ty);
                let msl = text(&body.replace("SUM", "float"), dtype);
                for whole in [true, false] {
                    let options = cuda::CompileOptions { whole, ..options() };
                    let lowered = cuda::lower(&msl, &options).unwrap().text;
                    assert_eq!(lowered.contains("ZMLX_MATRIX_MMA"), whole);
                    let hidden = whole && look.is_empty();
                    assert_eq!(lowered.contains("ZMLX_MATRIX_TENSOR"), hidden);
                    cuda::compile(&msl, &options).unwrap();
                }
            }
        }
    });
}

/// The first launches of kernels on many threads at once: with an empty cache, with what an earlier process left, and
/// with the files gone between launch and evaluation. A process for each.
#[test]
fn first_launches_on_many_threads() {
    const TEST: &str = "first_launches_on_many_threads";
    const VARIABLE: &str = "ZMLX_TEST_FIRST_LAUNCHES";
    if let Ok(how) = std::env::var(VARIABLE) {
        return first_launches(how == "lost");
    }
    if !devices(TEST).contains(&Device::GPU) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for how in ["cold", "warm", "warm", "lost", "warm"] {
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", TEST, "--nocapture"])
            .env(VARIABLE, how)
            .env("ZMLX_CACHE_DIR", dir.path().join("zmlx"))
            .env("MLX_PTX_CACHE_DIR", dir.path().join("mlx"))
            .output()
            .unwrap();
        assert!(ended.status.success(), "{how}: {ended:?}");
    }
}

fn first_launches(lost: bool) {
    const THREADS: usize = 16;
    let all = std::sync::Barrier::new(THREADS);
    let code = std::path::PathBuf::from(std::env::var_os("MLX_PTX_CACHE_DIR").unwrap());
    let one_thread = |thread: usize| {
        // The rank makes a specialization of its own, whose code may be the same.
        let mut shape = vec![1; [1, 5, 9][thread % 3]];
        shape[0] = 64;
        for n in 0..12 {
            let values: Vec<f32> = (0..64).map(|i| (i * (n + 1)) as f32).collect();
            let x = Array::from_slice(&values, &shape[..]).unwrap();
            let kernel = MetalKernel::new("first_launch", ["x"], ["out"])
                .source(format!(
                    "uint i = thread_position_in_grid.x; out[i] = x[i] + {n};"
                ))
                .build()
                .unwrap();
            all.wait();
            let [y] = kernel.launch(&[&x]).run().unwrap();
            all.wait();
            if lost && thread == 0 {
                // MLX keeps its own kernels there, too.
                for file in std::fs::read_dir(&code).unwrap() {
                    let file = file.unwrap();
                    if file.file_name().to_string_lossy().starts_with("zmlx_") {
                        std::fs::remove_file(file.path()).unwrap();
                    }
                }
            }
            all.wait();
            let want: Vec<f32> = values.iter().map(|v| v + n as f32).collect();
            assert_eq!(y.to_vec::<f32>().unwrap(), want);
        }
    };
    std::thread::scope(|s| {
        for thread in 0..THREADS {
            let one_thread = &one_thread;
            s.spawn(move || with_device(Device::GPU, || one_thread(thread)));
        }
    });
}
