//! What wins, and what never does.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use zmlx::autotune::{Autotune, Rejection, Search, Stop};
use zmlx::prelude::*;

use crate::common::{all_close, f64s, on_worker};
use crate::setup::{Place, Seen, by_width, double, input, invented, row_sum};

#[test]
fn the_fastest_wins_and_computes_the_same() {
    on_worker(|| {
        let place = Place::new();
        let seen = Arc::default();
        let tuned = Autotune::new(&double("tune_fastest"))
            .threadgroups([256, 32, 512])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let (x, values) = input(1000);
        let inputs = [&x];
        let tuning = tuned.launch(&inputs).tune().unwrap();
        assert_eq!(tuning.best.threadgroup(), [512, 1, 1]);
        assert_eq!(tuning.default.threadgroup(), [256, 1, 1]);
        assert_eq!(tuning.speedup(), 2.0);
        assert_eq!((tuning.stop, tuning.bytes), (Stop::Complete, 8000));
        assert!(tuning.rejected.is_empty());
        assert_eq!(tuning.timings.len(), 3);
        assert!(
            tuning
                .timings
                .iter()
                .all(|t| t.mad < Duration::from_nanos(2))
        );
        let table = tuning.to_string();
        assert!(table.contains("512") && table.contains("best"), "{table}");
        // The launch uses it, and measures no more.
        let before = seen.samples();
        let [y] = tuned.launch(&inputs).run().unwrap();
        let want: Vec<f64> = values.iter().map(|&v| f64::from(v) * 2.0).collect();
        all_close(&f64s(&y), &want, 0.0);
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), tuning.best);
        assert_eq!(seen.samples(), before);
        // Only that launch counts as one of the program's.
        assert_eq!(tuned.kernel().stats().launches, 1);
    });
}

#[test]
fn one_word_tunes_rows_by_the_clock() {
    on_worker(|| {
        let place = Place::new();
        let kernel = row_sum("tune_rows");
        kernel.autotuned().unwrap();
        let tuned = Autotune::new(&kernel)
            .cache(Arc::clone(&place.cache))
            .budget(Duration::from_millis(50))
            .build()
            .unwrap();
        let (rows, n) = (5, 1001);
        let (x, values) = input(rows * n);
        let x = x.reshape((rows, n)).unwrap();
        let want: Vec<f64> = values
            .chunks(n)
            .map(|row| row.iter().map(|&v| f64::from(v)).sum())
            .collect();
        let inputs = [&x];
        let launch = || tuned.launch(&inputs).output(rows, F32).groups(rows);
        for _ in 0..2 {
            let [y] = launch().run().unwrap();
            all_close(&f64s(&y), &want, 1e-4);
        }
        let choice = launch().choice().unwrap();
        assert!(choice.int("VEC") > 0 && choice.template().len() == 1);
        // A launch that gives the constants is not changed.
        let fixed = launch().template("TG", 8).template("VEC", 2);
        let choice = fixed.choice().unwrap();
        assert_eq!(
            (choice.threadgroup(), choice.template().len()),
            ([8, 1, 1], 0)
        );
        let [y] = launch().template("TG", 8).template("VEC", 2).run().unwrap();
        all_close(&f64s(&y), &want, 1e-4);
    });
}

/// One that is only right with one thread, and the fastest by far.
#[rstest]
#[case::wrong("out[i] = TG == 1 ? x[i] : x[i] + 1.0f;", "is")]
#[case::slightly_wrong("out[i] = TG == 1 ? x[i] : x[i] * 1.001f;", "is")]
#[case::nan("out[i] = TG == 1 ? x[i] : NAN;", "NaN")]
#[case::unwritten(
    "if (TG == 1 || i % 100 != 7) out[i] = x[i];",
    "element 7 of `out` is not written"
)]
#[case::does_not_compile("static_assert(TG == 1, \"one only\"); out[i] = x[i];", "one only")]
fn a_wrong_candidate_never_wins(#[case] body: &'static str, #[case] why: &'static str) {
    on_worker(move || {
        let place = Place::new();
        let kernel = MetalKernel::new("tune_wrong", ["x"], ["out"])
            .source(format!("uint i = thread_position_in_grid.x; {body}"))
            .build()
            .unwrap();
        let tuned = Autotune::new(&kernel)
            .threadgroups([1, 64])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&Arc::default(), by_width))
            .build()
            .unwrap();
        let (x, _) = input(500);
        let inputs = [&x];
        let tuning = tuned.launch(&inputs).tune().unwrap();
        assert_eq!(tuning.best, tuning.default);
        assert_eq!(tuning.rejected.len(), 1);
        let rejected = &tuning.rejected[0];
        assert_eq!(rejected.candidate.threadgroup(), [64, 1, 1]);
        let text = rejected.reason.to_string();
        assert!(text.contains(why), "{text}");
        let [y] = tuned.launch(&inputs).run().unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), x.to_vec::<f32>().unwrap());
    });
}

