//! NumPy's format for one array.

use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::atomic::replace;
use super::check::{Source, byte_count};
use crate::bridge::io::ffi;
use crate::error::Lift;
use crate::ops::done;
use crate::stream::current;
use crate::{Array, Result};

/// The array in a `.npy` file.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when there is no such file, it is damaged, or it holds
/// a type that MLX has not.
#[track_caller]
pub fn load_npy(path: impl AsRef<Path>) -> Result<Array> {
    let path = path.as_ref();
    check(&mut Source::open(path)?)?;
    done(ffi::load(path.as_os_str().as_bytes(), current()))
}

/// Saves an array as a `.npy` file of exactly this name. **Evaluates** it.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be written; what was there before stays.
#[track_caller]
pub fn save_npy(path: impl AsRef<Path>, array: &Array) -> Result<()> {
    array.eval()?;
    replace(path.as_ref(), ".npy", |file| {
        ffi::save(file, array.raw()).lift()
    })
}

/// The array in the bytes of a `.npy` file. They are copied.
///
/// # Errors
/// As [`load_npy`].
#[track_caller]
pub fn npy_from_bytes(bytes: &[u8]) -> Result<Array> {
    check(&mut Source::memory(bytes))?;
    done(ffi::load_bytes(bytes, current()))
}

/// The bytes of a `.npy` file with this array. **Evaluates** it.
///
/// # Errors
/// What the evaluation fails with.
#[track_caller]
pub fn npy_to_bytes(array: &Array) -> Result<Vec<u8>> {
    array.eval()?;
    Ok(ffi::save_bytes(array.raw()).lift()?.as_bytes().to_vec())
}

/// MLX reads the header by fixed positions: it must look exactly as NumPy writes it.
#[track_caller]
fn check<R: Read + Seek>(source: &mut Source<R>) -> Result<()> {
    if source.array::<6>()? != *b"\x93NUMPY" {
        return Err(source.bad("it does not begin as a npy file does"));
    }
    let len = match source.array::<2>()? {
        [1, _] => u64::from(u16::from_le_bytes(source.array()?)),
        [2, _] => u64::from(source.u32()?),
        [v, _] => return Err(source.bad(format_args!("npy version {v} is not known"))),
    };
    let header = source.bytes(len)?;
    let (item, dims) = std::str::from_utf8(&header)
        .ok()
        .and_then(parse)
        .ok_or_else(|| source.bad("its header is not one of an array that MLX can hold"))?;
    match byte_count(dims, item) {
        Some(n) if n <= source.left() => Ok(()),
        _ => Err(source.bad("its values are incomplete")),
    }
}

/// Bytes of an element, and the dimensions.
fn parse(header: &str) -> Option<(u64, Vec<u64>)> {
    let rest = header.strip_prefix("{'descr': '")?;
    let (descr, rest) = rest.split_at_checked(3)?;
    let item = match descr.get(1..)? {
        "b1" | "i1" | "u1" => 1,
        "i2" | "u2" | "f2" | "V2" => 2,
        "i4" | "u4" | "f4" => 4,
        "i8" | "u8" | "f8" | "c8" => 8,
        _ => return None,
    };
    let order = descr.chars().next()?;
    if !matches!((order, item), ('|', 1 | 2) | ('<' | '>', 1..)) {
        return None;
    }
    let rest = rest.strip_prefix("', 'fortran_order': ")?;
    let rest = rest.strip_prefix("True").or(rest.strip_prefix("False"))?;
    let rest = rest.strip_prefix(", 'shape': (")?;
    let (dims, end) = rest.split_once(')')?;
    // MLX looks for the last parentheses.
    if !matches!(end.trim_end(), "}" | ", }" | ",}") {
        return None;
    }
    let dims = dims.trim_end().trim_end_matches(',');
    if dims.is_empty() {
        return Some((item, Vec::new()));
    }
    let dims: Option<Vec<u64>> = dims.split(", ").map(plain_number).collect();
    Some((item, dims?))
}

/// Digits only: `parse` alone would take a sign.
fn plain_number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
