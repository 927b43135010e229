//! Functions in files: several traces, inputs by name, and the values that a function has captured.

mod support;

use std::path::PathBuf;

use support::*;
use zmlx::prelude::*;
use zmlx::{
    FunctionExporter, Keywords, export_function, exporter, grad, import_function, with_device,
};

/// A folder and a file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.mlxfn");
    (dir, path)
}

/// `args[0] * scale + bias`, either of which may be missing.
fn affine(args: &[Array], named: &Keywords) -> zmlx::Result<Vec<Array>> {
    let mut y = args[0].clone();
    if let Some(scale) = named.get("scale") {
        y = y.multiply(scale)?;
    }
    if let Some(bias) = named.get("bias") {
        y = y.add(bias)?;
    }
    Ok(vec![y])
}

/// No name as an argument.
const NONE: [(&str, Array); 0] = [];

#[test]
fn several_traces_in_one_file() {
    on_worker(|| {
        let (dir, path) = place();
        let mut rng = Rng::new();
        let x = rng.array(&[4, 3], -1.0, 1.0);
        let z = rng.array(&[5], -1.0, 1.0);
        let (scale, bias) = (rng.array(&[3], -1.0, 1.0), rng.array(&[3], -1.0, 1.0));
        let mut file = exporter(&path, affine, false)
            .unwrap()
            .metadata("é!")
            .unwrap();
        file.trace([&x]).unwrap();
        file.trace([&z]).unwrap();
        file.trace_with([&x], [("scale", &scale), ("bias", &bias)])
            .unwrap();
        file.trace_with([&x], [("bias", &bias)]).unwrap();
        assert!(!path.exists());
        file.finish().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        let f = import_function(&path).unwrap();
        assert_eq!(f.metadata().unwrap(), "é!");
        assert!(!f.is_shapeless());
        // Other values than those that were traced.
        let x = rng.array(&[4, 3], -1.0, 1.0);
        let bias = rng.array(&[3], -1.0, 1.0);
        assert_eq!(f32s(&f.call([&x]).unwrap()[0]), f32s(&x));
        assert_eq!(f32s(&f.call([&z]).unwrap()[0]), f32s(&z));
        let y = f
            .call_with([&x], [("bias", &bias), ("scale", &scale)])
            .unwrap();
        let want = x.multiply(&scale).unwrap().add(&bias).unwrap();
        assert_eq!(f32s(&y[0]), f32s(&want));
        let y = f.call_with([&x], [("bias", &bias)]).unwrap();
        assert_eq!(f32s(&y[0]), f32s(&x.add(&bias).unwrap()));
        assert_eq!(f32s(&f.call_with([&x], NONE).unwrap()[0]), f32s(&x));

        let mut names: Vec<_> = f
            .signatures()
            .unwrap()
            .iter()
            .map(ToString::to_string)
            .collect();
        names.sort();
        let matrix = "float32 [4, 3]";
        let want = [
            matrix.to_owned(),
            format!("{matrix}, `bias` float32 [3]"),
            format!("{matrix}, `bias` float32 [3], `scale` float32 [3]"),
            "float32 [5]".to_owned(),
        ];
        assert_eq!(names, want);
    });
}

/// MLX would give inputs of other names, or by place, to whatever stands there.
#[test]
fn names_are_compared() {
    on_worker(|| {
        let (_dir, path) = place();
        let (x, two) = (arr(&[1.0f32, 2.0]), arr(&[2.0f32, 2.0]));
        let minus = |args: &[Array], named: &Keywords| match named.get("less") {
            Some(less) => Ok(vec![args[0].subtract(less)?]),
            None => Ok(vec![args[0].subtract(&args[1])?]),
        };
        let mut file = exporter(&path, minus, false).unwrap();
        file.trace_with([&x], [("less", &two)]).unwrap();
        file.finish().unwrap();
        let f = import_function(&path).unwrap();
        assert_eq!(
            f32s(&f.call_with([&x], [("less", &two)]).unwrap()[0]),
            [-1.0, 0.0]
        );
        let none: [&Array; 0] = [];
        for wrong in [
            f.call_with([&x], [("more", &two)]),
            f.call_with(none, [("less", &two), ("more", &x)]),
            f.call_with(none, [("a", &two), ("less", &x)]),
            f.call_with([&x, &two], NONE),
            f.call([&x, &two]),
            f.call_with([&x], [("less", &two), ("more", &two)]),
            f.call_with([&x], [("less", &two), ("less", &two)]),
            f.call_with([&x], [("", &two)]),
            f.call_with([&x], [("less", &arr(&[1.0f32]))]),
            f.call_with([&x], [("less", &arr(&[1i32, 2]))]),
        ] {
            let e = wrong.unwrap_err();
            assert!(
                matches!(e, Error::Argument { .. } | Error::Shape { .. }),
                "{e}"
            );
        }

        // Two traces of as many inputs: the right one, or none.
        let (long, short) = (arr(&[1.0f32, 2.0, 3.0]), arr(&[1.0f32]));
        let mut file = exporter(&path, minus, false).unwrap();
        file.trace([&x, &two]).unwrap();
        file.trace_with([&long], [("less", &long)]).unwrap();
        file.finish().unwrap();
        let f = import_function(&path).unwrap();
        assert_eq!(
            f32s(&f.call_with([&long], [("less", &long)]).unwrap()[0]),
            [0.0; 3]
        );
        assert_eq!(f32s(&f.call([&x, &two]).unwrap()[0]), [-1.0, 0.0]);
        for wrong in [[&x, &two], [&short, &short]] {
            let e = f.call_with([wrong[0]], [("less", wrong[1])]).unwrap_err();
            assert!(matches!(e, Error::Argument { .. }), "{e}");
        }
    });
}

