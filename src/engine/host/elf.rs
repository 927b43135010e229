//! The thread-local block of a library, from its program headers.

use std::{fs::File, io::Read as _, path::Path};

/// What each thread gets of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// Its size.
    pub bytes: u64,
    /// What its address is a multiple of.
    pub align: u64,
}

/// The block of the library at `path`; none in libraries of another format, and where the file
/// cannot be read.
pub fn thread_local(path: &Path) -> Option<Block> {
    const SEGMENT: u32 = 7;
    // Headers come first, and no library has so many segments that they fill this.
    let mut start = vec![0; 4096];
    let mut file = File::open(path).ok()?;
    let mut len = 0;
    while len < start.len() {
        match file.read(&mut start[len..]).ok()? {
            0 => break,
            n => len += n,
        }
    }
    let start = &start[..len];
    // 64 bits, and the byte order of this machine, as it is this machine's library.
    if start.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let u16_at = |at| bytes(start, at).map(u16::from_ne_bytes);
    let u32_at = |at| bytes(start, at).map(u32::from_ne_bytes);
    let u64_at = |at| bytes(start, at).map(u64::from_ne_bytes);
    let first = usize::try_from(u64_at(32)?).ok()?;
    let (size, count) = (usize::from(u16_at(54)?), usize::from(u16_at(56)?));
    (0..count)
        .map(|n| first + n * size)
        .find(|&at| u32_at(at) == Some(SEGMENT))
        .and_then(|at| {
            Some(Block {
                bytes: u64_at(at + 40)?,
                align: u64_at(at + 48)?,
            })
        })
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Option<[u8; N]> {
    from.get(at..at.checked_add(N)?)?.try_into().ok()
}
