//! The cache on disk: folders that appear whole or not at all.
//!
//! An entry is written into a temporary folder together with a checksum of its files, and then
//! renamed to its key. Processes that build the same entry at once therefore never see half of it;
//! the first rename wins and the others use it. An entry whose checksum does not fit its files is
//! moved away and built again.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sha2::{Digest, Sha256};

use crate::engine::error::EngineError;

/// File of an entry that holds the checksum of the others.
const CHECKSUM: &str = "checksum";

/// The folder of everything that zmlx keeps between runs: the one that `ZMLX_CACHE_DIR` names, or
/// one in the user's cache.
pub fn folder() -> PathBuf {
    env::var_os("ZMLX_CACHE_DIR")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(user_cache()?.join("zmlx")))
        .unwrap_or_else(|| env::temp_dir().join("zmlx-cache"))
}

/// A folder of entries.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The part of one engine of the user's cache, or of the folder that `ZMLX_CACHE_DIR` names.
    pub fn open(engine: &str) -> Result<Self, EngineError> {
        Self::at(folder().join(engine))
    }

    /// The cache in the folder `root`.
    pub fn at(root: PathBuf) -> Result<Self, EngineError> {
        fs::create_dir_all(&root).map_err(|e| error("create", &root, e))?;
        Ok(Self { root })
    }

    /// The entry's folder, if it is there and undamaged.
    pub fn find(&self, key: &str) -> Option<PathBuf> {
        let folder = self.root.join(key);
        let expected = fs::read_to_string(folder.join(CHECKSUM)).ok()?;
        (checksum(&folder).ok()? == expected.trim()).then_some(folder)
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
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let unique = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = self
            .root
            .join(format!(".{key}.{}.{unique}", std::process::id()));
        // One that a killed process of the same number left is in nobody's use.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|e| error("create", &path, e))?;
        Ok(Temporary { path })
    }

    /// Makes `temporary` the entry `key`, unless another process was faster.
    pub fn commit(&self, temporary: Temporary, key: &str) -> Result<PathBuf, EngineError> {
        let sum = checksum(&temporary.path).map_err(|e| error("read", &temporary.path, e))?;
        let file = temporary.path.join(CHECKSUM);
        fs::write(&file, sum).map_err(|e| error("write", &file, e))?;
        let folder = self.root.join(key);
        // A second try follows when a damaged entry stood in the way and has been moved.
        for _ in 0..8 {
            match fs::rename(&temporary.path, &folder) {
                Ok(()) => return Ok(folder),
                Err(_) if self.find(key).is_some() => return Ok(folder),
                Err(e) if !folder.exists() => return Err(error("create", &folder, e)),
                Err(_) => {
                    let aside = self.temporary(key)?;
                    // Another process may have moved it first; then there is nothing left to move.
                    let _ = fs::rename(&folder, aside.path.join("damaged"));
                }
            }
        }
        Err(error(
            "replace",
            &folder,
            io::Error::other("it is damaged and cannot be moved"),
        ))
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

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)])
        .collect()
}

/// SHA-256 of the names and contents of all files below `folder`, the checksum itself left out.
fn checksum(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    list(folder, Path::new(""), &mut files)?;
    files.sort();
    let mut hasher = Sha256::new();
    for path in files.iter().filter(|p| p.as_path() != Path::new(CHECKSUM)) {
        let content = fs::read(folder.join(path))?;
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update([0]);
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(&content);
    }
    Ok(hex(&hasher.finalize()))
}

fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => list(root, &path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Where this user's programs keep caches.
fn user_cache() -> Option<PathBuf> {
    let xdg = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute());
    xdg.or_else(|| {
        Some(PathBuf::from(env::var_os("HOME").filter(|h| !h.is_empty())?).join(".cache"))
    })
}
