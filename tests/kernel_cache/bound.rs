//! The bound of the cache: what goes, what stays, and processes that use it meanwhile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use super::{Run, ended, entries, folder, user};

/// A folder that looks like an entry of this many KiB that was not used for an hour.
fn old(cache: &Path, number: usize, kib: usize) -> PathBuf {
    let path = cache.join("host").join(format!("{number:064x}"));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("data"), vec![1; kib << 10]).unwrap();
    fs::write(path.join("checksum"), "").unwrap();
    age(&path, 3600 + number as u64);
    path
}

/// Has an entry look as if it was not used for so many seconds.
fn age(entry: &Path, seconds: u64) {
    let file = File::options().write(true).open(entry.join("checksum"));
    let then = SystemTime::now() - Duration::from_secs(seconds);
    file.unwrap().set_modified(then).unwrap();
}

/// Bytes of all files below a folder.
fn bytes(folder: &Path) -> u64 {
    let all = fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    all.map(|e| match e.file_type().unwrap().is_dir() {
        true => bytes(&e.path()),
        false => e.metadata().unwrap().len(),
    })
    .sum()
}

fn headers(cache: &Path) -> PathBuf {
    let all = fs::read_dir(cache.join("host")).unwrap();
    let mut all = all.map(|e| e.unwrap().path());
    let is_headers = |p: &PathBuf| {
        p.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("runtime-")
    };
    all.find(is_headers).expect("headers")
}

#[test]
fn old_entries_go_and_new_ones_stay() {
    let dir = folder();
    let all: Vec<PathBuf> = (0..20).map(|i| old(dir.path(), i, 200)).collect();
    let run = || Run::new().env("ZMLX_CACHE_DIR", dir.path());
    // Without a bound nothing goes, nor with the default one.
    for limit in ["none", ""] {
        run().env("ZMLX_CACHE_LIMIT", limit).works();
        assert!(all.iter().all(|p| p.exists()));
    }
    for entry in entries(dir.path()) {
        fs::remove_dir_all(entry).unwrap();
    }
    let (text, errors) = run().env("ZMLX_CACHE_LIMIT", "3M").works();
    assert!(text.contains("compiled 2 loaded 0"), "{text}");
    assert!(errors.is_empty(), "{errors}");
    assert!(bytes(dir.path()) <= 3 << 20);
    // The higher the number, the older.
    let left: Vec<bool> = all.iter().map(|p| p.exists()).collect();
    assert!(
        left[0] && !left[19] && left.is_sorted_by(|a, b| a >= b),
        "{left:?}"
    );
    assert_eq!(entries(dir.path()).len(), 2);
    assert!(headers(dir.path()).exists());
    // Nothing but entries, headers and the lock is left.
    let hidden = |e: &fs::DirEntry| e.file_name().to_str().unwrap().starts_with('.');
    let host = fs::read_dir(dir.path().join("host")).unwrap();
    assert!(!host.map(|e| e.unwrap()).any(|e| hidden(&e)));
    assert!(run().works().0.contains("compiled 0 loaded 2"));
}

#[test]
fn a_bound_that_is_none() {
    let dir = folder();
    let entry = old(dir.path(), 0, 200);
    let run = Run::new().env("ZMLX_CACHE_DIR", dir.path());
    let (_, errors) = run.env("ZMLX_CACHE_LIMIT", "much").works();
    let words = "ZMLX_CACHE_LIMIT: expected a number of bytes";
    assert!(
        errors.contains(words) && errors.contains("`much`"),
        "{errors}"
    );
    assert!(entry.exists());
}

/// What is loaded from the cache is used again, and the other goes.
#[test]
fn used_entries_stay() {
    let dir = folder();
    let run = || Run::new().env("ZMLX_CACHE_DIR", dir.path());
    run().works();
    let used = entries(dir.path());
    used.iter().for_each(|e| age(e, 10_000));
    let other = old(dir.path(), 0, 200);
    run().works();
    // Something new, by which the cache gets too large.
    fs::remove_dir_all(&used[0]).unwrap();
    run().env("ZMLX_CACHE_LIMIT", "1K").works();
    assert!(used[1].exists() && !other.exists());
}

