//! NumPy's format for one array.

use std::io::Read;
use std::path::Path;

use super::atomic::NewFile;
use super::check::{Source, byte_count, dims_of};
use super::lazy::Values;
use crate::bridge::io::{Sink, ffi};
use crate::error::Lift;
use crate::{Array, Dtype, Result};

/// The array in a `.npy` file. A byte of a bool other than 0 and 1 counts as true, as in NumPy.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("x.npy");
/// io::save_npy(&path, &Array::from_iter([1.0f32, 2.0])?)?;
/// assert_eq!(io::load_npy(&path)?.to_vec::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when there is no such file, it is damaged, or it holds
/// a type that MLX has not.
#[track_caller]
pub fn load_npy(path: impl AsRef<Path>) -> Result<Array> {
    array(Source::open(path.as_ref())?)
}

/// Saves an array as a `.npy` file of exactly this name. **Evaluates** it.
///
/// ```
/// use zmlx::{Array, io};
/// # let folder = tempfile::tempdir().map_err(zmlx::Error::other)?;
/// # let path = folder.path().join("x.npy");
/// io::save_npy(&path, &Array::from_iter([1.0f32, 2.0])?)?;
/// let bytes = std::fs::read(&path).map_err(zmlx::Error::other)?;
/// assert!(bytes.starts_with(b"\x93NUMPY"));
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) when the file cannot be written; what was there before stays.
#[track_caller]
pub fn save_npy(path: impl AsRef<Path>, array: &Array) -> Result<()> {
    array.eval()?;
    let new = NewFile::beside(path.as_ref(), ".npy")?;
    ffi::save(new.bytes(), array.raw()).lift()?;
    new.publish()
}

/// The array in the bytes of a `.npy` file. They are copied.
///
/// ```
/// use zmlx::{Array, io};
/// let bytes = io::npy_to_bytes(&Array::from_iter([1, 2])?)?;
/// assert_eq!(io::npy_from_bytes(&bytes)?.to_vec::<i32>()?, [1, 2]);
/// assert!(io::npy_from_bytes(&bytes[..20]).is_err()); // cut short
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// As [`load_npy`].
#[track_caller]
pub fn npy_from_bytes(bytes: &[u8]) -> Result<Array> {
    array(Source::memory(bytes))
}

/// The bytes of a `.npy` file with this array. **Evaluates** it.
///
/// ```
/// use zmlx::{Array, io};
/// let bytes = io::npy_to_bytes(&Array::from_iter([1u8, 2])?)?;
/// assert!(bytes.starts_with(b"\x93NUMPY") && bytes.ends_with(&[1, 2]));
/// # Ok::<(), zmlx::Error>(())
/// ```
///
/// # Errors
/// What the evaluation fails with.
#[track_caller]
pub fn npy_to_bytes(array: &Array) -> Result<Vec<u8>> {
    array.eval()?;
    const HEADER: usize = 1 << 10;
    let mut bytes = Sink::with_room(array.nbytes().saturating_add(HEADER));
    ffi::save_bytes(array.raw(), &mut bytes).lift()?;
    Ok(bytes.into_bytes())
}

#[track_caller]
pub(super) fn array<R: Read>(mut source: Source<R>) -> Result<Array>
where
    Source<R>: Values,
{
    let header = header(&mut source)?;
    let at = source.position();
    let values = source.values()?;
    let (dtype, swapped) = (header.dtype, header.swapped);
    if !header.columns {
        return values.array(at, swapped, dtype, &header.dims);
    }
    let turned: Vec<i32> = header.dims.iter().rev().copied().collect();
    values.array(at, swapped, dtype, &turned)?.transpose(..)
}

/// What the file says of its array.
pub(super) struct Header {
    pub(super) dtype: Dtype,
    /// The other order of bytes than this machine's.
    pub(super) swapped: bool,
    /// The first index is the innermost.
    pub(super) columns: bool,
    pub(super) dims: Vec<i32>,
}

/// Reads the header, and makes sure that all values stand behind it.
#[track_caller]
pub(super) fn header<R: Read>(source: &mut Source<R>) -> Result<Header> {
    if source.array::<6>()? != *b"\x93NUMPY" {
        return Err(source.bad("it does not begin as a npy file does"));
    }
    let len = match source.array::<2>()? {
        [1, _] => u64::from(u16::from_le_bytes(source.array()?)),
        [2, _] => u64::from(source.u32()?),
        [v, _] => return Err(source.bad(format_args!("npy version {v} is not known"))),
    };
    let text = source.bytes(len)?;
    let Some((header, count)) = std::str::from_utf8(&text).ok().and_then(parse) else {
        return Err(source.bad("its header is not one of an array that MLX can hold"));
    };
    match byte_count(count, header.dtype.size() as u64) {
        Some(n) if n <= source.left() => Ok(header),
        _ => Err(source.bad("its values are incomplete")),
    }
}

/// The header exactly as NumPy writes it, and the number of elements.
fn parse(header: &str) -> Option<(Header, u64)> {
    let rest = header.strip_prefix("{'descr': '")?;
    let (descr, rest) = rest.split_at_checked(3)?;
    let dtype = match descr.get(1..)? {
        "b1" => Dtype::Bool,
        "u1" => Dtype::Uint8,
        "u2" => Dtype::Uint16,
        "u4" => Dtype::Uint32,
        "u8" => Dtype::Uint64,
        "i1" => Dtype::Int8,
        "i2" => Dtype::Int16,
        "i4" => Dtype::Int32,
        "i8" => Dtype::Int64,
        "f2" => Dtype::Float16,
        "f4" => Dtype::Float32,
        "f8" => Dtype::Float64,
        // What NumPy, which does not know bfloat16, calls two bytes.
        "V2" => Dtype::Bfloat16,
        "c8" => Dtype::Complex64,
        _ => return None,
    };
    let swapped = match (descr.chars().next()?, dtype) {
        ('|', d) if d.size() == 1 || d == Dtype::Bfloat16 => false,
        ('<', _) => false,
        ('>', d) => d.size() > 1,
        _ => return None,
    };
    let rest = rest.strip_prefix("', 'fortran_order': ")?;
    let (columns, rest) = match rest.strip_prefix("True") {
        Some(rest) => (true, rest),
        None => (false, rest.strip_prefix("False")?),
    };
    let rest = rest.strip_prefix(", 'shape': (")?;
    let (dims, end) = rest.split_once(')')?;
    if !matches!(end.trim_end(), "}" | ", }" | ",}") {
        return None;
    }
    let dims = dims.trim_end().trim_end_matches(',');
    let dims: Vec<u64> = match dims.is_empty() {
        true => Vec::new(),
        false => dims.split(", ").map(plain_number).collect::<Option<_>>()?,
    };
    let (dims, count) = dims_of(&dims)?;
    let header = Header {
        dtype,
        swapped,
        columns,
        dims,
    };
    Some((header, count))
}

/// Digits only: `parse` alone would take a sign.
fn plain_number(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}
