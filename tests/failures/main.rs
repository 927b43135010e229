//! What failed, what depends on it, and what does not: each array and each evaluation by itself.

#[path = "../common/mod.rs"]
mod common;
mod handing_over;
mod random_graphs;

use std::time::Duration;

use common::on_worker;
use zmlx::prelude::*;
use zmlx::{
    Array, ArrayMap, Device, Error, Stream, async_eval, compile, custom_function, eval, io, linalg,
    vmap, with_device, with_stream,
};

/// Fails when it is evaluated, in the stream's thread.
fn failing() -> Array {
    let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
    on_cpu(|| linalg::inv(&singular)).unwrap()
}

fn on_cpu<R>(body: impl FnOnce() -> R) -> R {
    with_device(Device::CPU, body)
}

fn nap() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Whatever is asked of it, the answer is an error that speaks of a failure.
#[track_caller]
fn assert_failed(a: &Array) {
    for _ in 0..2 {
        assert!(!a.is_ready().unwrap());
        assert!(a.as_slice::<f32>().is_err());
        for e in [
            a.eval().unwrap_err(),
            a.to_vec::<f32>().unwrap_err(),
            a.square().and_then(|y| y.to_vec::<f32>()).unwrap_err(),
            a.freeze().unwrap_err(),
            async_eval([a]).map(|_| ()).unwrap_err(),
        ] {
            assert!(e.to_string().contains("evaluation"), "{e}");
            assert!(e.to_string().contains("failed: "), "{e}");
            assert!(e.to_string().contains("LU factorization"), "{e}");
        }
    }
}

#[test]
fn a_later_error_leaves_an_earlier_evaluation_alone() {
    on_worker(|| {
        let good = Array::from(3.0f32).square().unwrap();
        let a = async_eval([&failing()]).unwrap();
        nap();
        let b = async_eval([&good]).unwrap();
        nap();
        assert!(a.wait().is_err());
        let bad = failing();
        let c = async_eval([&bad]).unwrap();
        nap();
        b.wait().unwrap();
        let e = c.wait().unwrap_err();
        assert!(e.to_string().contains("LU factorization"), "{e}");
        assert_eq!(good.item::<f32>().unwrap(), 9.0);
        assert_failed(&bad);
    });
}

#[test]
fn what_depends_on_a_failure_fails_and_says_so() {
    for streams in [false, true] {
        on_worker(move || {
            let side = Stream::new(Device::CPU).unwrap();
            let bad = if streams {
                with_stream(&side, failing)
            } else {
                failing()
            };
            let a = async_eval([&bad]).unwrap();
            let y = on_cpu(|| bad.sum(..)).unwrap();
            let fine = Array::from(2.0f32).square().unwrap();
            let b = async_eval([&y, &fine]).unwrap();
            let z = on_cpu(|| y.square()).unwrap();
            let c = async_eval([&z]).unwrap();
            let e = c.wait().unwrap_err().to_string();
            assert!(
                e.contains("depends on one whose evaluation has failed"),
                "{e}"
            );
            assert!(e.contains("LU factorization"), "{e}");
            assert!(b.wait().is_err());
            assert!(a.wait().is_err());
            for a in [&bad, &y, &z] {
                assert_failed(a);
            }
            assert_eq!(fine.item::<f32>().unwrap(), 4.0);
        });
    }
}

#[test]
fn values_on_the_way_are_told_apart() {
    on_worker(|| {
        let x = Array::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2)).unwrap();
        let (way, bad) = (x.square().unwrap(), failing());
        let after = on_cpu(|| way.add(&bad)).unwrap();
        let end = on_cpu(|| after.sum(..)).unwrap();
        let beside = way.sum(..).unwrap();
        let e = eval([&end, &beside]).unwrap_err();
        assert!(e.to_string().starts_with("[Inverse"), "{e}");
        // Nobody asked for these by name.
        assert_failed(&bad);
        assert_failed(&after);
        assert_failed(&end);
        assert_eq!(way.to_vec::<f32>().unwrap(), [1.0, 4.0, 9.0, 16.0]);
        assert_eq!(beside.item::<f32>().unwrap(), 30.0);
    });
}

#[test]
fn polling_tells_the_truth_before_anybody_waits() {
    on_worker(|| {
        let bad = failing();
        let y = on_cpu(|| bad.add(&bad)).unwrap();
        let good = Array::from(2.0f32).square().unwrap();
        let handle = async_eval([&y, &good]).unwrap();
        while !handle.is_done() {}
        assert!(!y.is_ready().unwrap());
        assert!(!bad.is_ready().unwrap());
        assert!(y.as_slice::<f32>().is_err());
        assert!(good.is_ready().unwrap());
        assert!(handle.wait().is_err());
        assert_failed(&y);
        assert_eq!(good.item::<f32>().unwrap(), 4.0);
    });
}

