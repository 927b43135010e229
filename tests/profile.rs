//! Dumps of what is compiled, and measurements.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::kernels::{run_scale as run, scale};
use common::on_worker;
use serde_json::Value;
use zmlx::prelude::*;
use zmlx::profile;

/// What is below `dir`, in order.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut folders: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The folders of this kernel: other tests may be launching meanwhile.
fn folders_of(dir: &Path, kernel: &MetalKernel) -> Vec<PathBuf> {
    let prefix = format!("{}-{}-", kernel.name(), &kernel.key()[..8]);
    let mut all = folders(dir);
    all.retain(|f| {
        f.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(&prefix)
    });
    all
}

#[test]
fn a_dump_has_texts_and_parameters() {
    on_worker(|| {
        let dir = tempfile::tempdir().unwrap();
        let kernel = scale("profile_dump").build().unwrap();
        let x = Array::ones((4, 16), F16).unwrap();
        let inputs = [&x, &3.0f32.into()];
        let launch = || {
            kernel
                .launch(&inputs)
                .template("T", F16)
                .output((4, 16), F16)
        };
        // Compiled before, and still the first while the dump is on.
        let [_y] = launch().run().unwrap();
        let dump = profile::dump_to(dir.path().join("new/folder")).unwrap();
        for _ in 0..2 {
            let [_y] = launch().threadgroup(8).init_value(1.5).run().unwrap();
        }
        run(&kernel).unwrap();
        let folders = folders_of(dump.dir(), &kernel);
        assert_eq!(folders.len(), 2, "one for each specialization");
        let read = |file: &str| fs::read_to_string(folders[0].join(file)).unwrap();
        let source = launch().source().unwrap();
        assert_eq!(read("kernel.metal"), source.msl);
        assert_eq!(read("lowered.cpp"), source.lowered);
        let json: Value = serde_json::from_str(&read("launch.json")).unwrap();
        assert_eq!(json["kernel"], "profile_dump");
        assert_eq!(json["key"], kernel.key());
        assert_eq!(json["inputs"][0]["shape"], serde_json::json!([4, 16]));
        assert_eq!(json["inputs"][0]["passed"], "device");
        assert_eq!(json["inputs"][1]["passed"], "reference");
        assert_eq!(json["outputs"][0]["dtype"], "float16");
        assert_eq!(json["template"][0]["value"], "float16");
        assert_eq!(json["grid"], serde_json::json!([64, 1, 1]));
        assert_eq!(json["threadgroup"], serde_json::json!([8, 1, 1]));
        assert_eq!(json["init_value"], 1.5);
        assert!(
            json["called_at"]
                .as_str()
                .unwrap()
                .contains("tests/profile.rs")
        );

        // Text that does not compile is what one wants to see.
        let wrong = MetalKernel::new("profile_dump_wrong", ["x", "k"], ["out"])
            .source("out[thread_position_in_grid.x] = T(nothing);")
            .build()
            .unwrap();
        assert!(run(&wrong).is_err());
        let wrong = folders_of(dump.dir(), &wrong);
        assert!(
            fs::read_to_string(wrong[0].join("kernel.metal"))
                .unwrap()
                .contains("T(nothing)")
        );

        // A second dump has everything again; the end of one is not the end of the other.
        let second = tempfile::tempdir().unwrap();
        let other = profile::dump_to(second.path()).unwrap();
        drop(dump);
        run(&kernel).unwrap();
        assert_eq!(folders_of(second.path(), &kernel).len(), 1);
        drop(other);
        let [_y] = launch().run().unwrap();
        assert_eq!(folders_of(second.path(), &kernel).len(), 1);
        let hidden = fs::read_dir(second.path()).unwrap();
        let hidden = hidden.filter(|e| {
            let name = e.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with('.')
        });
        assert_eq!(hidden.count(), 0, "no temporary folder is left");

        // One launch alone.
        let folder = profile::dump(launch(), second.path().join("alone")).unwrap();
        assert_eq!(
            fs::read_to_string(folder.join("kernel.metal")).unwrap(),
            source.msl
        );
    });
}