#[test]
fn nan_agrees_with_nan_and_unwritten_with_unwritten() {
    on_worker(|| {
        let place = Place::new();
        let kernel = MetalKernel::new("tune_nan", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 if (i % 3 == 0) out[i] = metal::sqrt(x[i]);
                 if (i % 3 == 1) out[i] = 1.0f / 0.0f;",
            )
            .build()
            .unwrap();
        let tuned = Autotune::new(&kernel)
            .threadgroups([32, 64])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&Arc::default(), by_width))
            .build()
            .unwrap();
        let (x, _) = input(300);
        let tuning = tuned.launch(&[&x]).tune().unwrap();
        assert_eq!(tuning.best.threadgroup(), [64, 1, 1], "{tuning}");
    });
}

#[rstest]
fn outputs_of_every_dtype_are_compared(
    #[values(BOOL, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32)] dtype: Dtype,
    #[values(false, true)] wrong: bool,
) {
    on_worker(move || {
        let place = Place::new();
        let kernel = MetalKernel::new("tune_dtype", ["x"], ["a", "out"])
            .source(
                "uint i = thread_position_in_grid.x;
                 a[i] = x[i];
                 out[i] = O(BAD && TG == 64 && i == 77 ? 0 : 1);",
            )
            .build()
            .unwrap();
        let tuned = Autotune::new(&kernel)
            .threadgroups([32, 64])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&Arc::default(), by_width))
            .build()
            .unwrap();
        let (x, _) = input(100);
        let inputs = [&x];
        let launch = tuned.launch(&inputs);
        let launch = launch.template("O", dtype).template("BAD", wrong);
        let launch = launch.output(100, F32).output(100, dtype);
        let tuning = launch.tune().unwrap();
        let best = if wrong { 32 } else { 64 };
        assert_eq!(tuning.best.threadgroup()[0], best, "{tuning}");
        if wrong {
            let reason = &tuning.rejected[0].reason;
            let Rejection::Differs { output, index, .. } = reason else {
                panic!("{reason}");
            };
            assert_eq!((output.as_str(), *index), ("out", 77));
        }
    });
}

#[test]
fn threadgroups_of_two_and_three_dimensions() {
    on_worker(|| {
        let place = Place::new();
        // The threads of a group reverse their order in both directions and back.
        let kernel = MetalKernel::new("tune_plane", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid; uint3 n = threads_per_grid;
                 uint i = (p.z * n.y + p.y) * n.x + p.x; out[i] = x[i] * float(p.y + 10 * p.z);",
            )
            .build()
            .unwrap();
        let (x, values) = input(20 * 30 * 4);
        let inputs = [&x];
        let want: Vec<f64> = values
            .iter()
            .enumerate()
            .map(|(i, &v)| f64::from(v) * ((i / 20 % 30) + 10 * (i / 600)) as f64)
            .collect();
        let auto = |groups: Vec<(i32, i32, i32)>| {
            Autotune::new(&kernel)
                .threadgroups(groups)
                .cache(Arc::clone(&place.cache))
                .timer(invented(&Arc::default(), |c| {
                    let [x, y, z] = c.threadgroup();
                    1000.0 / (x + 5 * y + 9 * z) as f64
                }))
                .build()
                .unwrap()
        };
        let flat = auto(vec![(32, 1, 1), (8, 8, 1), (16, 4, 1)]);
        let deep = auto(vec![(32, 1, 1), (8, 4, 4), (16, 4, 1)]);
        for (tuned, best) in [(flat, [8, 8, 1]), (deep, [8, 4, 4])] {
            let launch = || tuned.launch(&inputs).grid((20, 30, 4));
            assert_eq!(launch().tune().unwrap().best.threadgroup(), best);
            let [y] = launch().run().unwrap();
            all_close(&f64s(&y), &want, 1e-6);
        }
        // Without a list, the candidates have the grid's dimensions. This kernel asks nothing
        // about its group, so it may be in any.
        let pixel = MetalKernel::new("tune_pixel", ["x"], ["out"])
            .source(
                "uint3 p = thread_position_in_grid;
                 uint i = (p.z * 30 + p.y) * 20 + p.x; out[i] = x[i];",
            )
            .build()
            .unwrap();
        let seen = Arc::default();
        let tuned = Autotune::new(&pixel)
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .search(Search::Exhaustive)
            .build()
            .unwrap();
        let [y] = tuned.launch(&inputs).grid((20, 30, 4)).run().unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), values);
        assert!(seen.names.lock().unwrap().contains(&"8x8x4".to_owned()));
    });
}

