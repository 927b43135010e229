//! The cache on disk: folders that appear whole or not at all.
//!
//! An entry is written into a temporary folder together with a checksum of its key and its files, and then
//! renamed to its key. Processes that build the same entry at once therefore never see half of it;
//! the first rename wins and the others use it. An entry whose checksum does not fit, or that others could have
//! written, is moved away and built again. What was not used for longest goes when there is too much.

pub mod bound;
mod folder;
mod headers;
pub mod shipped;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Once},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use crate::{engine::error::EngineError, io::place};
use folder::Folder;

pub use folder::first as folder;
pub use headers::Headers;

/// File of an entry that holds the checksum of the others.
const CHECKSUM: &str = "checksum";

/// Where compiled code was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The compiler ran.
    Compiler,
    /// The cache on disk had it.
    Disk,
    /// This process had it, or another thread was compiling it.
    Memory,
}

/// Folders of entries. New ones go to the first.
#[derive(Clone, Debug)]
pub struct Cache {
    folders: Vec<Folder>,
    /// The folder of all engines, where it has a bound.
    bounded: Option<PathBuf>,
}

impl Cache {
    /// The part of one engine of the user's cache, or of the folder that `ZMLX_CACHE_DIR` names.
    pub fn open(engine: &str) -> Result<Self, EngineError> {
        let mut folders = folder::all()?;
        let bounded = folders.first().map(|f| f.path.clone());
        for folder in &mut folders {
            folder.path.push(engine);
        }
        // What is only read is not made.
        let usable = |f: &Folder| fs::metadata(&f.path).is_ok_and(|m| f.trust.check(&m).is_ok());
        let others = folders.split_off(1);
        folders.extend(others.into_iter().filter(usable));
        let cache = Self { folders, bounded };
        cache.make()?;
        Ok(cache)
    }

    /// The entries in the folder `root`, as if the user had named it, with no bound.
    pub fn at(root: PathBuf) -> Result<Self, EngineError> {
        let trust = folder::open_named(&root).map_err(|e| error("use", &root, e))?;
        let path = root;
        let folders = vec![Folder { path, trust }];
        let bounded = None;
        Ok(Self { folders, bounded })
    }

    /// Makes the checksum of an entry that was changed right again.
    #[cfg(test)]
    pub fn sign(&self, key: &str) {
        let folder = self.root().join(key);
        let sum = checksum(&folder, key, |_| Ok(())).unwrap();
        fs::write(folder.join(CHECKSUM), sum).unwrap();
        assert_eq!(self.find(key), Some(folder));
    }

    /// Where new entries go.
    fn root(&self) -> &Path {
        &self.folders[0].path
    }

    /// Makes the folder for new entries, which may be gone at any time.
    fn make(&self) -> Result<(), EngineError> {
        let root = self.root();
        let trust = &self.folders[0].trust;
        trust.enter(root).map_err(|e| error("use", root, e))
    }

    /// The entry's folder, if it is there, undamaged, and from somebody who is trusted.
    pub fn find(&self, key: &str) -> Option<PathBuf> {
        let found = self.folders.iter().find_map(|f| intact(f, key))?;
        bound::touch(&found);
        Some(found)
    }

    /// The entry's folder; `build` fills a temporary one where it is missing or damaged.
    pub fn publish(
        &self,
        key: &str,
        build: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<PathBuf, EngineError> {
        match self.find(key) {
            Some(folder) => Ok(folder),
            None => {
                let temporary = self.temporary(key)?;
                build(&temporary.path).map_err(|e| error("write", &temporary.path, e))?;
                self.commit(temporary, key)
            }
        }
    }

    /// An empty folder to build `key` in. It goes away unless it is committed.
    pub fn temporary(&self, key: &str) -> Result<Temporary, EngineError> {
        let root = self.root();
        sweep(root);
        let new = || {
            // A random name: processes of two containers that share the folder may have one number.
            tempfile::Builder::new()
                .prefix(&format!(".{}.", &key[..key.len().min(16)]))
                .permissions(fs::Permissions::from_mode(0o755))
                .tempdir_in(root)
        };
        let made = match new() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.make()?;
                new()
            }
            made => made,
        };
        let path = made
            .map_err(|e| error("create a folder in", root, e))?
            .keep();
        Ok(Temporary { path })
    }

    /// Makes `temporary` the entry `key`, unless another process was faster.
    pub fn commit(&self, temporary: Temporary, key: &str) -> Result<PathBuf, EngineError> {
        let made = &temporary.path;
        let sum = checksum(made, key, |_| Ok(())).map_err(|e| error("read", made, e))?;
        let written = fs::write(made.join(CHECKSUM), sum).and_then(|()| close(made));
        written.map_err(|e| error("write", made, e))?;
        let folder = self.root().join(key);
        // A second try follows when a damaged entry stood in the way and has been moved.
        for _ in 0..8 {
            match fs::rename(made, &folder) {
                Ok(()) => {
                    if let Some(root) = &self.bounded {
                        bound::grown(root, &folder);
                    }
                    return Ok(folder);
                }
                Err(_) if intact(&self.folders[0], key).is_some() => return Ok(folder),
                // Not `exists`: a link to nowhere is in the way, too.
                Err(e) if fs::symlink_metadata(&folder).is_err() => {
                    return Err(error("create", &folder, e));
                }
                Err(_) => self.discard(key)?,
            }
        }
        Err(error(
            "replace",
            &folder,
            io::Error::other("it is damaged and cannot be moved"),
        ))
    }

    /// Removes the entry `key` from where new ones go.
    pub fn discard(&self, key: &str) -> Result<(), EngineError> {
        let aside = self.temporary(key)?;
        // Another process may have moved it first; then there is nothing left to move.
        let _ = fs::rename(self.root().join(key), aside.path.join("damaged"));
        Ok(())
    }
}

