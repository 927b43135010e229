//! Licence texts of what is shipped.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::gather::{copy, copy_folder};

/// What MLX's package for Linux holds besides MLX, whose texts are not in it.
const NOTE: &str = "\
MLX's package for Linux brings libraries of others, in the folders `*.libs`. It has no licence texts of them:

| library | licence | text |
|---|---|---|
| libblas, liblapack (the reference implementation) | BSD, 3 clauses | LICENSE.txt of Reference-LAPACK |
| libgfortran | GPL 3 with the GCC Runtime Library Exception | COPYING3 and COPYING.RUNTIME of GCC |
| libquadmath | LGPL 2.1 | COPYING.LIB of GCC's libquadmath |

Those that the machine had on which this folder was made lie beside this file.
";

/// Where systems keep texts of these libraries.
const SYSTEM: [&str; 6] = [
    "common-licenses/GPL-3",
    "common-licenses/LGPL-2.1",
    "doc/libblas3/copyright",
    "doc/liblapack3/copyright",
    "doc/libgfortran5/copyright",
    "doc/libquadmath0/copyright",
];

/// Copies the texts of MLX's package, and of NVIDIA's where they are part of it.
pub fn of_packages(package: &Path, to: &Path) -> io::Result<()> {
    let mut folders = vec![package.to_owned()];
    // NVIDIA's packages may lie elsewhere and be linked.
    if let Ok(nvidia) = fs::canonicalize(package.join("nvidia"))
        && let Some(parent) = nvidia.parent()
        && parent != package
    {
        folders.push(parent.to_owned());
    }
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ours = name.starts_with("mlx") || name.starts_with("nvidia");
            if !ours || !name.ends_with(".dist-info") {
                continue;
            }
            texts(&path, &to.join(name.trim_end_matches(".dist-info")))?;
        }
    }
    let libs = |e: &fs::DirEntry| e.file_name().to_string_lossy().ends_with(".libs");
    if fs::read_dir(package)?.flatten().any(|e| libs(&e)) {
        let to = to.join("libraries of MLX's package");
        fs::create_dir_all(&to)?;
        fs::write(to.join("README.md"), NOTE)?;
        for name in SYSTEM {
            let file = Path::new("/usr/share").join(name);
            if file.is_file() {
                copy(&file, &to.join(name.replace('/', "-")))?;
            }
        }
    }
    Ok(())
}

/// The licence texts in a folder of a package.
fn texts(package: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(package)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_text = [
            "license",
            "licence",
            "copying",
            "notice",
            "copyright",
            "unlicense",
        ]
        .iter()
        .any(|word| name.to_string_lossy().to_lowercase().starts_with(word));
        match (is_text, path.is_dir()) {
            (true, true) => copy_folder(&path, &to.join(name))?,
            (true, false) => copy(&path, &to.join(name))?,
            (false, _) => {}
        }
    }
    Ok(())
}

/// Copies the texts of all crates that a package is built of; tells how many have some.
pub fn of_crates(manifest: &Path, to: &Path) -> io::Result<usize> {
    let cargo = |args: &[&str]| {
        let program = std::env::var_os("CARGO").unwrap_or("cargo".into());
        let mut command = Command::new(program);
        let output = command
            .args(args)
            .arg("--manifest-path")
            .arg(manifest)
            .output()?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => {
                let words = String::from_utf8_lossy(&output.stderr).into_owned();
                Err(io::Error::other(format!("cargo {}: {words}", args[0])))
            }
        }
    };
    let tree = cargo(&[
        "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}",
    ])?;
    let tree = String::from_utf8_lossy(&tree).into_owned();
    let used = |name: &str, version: &str| {
        let start = format!("{name} v{version}");
        let is = |line: &str| line == start || line.starts_with(&(start.clone() + " "));
        tree.lines().any(is)
    };
    let metadata = cargo(&["metadata", "--format-version", "1"])?;
    let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
    let mut count = 0;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        let folder = Path::new(text("manifest_path")).parent();
        let Some(folder) = folder.filter(|_| used(name, version)) else {
            continue;
        };
        let to = to.join("crates").join(format!("{name}-{version}"));
        texts(folder, &to)?;
        match to.is_dir() {
            true => count += 1,
            // It has no text of its own; the name of the licence is what it says.
            false => {
                fs::create_dir_all(&to)?;
                fs::write(to.join("LICENSE"), text("license"))?;
            }
        }
    }
    Ok(count)
}
