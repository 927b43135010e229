//! The header of a GGUF file: metadata, and where which array lies.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use super::GgufValue;
use super::check::{Source, byte_count, dims_of};
use super::gguf_blocks::{Type, by_number, names};
use crate::{Array, Dtype, Error, Result};

/// The key that says where arrays may begin.
pub(super) const ALIGNMENT: &str = "general.alignment";
/// Where they begin without it.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;

const U32: u32 = 4;
const BOOL: u32 = 7;
const TEXT: u32 = 8;
const LIST: u32 = 9;

/// The types of metadata values that are numbers.
pub(super) const NUMBERS: [(u32, Dtype); 11] = [
    (0, Dtype::Uint8),
    (1, Dtype::Int8),
    (2, Dtype::Uint16),
    (3, Dtype::Int16),
    (U32, Dtype::Uint32),
    (5, Dtype::Int32),
    (6, Dtype::Float32),
    (BOOL, Dtype::Bool),
    (10, Dtype::Uint64),
    (11, Dtype::Int64),
    (12, Dtype::Float64),
];

/// What a file says of itself.
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, GgufValue>,
    pub(super) tensors: Vec<Tensor>,
}

/// An array in the file.
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) kind: Type,
    /// In MLX's order: the last is the innermost.
    pub(super) dims: Vec<i32>,
    /// Where it lies in the file.
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// Whether arrays may begin at multiples of `n`.
pub(super) fn is_alignment(n: u32) -> bool {
    n.is_power_of_two() && n <= 1 << 20
}

#[track_caller]
pub(super) fn read<R: Read>(source: &mut Source<R>) -> Result<Header> {
    if source.array::<4>()? != *b"GGUF" {
        return Err(source.bad("it does not begin as a GGUF file does"));
    }
    let version = source.u32()?;
    if (2..=3).contains(&version.swap_bytes()) {
        return Err(source.refused("expected a little-endian GGUF file, got a big-endian one"));
    }
    if !(2..=3).contains(&version) {
        return Err(source.refused(format_args!("expected GGUF version 2 or 3, got {version}")));
    }
    let (tensors, values) = (source.u64()?, source.u64()?);
    let mut metadata = BTreeMap::new();
    let mut alignment = DEFAULT_ALIGNMENT;
    for _ in 0..values {
        let key = name(source)?;
        let kind = source.u32()?;
        let value = if key == ALIGNMENT {
            let n = alignment_value(source, kind)?;
            alignment = u64::from(n);
            GgufValue::Array(Array::scalar(n)?)
        } else {
            value(source, &key, kind)?
        };
        if metadata.insert(key.clone(), value).is_some() {
            return Err(source.bad(format_args!("`{key}` is there twice")));
        }
    }
    let mut all = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..tensors {
        let tensor = tensor(source, alignment)?;
        if !names.insert(tensor.name.clone()) {
            return Err(source.bad(format_args!("`{}` is there twice", tensor.name)));
        }
        all.push(tensor);
    }
    let start = source.position().next_multiple_of(alignment);
    place(source, &mut all, start)?;
    Ok(Header {
        metadata,
        tensors: all,
    })
}

/// Makes offsets in the section of values places in the file.
#[track_caller]
fn place<R: Read>(source: &Source<R>, all: &mut [Tensor], start: u64) -> Result<()> {
    all.sort_by_key(|t| t.at);
    let mut used = start;
    for tensor in all {
        let name = &tensor.name;
        let at = tensor.at.checked_add(start);
        let end = at.and_then(|at| at.checked_add(tensor.bytes));
        let (Some(at), Some(end)) = (at, end.filter(|&end| end <= source.len)) else {
            return Err(source.bad(format_args!("`{name}` is incomplete")));
        };
        if at < used && tensor.bytes > 0 {
            return Err(source.bad(format_args!("`{name}` overlaps another array")));
        }
        tensor.at = at;
        used = used.max(end);
    }
    Ok(())
}

#[track_caller]
fn name<R: Read>(source: &mut Source<R>) -> Result<String> {
    let len = source.u64()?;
    if len > u64::from(u16::MAX) {
        return Err(source.bad(format_args!("a name would be {len} bytes long")));
    }
    let bytes = source.bytes(len)?;
    match String::from_utf8(bytes) {
        Ok(name) => Ok(name),
        Err(_) => Err(source.bad("a name is not text")),
    }
}