#[test]
fn eight_threads_dump_once() {
    let dir = tempfile::tempdir().unwrap();
    let dump = profile::dump_to(dir.path()).unwrap();
    let kernel = scale("profile_dump_threads").build().unwrap();
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| run(&kernel).unwrap());
        }
    });
    let folders = folders_of(dump.dir(), &kernel);
    assert_eq!(folders.len(), 1);
    assert_eq!(fs::read_dir(&folders[0]).unwrap().count(), 3);
}

/// A launch that a transform traces has texts and parameters like any other.
#[test]
fn a_traced_launch_is_dumped() {
    on_worker(|| {
        let dir = tempfile::tempdir().unwrap();
        let dump = profile::dump_to(dir.path()).unwrap();
        let kernel = scale("profile_dump_traced").build().unwrap();
        let key = kernel.clone();
        let x = Array::ones((3, 5), F32).unwrap();
        let mapped = vmap(move |p: &[Array]| {
            let inputs = [&p[0], &3.0f32.into()];
            kernel.launch(&inputs).template("T", F32).run_vec()
        });
        let [y] = <[Array; 1]>::try_from(mapped.call([&x]).unwrap()).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), [3.0; 15]);
        assert_eq!(folders_of(dump.dir(), &key).len(), 1);
    });
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    on_worker(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for bad in [file.clone(), file.join("below")] {
            let error = profile::dump_to(&bad).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}");
            assert!(error.to_string().contains("file"), "{error}");
        }
    });
}

/// Not a test of its own: [`the_environment_dumps`] runs it in a process with `ZMLX_DUMP_DIR`.
#[test]
#[ignore = "run by `the_environment_dumps`"]
fn launch_one() {
    let result = on_worker(|| {
        let kernel = scale("profile_environment").build().unwrap();
        run(&kernel).map_err(|e| matches!(e, Error::Io { .. }))
    });
    match std::env::var_os("ZMLX_TEST_REFUSED") {
        None => assert_eq!(result.unwrap(), [6.0; 64]),
        Some(_) => assert_eq!(result, Err(true), "an Error::Io"),
    }
}

#[test]
fn the_environment_dumps() {
    let dir = tempfile::tempdir().unwrap();
    let child = |dir: &Path| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "--ignored", "launch_one"])
            .env("ZMLX_DUMP_DIR", dir);
        command
    };
    let to = dir.path().join("to");
    assert!(child(&to).status().unwrap().success());
    let written = folders(&to);
    assert_eq!(written.len(), 1);
    let text = fs::read_to_string(written[0].join("kernel.metal")).unwrap();
    assert!(text.contains("T(float(x[i]) * k)"));
    // The key is the same in both processes.
    let kernel = scale("profile_environment").build().unwrap();
    assert_eq!(folders_of(&to, &kernel), written);
    let json = fs::read_to_string(written[0].join("launch.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["key"], kernel.key());

    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = child(&file).env("ZMLX_TEST_REFUSED", "1").status();
    assert!(refused.unwrap().success());
}

#[test]
fn measuring_a_function() {
    on_worker(|| {
        let x = Array::ones(1 << 12, F32).unwrap();
        let mut calls = 0;
        let timing = profile::time_kernel(
            || {
                calls += 1;
                Ok([x.exp()?, x.sin()?])
            },
            2,
            5,
        )
        .unwrap();
        assert_eq!((calls, timing.iters), (7, 5));
        assert!(0.0 < timing.min && timing.min <= timing.median && timing.median <= timing.max);
        assert!(timing.min <= timing.mean && timing.mean <= timing.max && timing.std >= 0.0);
        let error = profile::time_kernel(|| x.exp(), 1, 0).unwrap_err();
        assert!(matches!(error, Error::Argument { .. }), "{error}");
        let error = profile::time_kernel(|| x.reshape(3), 0, 1).unwrap_err();
        assert!(
            matches!(error, Error::Shape { .. } | Error::Argument { .. }),
            "{error}"
        );

        let usage = profile::memory_usage(&[&x, &x], &[x.astype(F16).unwrap()]);
        assert_eq!((usage.input_bytes, usage.output_bytes), (32 << 10, 8 << 10));
        assert_eq!(usage.total_bytes, 40 << 10);
        let none: [Array; 0] = [];
        assert_eq!(profile::memory_usage(&none, &none).total_bytes, 0);
        // The result, and nothing known about the other tests' arrays.
        assert!(profile::peak_memory(|| x.exp()).is_ok());
    });
}
