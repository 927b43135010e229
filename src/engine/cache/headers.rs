//! The runtime headers, which give MSL its meaning in C++, and where the compiler finds them.
//!
//! They are part of this crate's binary and are written into the cache under their own hash, so
//! that a program needs no files beside it. `ZMLX_RUNTIME_DIR` names a folder to use instead, for
//! work on the headers themselves.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use sha2::{Digest, Sha256};

use super::{Cache, hex};
use crate::{engine::error::EngineError, io::place};

/// The embedded files: path below `kernels/runtime`, and text.
macro_rules! runtime {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../kernels/runtime/", $path)))),*]
    };
}

const FILES: &[(&str, &str)] = runtime![
    "common/atomic_types.h",
    "common/base.h",
    "common/common.h",
    "common/complex.h",
    "common/division.h",
    "common/float16.h",
    "common/integer.h",
    "common/lanes.h",
    "common/limits.h",
    "common/math.h",
    "common/matrix.h",
    "common/mlx.h",
    "common/order.h",
    "common/pack.h",
    "common/packed.h",
    "common/references.h",
    "common/simdgroup_matrix.h",
    "common/spaces.h",
    "common/vec.h",
    "cuda/atomic.h",
    "cuda/convert.h",
    "cuda/math.h",
    "cuda/prelude.h",
    "cuda/quant.h",
    "cuda/simd.h",
    "cuda/simdgroup_matrix.h",
    "cuda/sync.h",
    "cuda/teams.h",
    "cuda/tiles.h",
    "host/abi.h",
    "host/ahead.h",
    "host/atomic.h",
    "host/checked.h",
    "host/checked_library.h",
    "host/convert.h",
    "host/floats.h",
    "host/math_exp.h",
    "host/math_log.h",
    "host/math_pow.h",
    "host/math_trig.h",
    "host/quant.h",
    "host/quant_beside.h",
    "host/quant_bytes.h",
    "host/rounding.h",
    "host/simd.h",
    "host/simdgroup_matrix.h",
    "host/stop.h",
    "host/sync.h",
    "host/tiles.h",
    "host/unaligned.h",
    "zmlx_cuda.h",
    "zmlx_host.h",
];

/// A folder of headers and the hash of what it holds.
#[derive(Clone, Debug)]
pub struct Headers {
    /// For the compiler's `-I`.
    pub folder: PathBuf,
    /// Of all names and texts.
    pub hash: String,
}

impl Headers {
    /// The headers to compile with; writes them into `cache` where they are missing or damaged.
    pub fn prepare(cache: &Cache) -> Result<Self, EngineError> {
        let hash = Self::hash()?;
        if let Some(folder) = own() {
            return Ok(Self { folder, hash });
        }
        let folder = cache.publish(&key(&hash), |temporary| {
            for (path, text) in FILES {
                let path = temporary.join(path);
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                fs::write(path, text)?;
            }
            Ok(())
        })?;
        Ok(Self { folder, hash })
    }

    /// The hash of all names and texts, without writing them anywhere.
    pub fn hash() -> Result<String, EngineError> {
        static EMBEDDED: OnceLock<String> = OnceLock::new();
        let Some(folder) = own() else {
            let made = EMBEDDED.get_or_init(|| hash(FILES.iter().copied()));
            return Ok(made.clone());
        };
        let mut files = Vec::new();
        read_tree(&folder, Path::new(""), &mut files)
            .map_err(|e| super::error("read", &folder, e))?;
        files.sort();
        Ok(hash(files.iter().map(|(p, t)| (p.as_str(), t.as_str()))))
    }

    /// Whether they are still there. The cache may be deleted at any time.
    pub fn are_there(&self, cache: &Cache) -> bool {
        own().is_some() || cache.find(&key(&self.hash)).is_some()
    }
}

/// The folder to use in place of the embedded headers.
fn own() -> Option<PathBuf> {
    env::var_os("ZMLX_RUNTIME_DIR").map(PathBuf::from)
}

/// Their name in the cache.
fn key(hash: &str) -> String {
    format!("runtime-{}", &hash[..16])
}

fn hash<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hasher = Sha256::new();
    for (path, text) in files {
        hasher.update(path.as_bytes());
        hasher.update([0]);
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hex(&hasher.finalize())
}

fn read_tree(root: &Path, below: &Path, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_tree(root, &path, files)?;
        } else if path.extension().is_some_and(|e| e == "h") {
            let text = String::from_utf8(place::read(&root.join(&path))?);
            let text =
                text.map_err(|_| io::Error::other(format!("{}: no text", path.display())))?;
            files.push((path.to_string_lossy().into_owned(), text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_header_is_embedded() {
        let root = std::env::var("CARGO_MANIFEST_DIR");
        let root = root.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_string());
        let mut found = Vec::new();
        let folder = Path::new(&root).join("kernels/runtime");
        read_tree(&folder, Path::new(""), &mut found).unwrap();
        found.sort();
        assert_eq!(
            FILES.iter().map(|f| f.0).collect::<Vec<_>>(),
            found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>()
        );
    }
}
