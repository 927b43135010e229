//! Where the cache is, and who may have written what is in it.
//!
//! What the cache holds is loaded into the process and run. So it has to be this user's, or that of somebody who may
//! do anything here anyway; what others could have written is built again and not loaded.

use std::{
    env, fmt, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{Access, access},
    process::geteuid,
};

use super::error;
use crate::engine::error::EngineError;

/// Names the folder.
pub const VARIABLE: &str = "ZMLX_CACHE_DIR";

/// Permissions to write that a file's group and everybody else may have.
pub const GROUP: u32 = 0o020;
pub const OTHERS: u32 = 0o002;
pub const ROOT: u32 = 0;

/// Whose files are loaded.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Their owners, or nobody in particular.
    owners: Option<Vec<u32>>,
    /// Permissions that they must not have.
    forbidden: u32,
}

impl Trust {
    /// Files of these users, without these permissions.
    pub const fn of(owners: Vec<u32>, forbidden: u32) -> Self {
        let owners = Some(owners);
        Self { owners, forbidden }
    }

    /// Whether a file or folder with these properties may be used, or why not.
    pub fn check(&self, meta: &fs::Metadata) -> io::Result<()> {
        let owner = meta.uid();
        if self.owners.as_ref().is_some_and(|o| !o.contains(&owner)) {
            let me = geteuid().as_raw();
            return Err(io::Error::other(format!(
                "it belongs to the user {owner}, not to {me}, who would run what is in it"
            )));
        }
        match meta.mode() & self.forbidden {
            0 => Ok(()),
            _ => Err(io::Error::other("other users can write to it")),
        }
    }

    /// Makes a folder where it is missing, and checks it. One of our own that others can write to is closed.
    pub fn enter(&self, path: &Path) -> io::Result<()> {
        make(path, 0o775 & !self.forbidden)?;
        close(path, &fs::metadata(path)?, self.forbidden);
        self.check(&fs::metadata(path)?)
    }
}

/// A folder of everything that zmlx keeps between runs.
#[derive(Clone, Debug)]
pub struct Folder {
    pub path: PathBuf,
    pub trust: Trust,
}

/// The folders to look into. New entries go to the first one.
pub fn all() -> Result<Vec<Folder>, EngineError> {
    if let Some(path) = named() {
        let trust = open_named(&path).map_err(|e| error("use", &path, e))?;
        return Ok(vec![Folder { path, trust }]);
    }
    let mut problems = Problems::default();
    let mut only_read = Vec::new();
    for path in user_caches(&mut problems) {
        match open_own(&path) {
            Ok(trust) => {
                let folder = Folder { path, trust };
                // Those who made the folder may have filled it for users who cannot write there.
                match access(&folder.path, Access::WRITE_OK | Access::EXEC_OK) {
                    Ok(()) => {
                        only_read.insert(0, folder);
                        return Ok(only_read);
                    }
                    Err(e) => {
                        problems.add(&folder.path, &e);
                        only_read.push(folder);
                    }
                }
            }
            Err(e) => problems.add(&path, &e),
        }
    }
    let path = temporary();
    let trust = open_temporary(&path).map_err(|e| {
        let e = io::Error::new(e.kind(), format!("{e} (before that: {problems})"));
        error("use", &path, e)
    })?;
    problems.warn(&path);
    only_read.insert(0, Folder { path, trust });
    Ok(only_read)
}

/// The folder that new entries go to. Where there is none, one that cannot be written.
pub fn first() -> PathBuf {
    named().unwrap_or_else(|| match all() {
        Ok(mut folders) => folders.swap_remove(0).path,
        Err(_) => temporary(),
    })
}

fn named() -> Option<PathBuf> {
    env::var_os(VARIABLE)
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
}

/// Where this user's programs keep caches.
fn user_caches(problems: &mut Problems) -> Vec<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let home = absolute("HOME").filter(|home| {
        // It is not ours to make: services have names of homes that are not there.
        let there = home.is_dir();
        if !there {
            problems.add(home, &"there is no such folder");
        }
        there
    });
    let caches = [
        absolute("XDG_CACHE_HOME"),
        home.map(|home| home.join(".cache")),
    ];
    let found: Vec<PathBuf> = caches
        .into_iter()
        .flatten()
        .map(|p| p.join("zmlx"))
        .collect();
    if found.is_empty() && problems.0.is_empty() {
        problems
            .0
            .push("neither HOME nor XDG_CACHE_HOME names a folder".to_owned());
    }
    found
}

/// A name that each user has for himself.
fn temporary() -> PathBuf {
    env::temp_dir().join(format!("zmlx-cache-{}", geteuid().as_raw()))
}

/// The folder that the user names, who may share it with others: a group that can write to it is trusted, and so
/// is its owner.
pub fn open_named(path: &Path) -> io::Result<Trust> {
    make(path, 0o775)?;
    Ok(trust_of_named(&fs::metadata(path)?))
}

/// Whose files are loaded from a folder that the user names.
pub fn trust_of_named(meta: &fs::Metadata) -> Trust {
    let shared = meta.mode() & (GROUP | OTHERS) == GROUP;
    let owners = vec![geteuid().as_raw(), ROOT, meta.uid()];
    Trust {
        owners: (!shared).then_some(owners),
        forbidden: OTHERS,
    }
}

/// A folder in the user's own cache.
fn open_own(path: &Path) -> io::Result<Trust> {
    make(path, 0o700)?;
    let trust = Trust {
        owners: Some(vec![geteuid().as_raw(), ROOT]),
        forbidden: GROUP | OTHERS,
    };
    trust.enter(path)?;
    Ok(trust)
}

/// The folder in the system's temporary one, where everybody could have put something of its name.
fn open_temporary(path: &Path) -> io::Result<Trust> {
    let me = geteuid().as_raw();
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    let private = Trust {
        owners: Some(vec![me]),
        forbidden: 0o077,
    };
    let look = || fs::symlink_metadata(path);
    if !look()?.is_dir() {
        return Err(io::Error::other("it is not a folder"));
    }
    close(path, &look()?, 0o077);
    private.check(&look()?)?;
    Ok(Trust {
        owners: Some(vec![me]),
        forbidden: GROUP | OTHERS,
    })
}

/// Takes permissions from others, if the folder is ours.
fn close(path: &Path, meta: &fs::Metadata, forbidden: u32) {
    let mode = meta.mode() & 0o7777;
    if meta.uid() == geteuid().as_raw() && mode & forbidden != 0 {
        // Where that fails the check that follows says so.
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(mode & !forbidden));
    }
}

/// Makes a folder and those that it is in.
fn make(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)?;
    match fs::metadata(path)?.is_dir() {
        true => Ok(()),
        false => Err(io::Error::other("it is not a folder")),
    }
}

/// Why folders were passed over.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, path: &Path, problem: &dyn fmt::Display) {
        self.0.push(format!("{}: {problem}", path.display()));
    }

    /// Says once where the cache is instead.
    fn warn(&self, path: &Path) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Ordering::Relaxed) {
            eprintln!(
                "zmlx: compiled kernels are kept in {} ({self}); name another folder in {VARIABLE}",
                path.display()
            );
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}
