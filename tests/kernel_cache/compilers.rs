//! Compilers that fail, end late or not at all, and caches that go away meanwhile.

use std::fs;
use std::time::{Duration, Instant};

use super::{Run, ended, entries, folder, script};

/// What ends a compiler from outside is not the kernel's fault, and the next launch tries again.
#[test]
fn a_compiler_that_is_stopped_once() {
    for how in [
        "kill -9 $$",
        // As gcc says it when the part of it that compiles was killed, and when the disk is full.
        "echo 'c++: fatal error: Killed signal terminated program cc1plus' >&2; exit 1",
        "echo '<source>:1:1: fatal error: error writing to /tmp/x.s: No space left on device' >&2; exit 1",
        "echo '<source>:1:1: internal compiler error: Segmentation fault' >&2; exit 1",
        "echo 'collect2: error: ld returned 1 exit status' >&2; exit 1",
    ] {
        let dir = folder();
        let text = format!("if [ -e $first ]; then compile \"$@\"; else : > $first; {how}; fi");
        let cxx = script(dir.path(), &text);
        let cache = dir.path().join("cache");
        let run = Run::new().env("CXX", cxx).env("ZMLX_CACHE_DIR", &cache);
        let (text, _) = run.env("TRIES", "2").run();
        assert!(!text.contains("0: cache_one gives"), "{how}: {text}");
        assert!(text.contains("1: cache_one gives 42"), "{how}: {text}");
        let left = fs::read_dir(cache.join("host")).unwrap().count();
        assert_eq!(left, 3, "{how}");
    }
}

/// A kernel that does not compile is asked once.
#[test]
fn a_diagnostic_is_remembered() {
    let dir = folder();
    let text = "echo x >> $first; echo '<source>:1:1: error: no' >&2; exit 1";
    let cxx = script(dir.path(), text);
    let run = Run::new()
        .env("CXX", cxx)
        .env("ZMLX_CACHE_DIR", dir.path().join("cache"));
    let (text, _) = run.env("TRIES", "3").run();
    assert_eq!(text.matches("does not compile: no").count(), 6, "{text}");
    let calls = fs::read_to_string(dir.path().join("called")).unwrap();
    assert_eq!(calls.lines().count(), 2);
}

#[test]
fn a_compiler_that_does_not_end() {
    let dir = folder();
    let cxx = script(
        dir.path(),
        "if [ -e $first ]; then compile \"$@\"; else : > $first; sleep 1000; fi",
    );
    let run = Run::new()
        .env("CXX", cxx)
        .env("ZMLX_CACHE_DIR", dir.path().join("cache"));
    let began = Instant::now();
    // Long enough for the real one.
    let (text, _) = run
        .env("ZMLX_COMPILE_TIMEOUT", "10")
        .env("TRIES", "2")
        .run();
    assert!(text.contains("0: kernel `cache_one`"), "{text}");
    assert!(
        text.contains("did not finish within 10s and was ended (ZMLX_COMPILE_TIMEOUT"),
        "{text}"
    );
    assert!(text.contains("1: cache_one gives 42"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(100));
}

/// Not even when it is asked for its version.
#[test]
fn a_compiler_that_does_not_answer() {
    let dir = folder();
    let cxx = script(dir.path(), "");
    fs::write(&cxx, "#!/bin/sh\nsleep 1000\n").unwrap();
    let run = Run::new()
        .env("CXX", cxx)
        .env("ZMLX_CACHE_DIR", dir.path().join("cache"));
    let (text, _) = run.env("ZMLX_COMPILE_TIMEOUT", "0.5").run();
    assert_eq!(text.matches("did not finish within").count(), 2, "{text}");
}

/// All of it, or the headers, or the folder of the library; before the compiler runs and after.
#[test]
fn a_cache_that_is_deleted_while_a_compiler_runs() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let shown = cache.display();
    for (before, after) in [
        (format!("rm -rf {shown}"), String::new()),
        (String::new(), format!("rm -rf {shown}")),
        (format!("rm -rf {shown}/host/runtime-*"), String::new()),
        (String::new(), format!("rm -rf {shown}/host/.[0-9a-f]*")),
    ] {
        let _ = fs::remove_dir_all(&cache);
        let _ = fs::remove_file(dir.path().join("called"));
        let text = format!(
            "if [ -e $first ]; then compile \"$@\"; exit; fi\n: > $first\n{before}\ncompile \"$@\"\nstatus=$?\n{after}\nexit $status"
        );
        let cxx = script(dir.path(), &text);
        let run = Run::new().env("CXX", cxx).env("ZMLX_CACHE_DIR", &cache);
        let (text, _) = run.works();
        assert!(
            text.contains("compiled 2 loaded 0"),
            "{before}|{after}: {text}"
        );
        assert_eq!(entries(&cache).len(), 2);
    }
}

/// An error in the kernel is one, whatever becomes of the cache.
#[test]
fn a_cache_that_is_always_deleted() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let text = format!(
        "rm -rf {}\necho '<source>:1:1: error: no' >&2; exit 1",
        cache.display()
    );
    let cxx = script(dir.path(), &text);
    let (text, _) = Run::new()
        .env("CXX", cxx)
        .env("ZMLX_CACHE_DIR", &cache)
        .run();
    assert_eq!(
        text.matches("kernel cache: cannot compile in").count(),
        2,
        "{text}"
    );
}

#[test]
fn processes_compile_the_same_at_once() {
    let dir = folder();
    let run = || Run::new().env("ZMLX_CACHE_DIR", dir.path()).start();
    let all = [run(), run(), run()];
    for child in all {
        let (text, errors) = ended(child);
        assert!(
            text.contains("0: cache_one gives 42\n0: cache_two gives 82\n"),
            "{text}{errors}"
        );
    }
    // Two kernels, the headers, and nothing that was left over.
    assert_eq!(fs::read_dir(dir.path().join("host")).unwrap().count(), 3);
}
