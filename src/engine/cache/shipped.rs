//! Kernels that were compiled ahead and came with the program. They are only read.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use super::folder::{self, Folder, Trust};

/// Names a folder of them.
pub const VARIABLE: &str = "ZMLX_KERNELS_DIR";

/// Where they lie, seen from the folder of the program.
const BESIDE: &str = "../lib/zmlx/kernels";

/// The folders that are there, of all engines: the one that the environment names, and the one beside the program.
pub fn folders() -> Vec<PathBuf> {
    found().into_iter().map(|f| f.path).collect()
}

/// The folder of the entry `key` of an engine, if one has it undamaged and from somebody who is trusted.
pub fn find(engine: &str, key: &str) -> Option<PathBuf> {
    found().into_iter().find_map(|mut folder| {
        folder.path.push(engine);
        super::intact(&folder, key)
    })
}

fn found() -> Vec<Folder> {
    named().into_iter().chain(beside()).collect()
}

fn named() -> Option<Folder> {
    let path = env::var_os(VARIABLE).filter(|dir| !dir.is_empty())?;
    let path = PathBuf::from(path);
    let meta = fs::metadata(&path).ok().filter(fs::Metadata::is_dir)?;
    let trust = folder::trust_of_named(&meta);
    Some(Folder { path, trust })
}

/// Whoever could write the program is trusted: what they write runs anyway.
fn beside() -> Option<Folder> {
    let program = env::current_exe().ok()?;
    let path = program.parent()?.join(BESIDE);
    if !path.is_dir() {
        return None;
    }
    let program = fs::metadata(&program).ok()?;
    let owners = vec![geteuid().as_raw(), folder::ROOT, program.uid()];
    let forbidden = (folder::GROUP | folder::OTHERS) & !program.mode();
    Some(Folder {
        path: tidy(&path),
        trust: Trust::of(owners, forbidden),
    })
}

/// The path without `..`, for messages.
fn tidy(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Where an engine's kernel that was compiled ahead was looked for in vain, for an error; `machine` says for what.
pub fn missing(engine: &str, machine: &str) -> String {
    let folders: Vec<String> = found()
        .iter()
        .map(|f| f.path.join(engine).display().to_string())
        .collect();
    match folders.is_empty() {
        true => format!(
            "no folder of such kernels is there (`lib/zmlx/kernels` beside the program's folder, or what {VARIABLE} names)"
        ),
        false => format!(
            "it is not in {} for this machine ({machine}); docs/DEPLOYING.md tells how to record and fill it",
            folders.join(" or ")
        ),
    }
}
