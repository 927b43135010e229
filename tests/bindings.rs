//! What MLX offers in C++ and what of it is here: by the headers that this build used.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use support::*;
use zmlx::graph::Graph;
use zmlx::prelude::*;
use zmlx::{CompileMode, memory, metal, set_compile_mode};

/// The headers with functions for programs.
const HEADERS: &[&str] = &[
    "backend/cuda/cuda.h",
    "backend/metal/metal.h",
    "compile.h",
    "device.h",
    "distributed/distributed.h",
    "distributed/ops.h",
    "dtype.h",
    "einsum.h",
    "export.h",
    "fast.h",
    "fft.h",
    "graph_utils.h",
    "io.h",
    "linalg.h",
    "memory.h",
    "ops.h",
    "random.h",
    "stream.h",
    "transforms.h",
    "utils.h",
    "version.h",
];

/// Functions that have no binding of their name, and why.
const WITHOUT: &[(&str, &[&str], &str)] = &[
    (
        "ops.h",
        &[
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
        ],
        "`Array::conv` is `conv_general`, of which these are forms",
    ),
    (
        "fast.h",
        &["cuda_kernel"],
        "kernels are Metal text here, and the CUDA engine makes them",
    ),
    (
        "fft.h",
        &["ifft", "fft2", "ifft2", "rfft", "irfft", "rfft2", "irfft2"],
        "`zmlx::fft` has them by the forms of n dimensions",
    ),
    (
        "random.h",
        &["seed"],
        "`random::seed` sets the thread's own sequence",
    ),
    (
        "io.h",
        &["load_safetensors", "load_gguf", "save_gguf"],
        "`zmlx::io` reads and writes these files itself, or by MLX's streams",
    ),
    (
        "stream.h",
        &[
            "set_default_stream",
            "new_thread_unsafe_stream",
            "new_thread_local_stream",
            "stream_from_thread_local_stream",
            "get_streams",
        ],
        "a stream belongs to its thread here, and `with_stream` is the default for a while",
    ),
    (
        "utils.h",
        &["print", "set_printoptions", "get_global_formatter"],
        "Rust's formatting has a precision: `{:.3}`",
    ),
    (
        "utils.h",
        &[
            "safe_cast",
            "normalize_axis_index",
            "is_power_of_2",
            "next_power_of_2",
            "bfs_max_width",
            "max_ops_per_buffer",
            "max_mb_per_buffer",
            "residency_set_max_pct",
            "residency_debug",
            "metal_fast_synch",
            "enable_tf32",
            "nccl_timeout",
            "metal_gpu_arch",
            "get_var",
            "broadcast_shapes",
        ],
        "parts of MLX's own code, and its settings by environment variables; `ops::broadcast_shapes` says what came",
    ),
    (
        "dtype.h",
        &["kindof"],
        "a private name of MLX's categories: `Dtype::is_floating` and kin",
    ),
    (
        "distributed/ops.h",
        &["recv_like"],
        "`Group::recv_like` is `recv`",
    ),
];

fn headers() -> Option<PathBuf> {
    let dir = PathBuf::from(option_env!("ZMLX_MLX_INCLUDE")?).join("mlx");
    dir.is_dir().then_some(dir)
}