/// Loaded libraries stay loaded when their entries go, and a process that looks for one that has gone builds it again.
#[test]
fn entries_that_go_while_a_process_uses_them() {
    let dir = folder();
    let cache = dir.path().join("cache");
    let (first, go) = (dir.path().join("first"), dir.path().join("go"));
    let run = || Run::new().env("ZMLX_CACHE_DIR", &cache);
    let child = run()
        .env("TRIES", "2")
        .env("FIRST", &first)
        .env("GO", &go)
        .start();
    let begun = Instant::now();
    while !first.exists() {
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(20));
    }
    let gone = entries(&cache);
    assert_eq!(gone.len(), 2);
    gone.iter().for_each(|e| age(e, 10_000));
    // Another compiler, so that another process makes entries of its own.
    let cxx = super::script(dir.path(), "compile \"$@\"");
    let (text, _) = run().env("CXX", cxx).env("ZMLX_CACHE_LIMIT", "0").works();
    assert!(text.contains("compiled 2 loaded 0"), "{text}");
    assert!(gone.iter().all(|e| !e.exists()));
    fs::write(&go, "").unwrap();
    let (text, _) = ended(child);
    assert!(
        text.contains("1: cache_one gives 42\n1: cache_two gives 82\n"),
        "{text}"
    );
    assert!(run().works().0.contains("compiled 2 loaded 0"));
}

/// Many at once, with a bound that is far too small.
#[test]
fn processes_share_a_cache_that_is_too_small() {
    let dir = folder();
    for round in 0..3 {
        for i in 0..20 {
            old(dir.path(), 100 * round + i, 50);
        }
        let run = || {
            let run = Run::new().env("ZMLX_CACHE_DIR", dir.path());
            run.env("ZMLX_CACHE_LIMIT", "64K").start()
        };
        let all: Vec<_> = (0..4).map(|_| run()).collect();
        for child in all {
            let (text, errors) = ended(child);
            assert!(
                text.contains("0: cache_one gives 42\n0: cache_two gives 82\n"),
                "{text}"
            );
            assert!(errors.is_empty(), "{errors}");
        }
        let left = |i| {
            dir.path()
                .join("host")
                .join(format!("{:064x}", 100 * round + i))
        };
        assert!((0..20).all(|i| !left(i).exists()));
        // The next round compiles again.
        for entry in entries(dir.path()) {
            fs::remove_dir_all(entry).unwrap();
        }
    }
}

/// A folder that is filled and only read, as in an image.
#[test]
fn a_folder_that_is_only_read() {
    let dir = folder();
    let cache = dir.path().join("cache");
    Run::new().env("ZMLX_CACHE_DIR", &cache).works();
    entries(&cache).iter().for_each(|e| age(e, 10_000));
    let before = bytes(&cache);
    let mut run = Run::new();
    // Permissions stop everybody but root; for that there is a file system that is only read.
    let shown = cache.display();
    let line = match user() {
        0 => format!("mount --bind {shown} {shown} && mount -o remount,bind,ro {shown}"),
        _ => format!("chmod -R a-w {shown}"),
    };
    let test = format!("{line} && ! touch {shown}/host/x 2>/dev/null");
    let unshare = |line: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", line]);
        command
    };
    if !unshare(&test).status().is_ok_and(|s| s.success()) {
        println!("SKIPPED: this system lets nobody make a mount namespace");
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let all = format!(
        "{line} && exec {} process --exact --ignored --nocapture",
        exe.display()
    );
    let mut command = unshare(&all);
    for (name, value) in run.0.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    run.0 = command;
    let run = run
        .env("ZMLX_CACHE_DIR", &cache)
        .env("ZMLX_CACHE_LIMIT", "0");
    let (text, errors) = run.works();
    assert!(text.contains("compiled 0 loaded 2"), "{text}");
    assert!(errors.is_empty(), "{errors}");
    assert_eq!(bytes(&cache), before);
}