/// Readers that take the default instead would find other values than the writer meant.
#[track_caller]
fn alignment_value<R: Read>(source: &mut Source<R>, kind: u32) -> Result<u32> {
    if kind != U32 {
        let got = match NUMBERS.iter().find(|(k, _)| *k == kind) {
            Some((_, dtype)) => dtype.name(),
            None if kind == TEXT => "a text",
            None if kind == LIST => "a list",
            None => "a value of a type that is not known",
        };
        return Err(source.refused(format_args!("`{ALIGNMENT}`: expected uint32, got {got}")));
    }
    let n = source.u32()?;
    if !is_alignment(n) {
        return Err(source.refused(format_args!(
            "`{ALIGNMENT}`: expected a power of two up to {}, got {n}",
            1 << 20
        )));
    }
    Ok(n)
}

#[track_caller]
fn value<R: Read>(source: &mut Source<R>, key: &str, kind: u32) -> Result<GgufValue> {
    match kind {
        TEXT => text(source, key).map(GgufValue::Text),
        LIST => {
            let (kind, len) = (source.u32()?, source.u64()?);
            let Ok(count) = i32::try_from(len) else {
                return Err(source.bad(format_args!("`{key}` has too many values")));
            };
            if kind != TEXT {
                return numbers(source, key, kind, &[count]);
            }
            // Each text takes eight bytes at least, so a wrong count asks for no memory.
            let mut texts = Vec::new();
            for _ in 0..len {
                texts.push(text(source, key)?);
            }
            Ok(GgufValue::Texts(texts))
        }
        _ => numbers(source, key, kind, &[]),
    }
}

#[track_caller]
fn numbers<R: Read>(
    source: &mut Source<R>,
    key: &str,
    kind: u32,
    dims: &[i32],
) -> Result<GgufValue> {
    let Some((_, dtype)) = NUMBERS.iter().find(|(k, _)| *k == kind) else {
        return Err(match kind {
            LIST => source.refused(format_args!(
                "`{key}` is a list of lists, which MLX has not"
            )),
            _ => source.bad(format_args!(
                "`{key}` has the type {kind}, which is not known"
            )),
        });
    };
    let count: u64 = dims.iter().map(|&d| u64::from(d.unsigned_abs())).product();
    let bytes = source.bytes(count * dtype.size() as u64)?;
    if *dtype == Dtype::Bool && bytes.iter().any(|&b| b > 1) {
        return Err(source.bad(format_args!("`{key}` holds a bool other than 0 and 1")));
    }
    Array::from_bytes(&bytes, dims, *dtype).map(GgufValue::Array)
}

#[track_caller]
fn text<R: Read>(source: &mut Source<R>, key: &str) -> Result<String> {
    let len = source.u64()?;
    let bytes = source.bytes(len)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => Err(source.bad(format_args!("`{key}` is not text"))),
    }
}

/// An array's entry; its place is still that within the section of values.
#[track_caller]
fn tensor<R: Read>(source: &mut Source<R>, alignment: u64) -> Result<Tensor> {
    let name = name(source)?;
    let ndim = source.u32()?;
    if ndim > 8 {
        return Err(source.bad(format_args!("`{name}` would have {ndim} dimensions")));
    }
    let mut dims = Vec::new();
    for _ in 0..ndim {
        dims.push(source.u64()?);
    }
    let number = source.u32()?;
    let at = source.u64()?;
    let kind = match by_number(number) {
        Ok(kind) => kind,
        Err(kind) => {
            return Err(source.refused(format_args!(
                "`{name}`: expected one of the types {}, got {kind}",
                names()
            )));
        }
    };
    // The first dimension is the innermost; what is packed fills whole blocks of it.
    let whole = kind.elements == 1 || dims.first().is_some_and(|d| d % kind.elements == 0);
    dims.reverse();
    let sized = dims_of(&dims).filter(|_| whole && at.is_multiple_of(alignment));
    let sized = sized.and_then(|(dims, count)| {
        // The values may take more than the blocks: two bytes an element.
        byte_count(count, 2)?;
        Some((dims, byte_count(count / kind.elements, kind.bytes)?))
    });
    match sized {
        Some((dims, bytes)) => Ok(Tensor {
            name,
            kind,
            dims,
            at,
            bytes,
        }),
        None => Err(source.bad(format_args!("`{name}` has an impossible shape or place"))),
    }
}

impl<R: Read> Source<R> {
    /// An error about a file that is whole, but nothing that is read here.
    #[track_caller]
    fn refused(&self, what: impl std::fmt::Display) -> Error {
        Error::io(format!("{}: {what}", self.name()))
    }
}
