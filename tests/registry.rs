//! One kernel for one description, what it counts, and what is dumped of it.
//!
//! All tests of this file share the process's registry: each has kernels of its own names, and
//! [`EMPTY`] keeps the one that clears it apart from the others.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Barrier, RwLock};

use common::on_worker;
use serde_json::Value;
use zmlx::metal::KernelBuilder;
use zmlx::prelude::*;
use zmlx::{Checked, MathMode, profile, registry};

static EMPTY: RwLock<()> = RwLock::new(());

/// Runs a test while nobody clears the registry.
fn shared<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let _shared = EMPTY.read().unwrap_or_else(|e| e.into_inner());
    on_worker(body)
}

fn scale(name: &str) -> KernelBuilder {
    MetalKernel::new(name, ["x", "k"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = T(float(x[i]) * k);")
}

/// 64 numbers by 3.
fn run(kernel: &MetalKernel) -> zmlx::Result<Vec<f32>> {
    let x = Array::from_slice(&[2.0f32; 64], 64)?;
    let inputs = [&x, &3.0f32.into()];
    let launch = kernel.launch(&inputs).template("T", F32);
    let [y] = launch.output(64, F32).run()?;
    y.to_vec()
}

/// Differs in each run, so that the cache on disk does not know a text with it.
fn nonce() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("// {} {}\n", std::process::id(), now.unwrap().as_nanos())
}

#[test]
fn the_same_description_is_the_same_kernel() {
    shared(|| {
        let a = scale("registry_same").build().unwrap();
        let b = scale("registry_same").build().unwrap();
        assert_eq!(a.key(), b.key());
        assert_eq!(a.key().len(), 64);
        assert_eq!(run(&a).unwrap(), [6.0; 64]);
        assert_eq!(run(&b).unwrap(), [6.0; 64]);
        let stats = a.stats();
        assert_eq!(stats, b.stats());
        assert_eq!((stats.launches, stats.specializations), (2, 1));
        assert_eq!(stats.bytes, 2 * (64 + 1 + 64) * 4);
        assert_eq!(stats.timed_runs, 0);
        assert_eq!((stats.last_time, stats.gb_per_second()), (None, None));
    });
}

#[test]
fn other_options_are_other_kernels() {
    shared(|| {
        let base = || scale("registry_other");
        let kernels = [
            base(),
            base().header("// a\n"),
            base().header("// b\n"),
            base().source("uint i = thread_position_in_grid.x; out[i] = T(x[i]) * T(k) + 0;"),
            base().ensure_row_contiguous(false),
            base().math_mode(MathMode::Fast),
            base().checked(Checked::Strict),
        ];
        let kernels = kernels.map(|k| k.build().unwrap());
        for kernel in &kernels {
            assert_eq!(run(kernel).unwrap(), [6.0; 64]);
            assert_eq!(kernel.stats().launches, 1, "{}", kernel.key());
        }
        let named = registry::list_kernels();
        let named = named.iter().filter(|k| k.name == "registry_other");
        let mut keys: Vec<_> = named.map(|k| k.key.as_str()).collect();
        // In the order of their definition.
        assert!(
            keys.iter()
                .copied()
                .eq(kernels.iter().map(MetalKernel::key))
        );
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), kernels.len());
    });
}

#[test]
fn uncached_kernels_are_apart() {
    shared(|| {
        let cached = scale("registry_uncached").build().unwrap();
        let alone = scale("registry_uncached").cache(false).build().unwrap();
        assert_eq!(cached.key(), alone.key());
        run(&alone).unwrap();
        assert_eq!((alone.stats().launches, cached.stats().launches), (1, 0));
        let never = scale("registry_never").cache(false).build().unwrap();
        assert_eq!(registry::get("registry_never"), None);
        assert_eq!(registry::get(never.key()), None);
    });
}

/// The first call of a description decides nothing for those after it.
#[test]
fn failures_are_not_kept() {
    shared(|| {
        let bad = || MetalKernel::new("registry_bad", ["for"], ["out"]).source("out[0] = 1;");
        for _ in 0..2 {
            let error = bad().build().unwrap_err().to_string();
            assert!(error.contains("`for`"), "{error}");
        }
        assert_eq!(registry::get("registry_bad"), None);

        // A text that does not compile fails each launch, and counts nothing.
        let kernel = MetalKernel::new("registry_wrong", ["x", "k"], ["out"])
            .source("out[thread_position_in_grid.x] = T(nothing);")
            .build()
            .unwrap();
        for _ in 0..2 {
            let error = run(&kernel).unwrap_err();
            assert!(matches!(error, Error::Kernel { .. }), "{error}");
        }
        assert_eq!(kernel.stats(), Default::default());
    });
}

