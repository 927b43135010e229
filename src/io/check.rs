//! Reading a header without trusting it.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use crate::{Error, Result};

/// A file, or bytes in memory, read from the start; knows what it is called in errors.
pub(super) struct Source<R> {
    from: R,
    at: u64,
    pub(super) len: u64,
    name: String,
}

impl Source<BufReader<File>> {
    #[track_caller]
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Error::io(format!("{name}: {e}")))?;
        let meta = file
            .metadata()
            .map_err(|e| Error::io(format!("{name}: {e}")))?;
        if !meta.is_file() {
            return Err(Error::io(format!("{name}: it is not a file")));
        }
        Ok(Source {
            from: BufReader::new(file),
            at: 0,
            len: meta.len(),
            name,
        })
    }
}

impl<'a> Source<std::io::Cursor<&'a [u8]>> {
    pub(super) fn memory(bytes: &'a [u8]) -> Self {
        Source {
            from: std::io::Cursor::new(bytes),
            at: 0,
            len: bytes.len() as u64,
            name: "bytes in memory".into(),
        }
    }
}

impl<R: Read + Seek> Source<R> {
    /// An error about this source.
    #[track_caller]
    pub(super) fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::io(format!(
            "{}: {what}; an incomplete or damaged file?",
            self.name
        ))
    }

    /// Where reading goes on.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> u64 {
        self.len.saturating_sub(self.at)
    }

    #[track_caller]
    pub(super) fn bytes(&mut self, n: u64) -> Result<Vec<u8>> {
        let mut out = vec![0; self.fits(n)?];
        self.from
            .read_exact(&mut out)
            .map_err(|e| Error::io(format!("{}: {e}", self.name)))?;
        self.at += n;
        Ok(out)
    }

    #[track_caller]
    pub(super) fn skip(&mut self, n: u64) -> Result<()> {
        let n = self.fits(n)?;
        self.from
            .seek_relative(n as i64)
            .map_err(|e| Error::io(format!("{}: {e}", self.name)))?;
        self.at += n as u64;
        Ok(())
    }

    #[track_caller]
    pub(super) fn u32(&mut self) -> Result<u32> {
        let b = self.array::<4>()?;
        Ok(u32::from_le_bytes(b))
    }

    #[track_caller]
    pub(super) fn u64(&mut self) -> Result<u64> {
        let b = self.array::<8>()?;
        Ok(u64::from_le_bytes(b))
    }

    #[track_caller]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N as u64)?;
        <[u8; N]>::try_from(bytes).map_err(|_| self.bad("it ends too early"))
    }

    #[track_caller]
    fn fits(&self, n: u64) -> Result<usize> {
        if n > self.left() {
            return Err(self.bad(format_args!(
                "{n} bytes are wanted at {}, it has {}",
                self.at, self.len
            )));
        }
        usize::try_from(n).map_err(|_| self.bad("it is too large for this machine"))
    }
}

/// Bytes of an array, if they can be counted.
pub(super) fn byte_count(dims: impl IntoIterator<Item = u64>, item: u64) -> Option<u64> {
    dims.into_iter().try_fold(item, |n, d| {
        i32::try_from(d).ok()?;
        n.checked_mul(d).filter(|&n| n <= isize::MAX as u64)
    })
}
