//! NVIDIA's run-time compiler.

use super::*;

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
