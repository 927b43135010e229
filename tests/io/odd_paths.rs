//! Paths that lead to something else than a file, and links.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rstest::rstest;
use zmlx::autotune::Cache;
use zmlx::io::{self, Gguf};
use zmlx::metal::capture::Capture;
use zmlx::{Array, ArrayMap, Error, Result, export_function, import_function};

use crate::common::on_worker;
use crate::folder;

/// Everything that reads the file `path`.
fn loads(path: &Path) -> Vec<(&'static str, Result<()>)> {
    vec![
        ("npy", io::load_npy(path).map(drop)),
        ("safetensors", io::load_safetensors(path).map(drop)),
        ("gguf", io::load_gguf(path).map(drop)),
        ("mlxfn", import_function(path).map(drop)),
        ("autotune", Cache::at(path).load().map(drop)),
    ]
}

/// Everything that writes it.
fn saves(path: &Path) -> Vec<(&'static str, Result<()>)> {
    let one = Array::from(1.0f32);
    let map: ArrayMap = [("a".to_owned(), one.clone())].into_iter().collect();
    let mut gguf = Gguf::default();
    gguf.arrays.insert("a".into(), one.clone());
    let double = |x: &[Array]| Ok(vec![x[0].add(&x[0])?]);
    vec![
        ("npy", io::save_npy(path, &one)),
        ("safetensors", io::save_safetensors(path, &map)),
        ("gguf", io::save_gguf(path, &gguf)),
        ("mlxfn", export_function(path, double, [&one], false)),
        ("autotune", Cache::at(path).save()),
    ]
}

fn fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

/// A path of each kind that is no file.
fn nodes(dir: &Path) -> Vec<PathBuf> {
    let [pipe, socket, link, inside] = ["pipe", "socket", "link", "folder"].map(|n| dir.join(n));
    fifo(&pipe);
    drop(UnixListener::bind(&socket).unwrap());
    symlink(&pipe, &link).unwrap();
    fs::create_dir(&inside).unwrap();
    vec![
        pipe,
        socket,
        link,
        inside,
        "/dev/zero".into(),
        "/dev/null".into(),
    ]
}

fn kind(path: &Path) -> fs::FileType {
    fs::symlink_metadata(path).unwrap().file_type()
}

#[test]
fn nodes_are_refused_and_stay() {
    on_worker(|| {
        let dir = folder();
        for path in nodes(dir.path()) {
            let before = kind(&path);
            for (what, result) in loads(&path).into_iter().chain(saves(&path)) {
                let e = result.expect_err(what);
                assert!(
                    matches!(e, Error::Io { .. }),
                    "{what} {}: {e}",
                    path.display()
                );
                let words = e.to_string();
                assert!(words.contains("expected a file"), "{what}: {words}");
                assert!(words.contains(&*path.to_string_lossy()), "{what}: {words}");
            }
            assert_eq!(kind(&path), before, "{}", path.display());
        }
        assert!(kind(Path::new("/dev/null")).is_char_device());
    });
}

/// A FIFO somebody writes to is no file either.
#[test]
fn a_fifo_with_a_writer() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("pipe");
        fifo(&path);
        let both = File::options().read(true).write(true).open(&path).unwrap();
        for (what, result) in loads(&path) {
            assert!(matches!(result, Err(Error::Io { .. })), "{what}");
        }
        drop(both);
    });
}

