//! A program with what it needs in a folder, run where there is nothing else: no build tree, no compiler, no MLX.

#[path = "common/mod.rs"]
mod common;
#[path = "../examples/ship/gather.rs"]
mod gather;
#[path = "../examples/ship/licences.rs"]
mod licences;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{host_engine, on_worker, root};
use zmlx::engine::ahead::{self, Target};
use zmlx::prelude::*;

/// Not a test by itself: the program that is shipped. It uses BLAS, LAPACK and a kernel, and prints what came out.
#[test]
#[ignore = "run by the others"]
fn program() {
    host_engine();
    on_worker(|| {
        let a = Array::from_slice(&[4.0f32, 1.0, 2.0, 3.0], (2, 2)).unwrap();
        let product = a.matmul(&a).unwrap();
        println!("product {:?}", product.to_vec::<f32>().unwrap());
        let right = Array::from_slice(&[6.0f32, 8.0], (2, 1)).unwrap();
        let solved = zmlx::linalg::solve(&a, &right);
        let solved = solved.unwrap().to_vec::<f32>().unwrap();
        println!(
            "solved {:?}",
            solved.iter().map(|v| v.round()).collect::<Vec<_>>()
        );
        let kernel = MetalKernel::new("shipped_twice", ["x"], ["out"])
            .source("out[thread_position_in_grid.x] = 2 * x[thread_position_in_grid.x];")
            .build()
            .unwrap();
        match kernel.launch(&[&a]).run() {
            Ok([y]) => println!("kernel {:?}", y.to_vec::<f32>().unwrap()),
            Err(e) => println!("kernel: {e}"),
        }
        println!(
            "library {}",
            zmlx::engine::info().library.unwrap().display()
        );
    });
}

const ARGUMENTS: [&str; 4] = ["program", "--exact", "--ignored", "--nocapture"];
const RIGHT: [&str; 3] = [
    "product [18.0, 7.0, 14.0, 11.0]",
    "solved [1.0, 2.0]",
    "kernel [8.0, 2.0, 4.0, 6.0]",
];

#[track_caller]
fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    format!("{out}\n{err}")
}

/// The program of this file, the library that it runs with, and its kernel.
fn shipped(app: &Path, dir: &Path) -> gather::Gathered {
    let program = std::env::current_exe().unwrap();
    let library = zmlx::engine::info().library.expect("MLX's library");
    let gathered = gather::gather(&program, &library, app).unwrap();
    let list = dir.join("kernels.jsonl");
    let recorded = Command::new(&program)
        .args(ARGUMENTS)
        .env("ZMLX_RECORD_KERNELS", &list)
        .output()
        .unwrap();
    let said = text(&recorded);
    assert!(RIGHT.iter().all(|line| said.contains(line)), "{said}");
    let filled = ahead::fill(&list, app.join("lib/zmlx/kernels"), &[Target::native()]).unwrap();
    assert_eq!(filled.compiled, 1);
    gathered
}

