//! The kernel cache on disk: where it is, whose it is, and what becomes of it while processes use it.
//!
//! Each case runs processes with an environment of their own, and compilers that are shell scripts.

mod ahead;
mod bound;
#[path = "../common/mod.rs"]
mod common;
mod compilers;
mod prefix;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::kernels::kernel;
use common::{host_engine, on_worker};
use zmlx::prelude::*;

/// Not a test by itself: what the others run. Adds 1 to 41 and then to itself in kernels of their own, as often as
/// the environment says, and tells what came out. Between the first time and the second it may wait.
#[test]
#[ignore = "run by the others"]
fn process() {
    host_engine();
    on_worker(|| {
        let tries = std::env::var("TRIES").map_or(1, |n| n.parse().unwrap());
        let one = kernel("cache_one", &["x"], &["out"], "out[0] = x[0] + 1;");
        let two = kernel("cache_two", &["x"], &["out"], "out[0] = 2 * x[0];");
        let x = Array::from_slice(&[41.0f32], 1).unwrap();
        for i in 0..tries {
            if let (1, Ok(first), Ok(go)) = (i, std::env::var("FIRST"), std::env::var("GO")) {
                fs::write(first, "").unwrap();
                while !Path::new(&go).exists() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            }
            for k in [&one, &two] {
                let value = match k.launch(&[&x]).run() {
                    Ok([y]) => y.item::<f32>(),
                    Err(e) => Err(e),
                };
                match value {
                    Ok(v) => println!("{i}: {} gives {v}", k.name()),
                    Err(e) => println!("{i}: {e}"),
                }
            }
        }
        let stats = [one.stats(), two.stats()];
        println!(
            "compiled {} loaded {}",
            stats.iter().map(|s| s.compiled).sum::<u64>(),
            stats.iter().map(|s| s.loaded).sum::<u64>()
        );
    });
}

/// A process that launches the two kernels, with nothing in its environment that says where the cache is.
struct Run(Command);

impl Run {
    fn new() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["process", "--exact", "--ignored", "--nocapture"]);
        for name in [
            "ZMLX_CACHE_DIR",
            "XDG_CACHE_HOME",
            "HOME",
            "TMPDIR",
            "CXX",
            "ZMLX_COMPILE_TIMEOUT",
            "ZMLX_CACHE_LIMIT",
            "ZMLX_KERNELS_DIR",
            "ZMLX_RECORD_KERNELS",
        ] {
            command.env_remove(name);
        }
        Run(command)
    }

    fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    fn start(mut self) -> Child {
        let command = self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// What it prints, and what it says on its standard error.
    fn run(self) -> (String, String) {
        ended(self.start())
    }

    /// Both kernels work.
    #[track_caller]
    fn works(self) -> (String, String) {
        let (text, errors) = self.run();
        let right = "0: cache_one gives 42\n0: cache_two gives 82\n";
        assert!(text.contains(right), "{text}{errors}");
        (text, errors)
    }
}

fn ended(child: Child) -> (String, String) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{errors}");
    (text, errors)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn user() -> u32 {
    folder().path().metadata().unwrap().uid()
}

/// Where the cache is when there is no other place.
fn last_resort(temporary: &Path) -> PathBuf {
    temporary.join(format!("zmlx-cache-{}", user()))
}

/// The entries of the host engine, without the headers.
fn entries(cache: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(cache.join("host")).unwrap();
    let all = all.map(|e| e.unwrap().path());
    let mut found: Vec<PathBuf> = all.filter(|p| p.join("kernel.so").exists()).collect();
    found.sort();
    found
}