#[test]
fn links_are_written_through() {
    on_worker(|| {
        let dir = folder();
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        for (number, (what, result)) in (0..).zip(saves(&dir.path().join("first"))) {
            result.expect(what);
            let target = real.join(format!("target{number}"));
            // Relative, and through another link; to a file, then to nothing.
            let [far, near] = ["far", "near"].map(|n| dir.path().join(format!("{n}{number}")));
            symlink(format!("real/target{number}"), &far).unwrap();
            symlink(format!("far{number}"), &near).unwrap();
            for there in [true, false] {
                if there {
                    fs::write(&target, "old").unwrap();
                    fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
                } else {
                    fs::remove_file(&target).unwrap();
                }
                let (again, result) = saves(&near).swap_remove(number);
                assert_eq!(again, what);
                result.expect(what);
                assert!(
                    kind(&near).is_symlink() && kind(&far).is_symlink(),
                    "{what}"
                );
                assert!(kind(&target).is_file(), "{what}");
                assert!(fs::read(&target).unwrap().len() > 10, "{what}");
                if there {
                    let mode = fs::metadata(&target).unwrap().permissions().mode();
                    assert_eq!(mode & 0o777, 0o640, "{what}");
                }
            }
        }
        // A circle leads nowhere.
        let [a, b] = ["a", "b"].map(|n| dir.path().join(n));
        symlink(&a, &b).unwrap();
        symlink(&b, &a).unwrap();
        for (what, result) in saves(&a).into_iter().chain(loads(&a)) {
            assert!(matches!(result, Err(Error::Io { .. })), "{what}");
            assert!(kind(&a).is_symlink());
        }
    });
}

#[test]
fn a_failed_export_leaves_the_old_file() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("f.mlxfn");
        fs::write(&path, "precious").unwrap();
        let fails = |_: &[Array]| Err(Error::other("mine"));
        let one = Array::from(1.0f32);
        let e = export_function(&path, fails, [&one], false).unwrap_err();
        assert!(matches!(e, Error::Other(_)), "{e}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(crate::files_in(dir.path()), 1);
    });
}

/// A file that a capture names, or that describes it.
#[rstest]
#[case::meta("meta.json")]
#[case::values("in_0.bin")]
#[case::expected("out_0.bin")]
fn captures(#[case] file: &'static str) {
    on_worker(move || {
        let dir = folder();
        let meta = r#"{"kernel_name": "k", "input_names": ["x"], "output_names": ["y"], "source": "y[0] = x[0];",
            "template": [], "grid": [1, 1, 1], "threadgroup": [1, 1, 1],
            "inputs": [{"name": "x", "dtype": "float32", "shape": [1], "file": "in_0.bin"}],
            "outputs": [{"name": "y", "dtype": "float32", "shape": [1], "expected": "out_0.bin"}]}"#;
        fs::write(dir.path().join("meta.json"), meta).unwrap();
        fs::write(dir.path().join("in_0.bin"), [0; 4]).unwrap();
        fs::write(dir.path().join("out_0.bin"), [0; 4]).unwrap();
        let read = || Capture::read(dir.path()).and_then(|c| c.inputs());
        read().unwrap();
        let path = dir.path().join(file);
        for node in nodes(dir.path()) {
            fs::remove_file(&path).unwrap();
            symlink(node, &path).unwrap();
            let e = read().unwrap_err();
            assert!(matches!(e, Error::Io { .. }), "{e}");
        }
    });
}

/// Folders that launches and profiles are written into.
#[test]
fn folders_that_are_none() {
    on_worker(|| {
        let dir = folder();
        let pipe = dir.path().join("pipe");
        fifo(&pipe);
        let one = Array::from_slice(&[1.0f32], 1).unwrap();
        let kernel = crate::common::kernels::kernel("copy_one", &["x"], &["out"], "out[0] = x[0];");
        for path in [pipe.clone(), pipe.join("below"), "/dev/null".into()] {
            let captured = kernel.capture(&path);
            let captured = captured.launch(&[&one]).run_vec().map(drop);
            let profiled = zmlx::profile::dump_to(&path).map(drop);
            for result in [captured, profiled] {
                let e = result.unwrap_err();
                assert!(matches!(e, Error::Io { .. }), "{e}");
                assert!(e.to_string().contains(&*path.to_string_lossy()), "{e}");
            }
            assert!(kind(&pipe).is_fifo());
        }
    });
}

/// A file beside the results of tuning that somebody else made.
#[test]
fn the_lock_of_tuning_does_not_wait_for_ever() {
    on_worker(|| {
        let dir = folder();
        let path = dir.path().join("tuned.json");
        fifo(&dir.path().join("tuned.json.lock"));
        assert!(matches!(Cache::at(&path).save(), Err(Error::Io { .. })));
    });
}
