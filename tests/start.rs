//! Where programs find MLX's library: they have to start from wherever they lie.
#![cfg(target_os = "linux")]

use std::error::Error;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What the children run.
#[test]
fn tell() -> Result {
    let x = zmlx::Array::from_slice(&[1.0f32, 2.0], 2)?;
    assert_eq!(x.sum(..)?.item::<f32>()?, 3.0);
    println!("library: {}", library()?.display());
    Ok(())
}

fn library() -> Result<PathBuf> {
    Ok(zmlx::engine::info().library.ok_or("no library")?)
}

/// `program` as a user starts it, with what cargo sets taken away.
fn start(program: &Path, set: Option<&Path>) -> Result<Output> {
    let mut command = Command::new(program);
    command
        .args(["--exact", "tell", "--nocapture"])
        .env_remove("LD_LIBRARY_PATH");
    if let Some(path) = set {
        command.env("LD_LIBRARY_PATH", path);
    }
    // A child that another test starts at this moment may still hold a program open that was just written.
    let output = loop {
        match command.output() {
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            output => break output?,
        }
    };
    assert!(output.status.success(), "{output:?}");
    Ok(output)
}

fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("library: "));
    line.map_or_else(String::new, |(_, path)| path.to_owned())
}

/// A tree with MLX's library in `lib/mlx/lib`, as programs are shipped, and this program in `bin`.
fn shipped() -> Result<(tempfile::TempDir, PathBuf, PathBuf)> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().canonicalize()?;
    let real = library()?.canonicalize()?;
    let wheel = real.ancestors().nth(3).ok_or("no wheel")?;
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::create_dir_all(root.join("lib/mlx/lib"))?;
    // No symbolic link: the system tells the name of the file itself.
    std::fs::copy(&real, root.join("lib/mlx/lib/libmlx.so"))?;
    for entry in std::fs::read_dir(wheel)?.flatten() {
        let name = entry.file_name();
        if name != "mlx" {
            symlink(entry.path(), root.join("lib").join(name))?;
        }
    }
    let program = root.join("bin/program");
    std::fs::copy(std::env::current_exe()?, &program)?;
    Ok((dir, program, root.join("lib/mlx/lib")))
}

/// Tests are carried to machines without the build tree, too.
fn carried() -> bool {
    // The folder of the build script, where MLX lies.
    let carried = !Path::new(env!("OUT_DIR")).exists();
    if carried {
        println!("skipped: the build tree is not here");
    }
    carried
}

/// Nothing set, from the build tree: as `cargo build && target/debug/program`.
#[test]
fn a_program_starts_from_its_build_tree() -> Result {
    if carried() {
        return Ok(());
    }
    let said = told(&start(&std::env::current_exe()?, None)?);
    assert!(said.ends_with("libmlx.so"), "{said}");
    Ok(())
}

#[test]
fn a_shipped_program_takes_the_library_beside_it() -> Result {
    let (_dir, program, lib) = shipped()?;
    let said = told(&start(&program, None)?);
    assert_eq!(Path::new(&said), lib.join("libmlx.so"));
    Ok(())
}

/// One binary runs with MLX's CPU build or its CUDA build by this.
#[test]
fn the_search_path_comes_first() -> Result {
    let (_dir, _, lib) = shipped()?;
    let said = told(&start(&std::env::current_exe()?, Some(&lib))?);
    assert_eq!(Path::new(&said), lib.join("libmlx.so"));
    Ok(())
}

#[test]
fn a_file_that_is_no_library_is_passed_over_and_named() -> Result {
    if carried() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("libmlx.so"), "no library")?;
    let output = start(&std::env::current_exe()?, Some(dir.path()))?;
    assert!(told(&output).ends_with("libmlx.so"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&format!("{}", dir.path().display())),
        "{said}"
    );
    Ok(())
}
