//! What is kept, by whom, and where.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use rstest::rstest;
use zmlx::autotune::{self, Autotune, Cache};
use zmlx::prelude::*;

use crate::common::on_worker;
use crate::setup::{Place, by_width, counted, double, input, invented};

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
            .args(["file::process", "--exact", "--ignored", "--nocapture"])
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