/// A compiler that is a shell script: `$first` is a file that is there once it has been called, `compile` runs the
/// real one.
fn script(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("cxx");
    let real = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    let first = dir.join("called");
    let head = format!(
        "#!/bin/sh\nfirst={}\ncompile() {{ {real} \"$@\"; }}\n[ \"$1\" = --version ] && {{ compile \"$@\"; exit; }}\n",
        first.display()
    );
    fs::write(&path, head + text + "\n").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn without_a_home_the_cache_is_private() {
    let dir = folder();
    let cache = last_resort(dir.path());
    let run = || Run::new().env("TMPDIR", dir.path());
    let (text, errors) = run().works();
    assert!(text.contains("compiled 2 loaded 0"), "{text}");
    assert_eq!(errors.matches("ZMLX_CACHE_DIR").count(), 1, "{errors}");
    assert!(errors.contains(&*cache.to_string_lossy()), "{errors}");
    assert_eq!(mode(&cache), 0o700);
    assert_eq!(entries(&cache).len(), 2);
    // What we had opened to others is closed.
    fs::set_permissions(&cache, Permissions::from_mode(0o777)).unwrap();
    assert!(run().works().0.contains("compiled 0 loaded 2"));
    assert_eq!(mode(&cache), 0o700);
}

/// Somebody else was there first.
#[test]
fn a_folder_of_another_user_is_not_used() {
    let dir = folder();
    let cache = last_resort(dir.path());
    let refused = |words: &str| {
        let (text, _) = Run::new().env("TMPDIR", dir.path()).run();
        assert!(
            text.contains(words) && text.contains("ZMLX_CACHE_DIR"),
            "{text}"
        );
        assert!(!text.contains("gives"), "{text}");
    };
    fs::write(&cache, "").unwrap();
    refused("it is not a folder");
    fs::remove_file(&cache).unwrap();
    let elsewhere = folder();
    symlink(elsewhere.path(), &cache).unwrap();
    refused("it is not a folder");
    fs::remove_file(&cache).unwrap();
    // Only root can make a folder for somebody else.
    if user() == 0 {
        fs::create_dir(&cache).unwrap();
        chown(&cache, Some(65534), None).unwrap();
        refused("it belongs to the user 65534");
    }
}

/// The home of many services is not there; of some it is a file.
#[test]
fn a_home_that_cannot_be_used() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for home in [dir.path().join("none"), file, "relative".into()] {
        let temporary = folder();
        let (_, errors) = Run::new()
            .env("HOME", &home)
            .env("TMPDIR", temporary.path())
            // NVIDIA's driver would make the folder first, for a cache of its own.
            .env("CUDA_CACHE_DISABLE", "1")
            .works();
        assert!(
            errors.contains("zmlx: compiled kernels are kept in"),
            "{}: {errors}",
            home.display()
        );
        assert_eq!(entries(&last_resort(temporary.path())).len(), 2);
        // NVIDIA's driver makes it all the same.
        if !zmlx::engine::info().cuda {
            assert!(!dir.path().join("none").exists());
        }
        // The other place for caches comes first, and nothing is to be said.
        let xdg = folder();
        let run = Run::new()
            .env("HOME", &home)
            .env("XDG_CACHE_HOME", xdg.path());
        let (_, errors) = run.works();
        assert!(!errors.contains("zmlx:"), "{errors}");
        assert_eq!(entries(&xdg.path().join("zmlx")).len(), 2);
        assert_eq!(mode(&xdg.path().join("zmlx")), 0o700);
    }
}

#[test]
fn a_place_for_caches_that_cannot_be_used() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let home = folder();
    let run = Run::new()
        .env("XDG_CACHE_HOME", &file)
        .env("HOME", home.path());
    run.works();
    assert_eq!(entries(&home.path().join(".cache/zmlx")).len(), 2);
}

/// What the user names is used or refused, and never another folder in silence.
#[test]
fn a_named_folder_that_cannot_be_made() {
    let dir = folder();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for cache in [file.clone(), file.join("below"), "/proc/zmlx".into()] {
        let (text, _) = Run::new().env("ZMLX_CACHE_DIR", &cache).run();
        assert!(
            text.contains("ZMLX_CACHE_DIR") && !text.contains("gives"),
            "{text}"
        );
        assert!(text.contains(&*cache.to_string_lossy()), "{text}");
    }
}

