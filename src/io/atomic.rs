//! Replacing a file as a whole.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{Error, Result};

/// Has `write` fill a new file, then gives it the name `path`.
///
/// The new file has the suffix that MLX would add otherwise. When anything fails the old
/// file is untouched and the new one gone.
#[track_caller]
pub(crate) fn replace(
    path: &Path,
    suffix: &str,
    write: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<()> {
    // Through a link, the file it leads to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let failed = |e: &dyn std::fmt::Display| Error::io(format!("{}: {e}", path.display()));
    let folder = match target.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mode = fs::metadata(&target).map_or(0o666, |m| m.permissions().mode());
    let file = tempfile::Builder::new()
        .prefix(".zmlx-")
        .suffix(suffix)
        .permissions(Permissions::from_mode(mode & 0o777))
        .tempfile_in(folder)
        .map_err(|e| failed(&e))?;
    write(file.path().as_os_str().as_bytes())?;
    // MLX wrote through a file handle of its own, maybe into a new file of that name.
    let sync = fs::File::open(file.path()).and_then(|f| f.sync_all());
    sync.map_err(|e| failed(&e))?;
    file.persist(&target).map_err(|e| failed(&e.error))?;
    Ok(())
}