/// Settings of one handle stay with it.
#[test]
fn checks_and_captures_do_not_leak() {
    shared(|| {
        let build = |checked: Option<Checked>| {
            let kernel = MetalKernel::new("registry_leak", ["x", "k"], ["out"])
                .source("uint i = thread_position_in_grid.x; out[i] = T(k); if (i == 9) out[i] = T(x[999]);");
            match checked {
                Some(mode) => kernel.checked(mode).build().unwrap(),
                None => kernel.build().unwrap(),
            }
        };
        let first = build(Some(Checked::Robust));
        assert_eq!(run(&first).unwrap()[9], 0.0);
        let second = build(Some(Checked::Robust));
        assert_eq!(first.key(), second.key());
        assert_eq!(first.checked_report().unwrap().violations, 1);
        assert_eq!(second.checked_report().unwrap().violations, 0);
        assert!(run(&build(Some(Checked::Strict))).is_err());
        assert!(build(None).checked_report().is_none());

        let plain = scale("registry_leak_2").build().unwrap();
        let checked = plain.checked();
        assert_ne!(plain.key(), checked.key());
        run(&checked).unwrap();
        let dir = tempfile::tempdir().unwrap();
        run(&plain.capture(dir.path())).unwrap();
        run(&scale("registry_leak_2").build().unwrap()).unwrap();
        assert_eq!(folders(dir.path()).len(), 1);
        assert_eq!((plain.stats().launches, checked.stats().launches), (2, 1));
        assert!(plain.checked_report().is_none());
        let asked = scale("registry_leak_2").checked(Checked::Strict);
        assert_eq!(asked.build().unwrap().key(), checked.key());
    });
}

#[test]
fn eight_threads_compile_once() {
    let _shared = EMPTY.read().unwrap_or_else(|e| e.into_inner());
    const THREADS: usize = 8;
    let header = Arc::new(nonce());
    let gate = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (header, gate) = (Arc::clone(&header), Arc::clone(&gate));
            std::thread::spawn(move || {
                gate.wait();
                let builder = scale("registry_threads").header(header.as_str());
                let kernel = builder.build().unwrap();
                let values = run(&kernel).unwrap();
                (kernel, values)
            })
        })
        .collect();
    for thread in threads {
        let (kernel, values) = thread.join().unwrap();
        assert_eq!(values, [6.0; 64]);
        let stats = kernel.stats();
        assert_eq!(
            (stats.specializations, stats.compiled, stats.loaded),
            (1, 1, 0)
        );
        assert!(stats.compile_time.as_millis() > 0);
    }
    let entry = registry::get("registry_threads").unwrap();
    assert_eq!(entry.stats.launches, THREADS as u64);
}

#[test]
fn timed_launches_count() {
    shared(|| {
        let kernel = scale("registry_timed").build().unwrap();
        let x = Array::ones(1 << 16, F32).unwrap();
        for _ in 0..3 {
            // A further lazy operation below it is not part of the measurement, but is evaluated.
            let below = x.exp().unwrap();
            let inputs = [&below, &3.0f32.into()];
            let launch = kernel.launch(&inputs).template("T", F32);
            let [y] = launch.timed(true).run().unwrap();
            assert!(y.is_ready().unwrap() && below.is_ready().unwrap());
        }
        let inputs = [&x, &3.0f32.into()];
        let launch = kernel.launch(&inputs).template("T", F32);
        let [y] = launch.run().unwrap();
        assert!(!y.is_ready().unwrap(), "only timed launches evaluate");
        let stats = kernel.stats();
        assert_eq!((stats.launches, stats.timed_runs), (4, 3));
        let bytes = 2 * (4 << 16) + 4;
        assert_eq!((stats.bytes, stats.timed_bytes), (4 * bytes, 3 * bytes));
        let last = stats.last_time.unwrap();
        assert!(last.as_nanos() > 0 && last <= stats.total_time);
        assert!(stats.mean_time().unwrap() <= stats.total_time);
        assert!(stats.gb_per_second().unwrap() > 0.0);
    });
}

#[test]
fn timing_inside_a_transform_is_an_error() {
    shared(|| {
        let kernel = scale("registry_timed_inside").build().unwrap();
        let call = move |x: &Array| -> zmlx::Result<Array> {
            let inputs = [x, &3.0f32.into()];
            let launch = kernel.launch(&inputs).template("T", F32);
            let [y] = launch.timed(true).run()?;
            y.sum(..)
        };
        let x = Array::ones(64, F32).unwrap();
        assert!(call(&x).is_ok());
        let error = grad(call)(&x).unwrap_err();
        assert!(
            matches!(&error, Error::Argument { argument, .. } if argument == "timed"),
            "{error}"
        );
    });
}

