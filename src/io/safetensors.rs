//! The safetensors format: named arrays and text metadata.

use std::collections::HashSet;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cxx::CxxVector;
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ValueType};

use super::ArrayMap;
use super::atomic::replace;
use super::check::{Source, byte_count};
use crate::array::{pack, unpack};
use crate::bridge::array::ffi::Array as RawArray;
use crate::bridge::io::ffi;
use crate::error::Lift;
use crate::stream::current;
use crate::{Array, Error, Result};

/// The arrays and the metadata of a `.safetensors` file.
///
/// Float8 values come as uint8, as MLX has them.
///
/// # Errors
/// [`Error::Io`] when there is no such file, it is damaged, or it holds a type
/// that MLX has not (float64 among them).
#[track_caller]
pub fn load_safetensors(path: impl AsRef<Path>) -> Result<ArrayMap> {
    let path = path.as_ref();
    check(&mut Source::open(path)?)?;
    named(ffi::load_safetensors(path.as_os_str().as_bytes(), current()).lift()?)
}

/// Saves arrays and metadata as a `.safetensors` file of exactly this name. **Evaluates** them.
///
/// # Errors
/// [`Error::Dtype`] for float64, which the format's readers in MLX do not take; [`Error::Io`] when
/// the file cannot be written. What was there before stays.
#[track_caller]
pub fn save_safetensors(path: impl AsRef<Path>, arrays: &ArrayMap) -> Result<()> {
    let content = content(arrays)?;
    replace(path.as_ref(), ".safetensors", |file| {
        ffi::save_safetensors(file, &content).lift()
    })
}

/// The arrays and the metadata in the bytes of a `.safetensors` file. They are copied.
///
/// # Errors
/// As [`load_safetensors`].
#[track_caller]
pub fn safetensors_from_bytes(bytes: &[u8]) -> Result<ArrayMap> {
    check(&mut Source::memory(bytes))?;
    named(ffi::load_safetensors_bytes(bytes, current()).lift()?)
}

/// The bytes of a `.safetensors` file with these arrays and metadata. **Evaluates** them.
///
/// # Errors
/// As [`save_safetensors`].
#[track_caller]
pub fn safetensors_to_bytes(arrays: &ArrayMap) -> Result<Vec<u8>> {
    let bytes = ffi::save_safetensors_bytes(&content(arrays)?).lift()?;
    Ok(bytes.as_bytes().to_vec())
}

#[track_caller]
fn named(load: ffi::Named) -> Result<ArrayMap> {
    let arrays = list(&load.arrays)?;
    let metadata = load.metadata.into_iter().map(|e| (e.key, e.value));
    Ok(ArrayMap {
        arrays: load.names.into_iter().zip(arrays).collect(),
        metadata: metadata.collect(),
    })
}

#[track_caller]
pub(super) fn list(arrays: &cxx::UniquePtr<CxxVector<RawArray>>) -> Result<Vec<Array>> {
    arrays.as_ref().map_or_else(|| Ok(Vec::new()), unpack)
}

#[track_caller]
fn content(map: &ArrayMap) -> Result<ffi::Named> {
    if map.arrays.contains_key("__metadata__") {
        return Err(Error::argument(
            "arrays",
            "names",
            "`__metadata__`, which the format keeps for itself",
        ));
    }
    if let Some((name, _)) = map
        .arrays
        .iter()
        .find(|(_, a)| a.dtype() == crate::Dtype::Float64)
    {
        return Err(Error::dtype(format!(
            "`{name}`: float64 cannot be saved as safetensors"
        )));
    }
    let arrays: Vec<Array> = map.arrays.values().cloned().collect();
    crate::eval(&arrays)?;
    let entry = |(key, value): (&String, &String)| ffi::Entry {
        key: key.clone(),
        value: value.clone(),
    };
    Ok(ffi::Named {
        names: map.arrays.keys().cloned().collect(),
        arrays: pack(&arrays)?,
        metadata: map.metadata.iter().map(entry).collect(),
    })
}

/// The format's own limit.
const HEADER_LIMIT: u64 = 100_000_000;