/// Puts the system's own libraries where a root has them: those that the files of a folder need and the folder has not.
fn system(root: &Path, app: &Path) {
    let mut files = Vec::new();
    collect(app, &mut files);
    let mut libraries = BTreeSet::new();
    for file in files {
        let is_code = fs::read(&file).unwrap().starts_with(b"\x7fELF");
        if !is_code {
            continue;
        }
        for (name, path) in gather::needed(&file).unwrap() {
            let path = path.unwrap_or_else(|| panic!("{name} of {}", file.display()));
            if !fs::canonicalize(&path)
                .unwrap()
                .starts_with(fs::canonicalize(app).unwrap())
            {
                libraries.insert(path);
            }
        }
    }
    for library in libraries {
        let inside = root.join(library.strip_prefix("/").unwrap());
        gather::copy(&library, &inside).unwrap();
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

/// The command that runs in `root` as if that were all there is; nothing where the system does not allow it.
fn inside(root: &Path) -> Option<Command> {
    let shell = |rest: &str| {
        let shown = root.display();
        // Some systems have no `/proc` for namespaces of their users; it is the system's, and says nothing of the build tree.
        let line = format!("mount --rbind /proc {shown}/proc && exec chroot {shown} {rest}");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", &line]);
        command
    };
    for folder in ["proc", "bin"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    let name = std::env::current_exe().unwrap();
    let program = format!("/app/bin/{}", name.file_name().unwrap().to_str().unwrap());
    let test = shell(&format!("{program} --list")).output();
    match test {
        Ok(output) if output.status.success() => {}
        other => {
            println!("SKIPPED: this system lets nobody make a root of their own: {other:?}");
            return None;
        }
    }
    let mut command = shell(&format!("{program} {}", ARGUMENTS.join(" ")));
    // Nothing of this system is told.
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Some(command)
}

#[test]
fn in_an_empty_root() {
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: only Linux has namespaces");
        return;
    }
    if zmlx::engine::info().cuda {
        println!("SKIPPED: NVIDIA's libraries are the system's here, and do not come along");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let app = root.join("app");
    shipped(&app, dir.path());
    system(&root, &app);
    let Some(mut command) = inside(&root) else {
        return;
    };
    let said = text(&command.output().unwrap());
    assert!(RIGHT.iter().all(|line| said.contains(line)), "{said}");
    assert!(
        said.contains("library /app/lib/mlx/lib/libmlx.so"),
        "{said}"
    );
    // It wrote nothing anywhere.
    let mut files = Vec::new();
    collect(&root.join("app"), &mut files);
    assert!(
        files
            .iter()
            .all(|f| !f.to_string_lossy().contains("runtime-"))
    );
    assert!(!root.join("tmp").exists());

    // Without the kernels, the rest works, and the error says what is missing and where it was looked for.
    fs::remove_dir_all(app.join("lib/zmlx/kernels/host")).unwrap();
    let said = text(&inside(&root).unwrap().output().unwrap());
    assert!(RIGHT[..2].iter().all(|line| said.contains(line)), "{said}");
    for words in [
        "kernel `shipped_twice` needs a C++ compiler",
        "it is not in /app/lib/zmlx/kernels/host",
    ] {
        assert!(said.contains(words), "{said}");
    }
}

/// The folder may be moved, and each library in it finds the others.
#[test]
fn anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("first");
    let gathered = shipped(&app, dir.path());
    assert!(gathered.package.join("mlx/lib/libmlx.so").is_file());
    let moved = dir.path().join("second place");
    fs::rename(&app, &moved).unwrap();
    let name = std::env::current_exe().unwrap();
    let program = moved.join("bin").join(name.file_name().unwrap());
    let output = Command::new(program)
        .args(ARGUMENTS)
        .env("CXX", "/no/such/compiler")
        .env_remove("LD_LIBRARY_PATH")
        .output();
    let said = text(&output.unwrap());
    assert!(RIGHT.iter().all(|line| said.contains(line)), "{said}");
    let library = moved.join("lib/mlx/lib/libmlx.so");
    assert!(
        said.contains(&format!("library {}", library.display())),
        "{said}"
    );
    for (name, path) in gather::needed(&library).unwrap() {
        let path = fs::canonicalize(path.expect("a path")).unwrap();
        let ours = path.starts_with(fs::canonicalize(&moved).unwrap());
        assert!(
            ours != gathered.system.contains(&name),
            "{name}: {}",
            path.display()
        );
    }
    let refused = gather::gather(&library, &library, &moved)
        .map(|_| ())
        .unwrap_err();
    assert!(
        refused.to_string().contains("expected an empty folder"),
        "{refused}"
    );
}

#[test]
fn licence_texts() {
    let dir = tempfile::tempdir().unwrap();
    let library = fs::canonicalize(zmlx::engine::info().library.unwrap()).unwrap();
    let package = library.ancestors().nth(3).unwrap();
    let has_info = |e: fs::DirEntry| e.file_name().to_string_lossy().ends_with(".dist-info");
    if !fs::read_dir(package).unwrap().flatten().any(has_info) {
        println!("SKIPPED: the MLX of this build is no package");
        return;
    }
    licences::of_packages(package, dir.path()).unwrap();
    let count = licences::of_crates(&root().join("Cargo.toml"), dir.path()).unwrap();
    assert!(count > 20, "{count}");
    let mut files = Vec::new();
    collect(dir.path(), &mut files);
    let has = |part: &str| files.iter().any(|f| f.to_string_lossy().contains(part));
    assert!(
        has("/mlx") && has("/crates/cxx-") && has("/crates/zmlx-"),
        "{files:?}"
    );
    // What only tests and the build use is not shipped.
    assert!(
        !has("/crates/proptest-") && !has("/crates/cmake-"),
        "{files:?}"
    );
}
