//! One kernel for one description, and what it counts.
//!
//! All tests of this file share the process's registry: each has kernels of its own names, and
//! [`EMPTY`] keeps the one that clears it apart from the others.

mod common;

use std::sync::{Arc, Barrier, RwLock};

use common::kernels::{run_scale as run, scale};
use common::on_worker;
use serde_json::Value;
use zmlx::prelude::*;
use zmlx::{Checked, MathMode, profile, registry, with_device};

static EMPTY: RwLock<()> = RwLock::new(());

/// Runs a test while nobody clears the registry.
fn shared<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let _shared = EMPTY.read().unwrap_or_else(|e| e.into_inner());
    on_worker(body)
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

/// Settings of one handle stay with it. Checked mode is the host engine's, and elsewhere what is read here
/// outside of the input would be anything.
#[test]
fn checks_and_captures_do_not_leak() {
    let body = || {
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
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!((plain.stats().launches, checked.stats().launches), (2, 1));
        assert!(plain.checked_report().is_none());
        let asked = scale("registry_leak_2").checked(Checked::Strict);
        assert_eq!(asked.build().unwrap().key(), checked.key());
    };
    shared(move || with_device(Device::CPU, body));
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