#[test]
fn the_registry_finds_and_reports() {
    shared(|| {
        let kernel = scale("registry_find").build().unwrap();
        let newer = scale("registry_find").header("// newer\n").build().unwrap();
        for _ in 0..1000 {
            // The most launches of this file.
            let x = Array::ones(64, F32).unwrap();
            let inputs = [&x, &3.0f32.into()];
            let launch = newer.launch(&inputs).template("T", F32);
            let [_y] = launch.run().unwrap();
        }
        let entry = registry::get("registry_find").unwrap();
        assert_eq!(entry.key, newer.key(), "the newest of a name");
        assert_eq!((entry.inputs.len(), entry.outputs.len()), (2, 1));
        assert_eq!(registry::get(kernel.key()).unwrap().key, kernel.key());
        for unknown in ["registry_nobody", "", "0", &"0".repeat(64)] {
            assert_eq!(registry::get(unknown), None);
            assert!(registry::kernel(unknown).is_none());
        }
        let again = registry::kernel(kernel.key()).unwrap();
        assert_eq!(run(&again).unwrap(), [6.0; 64]);
        assert_eq!(kernel.stats().launches, 1);
        let hottest = registry::hottest(1);
        assert_eq!(hottest[0].key, newer.key());
        assert!(registry::hottest(0).is_empty());
        assert!(registry::hottest(usize::MAX).len() <= registry::cache_size());

        let summary = registry::summary();
        let text = summary.to_json().to_string();
        let json: Value = serde_json::from_str(&text).unwrap();
        let kernels = json["kernels"].as_array().unwrap();
        let found = kernels.iter().find(|k| k["key"] == newer.key()).unwrap();
        assert_eq!(found["name"], "registry_find");
        assert_eq!(found["inputs"][1], "k");
        assert_eq!(found["stats"]["launches"], 1000);
        assert_eq!(found["stats"]["last_ms"], Value::Null);
        let table = summary.to_string();
        let row = table
            .lines()
            .find(|l| l.contains(&newer.key()[..8]))
            .unwrap();
        assert!(
            row.starts_with("registry_find ") && row.contains(" 1000 "),
            "{table}"
        );
        assert!(profile::kernel_stats().iter().any(|k| k.key == newer.key()));
    });
}

#[test]
fn handles_outlive_the_cache() {
    let _alone = EMPTY.write().unwrap_or_else(|e| e.into_inner());
    on_worker(|| {
        let old = scale("registry_clear").build().unwrap();
        run(&old).unwrap();
        assert_eq!(old.stats().specializations, 1);
        let x = Array::ones(64, F32).unwrap();
        let inputs = [&x, &3.0f32.into()];
        let [pending] = old.launch(&inputs).template("T", F32).run().unwrap();
        registry::clear_cache();
        assert_eq!(registry::cache_size(), 0);
        assert!(registry::list_kernels().is_empty());
        assert_eq!(registry::get("registry_clear"), None);
        // A launch from before, and one that has to make its specialization again.
        assert_eq!(pending.to_vec::<f32>().unwrap(), [3.0; 64]);
        assert_eq!(run(&old).unwrap(), [6.0; 64]);
        assert_eq!((old.stats().specializations, old.stats().launches), (2, 3));
        assert!(old.stats().loaded >= 1, "from disk");
        let new = scale("registry_clear").build().unwrap();
        assert_eq!((new.key(), new.stats().launches), (old.key(), 0));
        assert_eq!(registry::cache_size(), 1);
    });
}

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
    shared(|| {
        let dir = tempfile::tempdir().unwrap();
        let kernel = scale("registry_dump").build().unwrap();
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
        assert_eq!(json["kernel"], "registry_dump");
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
                .contains("tests/registry.rs")
        );

        // Text that does not compile is what one wants to see.
        let wrong = MetalKernel::new("registry_dump_wrong", ["x", "k"], ["out"])
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
    let _shared = EMPTY.read().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().unwrap();
    let dump = profile::dump_to(dir.path()).unwrap();
    let kernel = scale("registry_dump_threads").build().unwrap();
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
    shared(|| {
        let dir = tempfile::tempdir().unwrap();
        let dump = profile::dump_to(dir.path()).unwrap();
        let kernel = scale("registry_dump_traced").build().unwrap();
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
    shared(|| {
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
fn launch_one() {
    let result = shared(|| {
        let kernel = scale("registry_environment").build().unwrap();
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
            .args(["--exact", "launch_one"])
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
    let kernel = scale("registry_environment").build().unwrap();
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
    shared(|| {
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
