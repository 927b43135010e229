//! Replacing a file as a whole.

use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::place::{self, named};
use crate::Result;

/// A new file that is to take a name, and goes away unless it does: when anything fails, the old file
/// is untouched.
///
/// Not by a closure that writes, because errors in closures do not name the caller's line.
pub(crate) struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
    target: PathBuf,
}

impl NewFile {
    /// An empty file in the folder of `path`, with the suffix that MLX would add otherwise.
    ///
    /// A name that is a link stays one: what it leads to is replaced. What is no plain file is
    /// refused, as the rename would put a file in the place of a device.
    #[track_caller]
    pub(crate) fn beside(path: &Path, suffix: &str) -> Result<Self> {
        let name = path.display();
        let target = named(&name, place::target(path))?;
        let folder = match target.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let mode = fs::metadata(&target).map_or(0o666, |m| m.permissions().mode());
        let file = tempfile::Builder::new()
            .prefix(".zmlx-")
            .suffix(suffix)
            .permissions(Permissions::from_mode(mode & 0o777))
            .tempfile_in(folder);
        Ok(NewFile {
            file: named(&name, file)?,
            path: path.to_owned(),
            target,
        })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// The same, for the bridge.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.path().as_os_str().as_bytes()
    }

    /// Gives the file its name.
    #[track_caller]
    pub(crate) fn publish(self) -> Result<()> {
        let name = self.path.display();
        // MLX wrote through a file handle of its own, maybe into a new file of that name.
        let sync = File::open(self.file.path()).and_then(|f| f.sync_all());
        named(&name, sync)?;
        // Whatever took the name meanwhile is not replaced either.
        named(&name, place::target(&self.path))?;
        let renamed = self.file.persist(&self.target);
        named(&name, renamed.map_err(|e| e.error))?;
        Ok(())
    }
}
