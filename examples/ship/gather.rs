//! The program and the libraries beside it, in a folder that may lie anywhere.
//!
//! The layout is that of MLX's packages, in which each library finds its neighbours seen from its own folder (`$ORIGIN`): so none of them is
//! changed. The program finds MLX at `../lib/mlx/lib`, seen from its folder.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What was gathered.
pub struct Gathered {
    /// The folder of the package that MLX's library is part of.
    pub package: PathBuf,
    /// What the system of the other machine gives: names of libraries.
    pub system: Vec<String>,
}

/// Copies the program, the library `mlx` and what it needs below `folder`.
pub fn gather(program: &Path, mlx: &Path, folder: &Path) -> io::Result<Gathered> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(said(
            folder,
            "expected an empty folder, or none, got one with files",
        ));
    }
    let Some(name) = program.file_name() else {
        return Err(said(program, "expected a program"));
    };
    let mlx = fs::canonicalize(mlx).map_err(|e| said(mlx, &e.to_string()))?;
    // The package is the folder of `mlx/lib/libmlx.so`.
    let Some(package) = mlx.ancestors().nth(3).map(Path::to_owned) else {
        return Err(said(&mlx, "expected a library in `mlx/lib` of a package"));
    };
    copy(program, &folder.join("bin").join(name))?;
    let lib = folder.join("lib");
    let own = lib.join("mlx/lib");
    for name in ["libmlx.so", "libmlx.dylib", "mlx.metallib"] {
        let file = mlx.with_file_name(name);
        if file.is_file() {
            copy(&file, &own.join(name))?;
        }
    }
    let (mut neighbours, mut system) = (BTreeSet::new(), BTreeSet::new());
    for file in [mlx.as_path(), program] {
        for (name, path) in needed(file)? {
            match path.as_deref().and_then(|p| below(p, &package)) {
                Some(folder) => neighbours.insert(folder),
                None => system.insert(name),
            };
        }
    }
    // Its libraries load further ones by name, and MLX compiles with its headers.
    if package.join("nvidia").is_dir() {
        neighbours.insert(PathBuf::from("nvidia"));
    }
    neighbours.remove(Path::new("mlx"));
    for name in &neighbours {
        copy_folder(&package.join(name), &lib.join(name))?;
    }
    Ok(Gathered {
        package,
        system: system.into_iter().collect(),
    })
}

/// The libraries that the loader takes for a file: their names, and where they are.
pub fn needed(file: &Path) -> io::Result<Vec<(String, Option<PathBuf>)>> {
    if cfg!(target_os = "macos") {
        return Ok(Vec::new());
    }
    // `ldd` takes a name without a slash for a command's.
    let file = fs::canonicalize(file)?;
    let output = Command::new("ldd").arg(&file).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |line: &str| {
        // `name => path (address)`, `path (address)`, `name => not found`, or the kernel's own.
        let line = line.trim().split(" (").next()?;
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        let path = Some(PathBuf::from(path)).filter(|p| p.is_absolute());
        let name = Path::new(name).file_name()?.to_str()?.to_owned();
        let library = name.contains(".so") && !name.starts_with("linux-");
        library.then_some((name, path))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// The folder of the package that a library lies in.
fn below(library: &Path, package: &Path) -> Option<PathBuf> {
    // The loader's paths have `..` in them.
    let library = fs::canonicalize(library).ok()?;
    let first = library.strip_prefix(package).ok()?.components().next()?;
    Some(PathBuf::from(first.as_os_str()))
}

/// Copies a folder with all that is in it; what links lead to is copied, too.
pub fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).map_err(|e| said(from, &e.to_string()))? {
        let path = entry?.path();
        let Some(name) = path.file_name() else {
            continue;
        };
        match path.is_dir() {
            true => copy_folder(&path, &to.join(name))?,
            false => copy(&path, &to.join(name))?,
        }
    }
    Ok(())
}

/// Copies a file with its permissions, and makes the folders that it is in.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(e) => Err(said(from, &e.to_string())),
    }
}

fn said(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{}: {what}", path.display()))
}