#[track_caller]
fn check<R: Read + Seek>(source: &mut Source<R>) -> Result<()> {
    let len = source.u64()?;
    if !(2..HEADER_LIMIT).contains(&len) {
        return Err(source.bad(format_args!("its header would be {len} bytes long")));
    }
    let header = source.bytes(len)?;
    let entries =
        parse(&header).map_err(|e| source.bad(format_args!("its header cannot be read: {e}")))?;
    let mut names = HashSet::new();
    let mut spans = Vec::new();
    for (name, entry) in &entries {
        if !names.insert(name) {
            return Err(source.bad(format_args!("`{name}` is there twice")));
        }
        let span = entry.span().ok_or_else(|| {
            source.bad(format_args!(
                "`{name}` has no dtype, shape and place that fit each other and MLX"
            ))
        })?;
        spans.push((span, name));
    }
    spans.sort();
    let mut end = 0;
    for ((from, to), name) in spans {
        if from < end && from < to {
            return Err(source.bad(format_args!("`{name}` overlaps another array")));
        }
        if to > source.left() {
            return Err(source.bad(format_args!("`{name}` is incomplete")));
        }
        end = end.max(to);
    }
    Ok(())
}

/// What the header says of one array. What is missing or no fitting number stays empty.
#[derive(Default)]
struct Entry {
    dtype: Option<String>,
    shape: Option<Vec<u64>>,
    offsets: Option<Vec<u64>>,
    /// A field came twice: MLX might take the other one.
    doubtful: bool,
}

impl Entry {
    /// Where the array lies, if the entry is sound.
    fn span(&self) -> Option<(u64, u64)> {
        let item = match self.dtype.as_deref()? {
            "BOOL" | "I8" | "U8" | "F8_E4M3" | "F8_E8M0" => 1,
            "I16" | "U16" | "F16" | "BF16" => 2,
            "I32" | "U32" | "F32" => 4,
            "I64" | "U64" | "C64" => 8,
            _ => return None,
        };
        let &[from, to] = self.offsets.as_deref()? else {
            return None;
        };
        let bytes = byte_count(self.shape.iter().flatten().copied(), item)?;
        let sound = !self.doubtful && self.shape.is_some();
        (sound && to.checked_sub(from) == Some(bytes)).then_some((from, to))
    }
}

// `serde_json` would do as well, but its `PartialEq` impls for numbers take the type
// inference from users' `assert_eq!(x.to_vec::<f32>()?, [])`.
fn parse(header: &[u8]) -> Result<Vec<(String, Entry)>, ReaderError> {
    let mut json = JsonStreamReader::new(header);
    let mut entries = Vec::new();
    json.begin_object()?;
    while json.has_next()? {
        let name = json.next_name_owned()?;
        if name == "__metadata__" {
            text_map(&mut json)?;
        } else {
            entries.push((name, entry(&mut json)?));
        }
    }
    json.end_object()?;
    json.consume_trailing_whitespace()?;
    Ok(entries)
}

/// Texts by name, or what MLX writes for none.
fn text_map(json: &mut impl JsonReader) -> Result<(), ReaderError> {
    if json.peek()? == ValueType::Null {
        return json.next_null();
    }
    json.begin_object()?;
    while json.has_next()? {
        json.skip_name()?;
        json.next_str()?;
    }
    json.end_object()
}

fn entry(json: &mut impl JsonReader) -> Result<Entry, ReaderError> {
    let mut entry = Entry::default();
    json.begin_object()?;
    while json.has_next()? {
        let again = match json.next_name_owned()?.as_str() {
            "dtype" => entry.dtype.replace(json.next_string()?).is_some(),
            "shape" => std::mem::replace(&mut entry.shape, numbers(json)?).is_some(),
            "data_offsets" => std::mem::replace(&mut entry.offsets, numbers(json)?).is_some(),
            _ => {
                json.skip_value()?;
                false
            }
        };
        entry.doubtful |= again;
    }
    json.end_object()?;
    Ok(entry)
}

/// The numbers of a list, if each is a plain one.
fn numbers(json: &mut impl JsonReader) -> Result<Option<Vec<u64>>, ReaderError> {
    let mut all = Some(Vec::new());
    json.begin_array()?;
    while json.has_next()? {
        match (json.next_number::<u64>()?, &mut all) {
            (Ok(n), Some(list)) => list.push(n),
            _ => all = None,
        }
    }
    json.end_array()?;
    Ok(all)
}
