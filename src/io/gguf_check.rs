//! Walks a GGUF header the way MLX's reader does, which ends the process or reads
//! outside the file where a header is wrong.

use std::collections::HashSet;
use std::io::{Read, Seek};

use super::check::{Source, byte_count};
use crate::Result;

const TEXT: u32 = 8;
const LIST: u32 = 9;
const U32: u32 = 4;
const BOOL: u32 = 7;

/// Bytes of a value of this type, where all have the same and MLX reads it right.
fn value_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | BOOL => Some(1),
        2 | 3 => Some(2),
        U32 | 5 | 6 => Some(4),
        10 | 11 => Some(8),
        _ => None,
    }
}

/// Elements and bytes of a block, for the array types that MLX loads.
fn block(kind: u32) -> Option<(u64, u64)> {
    match kind {
        0 | 26 => Some((1, 4)),      // F32, I32
        1 | 25 | 30 => Some((1, 2)), // F16, I16, BF16
        24 => Some((1, 1)),          // I8
        2 => Some((32, 18)),         // Q4_0
        3 => Some((32, 20)),         // Q4_1
        8 => Some((32, 34)),         // Q8_0
        10 => Some((256, 84)),       // Q2_K
        12 => Some((256, 144)),      // Q4_K
        14 => Some((256, 210)),      // Q6_K
        _ => None,
    }
}

#[track_caller]
pub(super) fn check<R: Read + Seek>(source: &mut Source<R>) -> Result<()> {
    if source.array::<4>()? != *b"GGUF" {
        return Err(source.bad("it does not begin as a GGUF file does"));
    }
    let version = source.u32()?;
    if !(2..=3).contains(&version) {
        return Err(source.bad(format_args!("GGUF version {version} is not known")));
    }
    let (tensors, values) = (source.u64()?, source.u64()?);
    let mut alignment = 32;
    let mut names = HashSet::new();
    for _ in 0..values {
        let key = name(source)?;
        if !names.insert(key.clone()) {
            return Err(source.bad(format_args!("`{key}` is there twice")));
        }
        let kind = source.u32()?;
        // The reader compares this key with care, but not in every version.
        if kind == U32 && "general.alignment".starts_with(&key) {
            let n = source.u32()?;
            if !n.is_power_of_two() || n > 1 << 20 {
                return Err(source.bad(format_args!("an alignment of {n} is none")));
            }
            alignment = u64::from(n);
        } else {
            value(source, &key, kind)?;
        }
    }
    names.clear();
    let mut spans = Vec::new();
    for _ in 0..tensors {
        let name = name(source)?;
        let span = tensor(source, &name, alignment)?;
        if !names.insert(name.clone()) {
            return Err(source.bad(format_args!("`{name}` is there twice")));
        }
        spans.push((name, span));
    }
    let start = source.position().next_multiple_of(alignment);
    for (name, (offset, bytes)) in spans {
        let end = start.checked_add(offset).and_then(|n| n.checked_add(bytes));
        if end.is_none_or(|end| end > source.len) {
            return Err(source.bad(format_args!("`{name}` is incomplete")));
        }
    }
    Ok(())
}

#[track_caller]
fn name<R: Read + Seek>(source: &mut Source<R>) -> Result<String> {
    let len = source.u64()?;
    if len > u64::from(u16::MAX) {
        return Err(source.bad(format_args!("a name would be {len} bytes long")));
    }
    let bytes = source.bytes(len)?;
    String::from_utf8(bytes).map_err(|_| source.bad("a name is not text"))
}

#[track_caller]
fn value<R: Read + Seek>(source: &mut Source<R>, key: &str, kind: u32) -> Result<()> {
    match kind {
        TEXT => text(source, key),
        LIST => {
            let (kind, len) = (source.u32()?, source.u64()?);
            if i32::try_from(len).is_err() {
                return Err(source.bad(format_args!("`{key}` has too many values")));
            }
            match (kind, value_size(kind)) {
                (TEXT, _) => (0..len).try_for_each(|_| text(source, key)),
                (BOOL, _) => bools(source, key, len),
                (_, Some(size)) => source.skip(size * len),
                _ => Err(unreadable(source, key)),
            }
        }
        BOOL => bools(source, key, 1),
        _ => match value_size(kind) {
            Some(size) => source.skip(size),
            None => Err(unreadable(source, key)),
        },
    }
}

#[track_caller]
fn text<R: Read + Seek>(source: &mut Source<R>, key: &str) -> Result<()> {
    let len = source.u64()?;
    let bytes = source.bytes(len)?;
    match std::str::from_utf8(&bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err(source.bad(format_args!("`{key}` is not text"))),
    }
}

/// C++ may do anything with a bool that is neither 0 nor 1.
#[track_caller]
fn bools<R: Read + Seek>(source: &mut Source<R>, key: &str, len: u64) -> Result<()> {
    if source.bytes(len)?.iter().any(|&b| b > 1) {
        return Err(source.bad(format_args!("`{key}` holds a bool other than 0 and 1")));
    }
    Ok(())
}

#[track_caller]
fn unreadable<R: Read + Seek>(source: &Source<R>, key: &str) -> crate::Error {
    source.bad(format_args!("`{key}` has a type that MLX does not read"))
}

/// Offset in the data section and bytes of an array.
#[track_caller]
fn tensor<R: Read + Seek>(
    source: &mut Source<R>,
    name: &str,
    alignment: u64,
) -> Result<(u64, u64)> {
    let ndim = source.u32()?;
    if ndim > 8 {
        return Err(source.bad(format_args!("`{name}` would have {ndim} dimensions")));
    }
    let dims = (0..ndim)
        .map(|_| source.u64())
        .collect::<Result<Vec<_>>>()?;
    let kind = source.u32()?;
    let offset = source.u64()?;
    let Some((per, size)) = block(kind) else {
        return Err(source.bad(format_args!(
            "`{name}` has type {kind}, which MLX does not read"
        )));
    };
    // The first dimension is the innermost; what MLX keeps packed needs whole blocks in it.
    let packed = per > 1;
    let whole = !packed || dims.first().is_some_and(|d| d % per == 0);
    // Twice the count: MLX may expand each element to two bytes.
    match byte_count(dims.iter().copied(), size.max(2)) {
        Some(n) if whole && offset % alignment == 0 => {
            let count = n / size.max(2);
            Ok((offset, count / per * size))
        }
        _ => Err(source.bad(format_args!("`{name}` has an impossible shape or place"))),
    }
}