/// A folder that is deleted unless it has been renamed.
#[derive(Debug)]
pub struct Temporary {
    /// Where it is.
    pub path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a commit the path is gone, and that is as good.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Wraps a system error about `path`.
pub fn error(action: &'static str, path: &Path, source: io::Error) -> EngineError {
    EngineError::Cache {
        action,
        path: path.to_owned(),
        source: Arc::new(source),
    }
}

/// The key of an entry, by all that its content depends on.
pub fn key(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)])
        .collect()
}

/// The folder of an entry, if it is there, undamaged, and from somebody who is trusted.
fn intact(folder: &Folder, key: &str) -> Option<PathBuf> {
    let path = folder.path.join(key);
    let trusted = |meta: &fs::Metadata| folder.trust.check(meta);
    let meta = fs::symlink_metadata(&path).ok()?;
    if !meta.is_dir() || trusted(&meta).is_err() {
        return None;
    }
    let expected = place::read(&path.join(CHECKSUM)).ok()?;
    let found = checksum(&path, key, trusted).ok()?;
    (expected.trim_ascii() == found.as_bytes()).then_some(path)
}

/// SHA-256 of the key and of the names and contents of all files below `folder`, the checksum itself left
/// out. Fails where there is something else than files and folders, or something that `check` refuses.
fn checksum(
    folder: &Path,
    key: &str,
    check: impl Fn(&fs::Metadata) -> io::Result<()>,
) -> io::Result<String> {
    let mut files = Vec::new();
    walk(folder, Path::new(""), &mut |path, meta| {
        check(meta)?;
        if meta.is_file() {
            files.push(path.to_owned());
        }
        Ok(())
    })?;
    files.sort();
    let mut hasher = Sha256::new();
    hasher.update(key.as_bytes());
    for path in files.iter().filter(|p| p.as_path() != Path::new(CHECKSUM)) {
        let content = place::read(&folder.join(path))?;
        hasher.update([0]);
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update([0]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    Ok(hex(&hasher.finalize()))
}

/// Takes the permission to write from everybody but the owner.
fn close(folder: &Path) -> io::Result<()> {
    walk(folder, Path::new(""), &mut |path, meta| {
        let mode = meta.permissions().mode() & 0o7777;
        if mode & 0o022 == 0 {
            return Ok(());
        }
        fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode & !0o022))
    })
}

/// Visits files and folders below a folder; links and devices are errors.
fn walk(
    root: &Path,
    below: &Path,
    visit: &mut impl FnMut(&Path, &fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        // That of the entry itself, not of what a link leads to.
        let meta = entry.metadata()?;
        if !meta.is_dir() && !meta.is_file() {
            return Err(io::Error::other("there is neither a file nor a folder"));
        }
        visit(&path, &meta)?;
        if meta.is_dir() {
            walk(root, &path, visit)?;
        }
    }
    Ok(())
}

/// Removes what killed processes left, once in a process.
fn sweep(root: &Path) {
    /// No compiler runs longer.
    const OLD: Duration = Duration::from_secs(24 * 60 * 60);
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let age = entry.metadata().and_then(|m| m.modified());
            let old = age.is_ok_and(|t| SystemTime::now().duration_since(t).is_ok_and(|d| d > OLD));
            if hidden && old {
                // Whatever cannot be removed is in nobody's way.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
}