#[test]
fn damaged_and_swapped_entries_are_built_again() {
    let dir = folder();
    let run = || Run::new().env("ZMLX_CACHE_DIR", dir.path());
    run().works();
    let all = entries(dir.path());
    let [a, b] = &all[..] else { panic!("{all:?}") };
    let swapped = |what: &dyn Fn(&str)| {
        what("kernel.so");
        run().works().0
    };
    let exchange = |file: &str| {
        let aside = dir.path().join("aside");
        fs::rename(a.join(file), &aside).unwrap();
        fs::rename(b.join(file), a.join(file)).unwrap();
        fs::rename(&aside, b.join(file)).unwrap();
    };
    // The libraries alone, and whole entries, checksums and all.
    assert!(swapped(&exchange).contains("compiled 2 loaded 0"));
    assert!(
        swapped(&|_| {
            let aside = dir.path().join("aside");
            fs::rename(a, &aside).unwrap();
            fs::rename(b, a).unwrap();
            fs::rename(&aside, b).unwrap();
        })
        .contains("compiled 2 loaded 0")
    );
    assert!(swapped(&|file| fs::write(a.join(file), "").unwrap()).contains("compiled 1 loaded 1"));
    assert!(
        swapped(&|file| fs::remove_file(b.join(file)).unwrap()).contains("compiled 1 loaded 1")
    );
    // Links, and files that never end.
    assert!(
        swapped(&|file| {
            fs::rename(a.join(file), dir.path().join("real")).unwrap();
            symlink(dir.path().join("real"), a.join(file)).unwrap();
        })
        .contains("compiled 1 loaded 1")
    );
    assert!(
        swapped(&|_| {
            fs::remove_file(b.join("checksum")).unwrap();
            symlink("/dev/zero", b.join("checksum")).unwrap();
        })
        .contains("compiled 1 loaded 1")
    );
    assert!(
        swapped(&|_| {
            fs::remove_dir_all(a).unwrap();
            symlink("/nowhere", a).unwrap();
        })
        .contains("compiled 1 loaded 1")
    );
    assert!(run().works().0.contains("compiled 0 loaded 2"));
    assert_eq!(fs::read_dir(dir.path().join("host")).unwrap().count(), 3);
}

#[test]
fn entries_that_others_could_have_written() {
    let dir = folder();
    let run = || Run::new().env("ZMLX_CACHE_DIR", dir.path());
    run().works();
    let all = entries(dir.path());
    let [a, b] = &all[..] else { panic!("{all:?}") };
    let library = a.join("kernel.so");
    for path in [&library, a] {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        assert!(run().works().0.contains("compiled 1 loaded 1"));
        assert_eq!(mode(path) & 0o022, 0);
    }
    if user() == 0 {
        for path in [&library, b] {
            chown(path, Some(65534), None).unwrap();
            assert!(run().works().0.contains("compiled 1 loaded 1"));
            assert_eq!(fs::metadata(path).unwrap().uid(), 0);
        }
        // The owner of a folder that the user names is trusted: a volume may be another's.
        chown(dir.path(), Some(65534), None).unwrap();
        chown(b, Some(65534), None).unwrap();
        assert!(run().works().0.contains("compiled 0 loaded 2"));
        chown(dir.path().join("host"), Some(12345), None).unwrap();
        let (text, _) = run().run();
        assert!(text.contains("belongs to the user 12345"), "{text}");
    }
}

/// With a umask that leaves everything open.
#[test]
fn entries_are_closed_to_others() {
    let dir = folder();
    let exe = std::env::current_exe().unwrap();
    let line = format!(
        "umask 0; exec {} process --exact --ignored --nocapture",
        exe.display()
    );
    let mut run = Run::new();
    run.0 = Command::new("sh");
    run.0.args(["-c", &line]);
    run.env("ZMLX_CACHE_DIR", dir.path()).works();
    fn check(path: &Path) {
        assert_eq!(mode(path) & 0o002, 0, "{}", path.display());
        if path.is_dir() {
            fs::read_dir(path)
                .unwrap()
                .for_each(|e| check(&e.unwrap().path()));
        }
    }
    check(&dir.path().join("host"));
}
