//! What a path may lead to: plain files, and nothing that waits, never ends, or is
//! no file at all.

use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::{Error, Result};

/// The path as text, which is what MLX takes.
#[track_caller]
pub(crate) fn utf8(path: &Path) -> Result<&str> {
    match path.to_str() {
        Some(text) => Ok(text),
        None => Err(Error::argument("path", "a path in UTF-8", path.display())),
    }
}

/// Opens a plain file to read. Anything else is refused at once: opening a FIFO would wait
/// for somebody to write to it, and devices have no end.
pub(crate) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    only_files(&fs::metadata(path)?)?;
    // What is there may have changed since, so the file that was opened is looked at again, and opening
    // does not wait for it.
    let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options()
        .read(true)
        .custom_flags(no_wait.bits().cast_signed())
        .open(path)?;
    let meta = file.metadata()?;
    only_files(&meta)?;
    Ok((file, meta))
}

/// All bytes of a plain file, as many as it has when it is opened. Some files below `/proc` never end.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (file, meta) = open(path)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    file.take(meta.len()).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < meta.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(bytes)
}

/// Where a file of the name `path` is or would be: at the end of the links that the name leads
/// through. Fails unless that is a plain file or nothing.
pub(super) fn target(path: &Path) -> io::Result<PathBuf> {
    match fs::metadata(path) {
        Ok(meta) => {
            only_files(&meta)?;
            fs::canonicalize(path)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => end_of_links(path),
        Err(e) => Err(e),
    }
}

/// Where the last of a chain of links points to, which is not there.
fn end_of_links(path: &Path) -> io::Result<PathBuf> {
    let mut at = path.to_owned();
    // As many links as systems follow.
    for _ in 0..40 {
        match fs::read_link(&at) {
            // A relative link starts in its own folder; `join` takes an absolute one as it is.
            Ok(to) => at = at.parent().unwrap_or(Path::new("")).join(to),
            // No link: the name of the file to be.
            Err(_) => return Ok(at),
        }
    }
    Err(io::Error::other("it leads through too many links"))
}

fn only_files(meta: &Metadata) -> io::Result<()> {
    match meta.is_file() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "expected a file, got {}",
            kind(meta.file_type())
        ))),
    }
}

fn kind(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// The system's answer, as an error that names the file.
#[track_caller]
pub(crate) fn named<T>(name: impl std::fmt::Display, answer: io::Result<T>) -> Result<T> {
    match answer {
        Ok(value) => Ok(value),
        Err(e) => Err(Error::io(format!("{name}: {e}"))),
    }
}
