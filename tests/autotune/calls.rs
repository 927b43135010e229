//! Where nothing is measured, and what is refused.

use std::fs;
use std::sync::{Arc, Mutex};

use zmlx::autotune::{Autotune, Mode};
use zmlx::prelude::*;
use zmlx::{Result, jvp, value_and_grad, with_device};

use crate::common::on_worker;
use crate::setup::{Place, by_width, counted, double, input, invented};

#[test]
fn nothing_is_measured_inside_transforms_and_exports() {
    on_worker(|| {
        let place = Place::new();
        let (x, _) = input(1000);
        let inputs = [&x];
        let (tuned, seen) = counted("tune_traced", &place.cache);
        let f = {
            let tuned = tuned.clone();
            move |x: &Array| -> Result<Array> {
                let [y] = tuned.launch(&[x]).run()?;
                Ok(y)
            }
        };
        let g = f.clone();
        let op = zmlx::custom_function(move |p: &[Array]| Ok(vec![f(&p[0])?]))
            .with_vjp(|_, cotangents, _| Ok(vec![(&cotangents[0] * 2.0)?]));
        let loss = |p: &Array| op.call([p])?[0].sum(..);
        let all = |wanted: [i64; 3]| {
            let (_, gradient) = value_and_grad(loss)(&x).unwrap();
            assert_eq!(gradient.to_vec::<f32>().unwrap(), [2.0; 1000]);
            let g = g.clone();
            let compiled = compile(move |p: &[Array]| {
                assert!(p[0].is_tracer());
                Ok(vec![g(&p[0])?])
            })
            .unwrap();
            let y = compiled.call([&x]).unwrap();
            assert_eq!(
                y[0].to_vec::<f32>().unwrap()[5],
                2.0 * x.to_vec::<f32>().unwrap()[5]
            );
            // What it would choose.
            let choices = Mutex::new(vec![]);
            let _ = jvp(
                |p: &[Array]| {
                    choices.lock().unwrap().push(tuned.launch(p).choice()?);
                    assert!(matches!(
                        tuned.launch(p).tune(),
                        Err(Error::Argument { .. })
                    ));
                    Ok(p.to_vec())
                },
                [&x],
                [&x],
            );
            assert_eq!(choices.lock().unwrap()[0].threadgroup(), wanted);
            let file = place.folder.path().join("f.mlxfn");
            let g = |p: &[Array]| {
                let [y] = tuned.launch(p).run()?;
                Ok(vec![y])
            };
            zmlx::export_function(&file, g, [&x], false).unwrap();
        };
        all([32, 1, 1]);
        assert_eq!(seen.samples(), 0);
        tuned.launch(&inputs).tune().unwrap();
        let before = seen.samples();
        // What is known is used there too.
        all([256, 1, 1]);
        assert_eq!(seen.samples(), before);
    });
}

#[test]
fn modes_say_when_to_measure() {
    on_worker(|| {
        let place = Place::new();
        let (x, _) = input(1000);
        let inputs = [&x];
        let run = |mode| {
            let seen = Arc::default();
            let tuned = Autotune::new(&double("tune_modes"))
                .threadgroups([32, 256])
                .cache(place.reopened())
                .timer(invented(&seen, by_width))
                .mode(mode)
                .build()
                .unwrap();
            let width = tuned.launch(&inputs).choice().unwrap().threadgroup()[0];
            let first = seen.samples() > 0;
            let before = seen.samples();
            tuned.launch(&inputs).choice().unwrap();
            assert_eq!(seen.samples(), before, "{mode:?}");
            (width, first)
        };
        assert_eq!(run(Mode::Off), (32, false));
        assert_eq!(run(Mode::Cached), (32, false));
        assert_eq!(run(Mode::On), (256, true));
        assert_eq!(run(Mode::On), (256, false));
        assert_eq!(run(Mode::Cached), (256, false));
        assert_eq!(run(Mode::Off), (32, false));
        assert_eq!(run(Mode::Force), (256, true));
    });
}

#[test]
fn checked_and_empty_launches_are_not_measured() {
    on_worker(|| {
        let place = Place::new();
        let seen = Arc::default();
        let kernel = double("tune_checked").checked();
        let tuned = Autotune::new(&kernel)
            .threadgroups([32, 256])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let (x, _) = input(100);
        // Checked mode is the host engine's.
        with_device(Device::CPU, || {
            let [y] = tuned.launch(&[&x]).run().unwrap();
            y.eval().unwrap();
        });
        assert_eq!(kernel.checked_report().unwrap().launches, 1);
        let (plain, more) = counted("tune_empty", &place.cache);
        let none = Array::zeros((0, 4), F32).unwrap();
        let [y] = plain.launch(&[&none]).run().unwrap();
        assert!(y.to_vec::<f32>().unwrap().is_empty());
        assert_eq!((seen.samples(), more.samples()), (0, 0));
        // Captures are for launches of the user's own.
        let captured = double("tune_captured").capture(place.folder.path().join("captures"));
        let tuned = Autotune::new(&captured)
            .threadgroups([32, 256])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let [_] = tuned.launch(&[&x]).run().unwrap();
        let folders = fs::read_dir(place.folder.path().join("captures")).unwrap();
        assert_eq!(folders.count(), 1);
    });
}

#[test]
fn errors_say_what_to_do() {
    on_worker(|| {
        let kernel = double("tune_errors");
        let argument = |e: Error| {
            assert!(matches!(e, Error::Argument { .. }), "{e}");
            let text = e.to_string();
            assert!(text.contains("tests/autotune/calls.rs"), "{text}");
            text
        };
        let auto = || Autotune::new(&kernel);
        argument(auto().threadgroups([0; 0]).build().unwrap_err());
        argument(auto().threadgroups([64, 0]).build().unwrap_err());
        argument(auto().threadgroups([(64, 32)]).build().unwrap_err());
        let text = argument(auto().template("VEC", [1, 2]).build().unwrap_err());
        assert!(text.contains("`VEC`"), "{text}");
        argument(auto().template("x", [0; 0]).build().unwrap_err());
        let together = MetalKernel::new("tune_together", ["x"], ["out"])
            .source(
                "threadgroup float v[256]; uint t = thread_position_in_threadgroup.x;
                 v[t] = x[thread_position_in_grid.x];
                 threadgroup_barrier(mem_flags::mem_threadgroup);
                 out[thread_position_in_grid.x] = v[255 - t];",
            )
            .build()
            .unwrap();
        let text = argument(together.autotuned().unwrap_err());
        assert!(
            text.contains("TG") && text.contains("threadgroups("),
            "{text}"
        );
        // The default's own error, and the description's.
        let broken = MetalKernel::new("tune_broken", ["x"], ["out"])
            .source("out[thread_position_in_grid.x] = y;")
            .build()
            .unwrap();
        let place = Place::new();
        let tuned = |kernel: &MetalKernel| {
            let auto = Autotune::new(kernel).cache(Arc::clone(&place.cache));
            auto.build().unwrap()
        };
        let (x, _) = input(100);
        let error = tuned(&broken).launch(&[&x]).run::<1>().unwrap_err();
        assert!(matches!(error, Error::Kernel { .. }), "{error}");
        let tuned = tuned(&kernel);
        let error = tuned.launch(&[&x]).output(-3, F32).run::<1>().unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        let none: [&Array; 0] = [];
        argument(tuned.launch(&none).run::<1>().unwrap_err());
        argument(tuned.launch(&[&x]).groups(i32::MAX).run::<1>().unwrap_err());
    });
}