#[test]
fn failures_within_functions() {
    on_worker(|| {
        on_cpu(|| {
            let singular = Array::from_slice(&[0.0f32; 4], (2, 2)).unwrap();
            let fine = Array::from_slice(&[2.0f32, 0.0, 0.0, 4.0], (2, 2)).unwrap();
            let inverse = |p: &[Array]| Ok(vec![linalg::inv(&p[0])?, p[0].square()?]);
            let compiled = compile(inverse).unwrap();
            let custom = custom_function(inverse);
            type Call<'a> = &'a dyn Fn(&Array) -> zmlx::Result<Vec<Array>>;
            let calls: [Call; 2] = [&|x| compiled.call([x]), &|x| custom.call([x])];
            for call in calls {
                let (bad, good) = (call(&singular).unwrap(), call(&fine).unwrap());
                let first = async_eval([&bad[0], &bad[1]]).unwrap();
                let second = async_eval([&good[0]]).unwrap();
                second.wait().unwrap();
                assert!(first.wait().is_err());
                assert_failed(&bad[0]);
                assert_eq!(bad[1].to_vec::<f32>().unwrap(), [0.0; 4]);
                assert_eq!(good[0].to_vec::<f32>().unwrap(), [0.5, 0.0, 0.0, 0.25]);
            }
            // One element of a batch fails, and with it the whole.
            let both = zmlx::ops::stack([&fine, &singular], 0).unwrap();
            let y = vmap(|p: &[Array]| Ok(vec![linalg::inv(&p[0])?]))
                .call([&both])
                .unwrap();
            assert!(y[0].eval().is_err());
            assert_failed(&y[0]);
        });
    });
}

/// A kernel's own error, its other output, and what depends on it.
#[test]
fn kernels_that_fail() {
    common::host_engine();
    on_worker(|| {
        let kernel = MetalKernel::new("strays", ["x"], ["out", "second"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i + 5]; second[i] = x[i];")
            .build()
            .unwrap()
            .checked();
        let x = Array::ones(4, F32).unwrap();
        let [z, second] = kernel.launch(&[&x]).run().unwrap();
        let (after, beside) = (z.sum(..).unwrap(), x.sum(..).unwrap());
        // Neither output is asked for by name.
        let first = async_eval([&after]).unwrap();
        let fine = async_eval([&beside]).unwrap();
        let other = second.square().unwrap();
        let later = async_eval([&other]).unwrap();
        let e = later.wait().unwrap_err().to_string();
        assert!(
            e.contains("depends on one whose evaluation has failed: kernel `strays`"),
            "{e}"
        );
        fine.wait().unwrap();
        let e = first.wait().unwrap_err();
        assert!(matches!(e, Error::Launch { .. }), "{e}");
        for a in [&z, &second, &after, &other] {
            for e in [a.to_vec::<f32>().unwrap_err(), a.eval().unwrap_err()] {
                assert!(e.to_string().contains("failed: kernel `strays`"), "{e}");
            }
            assert!(!a.is_ready().unwrap());
        }
        assert_eq!(beside.item::<f32>().unwrap(), 4.0);
        // The handle dropped: the next evaluation says so once, and keeps its own values.
        let [z, _] = kernel.launch(&[&x]).run().unwrap();
        drop(async_eval([&z]).unwrap());
        let y = x.sum(..).unwrap();
        assert!(matches!(y.eval(), Err(Error::Earlier { .. })));
        assert_eq!(y.item::<f32>().unwrap(), 4.0);
        assert!(z.eval().is_err());
    });
}

/// The first call of a process is one that needs no stream: the thread that makes it gets no
/// part that MLX gives to its first thread. One process a call.
#[test]
fn whatever_comes_first() {
    let first: [(&str, fn()); 4] = [
        ("from_slice", || {
            drop(Array::from_slice(&[1.0f32], 1).unwrap())
        }),
        ("scalar", || drop(Array::from(1.0f32))),
        ("memory", || assert!(zmlx::memory::active().is_ok())),
        ("device", || {
            assert!(Device::count(zmlx::DeviceKind::Cpu).is_ok())
        }),
    ];
    for (name, call) in first {
        if std::env::var("ZMLX_TEST_FIRST").is_ok_and(|n| n == name) {
            call();
            for _ in 0..20 {
                let first = async_eval([&failing()]).unwrap();
                nap();
                let good = Array::from(3.0f32).square().unwrap();
                let second = async_eval([&good]).unwrap();
                second.wait().unwrap();
                assert!(first.wait().is_err());
                assert_eq!(good.item::<f32>().unwrap(), 9.0);
            }
            return;
        }
    }
    if std::env::var("ZMLX_TEST_FIRST").is_ok() {
        return;
    }
    for (name, _) in first {
        let this = std::env::current_exe().unwrap();
        let ended = std::process::Command::new(this)
            .args(["--exact", "whatever_comes_first"])
            .env("ZMLX_TEST_FIRST", name)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{name}: {ended:?}");
    }
}
