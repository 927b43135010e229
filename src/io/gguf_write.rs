//! Writes GGUF files.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::atomic::NewFile;
use super::gguf_blocks::{Type, by_dtype};
use super::gguf_header::{ALIGNMENT, DEFAULT_ALIGNMENT, NUMBERS, is_alignment};
use super::place::named;
use super::{Gguf, GgufValue};
use crate::bridge::element::view_bytes;
use crate::{Array, Dtype, Error, Result};

/// Writes `content` as the file `path`. **Evaluates** the arrays.
#[track_caller]
pub(super) fn write(path: &Path, content: &Gguf) -> Result<()> {
    let alignment = alignment(content)?;
    let mut head = b"GGUF\x03\0\0\0".to_vec();
    head.extend((content.arrays.len() as u64).to_le_bytes());
    head.extend((content.metadata.len() as u64).to_le_bytes());
    for (key, value) in &content.metadata {
        name(&mut head, key)?;
        metadata(&mut head, key, value)?;
    }
    let mut dense = Vec::new();
    let mut at = 0u64;
    for (key, array) in &content.arrays {
        let kind = kind(key, array)?;
        name(&mut head, key)?;
        head.extend((array.ndim() as u32).to_le_bytes());
        for &d in array.shape().iter().rev() {
            head.extend((d as u64).to_le_bytes());
        }
        head.extend(kind.number.to_le_bytes());
        head.extend(at.to_le_bytes());
        at = (at + array.nbytes() as u64).next_multiple_of(alignment);
        dense.push(array.contiguous()?);
    }
    crate::eval(&dense)?;
    let mut values = Vec::new();
    for array in &dense {
        values.push(view_bytes(array.raw())?);
    }
    let new = NewFile::beside(path, ".gguf")?;
    let written = fill(new.path(), &head, &values, alignment);
    named(path.display(), written)?;
    new.publish()
}

fn fill(file: &Path, head: &[u8], values: &[&[u8]], alignment: u64) -> std::io::Result<()> {
    let pad = |len: usize| vec![0; (len as u64).next_multiple_of(alignment) as usize - len];
    let mut out = BufWriter::new(File::create(file)?);
    out.write_all(head)?;
    out.write_all(&pad(head.len()))?;
    for bytes in values {
        out.write_all(bytes)?;
        out.write_all(&pad(bytes.len()))?;
    }
    out.flush()
}

#[track_caller]
fn name(out: &mut Vec<u8>, name: &str) -> Result<()> {
    if name.len() > usize::from(u16::MAX) {
        return Err(Error::argument(
            "content",
            "names of 65535 bytes at most",
            format_args!("one of {}", name.len()),
        ));
    }
    text(out, name);
    Ok(())
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

#[track_caller]
fn kind(name: &str, array: &Array) -> Result<Type> {
    if array.ndim() > 8 {
        return Err(Error::shape(format!(
            "`{name}`: GGUF holds 8 dimensions at most, got shape {:?}",
            array.shape()
        )));
    }
    match by_dtype(array.dtype()) {
        Some(kind) => Ok(kind),
        None => Err(Error::dtype(format!(
            "`{name}`: GGUF holds float16, bfloat16, float32, float64, int8, int16, int32 and int64, not {}",
            array.dtype()
        ))),
    }
}

/// A value behind its key: the number of its type, and what it is.
#[track_caller]
fn metadata(out: &mut Vec<u8>, key: &str, value: &GgufValue) -> Result<()> {
    const TEXT: u32 = 8;
    const LIST: u32 = 9;
    match value {
        GgufValue::Text(t) => {
            out.extend(TEXT.to_le_bytes());
            text(out, t);
        }
        GgufValue::Texts(texts) => {
            out.extend([LIST, TEXT].map(u32::to_le_bytes).concat());
            out.extend((texts.len() as u64).to_le_bytes());
            texts.iter().for_each(|t| text(out, t));
        }
        GgufValue::Array(array) => {
            if array.ndim() > 1 || array.size() == 0 {
                return Err(Error::shape(format!(
                    "`{key}`: expected a number or a list that is not empty, got shape {:?}",
                    array.shape()
                )));
            }
            let Some((kind, _)) = NUMBERS.iter().find(|(_, d)| *d == array.dtype()) else {
                return Err(Error::dtype(format!(
                    "`{key}`: GGUF's metadata holds bools, integers, float32 and float64, not {}",
                    array.dtype()
                )));
            };
            if array.ndim() == 1 {
                out.extend(LIST.to_le_bytes());
            }
            out.extend(kind.to_le_bytes());
            if array.ndim() == 1 {
                out.extend((array.size() as u64).to_le_bytes());
            }
            out.extend(array.to_bytes()?);
        }
    }
    Ok(())
}

/// What the metadata asks for: readers go by it, so the file has to.
#[track_caller]
fn alignment(content: &Gguf) -> Result<u64> {
    let expected = "a uint32 that is a power of two up to 1048576";
    match content.metadata.get(ALIGNMENT) {
        None => Ok(DEFAULT_ALIGNMENT),
        Some(GgufValue::Array(n)) if n.dtype() == Dtype::Uint32 && n.ndim() == 0 => {
            let n = n.item::<u32>()?;
            match is_alignment(n) {
                true => Ok(u64::from(n)),
                false => Err(Error::argument(ALIGNMENT, expected, n)),
            }
        }
        Some(GgufValue::Array(a)) => Err(Error::argument(
            ALIGNMENT,
            expected,
            format_args!("{} of shape {:?}", a.dtype(), a.shape()),
        )),
        Some(_) => Err(Error::argument(ALIGNMENT, expected, "text")),
    }
}