#[test]
fn shapeless_with_names() {
    on_worker(|| {
        let (_dir, path) = place();
        let one = arr(&[1.0f32]);
        let mut file = exporter(&path, affine, true).unwrap();
        file.trace_with([&one], [("scale", &one)]).unwrap();
        file.finish().unwrap();
        let f = import_function(&path).unwrap();
        assert!(f.is_shapeless());
        let x = arr(&[1.0f32, -2.0, 3.0]);
        assert_eq!(
            f32s(&f.call_with([&x], [("scale", &x)]).unwrap()[0]),
            [1.0, 4.0, 9.0]
        );
        let square = Array::ones((1, 1), F32).unwrap();
        assert!(f.call_with([&x], [("scale", &square)]).is_err());
    });
}

/// What is left of an exporter after an error.
#[test]
fn a_trace_that_fails() {
    on_worker(|| {
        let (dir, path) = place();
        std::fs::write(&path, "old").unwrap();
        let x = arr(&[1.0f32, 2.0]);
        let fails = |args: &[Array], _: &Keywords| match args.len() {
            1 => Ok(args.to_vec()),
            _ => Err(Error::other("mine")),
        };
        let failing = |file: &mut FunctionExporter<_>| {
            file.trace([&x]).unwrap();
            assert_eq!(file.trace([&x, &x]).unwrap_err().to_string(), "mine");
        };
        let mut file = exporter(&path, fails, false).unwrap();
        failing(&mut file);
        // MLX has noted the trace that failed, without its inputs.
        let e = file.trace([&x, &x]).unwrap_err();
        assert!(e.to_string().contains("failed"), "{e}");
        let e = file.finish().unwrap_err();
        assert!(e.to_string().contains("failed"), "{e}");
        let mut file = exporter(&path, fails, false).unwrap();
        failing(&mut file);
        assert!(file.metadata("late").is_err());

        let mut file = exporter(&path, fails, false).unwrap();
        file.trace([&x]).unwrap();
        let e = file.trace([&x]).unwrap_err();
        assert!(e.to_string().contains("twice"), "{e}");
        drop(file);
        let e = exporter(&path, fails, false).unwrap().finish().unwrap_err();
        assert!(e.to_string().contains("at least one trace"), "{e}");
        let mut file = exporter(&path, fails, false).unwrap();
        for name in ["", "a\nb"] {
            let e = file.trace_with([&x], [(name, &x)]).unwrap_err();
            assert!(matches!(e, Error::Argument { .. }), "{e}");
        }
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    });
}

#[test]
fn a_trace_that_panics() {
    on_worker(|| {
        let (_dir, path) = place();
        let x = arr(&[1.0f32]);
        let panics = |_: &[Array], _: &Keywords| -> zmlx::Result<Vec<Array>> { panic!("mine") };
        let mut file = exporter(&path, panics, false).unwrap();
        let trace = std::panic::AssertUnwindSafe(|| file.trace([&x]));
        let payload = std::panic::catch_unwind(trace).unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"mine"));
        assert!(file.trace([&x]).is_err());
        assert!(file.finish().is_err());
        assert!(!path.exists());
    });
}

/// MLX writes captured values as they lie in memory, whatever the strides, and without waiting for them.
#[test]
fn captured_values() {
    on_worker(|| {
        let (_dir, path) = place();
        let mut rng = Rng::new();
        let base = rng.array(&[3, 4], -1.0, 1.0);
        base.eval().unwrap();
        let turned = base.transpose(..).unwrap();
        let back = base.index((.., step(.., -1))).unwrap();
        let part = base.index((1.., 1..3)).unwrap();
        let wide = base.index(0).unwrap().broadcast_to((1000, 4)).unwrap();
        let flags = base.transpose(..).unwrap().greater(0.0).unwrap();
        let all = [
            turned,
            back,
            part,
            wide,
            flags,
            Array::zeros((0, 3), F32).unwrap(),
        ];
        eval(&all).unwrap();
        let pending = rng.array(&[300, 300], -0.1, 0.1);
        let mut power = pending.clone();
        for _ in 0..8 {
            power = power.matmul(&pending).unwrap();
        }
        let handle = async_eval([&power]).unwrap();
        let f = |p: &[Array]| {
            let captured = all.iter().chain([&power]);
            captured.map(|a| a.astype(F32)?.add(&p[0])).collect()
        };
        export_function(&path, f, [Array::from(0.5f32)], false).unwrap();
        handle.wait().unwrap();
        let zero = [Array::from(0.0f32)];
        let got = import_function(&path).unwrap().call(&zero).unwrap();
        for (got, want) in got.iter().zip(f(&zero).unwrap()) {
            assert_eq!(got.shape(), want.shape());
            assert_eq!(f32s(got), f32s(&want));
        }
    });
}

#[test]
fn captured_values_that_are_not_there() {
    on_worker(|| {
        let (_dir, path) = place();
        let x = Array::from(2.0f32);
        // Another transformation traces it.
        let inside = grad(|a: &Array| {
            export_function(&path, |p: &[Array]| Ok(vec![p[0].add(a)?]), [&x], false)?;
            a.square()
        });
        // Either it has values, or there is an error.
        if inside(&x).is_ok() {
            let y = import_function(&path).unwrap().call([&x]).unwrap();
            assert_eq!(f32s(&y[0]), [4.0]);
        }
        let failed = with_device(Device::CPU, || {
            let singular = Array::zeros((2, 2), F32)?;
            let inverse = zmlx::linalg::inv(&singular)?;
            assert!(inverse.eval().is_err());
            Ok::<_, Error>(inverse)
        })
        .unwrap();
        let f = |p: &[Array]| Ok(vec![p[0].add(&failed)?]);
        assert!(export_function(&path, f, [&x], false).is_err());
    });
}
