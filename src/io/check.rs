//! Reading a header without trusting it.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::time::SystemTime;

use super::place::{self, named};
use crate::{Error, Result};

/// A file, or bytes in memory, read from the start; knows what it is called in errors.
pub(super) struct Source<R> {
    from: R,
    at: u64,
    pub(super) len: u64,
    name: String,
    /// When the file had last been written to.
    written: Option<SystemTime>,
}

impl Source<BufReader<File>> {
    #[track_caller]
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let (file, meta) = named(&name, place::open(path))?;
        Ok(Source {
            from: BufReader::new(file),
            at: 0,
            len: meta.len(),
            name,
            written: meta.modified().ok(),
        })
    }

    /// The file and its name, if it is still what was read.
    #[track_caller]
    pub(super) fn into_file(self) -> Result<(File, String)> {
        let file = self.from.into_inner();
        let now = named(&self.name, file.metadata())?;
        if now.len() != self.len || now.modified().ok() != self.written {
            return Err(Error::io(format!(
                "{}: the file was written to while it was loaded",
                self.name
            )));
        }
        Ok((file, self.name))
    }
}

impl<'a> Source<Cursor<&'a [u8]>> {
    pub(super) fn memory(bytes: &'a [u8]) -> Self {
        Source {
            from: Cursor::new(bytes),
            at: 0,
            len: bytes.len() as u64,
            name: "bytes in memory".into(),
            written: None,
        }
    }

    /// The same with a name for errors.
    #[cfg(feature = "npz")]
    pub(super) fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The bytes.
    pub(super) fn all(&self) -> &'a [u8] {
        self.from.get_ref()
    }
}

impl<R: Read> Source<R> {
    /// An error about this source.
    #[track_caller]
    pub(super) fn bad(&self, what: impl std::fmt::Display) -> Error {
        Error::io(format!(
            "{}: {what}; an incomplete or damaged file?",
            self.name
        ))
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
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
        named(&self.name, self.from.read_exact(&mut out))?;
        self.at += n;
        Ok(out)
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
        self.fits(N as u64)?;
        let mut out = [0; N];
        named(&self.name, self.from.read_exact(&mut out))?;
        self.at += N as u64;
        Ok(out)
    }

    #[track_caller]
    fn fits(&self, n: u64) -> Result<usize> {
        if n > self.left() {
            return Err(self.bad(format_args!(
                "{n} bytes are wanted at {}, it has {}",
                self.at, self.len
            )));
        }
        match usize::try_from(n) {
            Ok(n) => Ok(n),
            Err(_) => Err(self.bad("it is too large for this machine")),
        }
    }
}

/// The dimensions, and the elements in them, if MLX can count both.
pub(super) fn dims_of(dims: &[u64]) -> Option<(Vec<i32>, u64)> {
    let mut count = 1u64;
    let mut out = Vec::with_capacity(dims.len());
    for &d in dims {
        out.push(i32::try_from(d).ok()?);
        count = count.checked_mul(d)?;
    }
    Some((out, count))
}

/// Bytes of so many elements, if they can be addressed.
pub(super) fn byte_count(count: u64, item: u64) -> Option<u64> {
    count.checked_mul(item).filter(|&n| n <= isize::MAX as u64)
}