/// Names of free functions that are declared for users.
fn declared(text: &str) -> Vec<String> {
    let mut code = String::new();
    let mut rest = text;
    // Without comments.
    while let Some(at) = rest.find("/*").into_iter().chain(rest.find("//")).min() {
        code.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("/*") {
            "*/"
        } else {
            "\n"
        };
        let after = rest[at..]
            .find(end)
            .map_or(rest.len(), |n| at + n + end.len());
        code.push('\n');
        rest = &rest[after..];
    }
    code.push_str(rest);
    let mut names = Vec::new();
    for start in ["MLX_API ", "inline "] {
        for (at, _) in code.match_indices(start) {
            let head = &code[at + start.len()..];
            let Some(open) = head.find('(') else { continue };
            let head = head[..open].trim_end();
            // A type, or a body, came first.
            if head.contains(['{', ';', '}', '=']) || head.starts_with("struct") {
                continue;
            }
            let name = head
                .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap();
            if !name.is_empty() && !head.contains("operator") && head.len() > name.len() {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// All identifiers in the files below a folder.
fn words(dir: &Path, into: &mut std::collections::HashSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            words(&path, into);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            let all = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            into.extend(all.map(str::to_owned));
        }
    }
}

/// `ZMLX_WRITE=1` with `--nocapture` prints the numbers that README states.
#[test]
fn each_function_is_bound_or_has_a_reason() {
    let (Some(headers), true) = (headers(), root().join("cpp").is_dir()) else {
        println!("SKIPPED: neither MLX's headers nor the bridge's sources are here");
        return;
    };
    let mut bound = std::collections::HashSet::new();
    words(&root().join("cpp"), &mut bound);
    words(&root().join("src/bridge"), &mut bound);
    let mut missing: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut all, mut here) = (0, 0);
    for header in HEADERS {
        let text = std::fs::read_to_string(headers.join(header)).unwrap_or_default();
        let mut names = declared(&text);
        names.sort();
        names.dedup();
        let expected = ["version.h", "backend/cuda/cuda.h"].contains(header);
        assert!(expected || !names.is_empty(), "{header} has no functions");
        for name in names {
            all += 1;
            let reason = WITHOUT
                .iter()
                .any(|(h, names, _)| h == header && names.contains(&&*name));
            match bound.contains(&name) {
                true => here += 1,
                false if reason => {}
                false => missing.entry(header).or_default().push(name),
            }
        }
    }
    println!("{here} of {all} names of MLX's headers are bound");
    assert!(
        missing.is_empty(),
        "neither bound nor on the list: {missing:#?}"
    );
    assert!(
        all > 300,
        "{all} functions are too few: how headers are read is wrong"
    );
}

/// What is bound meanwhile has no place on the list.
#[test]
fn the_list_is_short() {
    let Some(headers) = headers() else {
        println!("SKIPPED: MLX's headers are not here");
        return;
    };
    for (header, names, _) in WITHOUT {
        let declared = declared(&std::fs::read_to_string(headers.join(header)).unwrap());
        for name in *names {
            // Templates are not declared with MLX_API.
            let known = declared.iter().any(|d| d == name) || ["get_var", "print"].contains(name);
            assert!(known, "{header} has no `{name}`");
        }
    }
}

#[test]
fn declarations_are_found() {
    let text = "/* MLX_API int no(); */ // inline int no2(int)\n\
        MLX_API array yes(\n    const array& a);\ninline int also() { return f(1); }\n\
        struct MLX_API Group {\n  int rank() const;\n};\nMLX_API std::ostream& operator<<(std::ostream& os, int);\n\
        MLX_API std::function<std::vector<array>(const Args&)> compile(int);\n";
    assert_eq!(declared(text)[..1], ["yes"]);
    assert!(declared(text).contains(&"also".to_owned()));
    assert!(
        !declared(text)
            .iter()
            .any(|n| n.starts_with("no") || n == "rank")
    );
}

#[test]
fn graphs_as_text() {
    on_worker(|| {
        let x = arr(&[1.0f32, 2.0]);
        let y = x.exp().unwrap().add(1.0).unwrap();
        let graph = Graph::of([&y]).name(&x, "weights").name(&y, "loss");
        let text = graph.to_text().unwrap();
        assert!(text.contains("Exp") && text.contains("Add"), "{text}");
        assert!(text.contains("weights") && text.contains("loss"), "{text}");
        let dot = graph.to_dot().unwrap();
        assert!(
            dot.starts_with("digraph") && dot.trim_end().ends_with('}'),
            "{dot}"
        );
        assert!(dot.contains("weights") && dot.contains("Exp"), "{dot}");
        // Nothing was computed.
        assert!(!y.is_ready().unwrap());
    });
}

#[test]
fn types_and_shapes_in_common() {
    on_worker(|| {
        for a in Dtype::ALL {
            for b in Dtype::ALL {
                // No GPU has float64.
                zmlx::with_device(Device::CPU, || {
                    let one = |dtype| Array::zeros(1, dtype).unwrap();
                    let sum = one(a).add(one(b)).unwrap().dtype();
                    assert_eq!(zmlx::ops::promote_types(a, b).unwrap(), sum, "{a} {b}");
                    assert_eq!(zmlx::ops::result_type([one(a), one(b)]).unwrap(), sum);
                });
            }
        }
        assert!(zmlx::ops::result_type::<Array>([]).is_err());
        let none: [&[i32]; 0] = [];
        assert_eq!(zmlx::ops::broadcast_shapes(none).unwrap(), [] as [i32; 0]);
        let zero = zmlx::ops::broadcast_shapes([&[0, 1][..], &[1, 3]]).unwrap();
        assert_eq!(zero, [0, 3]);
        let error = zmlx::ops::broadcast_shapes([[2, 3], [3, 2]])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[3, 2]") && error.contains("[2, 3]"),
            "{error}"
        );
    });
}

#[test]
fn bytes_of_arrays() {
    on_worker(|| {
        let x = arr(&vec![1.0f32; 4096]);
        let bytes = memory::of([&x]).unwrap();
        assert!(bytes >= 4 * 4096, "{bytes}");
        let view = x.slice([0], [10], [1]).unwrap();
        view.eval().unwrap();
        assert_eq!(memory::of([&x, &view]).unwrap(), bytes);
        let error = memory::of([&x.add(1.0).unwrap()]).unwrap_err();
        assert!(error.to_string().contains("evaluated"), "{error}");
    });
}

#[test]
fn what_compilation_does() {
    on_worker(|| {
        let x = arr(&[0.5f32, 2.0]);
        let f = |p: &[Array]| Ok(vec![p[0].exp()?.add(&p[0].exp()?)?.multiply(2.0)?]);
        let want = f(std::slice::from_ref(&x)).unwrap()[0]
            .to_vec::<f32>()
            .unwrap();
        for mode in [
            CompileMode::Disabled,
            CompileMode::NoSimplify,
            CompileMode::NoFuse,
            CompileMode::Enabled,
        ] {
            set_compile_mode(mode).unwrap();
            let y = zmlx::compile(f).unwrap().call([&x]).unwrap();
            let got: Vec<f64> = want.iter().map(|&v| v.into()).collect();
            close(&f32s(&y[0]), &got, 1e-6);
        }
    });
}

#[test]
fn captures_need_metal() {
    on_worker(|| {
        if zmlx::engine::info().to_string().contains("metal") {
            println!("SKIPPED: a capture needs MTL_CAPTURE_ENABLED");
            return;
        }
        for result in [
            metal::start_capture("trace.gputrace"),
            metal::stop_capture(),
        ] {
            if let Err(error) = result {
                assert!(error.to_string().contains("etal"), "{error}");
            }
        }
    });
}
