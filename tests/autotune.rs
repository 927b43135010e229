//! Tuned kernels: what wins, what is kept, and where nothing is measured. Times are invented:
//! no test depends on a clock.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Rng, all_close, f64s, on_worker};
use rstest::rstest;
use zmlx::autotune::{self, Autotune, Cache, Candidate, Mode, Rejection, Search, Stop, Work};
use zmlx::prelude::*;
use zmlx::{MetalKernel, Result, jvp, value_and_grad};

/// A cache with a file of its own, which goes away with it.
struct Place {
    folder: tempfile::TempDir,
    cache: Arc<Cache>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::at(folder.path().join("tuned.json")));
        Place { folder, cache }
    }

    fn path(&self) -> &Path {
        self.cache.path()
    }

    /// The same file as another process sees it.
    fn reopened(&self) -> Arc<Cache> {
        Arc::new(Cache::at(self.path()))
    }
}

/// How often it was asked, and which candidates ran.
#[derive(Default)]
struct Seen {
    samples: AtomicUsize,
    names: Mutex<Vec<String>>,
}

impl Seen {
    fn samples(&self) -> usize {
        self.samples.load(Ordering::Relaxed)
    }
}

/// A timer that does not run anything and takes microseconds from a function.
fn invented(
    seen: &Arc<Seen>,
    us: impl Fn(&Candidate) -> f64 + Send + Sync + 'static,
) -> impl Fn(&mut Work<'_>) -> Result<Duration> + Send + Sync + 'static {
    let seen = Arc::clone(seen);
    move |work: &mut Work<'_>| {
        seen.samples.fetch_add(1, Ordering::Relaxed);
        let name = work.candidate().to_string();
        let mut names = seen.names.lock().unwrap();
        if !names.contains(&name) {
            names.push(name);
        }
        let us = us(work.candidate()) * work.launches() as f64;
        Ok(Duration::from_secs_f64(us * 1e-6))
    }
}

/// Wide is fast.
fn by_width(c: &Candidate) -> f64 {
    1000.0 / c.threadgroup()[0] as f64
}

fn double(name: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source("uint i = thread_position_in_grid.x; out[i] = x[i] * 2;")
        .build()
        .unwrap()
}

/// The sum of each row, for any `TG` and `VEC`.
fn row_sum(name: &str) -> MetalKernel {
    MetalKernel::new(name, ["x"], ["out"])
        .source(
            "threadgroup float sums[TG];
             uint row = threadgroup_position_in_grid.x, t = thread_position_in_threadgroup.x;
             uint n = x_shape[1];
             float sum[VEC];
             for (int j = 0; j < VEC; ++j) sum[j] = 0.0f;
             for (uint i = t * VEC; i < n; i += TG * VEC)
               for (int j = 0; j < VEC; ++j) if (i + j < n) sum[j] += float(x[row * n + i + j]);
             sums[t] = 0.0f;
             for (int j = 0; j < VEC; ++j) sums[t] += sum[j];
             threadgroup_barrier(mem_flags::mem_threadgroup);
             if (t > 0) return;
             float all = 0.0f;
             for (int i = 0; i < TG; ++i) all += sums[i];
             out[row] = all;",
        )
        .build()
        .unwrap()
}

fn input(n: usize) -> (Array, Vec<f32>) {
    let values = Rng::new().normals(n);
    (Array::from_slice(&values, n).unwrap(), values)
}

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

/// A kernel with candidates, and the samples it has taken.
fn counted(name: &str, cache: &Arc<Cache>) -> (autotune::Tuned, Arc<Seen>) {
    let seen = Arc::default();
    let tuned = Autotune::new(&double(name))
        .threadgroups([32, 256])
        .cache(Arc::clone(cache))
        .timer(invented(&seen, by_width))
        .mode(Mode::On)
        .build()
        .unwrap();
    (tuned, seen)
}

#[test]
fn results_come_back_from_the_file() {
    on_worker(|| {
        let place = Place::new();
        let (x, _) = input(1000);
        let inputs = [&x];
        let (tuned, seen) = counted("tune_file", &place.cache);
        let best = tuned.launch(&inputs).choice().unwrap();
        assert_eq!(best.threadgroup(), [256, 1, 1]);
        assert!(seen.samples() > 0);
        // Another process.
        let cache = place.reopened();
        let (tuned, seen) = counted("tune_file", &cache);
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), best);
        assert_eq!(seen.samples(), 0);
        assert_eq!(cache.load().unwrap(), 1);
        // What is cleared comes back from the file; without the file it is measured.
        cache.clear();
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), best);
        assert_eq!(seen.samples(), 0);
        fs::remove_file(place.path()).unwrap();
        cache.clear();
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), best);
        assert!(seen.samples() > 0);
        // Another list of candidates is another question.
        let tuned = Autotune::new(&double("tune_file"))
            .threadgroups([32, 64])
            .cache(place.reopened())
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let choice = tuned.launch(&inputs).choice().unwrap();
        assert_eq!(choice.threadgroup(), [64, 1, 1]);
    });
}

