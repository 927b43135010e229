//! The wheels of vendor/wheels.txt: downloaded by pip, verified, unpacked once.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};

use crate::{Result, Target, user_env};

const WHEELS: &str = include_str!("../vendor/wheels.txt");

/// One line of vendor/wheels.txt.
#[derive(Clone, Copy)]
pub struct Wheel {
    pub sha256: &'static str,
    pub file: &'static str,
}

/// The wheels of `part` for a target such as `linux-x86_64`, in the order of the file.
pub fn wheels(part: &str, target: &str) -> Vec<Wheel> {
    WHEELS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let fits = words.next() == Some(part) && words.next() == Some(target);
            let (sha256, file) = (words.next()?, words.next()?);
            fits.then_some(Wheel { sha256, file })
        })
        .collect()
}

impl Wheel {
    /// `name-version-py3-none-platforms.whl`, in parts.
    fn part(&self, index: usize) -> &'static str {
        let stem = self.file.trim_end_matches(".whl");
        stem.split('-').nth(index).unwrap_or_default()
    }

    pub fn package(&self) -> String {
        self.part(0).replace('_', "-")
    }

    pub fn version(&self) -> &'static str {
        self.part(1)
    }

    /// The first of the platforms that the wheel is made for, such as `manylinux_2_35_x86_64`.
    pub fn platform(&self) -> &'static str {
        self.part(4).split('.').next().unwrap_or_default()
    }

    /// The verified wheel file.
    fn download(&self, target: &Target) -> Result<PathBuf> {
        let folder = download_dir(target);
        let file = folder.join(self.file);
        if file.is_file() {
            match self.verify(&file) {
                Ok(()) => return Ok(file),
                Err(problem) if user_env("ZMLX_WHEELS").is_some() => return Err(problem),
                Err(_) => _ = fs::remove_file(&file), // Ours, and damaged: get it again.
            }
        }
        let partial = folder.join(format!(".{}-{}", self.file, std::process::id()));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial)
            .map_err(|e| format!("cannot create {}: {e}", partial.display()))?;
        let fetched = self.pip(&partial).and_then(|()| {
            let fetched = partial.join(self.file);
            self.verify(&fetched)?;
            fs::rename(&fetched, &file).map_err(|e| format!("cannot write {}: {e}", file.display()))
        });
        let _ = fs::remove_dir_all(&partial);
        fetched.map(|()| file)
    }

    fn pip(&self, into: &Path) -> Result<()> {
        let output = python()?
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .args([
                "--no-input",
                "--retries",
                "2",
                "--no-deps",
                "--only-binary=:all:",
            ])
            .args([
                "--implementation",
                "py",
                "--python-version",
                "3.12",
                "--abi",
                "none",
            ])
            .args(["--platform", self.platform(), "--dest"])
            .arg(into)
            .arg(format!("{}=={}", self.package(), self.version()))
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .output()
            .map_err(|e| format!("cannot run python3: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        let what = format!("{} {}", self.package(), self.version());
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("No module named pip") {
            return Err(format!(
                "python3 has no pip, which downloads {what}: install it (package python3-pip, or \
                 `python3 -m ensurepip`), or set MLX_DIR to an installed MLX"
            ));
        }
        let unreachable = [
            "NewConnectionError",
            "name resolution",
            "timed out",
            "Connection",
            "unreachable",
        ]
        .iter()
        .any(|sign| said.contains(sign));
        let cause = if unreachable {
            "the network or package index cannot be reached; "
        } else {
            ""
        };
        Err(format!(
            "cannot download {what}: {cause}pip said: {} (without a network, put {} into a folder and \
             set ZMLX_WHEELS to it, or set MLX_DIR to an installed MLX)",
            last_line(&output),
            self.file
        ))
    }

    fn verify(&self, file: &Path) -> Result<()> {
        let cannot = |e| format!("pip left no {}: {e}", file.display());
        let mut source = fs::File::open(file).map_err(cannot)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match source.read(&mut buffer).map_err(cannot)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        let found = hex(&hash.finalize());
        if found == self.sha256 {
            return Ok(());
        }
        Err(format!(
            "{} is not the file that zmlx was made with: its SHA-256 is {found}, expected {}",
            file.display(),
            self.sha256
        ))
    }
}

/// Unpacks wheels together into one folder below `parent` and returns it; does nothing where that was
/// done.
pub fn unpack(wheels: &[Wheel], parent: &Path, target: &Target) -> Result<PathBuf> {
    let Some(first) = wheels.first() else {
        return Err(format!(
            "vendor/wheels.txt has no such wheel for {}",
            target.triple
        ));
    };
    let hashes = wheels.iter().fold(Sha256::new(), |hashes, wheel| {
        hashes.chain_update(wheel.sha256)
    });
    let name = format!(
        "{}-{}-{}",
        first.package(),
        first.version(),
        &hex(&hashes.finalize())[..8]
    );
    let dir = parent.join(&name);
    if dir.is_dir() {
        return Ok(dir); // Comes into being by a rename, so it is complete.
    }
    let partial = parent.join(format!(".{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)
        .map_err(|e| format!("cannot create {}: {e}", partial.display()))?;
    for wheel in wheels {
        let file = wheel.download(target)?;
        let output = python()?
            .args(["-m", "zipfile", "-e"])
            .args([&file, &partial])
            .output()
            .map_err(|e| format!("cannot run python3: {e}"))?;
        if !output.status.success() {
            return Err(format!(
                "cannot unpack {}: {}",
                wheel.file,
                last_line(&output)
            ));
        }
        if parent.starts_with(shared_dir(target)) && user_env("ZMLX_WHEELS").is_none() {
            let _ = fs::remove_file(file); // What it held is there for all builds now.
        }
    }
    // Another build may have been first.
    if fs::rename(&partial, &dir).is_err() && !dir.is_dir() {
        return Err(format!("cannot create {}", dir.display()));
    }
    let _ = fs::remove_dir_all(&partial);
    Ok(dir)
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where downloads are kept: `ZMLX_WHEELS`, else one folder for all profiles of this target directory.
fn download_dir(target: &Target) -> PathBuf {
    match user_env("ZMLX_WHEELS") {
        Some(dir) => dir.into(),
        None => shared_dir(target).join("wheels"),
    }
}

/// A folder that all builds in this target directory share; `cargo clean` removes it.
pub fn shared_dir(target: &Target) -> PathBuf {
    let dirs: Vec<&Path> = target.out_dir.ancestors().collect();
    let marked = dirs.iter().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    // Cargo marks the folders that it makes. One that was there before, such as a mounted
    // one, is told by the way from it: PROFILE/build/PACKAGE/out.
    let usual = dirs.get(2).is_some_and(|dir| dir.ends_with("build"));
    match (marked, dirs.get(4)) {
        (Some(dir), _) => dir.join("zmlx"),
        (None, Some(dir)) if usual => dir.join("zmlx"),
        _ => target.out_dir.join("zmlx"),
    }
}

/// `python3` or `python` (or what `PYTHON` names), whichever is Python 3.
pub fn python() -> Result<Command> {
    let named = user_env("PYTHON");
    let candidates = match &named {
        Some(python) => vec![python.as_str()],
        None => vec!["python3", "python"],
    };
    for python in &candidates {
        let check = Command::new(python)
            .args([
                "-c",
                "import sys, zipfile; sys.exit(sys.version_info < (3, 8))",
            ])
            .output();
        if check.is_ok_and(|output| output.status.success()) {
            return Ok(Command::new(python));
        }
    }
    Err(format!(
        "no Python 3.8 or newer here (tried {}), whose pip downloads MLX: install python3 with pip, \
         or set MLX_DIR to an installed MLX",
        candidates.join(", ")
    ))
}

/// The last line that a program said, for error messages.
fn last_line(output: &Output) -> String {
    let said = [output.stderr.as_slice(), output.stdout.as_slice()].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let error = lines.iter().rev().find(|line| line.starts_with("ERROR:"));
    error
        .or(lines.last())
        .map_or_else(|| output.status.to_string(), |line| line.trim().to_owned())
}
