//! What kernels begin with, compiled once.

use std::fs;
use std::path::{Path, PathBuf};

use super::common::kernels::kernel;
use super::common::{host_engine, on_worker};
use super::{Run, folder, script};
use zmlx::prelude::*;

/// Not a test by itself: what the others run. Adds 0, 1, 2, ... to 1 by a kernel each.
#[test]
#[ignore = "run by the others"]
fn many_kernels() {
    host_engine();
    on_worker(|| {
        let from: i32 = std::env::var("FROM").map_or(0, |n| n.parse().unwrap());
        let x = Array::from_slice(&[1.0f32], 1).unwrap();
        for i in from..from + 7 {
            let k = kernel(
                &format!("many_{i}"),
                &["x"],
                &["out"],
                &format!("out[0] = x[0] + {i};"),
            );
            let [y] = k.launch(&[&x]).run().unwrap();
            assert_eq!(y.item::<f32>().unwrap(), 1.0 + i as f32);
        }
    });
}

/// A compiler that writes down what it is asked for.
fn compiler(dir: &Path, body: &str) -> PathBuf {
    let calls = dir.join("calls");
    script(dir, &format!("echo \"$@\" >> {}; {body}", calls.display()))
}

/// Runs the process above; how many kernels began with a compiled header.
fn run(dir: &Path, cxx: &Path, from: &str) -> usize {
    let calls = dir.join("calls");
    let _ = fs::remove_file(&calls);
    let mut run = Run::new();
    run.0 = std::process::Command::new(std::env::current_exe().unwrap());
    run.0.args([
        "prefix::many_kernels",
        "--exact",
        "--ignored",
        "--nocapture",
    ]);
    run.0.env_remove("ZMLX_CACHE_LIMIT");
    let run = run.env("CXX", cxx).env("ZMLX_CACHE_DIR", dir.join("cache"));
    run.env("FROM", from).run();
    let calls = fs::read_to_string(calls).unwrap();
    calls.lines().filter(|l| l.contains("-include")).count()
}

/// The compiled headers in the cache.
fn compiled(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("cache/host")).unwrap();
    let files = entries.map(|e| e.unwrap().path().join("prefix.h.gch"));
    files.filter(|f| f.is_file()).collect()
}

fn is_gcc() -> bool {
    let version = std::process::Command::new("c++").arg("--version").output();
    let text = String::from_utf8(version.unwrap().stdout).unwrap();
    text.contains("Free Software Foundation")
}

#[test]
fn a_beginning_is_compiled_once() {
    if !is_gcc() {
        println!("skipped: only gcc has such headers");
        return;
    }
    let dir = folder();
    let cxx = compiler(dir.path(), "compile \"$@\"");
    // The fifth kernel has it made; it and two more begin with it.
    assert_eq!(run(dir.path(), &cxx, "0"), 3);
    let files = compiled(dir.path());
    assert_eq!(files.len(), 1);
    let text = fs::read(&files[0]).unwrap();
    assert!(text.starts_with(b"gpch") && text.len() > 1 << 20);
    // Another process has it from the beginning.
    assert_eq!(run(dir.path(), &cxx, "10"), 7);
    // A damaged one is not used, and is made again.
    fs::write(&files[0], &text[..text.len() / 2]).unwrap();
    assert_eq!(run(dir.path(), &cxx, "20"), 3);
    let again = fs::read(&compiled(dir.path())[0]).unwrap();
    assert!(again.starts_with(b"gpch") && again.len() > text.len() / 2 + 1);
}

/// Where it goes wrong, kernels are compiled as before.
#[test]
fn kernels_do_not_depend_on_it() {
    let dir = folder();
    let fails = "case \"$*\" in *-include*) exit 1;; esac; compile \"$@\"";
    run(dir.path(), &compiler(dir.path(), fails), "0");
    let dir = folder();
    let fails = "case \"$*\" in *c++-header*) exit 1;; esac; compile \"$@\"";
    assert_eq!(run(dir.path(), &compiler(dir.path(), fails), "0"), 0);
    assert!(compiled(dir.path()).is_empty());
}