#[rstest]
#[case::damaged(|text: String| text[..text.len() / 2].to_owned())]
#[case::empty(|_| String::new())]
#[case::old(|text: String| text.replace("\"version\": 1", "\"version\": 0"))]
#[case::foreign(|_| "{\"weights\": [1, 2]}".to_owned())]
#[case::no_such_candidate(|text: String| text.replace("256", "257"))]
#[case::not_utf8(|_| "\u{0}\u{1}".to_owned())]
fn a_file_of_no_use_is_replaced(#[case] spoil: fn(String) -> String) {
    on_worker(move || {
        let place = Place::new();
        let (x, _) = input(1000);
        let inputs = [&x];
        let (tuned, _) = counted("tune_spoiled", &place.cache);
        let best = tuned.launch(&inputs).choice().unwrap();
        let good = fs::read_to_string(place.path()).unwrap();
        fs::write(place.path(), spoil(good)).unwrap();
        let (tuned, seen) = counted("tune_spoiled", &place.reopened());
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), best);
        assert!(seen.samples() > 0);
        // Now it is good again.
        let (tuned, seen) = counted("tune_spoiled", &place.reopened());
        assert_eq!(tuned.launch(&inputs).choice().unwrap(), best);
        assert_eq!(seen.samples(), 0);
    });
}

#[test]
fn writers_do_not_lose_each_others_results() {
    let place = Place::new();
    let path = place.path().to_owned();
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let path = path.clone();
            std::thread::spawn(move || {
                on_worker(move || {
                    // As many caches as processes: none knows what the others have.
                    let cache = Arc::new(Cache::at(path));
                    for round in 0..4 {
                        let (tuned, _) = counted("tune_writers", &cache);
                        let x = Array::ones(100 + 10 * n + round, F32).unwrap();
                        tuned.launch(&[&x]).tune().unwrap();
                    }
                });
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(place.cache.load().unwrap(), 32);
    // Nothing is left over.
    let files = fs::read_dir(place.folder.path()).unwrap();
    let mut names: Vec<_> = files.map(|f| f.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["tuned.json", "tuned.json.lock"]);
}

#[test]
fn threads_that_come_together_measure_once() {
    let alone = Place::new();
    let (tuned, seen) = counted("tune_threads", &alone.cache);
    let run = |tuned: autotune::Tuned| {
        on_worker(move || {
            let x = Array::ones(1000, F32).unwrap();
            let choice = tuned.launch(&[&x]).choice().unwrap();
            assert_eq!(choice.threadgroup(), [256, 1, 1]);
        });
    };
    run(tuned);
    let once = seen.samples();
    let place = Place::new();
    let (tuned, seen) = counted("tune_threads", &place.cache);
    std::thread::scope(|s| {
        for _ in 0..8 {
            let tuned = tuned.clone();
            s.spawn(move || run(tuned));
        }
    });
    assert_eq!(seen.samples(), once);
}

#[test]
fn without_a_writable_file_results_stay_in_memory() {
    on_worker(|| {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder should be: not even the superuser can write below it.
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let cache = Arc::new(Cache::at(in_the_way.join("tuned.json")));
        let (x, _) = input(1000);
        let inputs = [&x];
        let (tuned, seen) = counted("tune_memory", &cache);
        let best = tuned.launch(&inputs).choice().unwrap();
        assert_eq!(best.threadgroup(), [256, 1, 1]);
        let before = seen.samples();
        let [_] = tuned.launch(&inputs).run().unwrap();
        let (again, _) = counted("tune_memory", &cache);
        assert_eq!(again.launch(&inputs).choice().unwrap(), best);
        assert_eq!(seen.samples(), before);
        let error = cache.save().unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        let text = error.to_string();
        assert!(
            text.contains("cannot be written") && text.contains("ZMLX_CACHE_DIR"),
            "{text}"
        );
    });
}

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
        let [y] = tuned.launch(&[&x]).run().unwrap();
        y.eval().unwrap();
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
            assert!(text.contains("tests/autotune.rs"), "{text}");
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

/// Not a test by itself: what the next one runs in processes of their own.
#[test]
#[ignore = "run by `processes_share_the_users_file`"]
fn process() {
    on_worker(|| {
        let seen = Arc::default();
        let tuned = Autotune::new(&double("tune_process"))
            .threadgroups([32, 256])
            .timer(invented(&seen, by_width))
            .build()
            .unwrap();
        let x = Array::ones(1000, F32).unwrap();
        let choice = tuned.launch(&[&x]).choice().unwrap();
        println!("chose {choice}, measured {}", seen.samples() > 0);
        println!("known {}", autotune::load().unwrap());
        autotune::save().unwrap();
        autotune::clear();
        assert!(autotune::file().exists());
    });
}

#[test]
fn processes_share_the_users_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = |mode: &str| {
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["process", "--exact", "--ignored", "--nocapture"])
            .env("ZMLX_CACHE_DIR", folder.path())
            .env("ZMLX_AUTOTUNE", mode)
            .output()
            .unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        let errors = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.success(), "{text}{errors}");
        (text, errors)
    };
    assert!(run("1").0.contains("chose 256, measured true\nknown 1"));
    assert!(run("1").0.contains("chose 256, measured false\nknown 1"));
    assert!(run("0").0.contains("chose 32, measured false"));
    assert!(run("force").0.contains("chose 256, measured true"));
    let file = folder.path().join("autotune-v1.json");
    fs::write(&file, "{").unwrap();
    let (text, errors) = run("cached");
    assert!(text.contains("chose 32, measured false\nknown 0"), "{text}");
    let warnings = errors.matches("is ignored and will be replaced").count();
    assert_eq!(warnings, 1, "{errors}");
    let (text, errors) = run("maybe");
    assert!(text.contains("chose 256, measured true"), "{text}");
    assert!(errors.contains("ZMLX_AUTOTUNE: expected"), "{errors}");
}