#[test]
fn grids_may_depend_on_the_candidate() {
    on_worker(|| {
        let place = Place::new();
        let kernel = MetalKernel::new("tune_unroll", ["x"], ["out"])
            .source(
                "uint i = thread_position_in_grid.x * UNROLL;
                 for (int j = 0; j < UNROLL; ++j) out[i + j] = -x[i + j];",
            )
            .build()
            .unwrap();
        let seen = Arc::default();
        let tuned = Autotune::new(&kernel)
            .threadgroups([64, 32])
            .template("UNROLL", [1, 4, 16])
            .search(Search::Exhaustive)
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, |c| 100.0 / f64::from(c.int("UNROLL"))))
            .build()
            .unwrap();
        let (x, values) = input(160);
        let inputs = [&x];
        let launch = || {
            let n = x.size();
            tuned
                .launch(&inputs)
                .grid_for(move |c| n / c.int("UNROLL") as usize)
        };
        let tuning = launch().tune().unwrap();
        assert_eq!(tuning.best.int("UNROLL"), 16);
        assert_eq!(tuning.candidates, 6);
        let [y] = launch().run().unwrap();
        let want: Vec<f32> = values.iter().map(|v| -v).collect();
        assert_eq!(y.to_vec::<f32>().unwrap(), want);
        // 64 and 32 threads of a grid of 10 are one and the same.
        assert_eq!(seen.names.lock().unwrap().len(), 5);
    });
}

#[test]
fn shapes_dtypes_and_constants_are_tuned_apart() {
    on_worker(|| {
        let place = Place::new();
        let seen: Arc<Seen> = Arc::default();
        let kernel = MetalKernel::new("tune_apart", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = x[i] * N;")
            .build()
            .unwrap();
        let tuned = Autotune::new(&kernel)
            .threadgroups([256, 32])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let mut runs = vec![];
        for (shape, dtype, n) in [
            (vec![1000], F32, 2),
            (vec![2000], F32, 2),
            (vec![10, 100], F32, 2),
            (vec![1000], F16, 2),
            (vec![1000], F32, 3),
        ] {
            let x = Array::ones(&shape[..], dtype).unwrap();
            let before = seen.samples();
            for _ in 0..3 {
                let [y] = tuned.launch(&[&x]).template("N", n).run().unwrap();
                let y = y.astype(F32).unwrap().flatten(..).unwrap();
                assert_eq!(y.to_vec::<f32>().unwrap()[999], n as f32);
            }
            runs.push(seen.samples() - before);
        }
        // All were measured, and as often: nothing was measured twice.
        assert!(runs.iter().all(|&r| r > 0 && r == runs[0]), "{runs:?}");
        let text = fs::read_to_string(place.path()).unwrap();
        assert_eq!(text.matches("\"threadgroup\"").count(), 5, "{text}");
        // Another text under the same name is another kernel.
        let other = MetalKernel::new("tune_apart", ["x"], ["out"])
            .source("uint i = thread_position_in_grid.x; out[i] = N * x[i];")
            .build()
            .unwrap();
        let tuned = Autotune::new(&other)
            .threadgroups([256, 32])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let before = seen.samples();
        let x = Array::ones(1000, F32).unwrap();
        let [_] = tuned.launch(&[&x]).template("N", 2).run().unwrap();
        assert!(seen.samples() > before);
    });
}

#[test]
fn the_search_ends_at_the_given_bandwidth() {
    on_worker(|| {
        let place = Place::new();
        let seen = Arc::default();
        let tuned = Autotune::new(&double("tune_roof"))
            .threadgroups([32, 64, 128, 256])
            .cache(Arc::clone(&place.cache))
            .timer(invented(&seen, by_width))
            // 8000 bytes in 1000/64 us, and 4% more.
            .bandwidth(8000.0 / (1000.0 / 64.0 * 1e-6) * 1.04)
            .build()
            .unwrap();
        let (x, _) = input(1000);
        let tuning = tuned.launch(&[&x]).tune().unwrap();
        assert_eq!(tuning.stop, Stop::Roofline);
        assert_eq!(tuning.best.threadgroup(), [64, 1, 1]);
        assert_eq!(*seen.names.lock().unwrap(), ["32", "64"]);
    });
}
